"""Liquibase: `DATABASECHANGELOG`. Its checksums are not compared: they differ between its versions."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Record, Tool
from stepwell.scripts.script import Script

ROWS = "SELECT ID, AUTHOR, FILENAME, EXECTYPE, DATEEXECUTED FROM {table} ORDER BY ORDEREXECUTED"


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """A changeset by id and author, and by as much of its path as both sides have."""
    found: dict[str, Record] = {}
    for ident, author, file, kind, at in database.query(ROWS.format(table=table)):
        said = f"{file}::{ident}::{author}"
        if kind == "SKIPPED":
            continue
        script = _script(str(file), f"::{ident}::{author}", scripts)
        found[said] = Record(said, script, "its last run failed" if kind == "FAILED" else "", at=str(at))
    return list(found.values())


def _script(file: str, identity: str, scripts: Sequence[Script]) -> Script | None:
    """The one whose path is the same, or ends as the other does: each may start from another folder."""
    path = file.replace("\\", "/").removeprefix("classpath:").lstrip("/")
    same = {s.version.removesuffix(identity): s for s in scripts if s.version.endswith(identity)}
    if path in same:
        return same[path]
    alike = [s for own, s in same.items() if f"/{path}".endswith(f"/{own}") or f"/{own}".endswith(f"/{path}")]
    return alike[0] if len(alike) == 1 else None


TOOL = Tool(
    "Liquibase",
    ("databasechangelog", "DATABASECHANGELOG"),
    frozenset({"id", "author", "filename", "exectype", "orderexecuted"}),
    read,
)
