"""Recording what a job changes: which row, which column, the old value, the new one, and why.

A batch's rows are read before `migrate` and after it, and what differs is recorded in the transaction that records the
batch as done. Where a server that can holds both the rows and the ledger this is done within it
(`compared.py`). Where the ledger is elsewhere, what was found before is committed there before
`migrate` begins: a batch that dies between two commits is done again, and then finds its rows changed already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from stepwell.databases import recording
from stepwell.databases.database import Database
from stepwell.databases.keys import spelled
from stepwell.databases.recording import Encoding
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.compared import compared, not_told_apart
from stepwell.jobs.definition import Definition
from stepwell.jobs.encoding import dump_value, selected, texts
from stepwell.jobs.rows import OF
from stepwell.jobs.sources import Key, among, dump_key, load_key
from stepwell.ledger import changes, packs
from stepwell.ledger.changes import Change

MOST_KEYS = 500
"""Keys that are asked for in one statement."""


@contextmanager
def recorded(
    batch: Batch, definition: Definition, number: int, ledger_name: str, connections: Connections
) -> Iterator[int | None]:
    """Record what the block changes in the batch's rows, as the batch of this number.

    Gives how many rows there are, where they are counted on the way.
    """
    with _seen(batch, definition, number, ledger_name, connections) as rows:
        yield rows
    if batch.notes.changes or batch.notes.rows:
        changes.add(batch.on(ledger_name), [*_told(batch, definition, number), *_rows(batch, definition, number)])


def _seen(
    batch: Batch, definition: Definition, number: int, ledger_name: str, connections: Connections
) -> AbstractContextManager[int | None]:
    if not definition.records:
        return nullcontext()
    encoding = recording.encoding(batch.database, batch.table, (*definition.row_keys, *definition.records))
    if definition.source.database != ledger_name:
        return _found_elsewhere(batch, definition, number, encoding, ledger_name, connections.get(ledger_name))
    return compared(batch, definition, number, encoding) if encoding else _read_twice(batch, definition, number)


def _told(batch: Batch, definition: Definition, number: int) -> Iterator[Change]:
    """What `migrate` says that it changed."""
    for key, columns in batch.notes.changes.items():
        old = {column: dump_value(value) for column, (value, _) in columns.items()}
        new = {column: dump_value(value) for column, (_, value) in columns.items()}
        reason = batch.notes.reasons.get(key, batch.notes.reason)
        yield Change(definition.name, dump_key(key), number, definition.place, old, new, reason)


def _rows(batch: Batch, definition: Definition, number: int) -> Iterator[Change]:
    """The rows of other tables that `migrate` added and removed."""
    for row in batch.notes.rows:
        where = f"{row.database}.{row.place.table}"
        yield Change(definition.name, str(row.place), number, where, row.old, row.new, row.reason or batch.notes.reason)


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
    database: Database, table: str, keys: Sequence[str], columns: Sequence[str], encoding: Encoding | None, where: str,
    parameters: Sequence[Any],
) -> dict[str, Found]:  # fmt: skip
    """The rows that a condition finds, locked where the database is in a transaction."""
    asked = [*keys, *selected(encoding, columns)]
    if encoding:
        asked.append(encoding.key(keys))
    found: dict[str, Found] = {}
    text = f"SELECT {', '.join(asked)} FROM {table} WHERE {where} {database.for_update}"
    for row in database.query(text, parameters):
        key = tuple(spelled(database.engine, value) for value in row[: len(keys)])
        values = texts(encoding, row[len(keys) : len(keys) + len(columns)])
        name = changes.canonical(str(row[-1])) if encoding else dump_key(key)
        # ClickHouse may hold several versions of a row.
        if database.transactional and (name in found or None in key):
            raise not_told_apart(keys)
        found[name] = Found(key, values)
    return found


def read_keys(
    database: Database, table: str, keys: Sequence[str], columns: Sequence[str], encoding: Encoding | None,
    wanted: Sequence[Key],
) -> dict[str, Found]:  # fmt: skip
    """The rows of these keys that there are."""
    found: dict[str, Found] = {}
    for start in range(0, len(wanted), MOST_KEYS):
        rows = among(keys, wanted[start : start + MOST_KEYS])
        found |= read(database, table, keys, columns, encoding, rows.text, rows.parameters)
    return found


@contextmanager
def _read_twice(batch: Batch, definition: Definition, number: int) -> Iterator[None]:
    before = _read_batch(batch, definition, None)
    yield
    notes = batch.notes
    made = _differences(batch.database, definition, number, None, before, notes.reasons, notes.reason)
    changes.add(batch.database, made)


@contextmanager
def _found_elsewhere(
    batch: Batch, definition: Definition, number: int, encoding: Encoding | None, ledger_name: str, ledger: Database
) -> Iterator[int]:
    # What an earlier try of this batch found is the older truth, and why it changed rows that are not found again.
    text = changes.found_before(ledger, definition.name).get(number)
    kept = _load(text, definition.records) if text else _Kept(definition.records, {}, {})
    reasons, before = kept.reasons, _read_batch(batch, definition, encoding)
    if kept.columns == definition.records:
        before |= kept.rows
    else:  # another release's: what it did not look at is known as it is now
        wanted = [row.key for row in kept.rows.values()]
        before |= read_keys(batch.database, batch.table, definition.row_keys, definition.records, encoding, wanted)
        for key in kept.rows.keys() & before.keys():
            before[key] = _older(kept, key, dict(zip(definition.records, before[key].values, strict=True)))

    def keep() -> None:
        found = _dump(definition.records, before, reasons | batch.notes.reasons)
        changes.keep_before(ledger, definition.name, number, found)

    keep()
    batch.keep_notes = keep
    yield len(before)  # also rows that an earlier try has changed already
    reasons |= batch.notes.reasons
    made = _differences(batch.database, definition, number, encoding, before, reasons, batch.notes.reason)
    changes.add(batch.on(ledger_name), made)
    changes.forget_before(batch.on(ledger_name), definition.name, number)


def settle(definition: Definition, source: Database, ledger: Database) -> None:
    """Record what batches changed that died between the commit of their rows and that of their record."""
    if not definition.records or source is ledger:
        return
    table = definition.source.table
    for number, text in changes.found_before(ledger, definition.name).items():
        kept = _load(text, definition.records)
        gone = source.key_facts(table, kept.columns).missing
        there = replace(definition, records=tuple(column for column in kept.columns if column not in gone))
        rows = {key: _older(kept, key, dict.fromkeys(there.records, "")) for key in kept.rows}
        encoding = recording.encoding(source, table, (*there.row_keys, *there.records))
        made = _differences(source, there, number, encoding, rows, kept.reasons)
        with ledger.transaction():
            changes.add(ledger, made)
            changes.forget_before(ledger, definition.name, number)


def _read_batch(batch: Batch, definition: Definition, encoding: Encoding | None) -> dict[str, Found]:
    return read(
        batch.database, batch.table, definition.row_keys, definition.records, encoding, batch.condition,
        batch.parameters,
    )  # fmt: skip


def _differences(
    database: Database, definition: Definition, number: int, encoding: Encoding | None, before: Rows, reasons: Reasons,
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
            definition.place,
            dict(zip(definition.records, row.values, strict=True)),
            dict(zip(definition.records, after[text].values, strict=True)),
            reasons.get(after[text].key, general),
        )
        for text, row in before.items()
        if text in after and after[text].values != row.values
    ]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an earlier try of a batch found, in columns that the job recorded then, and why it changed that."""

    columns: tuple[str, ...]
    rows: dict[str, Found]
    reasons: dict[Key, str]


