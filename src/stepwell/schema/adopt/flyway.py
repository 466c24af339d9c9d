"""Flyway: `flyway_schema_history`."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from stepwell.databases.database import Database
from stepwell.schema.adopt.tool import Change, Record, Tool
from stepwell.scripts.formats.flyway import REPEATABLE, VERSIONED, version
from stepwell.scripts.script import Script

ROWS = """
SELECT version, description, type, checksum, installed_by, installed_on, success
FROM {table}
ORDER BY installed_rank
"""


def read(database: Database, table: str, scripts: Sequence[Script]) -> list[Record]:
    """A version that was undone or deleted is no record; a baseline stands for all versions up to it."""
    by_key = {_key(script): script for script in scripts}
    found: dict[str, Record] = {}
    for said, description, kind, checksum, by, at, success in database.query(ROWS.format(table=table)):
        key = _spelled(str(said)) if said else f"R {description}"
        if str(kind).startswith("UNDO") or kind == "DELETE":
            found.pop(key, None)
        elif kind == "BASELINE":
            for other, script in by_key.items():
                if not other.startswith("R ") and version(other) <= version(key):
                    found[other] = Record(other, script, at=str(at), by=str(by))
        elif kind != "SCHEMA":
            script_of = by_key.get(key)
            failed = "" if success else "its last run failed"
            found[key] = Record(key, script_of, failed, _edited(script_of, checksum), str(at), str(by))
    return list(found.values())


def checksum_of(text: str) -> int:
    """Flyway's checksum: CRC-32 over the lines without their ends, as a signed number of 32 bits."""
    number = zlib.crc32("".join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).encode())
    return number - (1 << 32) if number >= 1 << 31 else number


def _edited(script: Script | None, checksum: object) -> str:
    # A repeatable script that has changed is no contradiction: it runs again.
    if script is None or checksum is None or script.front.repeat:
        return ""
    now = checksum_of(script.text)
    return "" if now == int(str(checksum)) else f"its checksum was {checksum} and is {now}"


def _key(script: Script) -> str:
    if name := VERSIONED.fullmatch(script.path.name):
        return _spelled(name.group(2))
    name = REPEATABLE.fullmatch(script.path.name)
    return f"R {name.group(1).replace('_', ' ')}" if name else script.version


def _spelled(said: str) -> str:
    """A version in one spelling: 1.0 and 1 are the same."""
    return ".".join(map(str, version(said)))


RANK = "SELECT coalesce(max(installed_rank), 0) + 1 FROM {table}"
WHO = {"postgres": "current_user", "mysql": "substring_index(current_user(), '@', 1)", "sqlite": "''"}
ADD = """
INSERT INTO {table}
  (installed_rank, version, description, type, script, checksum, installed_by, installed_on, execution_time, success)
VALUES (?, ?, ?, 'SQL', ?, ?, {who}, CURRENT_TIMESTAMP, ?, TRUE)
"""


def knows(script: Script) -> bool:
    return bool(VERSIONED.fullmatch(script.path.name) or REPEATABLE.fullmatch(script.path.name))


def add(database: Database, change: Change) -> None:
    """A repeatable script gets a row for each run, as Flyway does it."""
    script, table = change.script, change.table
    found = VERSIONED.fullmatch(script.path.name) or REPEATABLE.fullmatch(script.path.name)
    assert found is not None, "only asked for scripts that it knows"
    version = None if script.front.repeat else found.group(2).replace("_", ".")
    described = found.groups()[-1].replace("_", " ")
    (rank,) = database.query(RANK.format(table=table))[0]
    values = (rank, version, described, script.path.name, checksum_of(script.text), round(change.seconds * 1000))
    database.query(ADD.format(table=table, who=WHO[database.engine]), values)


def remove(database: Database, change: Change) -> None:
    """Without a row a version is pending in every edition, also in those that know no way back."""
    found = VERSIONED.fullmatch(change.script.path.name)
    if found is not None:
        said = found.group(2).replace("_", ".")
        database.query(f"DELETE FROM {change.table} WHERE version = ?", (said,))


TOOL = Tool(
    "Flyway",
    ("flyway_schema_history",),
    frozenset({"installed_rank", "version", "success"}),
    read,
    knows,
    add,
    remove,
)
