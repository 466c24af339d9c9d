"""golang-migrate: one row in `schema_migrations`, the version that it is at. It keeps no checksums."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool, insert, number, numbered
from stepwell.scripts.script import Script

ROW = "SELECT version, dirty FROM {table}"
LATEST = "SELECT version, dirty FROM {table} ORDER BY sequence DESC LIMIT 1"
"""On ClickHouse it adds a row for each change."""


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """All versions up to the one it is at are applied; a dirty one was begun, and nobody knows its end."""
    text = LATEST if "sequence" in database.columns(table) else ROW
    rows = database.query(text.format(table=table))
    if not rows or int(rows[0][0]) < 0:
        return []
    at, dirty = int(rows[0][0]), bool(rows[0][1])
    by_number = {int(number.group()): script for script in scripts if (number := re.match("[0-9]+", script.version))}
    found = [Record(str(number), script) for number, script in sorted(by_number.items()) if number < at]
    return [*found, Record(str(at), by_number.get(at), "it is marked as dirty" if dirty else "")]


def add(database: Database, change: Change) -> None:
    _be_at(database, change, [change.script, *change.rest])


def remove(database: Database, change: Change) -> None:
    _be_at(database, change, change.rest)


def _be_at(database: Database, change: Change, applied: Sequence[Script]) -> None:
    """Its one row is the largest version; without any it has none, and -1 where it adds a row for each change."""
    at = max((int(number(script)) for script in applied), default=-1)
    if "sequence" in change.columns:
        insert(database, change.table, {"version": at, "dirty": 0, "sequence": time.time_ns()})
        return
    database.query(f"DELETE FROM {change.table}")
    if at >= 0:
        database.query(f"INSERT INTO {change.table} (version, dirty) VALUES (?, FALSE)", (at,))


TOOL = Tool("golang-migrate", ("schema_migrations",), frozenset({"version", "dirty"}), read, numbered, add, remove)
