"""Writing what a database remembers: plain INSERTs, so that every engine can do it, ClickHouse too."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from stepwell import __version__
from stepwell.databases.database import HISTORY, Database, Evidence
from stepwell.ledger.actor import actor, host
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.schema.adopt.in_step import Follower

LAST = "SELECT coalesce(max(seq), 0) FROM {table}_journal"
WRITE = """
INSERT INTO {home}.{table}_journal
  (seq, run, who, version, direction, position, event, checksum, tag, evidence, note)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
RECORD = """
INSERT INTO {home}.{table} (version, checksum, applied_by, duration, statements, tool)
VALUES (?, ?, ?, ?, ?, ?)
"""
FORGET = "DELETE FROM {home}.{table} WHERE version IN (?, ?)"


def whoami() -> str:
    """Who runs this process, and where, as the history names them: user@host."""
    return f"{actor()}@{host()}"


class Journal:
    """Writes one database's history. Only for the holder of its lock: it numbers the entries by itself.

    Another tool's table follows what it says of versions, where one is kept in step.
    """

    def __init__(self, database: Database, table: str = HISTORY, follower: Follower | None = None) -> None:
        self.database, self.follower = database, follower
        self.run, self.who = str(uuid.uuid4()), whoami()
        for statement in database.tracking_tables(table):
            database.query(statement)
        home = database.home()
        self._write, self._record, self._forget = (
            text.format(home=home, table=table) for text in (WRITE, RECORD, FORGET)
        )
        self.seq = int(database.query(LAST.format(table=table))[0][0])

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
        self.database.add(
            self._write,
            (self.seq, self.run, self.who, version, direction, position, event, checksum, tag, seen, note),
        )

    def record(self, script: Script, seconds: float = 0.0, statements: int = 0) -> None:
        """Say that a script is applied."""
        rest = (self.who, round(seconds, 3), statements, f"stepwell {__version__}")
        self.database.add(self._record, (script.version, script.checksum, *rest))
        if self.follower:
            self.follower.applied(script, seconds)

    def revert(self, script: Script) -> None:
        """Say that a script was undone."""
        if self.follower:
            self.follower.undone(script)
        self.forget(script)

    def forget(self, script: Script) -> None:
        """Say that a script is applied no more, under none of its names."""
        self.database.add(self._forget, (script.version, script.front.was or script.version))
