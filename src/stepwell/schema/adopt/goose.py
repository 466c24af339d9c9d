"""goose: `goose_db_version`, a row for each time that a version went up or down. It keeps no checksums."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool, number, numbered
from stepwell.scripts.script import Script

ROWS = "SELECT version_id, is_applied, tstamp FROM {table} ORDER BY {order}"


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """The last row of a version tells; version 0 is goose's own."""
    by_number = {int(number.group()): script for script in scripts if (number := re.match("[0-9]+", script.version))}
    order = "id" if "id" in database.columns(table) else "tstamp"
    found: dict[int, Record] = {}
    for version, applied, at in database.query(ROWS.format(table=table, order=order)):
        found.pop(int(version), None)
        if applied and int(version) > 0:
            found[int(version)] = Record(str(version), by_number.get(int(version)), at=str(at))
    return list(found.values())


def add(database: Database, change: Change) -> None:
    """The table's defaults say the rest."""
    database.query(
        f"INSERT INTO {change.table} (version_id, is_applied) VALUES (?, TRUE)", (int(number(change.script)),)
    )


def remove(database: Database, change: Change) -> None:
    database.query(f"DELETE FROM {change.table} WHERE version_id = ?", (int(number(change.script)),))


TOOL = Tool(
    "goose",
    ("goose_db_version",),
    frozenset({"version_id", "is_applied", "tstamp"}),
    read,
    numbered,
    add,
    remove,
)
