"""A lock for projects that have a ClickHouse server alone: CREATE TABLE, the one thing there that only one can do.

The lock is the table `stepwell_lock_N` with the highest N; its comment says who holds it and until when by the server's
clock, and a thread keeps moving that on. To take over an expired or released lock is to create N + 1, at which
exactly one succeeds. N only grows, so it is a fencing token: a holder that slept past its lease finds a higher table
and stops. Tables below the highest are dropped; the highest stays, released.

On a cluster all runners must reach the same server, for each server has its own catalog.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.errors import LockHeld, LockLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

LEASE = 60
"""Seconds after which a holder that says nothing is taken for dead."""

POLL = 1.0
"""Seconds between two looks at a lock that somebody else holds."""

PREFIX = "stepwell_lock_"
ALREADY_EXISTS = "57"


@dataclass(frozen=True, slots=True)
class Held:
    """The lock table with this number; the holder is '' when it was released, and `left` the seconds of its lease."""

    number: int = 0
    holder: str = ""
    left: int = 0

    @property
    def free(self) -> bool:
        return not self.holder or self.left < 0


@contextmanager
def table_lock(
    database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Hold the lock for the block; gives a function that raises LockLost unless it is held still."""
    number = _acquire(database, patience, waiting)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE / 4):
            with suppress(Refused):  # one renewal may fail; the lease outlives three
                _say(database, number, _promise(database))

    def assert_held() -> None:
        held = _highest(database)
        if held.number != number or held.free:
            raise LockLost(database.name)

    renewer = threading.Thread(target=renew, name="stepwell-lock", daemon=True)
    renewer.start()
    try:
        yield assert_held
    finally:
        ended.set()
        renewer.join()
        with suppress(Refused):  # a server that is gone frees the lock by the lease
            _say(database, number, "")


def _acquire(database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None]) -> int:
    started, told = time.monotonic(), 0
    while True:
        held = _highest(database)
        if held.free:
            if _take(database, held.number + 1):
                return held.number + 1
            continue
        holder = f"{held.holder} (its lease ends in {held.left} s unless renewed)"
        if time.monotonic() - started >= patience:
            raise LockHeld(database.name, patience, holder)
        if held.number != told:
            waiting(holder)
            told = held.number
        time.sleep(POLL)


def _take(database: ClickhouseDatabase, number: int) -> bool:
    try:
        database.query(
            f"""
            CREATE TABLE {PREFIX}{number} (nothing UInt8)
            ENGINE = Memory
            COMMENT '{_promise(database)}'
            """
        )
    except Refused as error:
        if error.code != ALREADY_EXISTS:
            raise
        return False
    # Who looked long ago may find the number free again, for the table was taken over and dropped meanwhile.
    taken = _highest(database).number == number
    for old in [each for each in _numbers(database) if each < number] if taken else [number]:
        database.query(f"DROP TABLE IF EXISTS {PREFIX}{old} SYNC")
    return taken


def _numbers(database: ClickhouseDatabase) -> list[int]:
    rows = database.query(
        f"SELECT name FROM system.tables WHERE database = ? AND match(name, '^{PREFIX}[0-9]+$')",
        (database.database,),
    )
    return [int(row[0].removeprefix(PREFIX)) for row in rows]


def _highest(database: ClickhouseDatabase) -> Held:
    rows = database.query(
        f"""
        SELECT toUInt64(substring(name, {len(PREFIX) + 1})) AS number, comment, toUnixTimestamp(now())
        FROM system.tables
        WHERE database = ? AND match(name, '^{PREFIX}[0-9]+$')
        ORDER BY number DESC
        LIMIT 1
        """,
        (database.database,),
    )
    if not rows:
        return Held()
    number, comment, now = rows[0]
    until, _, holder = str(comment).partition(" ")
    return Held(int(number), holder, int(until) - int(now)) if until.isdigit() else Held(int(number))


def _promise(database: ClickhouseDatabase) -> str:
    """Until when the lock is held, unless that is moved on, and by whom."""
    until = int(database.query("SELECT toUnixTimestamp(now())")[0][0]) + LEASE
    return f"{until} process {os.getpid()} on {socket.gethostname()}"


def _say(database: ClickhouseDatabase, number: int, comment: str) -> None:
    database.query(f"ALTER TABLE {PREFIX}{number} MODIFY COMMENT '{comment}'")
