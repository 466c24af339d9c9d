"""The migration lock: an advisory lock of the working connection, so that neither outlives the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stepwell.errors import LockHeld, LockLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.postgres.session import Session

KEY = int.from_bytes(b"stepwell", "big")
"""Advisory locks belong to one database of the server, so one key serves them all."""

TRY = f"SELECT pg_try_advisory_lock({KEY})"
RELEASE = f"SELECT pg_advisory_unlock({KEY})"
IN_PG_LOCKS = f"""
locktype = 'advisory' AND granted AND classid = {KEY >> 32} AND objid = {KEY & 0xFFFFFFFF} AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OURS = f"SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND {IN_PG_LOCKS}"
NAME = """
SELECT format('%s %s', extract(epoch FROM pg_postmaster_start_time()), oid)
FROM pg_database
WHERE datname = current_database()
"""
HOLDER = f"""
SELECT format(
  'pid %s, %s@%s, application "%s", connected since %s UTC%s',
  pid, usename, coalesce(host(client_addr), 'local'), application_name,
  to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
  CASE WHEN state = 'active' THEN ', running: ' || left(regexp_replace(query, '\\s+', ' ', 'g'), 80) END
)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE {IN_PG_LOCKS}
"""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries."""


@contextlib.contextmanager
def held(session: Session, name: str, patience: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock for the block. Raises LockHeld after `patience` seconds."""
    _take(session, name, patience, waiting)
    try:
        yield
    finally:
        # A connection that is gone holds nothing.
        with contextlib.suppress(Refused):
            session.query(RELEASE)


def _take(session: Session, name: str, patience: float, waiting: Callable[[str], None]) -> None:
    deadline = time.monotonic() + patience
    pause, told = FIRST_PAUSE, None
    while not session.query(TRY)[0][0]:
        holder = "; ".join(row[0] for row in session.query(HOLDER))
        if time.monotonic() >= deadline:
            raise LockHeld(name, patience, holder)
        if holder != told:
            waiting(holder)
            told = holder
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def assert_held(session: Session, name: str) -> None:
    """Raises LockLost."""
    try:
        ours = session.query(OURS)[0][0]
    except Refused as error:
        raise LockLost(name) from error
    if not ours:
        raise LockLost(name)
