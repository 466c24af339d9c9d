"""dbmate and Rails: a row in `schema_migrations` for every version, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool, insert, number, numbered
from stepwell.scripts.script import Script

ROWS = "SELECT version FROM {table} ORDER BY version"
ADDED = "SELECT version FROM {table} FINAL WHERE {column} = 1 ORDER BY version"
"""On ClickHouse a version that was undone stays, marked as such."""


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """A version is the number that a script's name begins with."""
    by_number = {number.group(): script for script in scripts if (number := re.match("[0-9]+", script.version))}
    column = next((name for name in ("applied", "active") if name in database.columns(table)), "")
    text = ADDED if column else ROWS
    rows = database.query(text.format(table=table, column=column))
    return [Record(str(said), by_number.get(str(said))) for (said,) in rows]


def add(database: Database, change: Change) -> None:
    insert(database, change.table, {"version": number(change.script)})


def remove(database: Database, change: Change) -> None:
    version = number(change.script)
    column = next((name for name in ("applied", "active") if name in change.columns), "")
    if column:
        insert(database, change.table, {"version": version, column: 0})
    else:
        database.query(f"DELETE FROM {change.table} WHERE version = ?", (version,))


TOOL = Tool("dbmate or Rails", ("schema_migrations",), frozenset({"version"}), read, numbered, add, remove)
