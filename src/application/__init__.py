"""What Encola does: one use case a file, over ports."""
