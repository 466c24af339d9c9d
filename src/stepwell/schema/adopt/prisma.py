"""Prisma Migrate: `_prisma_migrations`."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool
from stepwell.scripts.formats.prisma import FILE
from stepwell.scripts.script import Script

ROWS = """
SELECT migration_name, checksum, finished_at, logs
FROM {table}
WHERE rolled_back_at IS NULL
ORDER BY started_at
"""


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """One that was begun and neither finished nor rolled back has failed. The checksum is SHA-256 of the file."""
    by_name = {script.version: script for script in scripts}
    found: dict[str, Record] = {}
    for name, checksum, finished, logs in database.query(ROWS.format(table=table)):
        script = by_name.get(name)
        failed = "" if finished else f"it was begun and not finished: {' '.join(str(logs or '').split())[:200]}"
        now = hashlib.sha256(script.path.read_bytes()).hexdigest() if script else ""
        edited = f"its checksum was {checksum} and is {now}" if script and finished and now != checksum else ""
        found[name] = Record(name, script, failed, edited, str(finished or ""))
    return list(found.values())


ADD = """
INSERT INTO {table}
  (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
VALUES (?, ?, ?, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1)
"""


def knows(script: Script) -> bool:
    return script.path.name == FILE


def add(database: Database, change: Change) -> None:
    checksum = hashlib.sha256(change.script.path.read_bytes()).hexdigest()
    values = (str(uuid.uuid4()), checksum, change.script.version)
    database.query(ADD.format(table=change.table), values)


def remove(database: Database, change: Change) -> None:
    database.query(f"DELETE FROM {change.table} WHERE migration_name = ?", (change.script.version,))


TOOL = Tool(
    "Prisma",
    ("_prisma_migrations",),
    frozenset({"migration_name", "finished_at", "rolled_back_at"}),
    read,
    knows,
    add,
    remove,
)