def _older(kept: _Kept, text: str, now: Mapping[str, str]) -> Found:
    """A row as an earlier try found it, in the columns of `now`; where it did not look, it is as it is now."""
    row = kept.rows[text]
    found = {**now, **dict(zip(kept.columns, row.values, strict=True))}
    return Found(row.key, tuple(found[column] for column in now))


def _dump(columns: Sequence[str], rows: Rows, reasons: Reasons) -> str:
    why = {dump_key(key): reason for key, reason in reasons.items()}
    found = {"columns": columns, "rows": {text: row.values for text, row in rows.items()}, "reasons": why}
    return json.dumps(found, ensure_ascii=False)


def _load(text: str, records: tuple[str, ...]) -> _Kept:
    """What `_dump` wrote; an older Stepwell did not say of which columns, and meant those of `records`."""
    kept = json.loads(text)
    return _Kept(
        tuple(kept.get("columns", records)),
        {key: Found(load_key(key), tuple(values)) for key, values in kept["rows"].items()},
        {load_key(key): reason for key, reason in kept["reasons"].items()},
    )


# --- asking ---------------------------------------------------------------------------------------------------


def why(ledger: Database, job: str, key: Iterable[Any]) -> list[Change]:
    """What a job changed in a row, the newest first, also what was undone since.

    The parts of the key may be texts as a person writes them: 42 is then found as a number and as a text.
    """
    spelled = [""]
    for part in key:
        spelled = [f"{before}, {text}" if before else text for before in spelled for text in _spellings(part)]
    keys = [f"[{text}]" for text in spelled]
    packed = packs.of_keys(ledger, job, keys)  # first: an undo beside it may write them out meanwhile
    made = changes.of_keys(ledger, job, keys, undone=True, further=OF)
    known = {(change.key, change.batch) for change in made}
    made += [change for change in packed if (change.key, change.batch) not in known]
    return changes.newest_first(made)


def _spellings(part: Any) -> list[str]:
    texts = [dump_value(part), dump_value(str(part)), *(dump_value({kind: str(part)}) for kind in ("uuid", "decimal"))]
    if str(part).removeprefix("-").isdecimal():
        texts.append(str(int(str(part))))
    return list(dict.fromkeys(texts))
