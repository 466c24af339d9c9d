"""Takes a relational database and ClickHouse to their next version together, while the application keeps running."""

__version__ = "0.1.0"
