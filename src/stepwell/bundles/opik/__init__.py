"""The upgrade of a self-hosted Opik: state in MySQL (or SQLite), analytics in ClickHouse."""
