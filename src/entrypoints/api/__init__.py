"""REST and realtime over ASGI."""
