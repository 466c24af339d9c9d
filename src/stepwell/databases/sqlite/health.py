"""What SQLite tells of itself: there is no server, only a file and the disk it is on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.databases.health import Health, Size, Space, space_here
from stepwell.databases.lexing import Reader
from stepwell.errors import Refused

if TYPE_CHECKING:
    from stepwell.databases.sqlite import SqliteDatabase

PATIENCE = 0.2
"""Seconds to add up the pages of a table, which SQLite keeps no account of."""

SCRATCH = (
    "CREATE TABLE {table} (id INTEGER PRIMARY KEY)",
    "INSERT INTO {table} (id) VALUES (1)",
    "ALTER TABLE {table} ADD COLUMN note TEXT",
    "CREATE INDEX {table}_note ON {table} (note)",
    "DELETE FROM {table}",
)


def read(query: Callable[[str], list[tuple[Any, ...]]], path: Path | None) -> Health:
    """The version, and the room on the file's disk."""
    ((version,),) = query("SELECT sqlite_version()")
    space: Space | None = space_here(str(path.parent), "") if path else None
    return Health(f"SQLite {version}", time.time(), space=space)


def size(database: SqliteDatabase, table: str) -> Size | None:
    """How large a table is; None where there is none, SQLite was built without dbstat, or it takes too long."""
    *_, name = Reader(table, database.engine).name() or (table,)
    text = name.replace("'", "''")
    try:
        with database.stream(f"SELECT sum(pgsize) FROM dbstat WHERE name = '{text}'", PATIENCE) as found:
            ((size,),) = list(found.rows)
    except Refused:
        return None
    return None if size is None else Size(int(size))
