"""The private servers that the benchmarks run against: those of the tests, but durable, as in production."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The servers live beside the tests, which are no package.
sys.path.append(str(Path(__file__).parent.parent / "tests"))

from servers import mariadb, postgres


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Callable[[], str]]]:
    """Both servers, started; for each a function that makes an empty database and returns its URL."""
    state = postgres.start(folder / "postgres", durable=True)
    try:
        other = mariadb.start(folder / "mariadb", durable=True)
        try:
            yield {"PostgreSQL": state.new_database, "MariaDB": other.new_database}
        finally:
            other.stop()
    finally:
        state.stop()
