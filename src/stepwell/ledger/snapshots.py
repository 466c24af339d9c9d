"""Rows of checks as they were at a moment, kept until they are compared with what is there later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.databases.stream import Field
from stepwell.databases.values import Canonical, dump, load
from stepwell.ledger.actor import actor, host

PART = 1 << 20
"""Characters of rows that are written and read at a time."""

COLUMNS = "name, check_name, at, who, host, release_hash, applied, statement, fields, row_count"

Row = tuple[Canonical, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a check's statement gave. `statement` is a hash of its text, `applied` how far the scripts were."""

    name: str
    check: str
    at: float
    who: str
    host: str
    release: str
    applied: str
    statement: str
    fields: tuple[Field, ...]
    rows: int


def keep(
    ledger: Database,
    name: str,
    check: str,
    release: str,
    applied: str,
    statement: str,
    fields: Sequence[Field],
    rows: Iterable[Row],
) -> int:
    """Store a check's rows, in the caller's transaction; returns how many."""
    count = number = size = 0
    held: list[str] = []
    for row in rows:
        line = dump(row)
        held.append(line)
        count, size = count + 1, size + len(line)
        if size >= PART:
            _keep_part(ledger, name, check, number, held)
            held, size, number = [], 0, number + 1
    if held:
        _keep_part(ledger, name, check, number, held)
    names = json.dumps([[field.name, field.kind] for field in fields], ensure_ascii=False)
    ledger.query(
        f"INSERT INTO stepwell_snapshot ({COLUMNS}) VALUES (?, ?, {ledger.clock}, ?, ?, ?, ?, ?, ?, ?)",
        (name, check, actor(), host(), release, applied, statement, names, count),
    )
    return count


def forget(ledger: Database, name: str) -> None:
    """Take a snapshot's rows away, in the caller's transaction."""
    ledger.query("DELETE FROM stepwell_snapshot WHERE name = ?", (name,))
    ledger.query("DELETE FROM stepwell_snapshot_part WHERE name = ?", (name,))


def _keep_part(ledger: Database, name: str, check: str, number: int, lines: Sequence[str]) -> None:
    ledger.query(
        "INSERT INTO stepwell_snapshot_part (name, check_name, number, content) VALUES (?, ?, ?, ?)",
        (name, check, number, "\n".join(lines)),
    )


def find(ledger: Database, name: str = "") -> list[Snapshot]:
    """The snapshots, or what is kept under one name, a check each."""
    where = "WHERE name = ?" if name else ""
    rows = ledger.query(
        f"SELECT {COLUMNS} FROM stepwell_snapshot {where} ORDER BY name, check_name", (name,) if name else ()
    )
    return [_snapshot(row) for row in rows]


def rows(ledger: Database, name: str, check: str) -> Iterator[Row]:
    """The rows that were kept, a part of them at a time."""
    number = 0
    while True:
        found = ledger.query(
            "SELECT content FROM stepwell_snapshot_part WHERE name = ? AND check_name = ? AND number = ?",
            (name, check, number),
        )
        if not found:
            return
        yield from map(load, str(found[0][0]).split("\n"))
        number += 1


def _snapshot(row: Sequence[object]) -> Snapshot:
    name, check, at, who, place, release, applied, statement, fields, count = map(str, row)
    kinds = tuple(Field(field, kind) for field, kind in json.loads(fields))
    return Snapshot(name, check, float(at), who, place, release, applied, statement, kinds, int(count))
