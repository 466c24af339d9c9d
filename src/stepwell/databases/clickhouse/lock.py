"""A lock for projects that have ClickHouse alone: CREATE TABLE, the one thing there that only one of many can do.

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
from typing import TYPE_CHECKING

from stepwell.errors import LockHeld, LockLost, Refused, StepwellError

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

LEASE = 60
"""Seconds after which a holder that says nothing is taken for dead."""

POLL = 1.0
"""Seconds between two looks at a lock that somebody else holds."""

PREFIX = "stepwell_lock_"
ALREADY_EXISTS = "57"


def _highest(database: ClickhouseDatabase) -> tuple[int, str, bool]:
    """The number of the highest lock table, its holder ('' when released), and whether its lease is over."""
    rows = database.query(
        f"""
        SELECT toUInt64(substring(name, {len(PREFIX) + 1})) AS number, comment, now()
        FROM system.tables
        WHERE database = ? AND match(name, '^{PREFIX}[0-9]+$')
        ORDER BY number DESC
        LIMIT 1
        """,
        (database.database,),
    )
    if not rows:
        return 0, "", True
    number, comment, now = rows[0]
    until, _, holder = str(comment).partition(" ")
    left = int(until) - int(now.timestamp()) if until.isdigit() else -1
    return int(number), holder and f"{holder} (its lease ends in {left} s unless renewed)", left < 0


@contextmanager
def table_lock(
    database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Hold the lock for the block; gives a function that raises LockLost unless it is held still."""
    number = _acquire(database, patience, waiting)
    table, ended = f"{PREFIX}{number}", threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE / 4):
            with suppress(StepwellError):  # one renewal may fail; the lease outlives three
                database.query(f"ALTER TABLE {table} MODIFY COMMENT '{_comment(database)}'")

    def assert_held() -> None:
        highest, holder, expired = _highest(database)
        if highest != number or expired or not holder:
            raise LockLost(database.name)

    renewer = threading.Thread(target=renew, name="stepwell-lock", daemon=True)
    renewer.start()
    try:
        yield assert_held
    finally:
        ended.set()
        renewer.join()
        with suppress(StepwellError):  # a server that is gone frees the lock by the lease
            database.query(f"ALTER TABLE {table} MODIFY COMMENT '0 '")


def _acquire(database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None]) -> int:
    started, told = time.monotonic(), 0
    while True:
        number, holder, free = _highest(database)
        if free or not holder:
            try:
                database.query(
                    f"""
                    CREATE TABLE {PREFIX}{number + 1} (nothing UInt8)
                    ENGINE = Memory
                    COMMENT '{_comment(database)}'
                    """
                )
            except Refused as error:
                if error.code != ALREADY_EXISTS:
                    raise
                continue
            for old in range(max(1, number - 8), number + 1):
                database.query(f"DROP TABLE IF EXISTS {PREFIX}{old}")
            return number + 1
        if time.monotonic() - started >= patience:
            raise LockHeld(database.name, patience, holder)
        if number != told:
            waiting(holder)
            told = number
        time.sleep(POLL)


def _comment(database: ClickhouseDatabase) -> str:
    until = int(database.query("SELECT toUnixTimestamp(now())")[0][0]) + LEASE
    return f"{until} process {os.getpid()} on {socket.gethostname()}"
