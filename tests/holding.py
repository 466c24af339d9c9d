"""A script that takes as long as a test wants: it waits for a lock that the test holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

HELD = (
    "-- transaction: false\nCREATE TABLE slow (id INT);\n"
    "INSERT INTO slow SELECT 1 FROM (SELECT pg_advisory_xact_lock(4242)) AS s;\n"
)
"""Two statements for PostgreSQL, the second of which waits while `held`."""


@contextmanager
def held(url: str) -> Iterator[Callable[[], None]]:
    """Hold the lock until the block ends, or until what it is given is called."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(4242)")

        def release() -> None:
            connection.execute("SELECT pg_advisory_unlock_all()")

        yield release
