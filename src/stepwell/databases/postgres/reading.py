"""Reading the rows of a SELECT one by one, with what their columns hold.

Not through a cursor on the server: PostgreSQL plans one without parallel workers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.databases.postgres.session import Session
    from stepwell.databases.stream import Stream

LOCK_TIMEOUT = 5.0
"""Seconds to wait for a table that somebody has locked."""

SETTINGS = ("SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'", "SET LOCAL extra_float_digits = 1")


@contextlib.contextmanager
def stream(session: Session, text: str, timeout: float) -> Iterator[Stream]:
    """The rows of `text` in the block, in a transaction that can change nothing."""
    session.limit(LOCK_TIMEOUT, timeout)
    session.query("BEGIN READ ONLY")
    try:
        for setting in SETTINGS:
            session.query(setting)
        with session.result(text) as result:
            yield result
    finally:
        session.end()
