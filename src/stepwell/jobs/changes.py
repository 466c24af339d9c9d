"""Recording what a job changes: which row, which column, the old value, the new one, and why.

A batch's rows are read before `migrate` and after it, and what differs is recorded in the transaction that records the
batch as done. Where PostgreSQL or MySQL holds both the rows and the ledger this is three statements in the
server, and no value travels. Where the ledger is elsewhere, what was found before is committed there before
`migrate` begins: a batch that dies between two commits is done again, and then finds its rows changed already.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from stepwell.databases.database import Database
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.definition import Definition
from stepwell.jobs.encoding import Encoding, dump_value, encoding_of
from stepwell.jobs.rows import OF
from stepwell.jobs.sources import Key, among, dump_key, load_key
from stepwell.ledger import changes
from stepwell.ledger.changes import Change
from stepwell.ledger.jobs import CLOCK, LOCKED, this_process

MOST_KEYS = 500
"""Keys that are asked for in one statement."""

# Made once a connection and emptied by each commit in PostgreSQL, whose catalog every table made would bloat.
EMPTY = {
    "postgres": ("CREATE TEMPORARY TABLE IF NOT EXISTS {table} ON COMMIT DELETE ROWS AS {select}",),
    "mysql": ("DROP TEMPORARY TABLE IF EXISTS {table}", "CREATE TEMPORARY TABLE {table} AS {select}"),
}

REASONS = "stepwell_reason"
EMPTY_REASONS = {
    "postgres": (
        f"""
        CREATE TEMPORARY TABLE IF NOT EXISTS {REASONS} (
          row_key VARCHAR(500) PRIMARY KEY,
          reason TEXT NOT NULL
        )
        ON COMMIT DELETE ROWS
        """,
    ),
    "mysql": (
        f"DROP TEMPORARY TABLE IF EXISTS {REASONS}",
        f"""
        CREATE TEMPORARY TABLE {REASONS} (
          row_key VARCHAR(500) PRIMARY KEY,
          reason LONGTEXT NOT NULL
        )
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        """,
    ),
}


@contextmanager
def recorded(
    batch: Batch, definition: Definition, number: int, ledger_name: str, connections: Connections
) -> Iterator[None]:
    """Record what the block changes in the batch's rows, as the batch of this number."""
    with _seen(batch, definition, number, ledger_name, connections):
        yield
    if batch.notes.changes or batch.notes.rows:
        changes.add(batch.on(ledger_name), [*_told(batch, definition, number), *_rows(batch, definition, number)])


def _seen(
    batch: Batch, definition: Definition, number: int, ledger_name: str, connections: Connections
) -> AbstractContextManager[None]:
    if not definition.records:
        return nullcontext()
    columns = (*definition.row_keys, *definition.records)
    encoding = encoding_of(batch.database, batch.table, columns)
    if definition.source.database != ledger_name:
        return _found_elsewhere(batch, definition, number, encoding, ledger_name, connections.get(ledger_name))
    return (
        _compared_in_sql(batch, definition, number, encoding)
        if encoding.in_sql
        else _read_twice(batch, definition, number, encoding)
    )


def _told(batch: Batch, definition: Definition, number: int) -> Iterator[Change]:
    """What `migrate` says that it changed."""
    for key, columns in batch.notes.changes.items():
        old = {column: dump_value(value) for column, (value, _) in columns.items()}
        new = {column: dump_value(value) for column, (_, value) in columns.items()}
        reason = batch.notes.reasons.get(key, batch.notes.reason)
        yield Change(definition.name, dump_key(key), number, place(definition), old, new, reason)


def _rows(batch: Batch, definition: Definition, number: int) -> Iterator[Change]:
    """The rows of other tables that `migrate` added and removed."""
    for row in batch.notes.rows:
        where = f"{row.database}.{row.place.table}"
        yield Change(definition.name, str(row.place), number, where, row.old, row.new, row.reason or batch.notes.reason)


def place(definition: Definition) -> str:
    """Where a job's rows are, as it is recorded."""
    return f"{definition.source.database}.{definition.source.table}"


# --- within the server ----------------------------------------------------------------------------------------


