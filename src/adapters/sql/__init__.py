"""Jobs, history and outbox in SQLite or PostgreSQL."""
