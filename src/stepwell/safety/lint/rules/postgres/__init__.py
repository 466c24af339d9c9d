"""Rules for PostgreSQL, where the question is which lock is held for how long."""