@contextmanager
def _compared_in_sql(batch: Batch, definition: Definition, number: int, encoding: Encoding) -> Iterator[None]:
    database, keys, columns = batch.database, definition.row_keys, definition.records
    # By the job and its columns: another job may use the same connection.
    before = f"stepwell_old_{zlib.crc32(repr((definition.name, keys, columns)).encode()):08x}"
    selected = ", ".join(
        [
            *(f"{key} AS key_{index}" for index, key in enumerate(keys)),
            f"{encoding.key(keys)} AS row_key",
            f"{encoding.row(columns)} AS held",
        ]
    )
    for statement in EMPTY[database.engine]:
        database.query(statement.format(table=before, select=f"SELECT {selected} FROM {batch.table} WHERE 1 = 0"))
    # Locked, so that no writer comes between what is found and what `migrate` makes of it.
    database.query(
        f"INSERT INTO {before} SELECT {selected} FROM {batch.table} WHERE {batch.condition} FOR UPDATE",
        batch.parameters,
    )
    yield
    reason, its_reason = "?", ""
    if batch.notes.reasons:
        _load_reasons(batch, before, len(keys))
        reason, its_reason = "coalesce(r.reason, ?)", f"LEFT JOIN {REASONS} AS r ON r.row_key = b.row_key"
    # By the batch's keys as well, or PostgreSQL may read all rows before them for a merge join.
    whole = "" if definition.row_key else f"WHERE {batch.whole.text}"
    same_row = " AND ".join(f"t.key_{index} = b.key_{index}" for index in range(len(keys)))
    database.query(
        f"""
        INSERT INTO stepwell_change ({", ".join(changes.MADE)})
        SELECT ?, b.row_key, ?, ?, b.held, t.held, {reason}, ?, {CLOCK[database.engine]}
        FROM {before} AS b
        JOIN (SELECT {selected} FROM {batch.table} {whole}) AS t ON {same_row}
        {its_reason}
        WHERE b.held <> t.held
        """,
        (
            definition.name,
            number,
            place(definition),
            batch.notes.reason,
            this_process(),
            *(batch.whole.parameters if whole else ()),
        ),
    )


def _load_reasons(batch: Batch, before: str, keys: int) -> None:
    database = batch.database
    for statement in EMPTY_REASONS[database.engine]:
        database.query(statement)
    names = ", ".join(f"key_{index}" for index in range(keys))
    spelled = {tuple(key): text for *key, text in database.query(f"SELECT {names}, row_key FROM {before}")}
    rows = [(spelled[key], text) for key, text in batch.notes.reasons.items() if key in spelled]
    database.insert(REASONS, ["row_key", "reason"], rows)


# --- read here, before and after ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A row: its key, and its values as JSON texts in the order of the job's `records`."""

    key: Key
    values: tuple[str, ...]


Rows = Mapping[str, Found]
"""Rows by their keys as JSON texts."""

Reasons = Mapping[Key, str]
"""Why rows were changed, by their keys."""


def read(
    database: Database, table: str, keys: Sequence[str], columns: Sequence[str], encoding: Encoding, where: str,
    parameters: Sequence[Any],
) -> dict[str, Found]:  # fmt: skip
    """The rows that a condition finds, locked where the database is in a transaction."""
    selected = [*keys, *(encoding.expression(column) for column in columns)]
    if encoding.in_sql:
        selected.append(encoding.key(keys))
    lock = LOCKED.get(database.engine, "")
    found: dict[str, Found] = {}
    for row in database.query(f"SELECT {', '.join(selected)} FROM {table} WHERE {where} {lock}", parameters):
        key, values = tuple(map(encoding.spelled, row[: len(keys)])), row[len(keys) : len(keys) + len(columns)]
        if encoding.in_sql:
            found[str(row[-1])] = Found(key, tuple(map(str, values)))
        else:
            found[dump_key(key)] = Found(key, tuple(map(dump_value, values)))
    return found


def read_keys(
    database: Database, table: str, keys: Sequence[str], columns: Sequence[str], encoding: Encoding,
    wanted: Sequence[Key],
) -> dict[str, Found]:  # fmt: skip
    """The rows of these keys that there are."""
    found: dict[str, Found] = {}
    for start in range(0, len(wanted), MOST_KEYS):
        rows = among(keys, wanted[start : start + MOST_KEYS])
        found |= read(database, table, keys, columns, encoding, rows.text, rows.parameters)
    return found


