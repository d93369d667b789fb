"""Ways in: HTTP, sockets, command line, and the facade for embedding."""
