"""Rules for MySQL and MariaDB, where the question is whether the table is copied."""
