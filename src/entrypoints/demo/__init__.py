"""Small real services for the first five minutes."""
