"""ClickHouse's own lock: CREATE TABLE, the one thing there that only one can do.

The lock is the table `stepwell_lock_N` with the highest N; its comment says who holds it and until when by the server's
clock, and a thread keeps moving that on. To take over an expired or released lock is to create N + 1, at which
exactly one succeeds. N only grows, so it is a fencing token: a holder that slept past its lease finds a higher table
and stops. Tables below the highest are dropped; the highest stays, released.

Where the holder has session locks of relational databases too, the comment names these. Each of them has one holder:
who has it now knows that the one before is gone, and takes over at once.

On a cluster all runners must reach the same server, for each server has its own catalog.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from stepwell.errors import LockHeld, LockLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

LEASE = 60
"""Seconds after which a holder that says nothing is taken for dead."""

POLL = 1.0
"""Seconds between two looks at a lock that somebody else holds."""

PREFIX = "stepwell_lock_"
UNDER = " under "
ALREADY_EXISTS = "57"


@dataclass(frozen=True, slots=True)
class Held:
    """The lock table with this number; the holder is '' when it was released, and `left` the seconds of its lease.

    `under` names the session locks that the holder took it under, `now` is the server's clock.
    """

    number: int
    now: int
    holder: str = ""
    left: int = 0
    under: frozenset[str] = frozenset()

    def free_for(self, under: Collection[str]) -> bool:
        """Whether nobody has it, as who has these session locks can tell."""
        return not self.holder or self.left < 0 or not self.under.isdisjoint(under)


@contextmanager
def table_lock(
    database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None], names: Collection[str] = ()
) -> Iterator[Callable[[], None]]:
    """Hold the lock for the block; gives a function that raises LockLost unless it is held still.

    `names` are those of the session locks that we hold.
    """
    under = [sha256(name.encode()).hexdigest()[:24] for name in names]
    number = _acquire(database, patience, waiting, under)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE / 4):
            with suppress(Refused):  # one renewal may fail; the lease outlives three
                _say(database, number, _promise(_now(database), under))

    def assert_held() -> None:
        held = _highest(database)
        if held.number != number or held.free_for(()):
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


def _acquire(
    database: ClickhouseDatabase, patience: float, waiting: Callable[[str], None], under: Collection[str]
) -> int:
    started, told = time.monotonic(), 0
    while True:
        held = _highest(database)
        if held.free_for(under):
            if _take(database, held.number + 1, _promise(held.now, under)):
                return held.number + 1
            continue
        holder = f"{held.holder} (its lease ends in {held.left} s unless renewed)"
        if time.monotonic() - started >= patience:
            raise LockHeld(database.name, patience, holder)
        if held.number != told:
            waiting(holder)
            told = held.number
        time.sleep(POLL)


def _take(database: ClickhouseDatabase, number: int, promise: str) -> bool:
    try:
        database.query(
            f"""
            CREATE TABLE {PREFIX}{number} (nothing UInt8)
            ENGINE = Memory
            COMMENT '{promise}'
            """
        )
    except Refused as error:
        if error.code != ALREADY_EXISTS:
            raise
        return False
    # Who looked long ago may find the number free again, for the table was taken over and dropped meanwhile.
    numbers = _numbers(database)
    taken = max(numbers) == number
    for old in [each for each in numbers if each < number] if taken else [number]:
        database.query(f"DROP TABLE IF EXISTS {PREFIX}{old} SYNC")
    return taken


def _numbers(database: ClickhouseDatabase) -> list[int]:
    rows = database.query(
        f"SELECT name FROM system.tables WHERE database = ? AND match(name, '^{PREFIX}[0-9]+$')",
        (database.database,),
    )
    return [int(row[0].removeprefix(PREFIX)) for row in rows]


def _highest(database: ClickhouseDatabase) -> Held:
    """The lock as it is; number 0 where nobody ever had it."""
    number, comment, now = database.query(
        f"""
        SELECT
          max(toUInt64(substring(name, {len(PREFIX) + 1})) AS number),
          argMax(comment, number),
          toUnixTimestamp(now())
        FROM system.tables
        WHERE database = ? AND match(name, '^{PREFIX}[0-9]+$')
        """,
        (database.database,),
    )[0]
    until, _, rest = str(comment).partition(" ")
    holder, _, under = rest.partition(UNDER)
    left = int(until) - int(now) if until.isdigit() else 0
    return Held(int(number), int(now), holder, left, frozenset(under.split()))


def _now(database: ClickhouseDatabase) -> int:
    return int(database.query("SELECT toUnixTimestamp(now())")[0][0])


def _promise(now: int, under: Collection[str]) -> str:
    """Until when the lock is held, unless that is moved on, by whom, and under which locks."""
    holder = f"{now + LEASE} process {os.getpid()} on {socket.gethostname()}"
    return f"{holder}{UNDER}{' '.join(under)}" if under else holder


def _say(database: ClickhouseDatabase, number: int, comment: str) -> None:
    database.query(f"ALTER TABLE {PREFIX}{number} MODIFY COMMENT '{comment}'")
