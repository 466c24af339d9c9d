"""Writing what a database remembers: plain INSERTs, so that every engine can do it, ClickHouse too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from stepwell import __version__
from stepwell.databases.database import Database, Evidence
from stepwell.errors import StepwellError
from stepwell.ledger.actor import actor, host
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.schema import events
    from stepwell.schema.adopt.in_step import Follower

LAST = "SELECT coalesce(max(seq), 0) FROM {table}_journal"
WRITE = """
INSERT INTO {table}_journal
  (seq, run, who, version, direction, position, event, checksum, tag, evidence, note)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
RECORD = """
INSERT INTO {table} (version, checksum, applied_by, duration, statements, tool)
VALUES (?, ?, ?, ?, ?, ?)
"""
FORGET = "DELETE FROM {table} WHERE version IN (?, ?)"


def whoami() -> str:
    """Who runs this process, and where, as the history names them: user@host."""
    return f"{actor()}@{host()}"


class Journal:
    """Writes one database's history. Only for the holder of its lock: it numbers the entries by itself.

    Another tool's table follows what it says of versions, where one is kept in step.

    What may share the commit of the next entry is kept back until then: that a statement is done, until the next one
    is begun. Whoever does anything else before that calls `flush`; and what is told meanwhile is heard after it.
    """

    def __init__(self, database: Database, table: str, follower: Follower | None = None) -> None:
        self.database, self.follower = database, follower
        self.run, self.who = str(uuid.uuid4()), whoami()
        for statement in database.tracking_tables(table):
            database.query(statement)
        self._write, self._record, self._forget = (text.format(table=table) for text in (WRITE, RECORD, FORGET))
        self.seq = int(database.query(LAST.format(table=table))[0][0])
        self._together = False
        self._kept: list[Callable[[], None]] = []
        self._unheard: list[Callable[[], None]] = []
        if not self.seq:
            self.write("opened", "")  # its run is what tells this database from others, see ledger/databases.py

    @contextmanager
    def together(self, later: bool = False) -> Iterator[None]:
        """What the block writes is one commit, where the engine has commits; `later`: that of the next entry."""
        before = len(self._kept)
        self._together = self.database.transactional
        try:
            yield
        except BaseException:
            del self._kept[before:]
            raise
        finally:
            self._together = False
        if not later:
            self.flush()

    def flush(self, *last: Callable[[], None]) -> None:
        """Commit what was kept back, and what comes with it, and let it be heard of."""
        acts = [*self._kept, *last]
        with self.database.transaction() if len(acts) > 1 else nullcontext():
            for act in acts:
                act()
        self._kept.clear()
        while self._unheard:
            self._unheard.pop(0)()

    @contextmanager
    def flushed(self) -> Iterator[None]:
        """Keep nothing back for longer than the block, however it ends; its own error is the one to hear of."""
        try:
            yield
        except BaseException:
            with suppress(StepwellError):
                self.flush()
            raise
        self.flush()

    def heard(self, tell: events.Listener) -> events.Listener:
        """A listener that passes an event on when all that was written before it is on the disk."""

        def listen(event: events.Event) -> None:
            if self._kept:
                self._unheard.append(partial(tell, event))
            else:
                tell(event)

        return listen

    def _do(self, act: Callable[[], None]) -> None:
        if self._together:
            self._kept.append(act)
        else:
            self.flush(act)

    def write(
        self,
        event: str,
        version: str,
        direction: str = "",
        position: int = 0,
        *,
        checksum: str = "",
        tag: str = "",
        evidence: Evidence | None = None,
        note: str = "",
    ) -> None:
        """Add one entry. Where `seq` is a primary key, a second runner would collide with it and stop."""
        self.seq += 1
        seen = json.dumps(evidence) if evidence else ""
        entry = (self.seq, self.run, self.who, version, direction, position, event, checksum, tag, seen, note)
        self._do(partial(self.database.add, self._write, entry))

    def record(self, script: Script, seconds: float = 0.0, statements: int = 0) -> None:
        """Say that a script is applied."""
        rest = (self.who, round(seconds, 3), statements, f"stepwell {__version__}")
        self._do(partial(self.database.add, self._record, (script.version, script.checksum, *rest)))
        if self.follower:
            self._do(partial(self.follower.applied, script, seconds))

    def revert(self, script: Script) -> None:
        """Say that a script was undone."""
        if self.follower:
            self._do(partial(self.follower.undone, script))
        self.forget(script)

    def forget(self, script: Script) -> None:
        """Say that a script is applied no more, under none of its names."""
        self._do(partial(self.database.add, self._forget, (script.version, script.front.was or script.version)))
