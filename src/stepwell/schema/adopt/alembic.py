"""Alembic: `alembic_version`, which names the newest revisions; Alembic itself tells which ones they follow."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool
from stepwell.scripts.script import Script

ROWS = "SELECT version_num FROM {table}"


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """Revisions that Alembic would not run again. What it names and no file has is told too."""
    heads = [str(name) for (name,) in database.query(ROWS.format(table=table))]
    known = {script.version for script in scripts}
    strange = [Record(name, None) for name in heads if name not in known]
    if strange:
        return strange
    return [Record(s.version, s) for s in scripts if s.delegate and s.delegate.applied()]


def knows(script: Script) -> bool:
    return script.delegate is not None


def written_by_itself(database: Database, change: Change) -> None:
    """Alembic runs its revisions, and writes its table."""


TOOL = Tool(
    "Alembic",
    ("alembic_version",),
    frozenset({"version_num"}),
    read,
    knows,
    written_by_itself,
    written_by_itself,
)
