"""Liquibase: `DATABASECHANGELOG`. Its checksums are not compared: they differ between its versions."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool
from stepwell.scripts.script import Script

NAMES = "SELECT ID, AUTHOR, FILENAME, ORDEREXECUTED FROM {table} ORDER BY ORDEREXECUTED"
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
    path = _plain(file)
    same = {s.version.removesuffix(identity): s for s in scripts if s.version.endswith(identity)}
    if path in same:
        return same[path]
    alike = [script for own, script in same.items() if _same(file, own)]
    return alike[0] if len(alike) == 1 else None


def knows(script: Script) -> bool:
    return script.version.count("::") >= 2


def add(database: Database, change: Change) -> None:
    """Without MD5SUM, which Liquibase fills in by itself at its next run."""
    file, ident, author = change.script.version.rsplit("::", 2)
    rows = database.query(NAMES.format(table=change.table))
    again = [str(row[2]) for row in rows if str(row[0]) == ident and str(row[1]) == author and _same(str(row[2]), file)]
    for name in again:
        _delete(database, change.table, ident, author, name)
    values: dict[str, object] = {
        "ID": ident,
        "AUTHOR": author,
        "FILENAME": again[0] if again else _spelled(file, [str(row[2]) for row in rows]),
        "ORDEREXECUTED": max((int(row[3]) for row in rows), default=0) + 1,
        "EXECTYPE": "RERAN" if again else "EXECUTED",
        "DESCRIPTION": "sql",
        "COMMENTS": "",
        "DEPLOYMENT_ID": str(int(time.time()))[-10:],
    }
    values = {name: value for name, value in values.items() if name.lower() in change.columns}
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    database.query(
        f"INSERT INTO {change.table} ({names}, DATEEXECUTED) VALUES ({marks}, CURRENT_TIMESTAMP)",
        tuple(values.values()),
    )


def remove(database: Database, change: Change) -> None:
    file, ident, author = change.script.version.rsplit("::", 2)
    for row in database.query(NAMES.format(table=change.table)):
        if (str(row[0]), str(row[1])) == (ident, author) and _same(str(row[2]), file):
            _delete(database, change.table, ident, author, str(row[2]))


def _delete(database: Database, table: str, ident: str, author: str, name: str) -> None:
    database.query(f"DELETE FROM {table} WHERE ID = ? AND AUTHOR = ? AND FILENAME = ?", (ident, author, name))


def _plain(file: str) -> str:
    return file.replace("\\", "/").removeprefix("classpath:").lstrip("/")


def _same(said: str, own: str) -> bool:
    """Whether two paths are of one file, though they may start from different folders."""
    path = _plain(said)
    return path == own or f"/{path}".endswith(f"/{own}") or f"/{own}".endswith(f"/{path}")


def _spelled(own: str, others: Sequence[str]) -> str:
    """A file's path as Liquibase would write it: it starts where those of the other rows start."""
    if own in others or not others:
        return own
    here = own.rpartition("/")[0]
    known = next((other for other in reversed(others) if _plain(other).rpartition("/")[0].endswith(here)), "")
    return f"{known.rpartition('/')[0]}/{own.rpartition('/')[2]}".removeprefix("/") if known else own


TOOL = Tool(
    "Liquibase",
    ("databasechangelog", "DATABASECHANGELOG"),
    frozenset({"id", "author", "filename", "exectype", "orderexecuted"}),
    read,
    knows,
    add,
    remove,
)