@contextmanager
def _read_twice(batch: Batch, definition: Definition, number: int, encoding: Encoding) -> Iterator[None]:
    before = _read_batch(batch, definition, encoding)
    yield
    notes = batch.notes
    made = _differences(batch.database, definition, number, encoding, before, notes.reasons, notes.reason)
    changes.add(batch.database, made)


@contextmanager
def _found_elsewhere(
    batch: Batch, definition: Definition, number: int, encoding: Encoding, ledger_name: str, ledger: Database
) -> Iterator[None]:
    # What an earlier try of this batch found is the older truth, and why it changed rows that are not found again.
    kept = changes.found_before(ledger, definition.name).get(number)
    rows, reasons = _load(kept) if kept else ({}, {})
    before = _read_batch(batch, definition, encoding) | rows

    def keep() -> None:
        changes.keep_before(ledger, definition.name, number, _dump(before, reasons | batch.notes.reasons))

    keep()
    batch.keep_notes = keep
    yield
    reasons |= batch.notes.reasons
    made = _differences(batch.database, definition, number, encoding, before, reasons, batch.notes.reason)
    changes.add(batch.on(ledger_name), made)
    changes.forget_before(batch.on(ledger_name), definition.name, number)


def settle(definition: Definition, source: Database, ledger: Database) -> None:
    """Record what batches changed that died between the commit of their rows and that of their record."""
    if not definition.records or source is ledger:
        return
    columns = (*definition.row_keys, *definition.records)
    for number, kept in changes.found_before(ledger, definition.name).items():
        encoding = encoding_of(source, definition.source.table, columns)
        made = _differences(source, definition, number, encoding, *_load(kept))
        with ledger.transaction():
            changes.add(ledger, made)
            changes.forget_before(ledger, definition.name, number)


def _read_batch(batch: Batch, definition: Definition, encoding: Encoding) -> dict[str, Found]:
    return read(
        batch.database, batch.table, definition.row_keys, definition.records, encoding, batch.condition,
        batch.parameters,
    )  # fmt: skip


def _differences(
    database: Database, definition: Definition, number: int, encoding: Encoding, before: Rows, reasons: Reasons,
    general: str = "",
) -> list[Change]:  # fmt: skip
    """What is not any more as it was found, and why; `general` is the reason of rows without one of their own."""
    wanted = [row.key for row in before.values()]
    after = read_keys(database, definition.source.table, definition.row_keys, definition.records, encoding, wanted)
    return [
        Change(
            definition.name,
            text,
            number,
            place(definition),
            dict(zip(definition.records, row.values, strict=True)),
            dict(zip(definition.records, after[text].values, strict=True)),
            reasons.get(after[text].key, general),
        )
        for text, row in before.items()
        if text in after and after[text].values != row.values
    ]


def _dump(rows: Rows, reasons: Reasons) -> str:
    why = {dump_key(key): reason for key, reason in reasons.items()}
    return json.dumps({"rows": {text: row.values for text, row in rows.items()}, "reasons": why}, ensure_ascii=False)


def _load(text: str) -> tuple[dict[str, Found], dict[Key, str]]:
    kept = json.loads(text)
    rows = {key: Found(load_key(key), tuple(values)) for key, values in kept["rows"].items()}
    return rows, {load_key(key): reason for key, reason in kept["reasons"].items()}


# --- asking ---------------------------------------------------------------------------------------------------


def why(ledger: Database, job: str, key: Iterable[Any]) -> list[Change]:
    """What a job changed in a row, the newest first, also what was undone since.

    The parts of the key may be texts as a person writes them: 42 is then found as a number and as a text.
    """
    spelled = [""]
    for part in key:
        spelled = [f"{before}, {text}" if before else text for before in spelled for text in _spellings(part)]
    return changes.of_keys(ledger, job, [f"[{text}]" for text in spelled], undone=True, further=OF)


def _spellings(part: Any) -> list[str]:
    texts = [dump_value(part), dump_value(str(part)), *(dump_value({kind: str(part)}) for kind in ("uuid", "decimal"))]
    if str(part).removeprefix("-").isdecimal():
        texts.append(str(int(str(part))))
    return list(dict.fromkeys(texts))
