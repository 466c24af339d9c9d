"""Writing what a database remembers: plain INSERTs, so that every engine can do it, ClickHouse too."""

from __future__ import annotations

import json
import uuid
from functools import cache

from stepwell import __version__
from stepwell.databases.database import HISTORY, Database, Evidence
from stepwell.ledger.actor import actor, host
from stepwell.scripts.script import Script

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


@cache
def whoami() -> str:
    """Who runs this process, and where, as the history names them: user@host."""
    return f"{actor()}@{host()}"


class Journal:
    """Writes one database's history. Only for the holder of its lock: it numbers the entries by itself."""

    def __init__(self, database: Database, table: str = HISTORY) -> None:
        self.database = database
        self.run = str(uuid.uuid4())
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
        self.database.query(
            self._write,
            (self.seq, self.run, whoami(), version, direction, position, event, checksum, tag, seen, note),
        )

    def record(self, version: str, checksum: str, seconds: float = 0.0, statements: int = 0) -> None:
        """Say that a version is applied."""
        self.database.query(
            self._record, (version, checksum, whoami(), round(seconds, 3), statements, f"stepwell {__version__}")
        )

    def forget(self, script: Script) -> None:
        """Say that a script is applied no more, under none of its names."""
        self.database.query(self._forget, (script.version, script.front.was or script.version))
