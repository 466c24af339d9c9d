"""Recording a batch's changes within the server that has both its rows and the ledger, from which no value travels.

The rows are kept as they were, `migrate` does its work, and what differs then is written into the ledger as JSON text,
many rows to one. All of it sees one snapshot, so that no row comes to fit the batch's condition behind what was read.
How an engine does each is told in `databases/recording.py`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stepwell.databases.recording import Encoding, Kind
from stepwell.errors import Refused
from stepwell.jobs.batch import Batch
from stepwell.jobs.definition import Definition
from stepwell.ledger.jobs import LONGEST_KEY, this_process

REASONS = "stepwell_reason"
"""The temporary table of what `migrate` says of single rows."""


@contextmanager
def compared(batch: Batch, definition: Definition, number: int, encoding: Encoding) -> Iterator[int]:
    """Record what the block changes in the batch's rows; gives how many there are."""
    database, keys, columns = batch.database, definition.row_keys, definition.records
    selected = ", ".join(
        [
            *(f"{key} AS key_{index}" for index, key in enumerate(keys)),
            *(f"{encoding.kept(column)} AS held_{index}" for index, column in enumerate(columns)),
        ]
    )
    # By the job and its columns: another job may use the same connection.
    name = f"stepwell_old_{zlib.crc32(repr((definition.name, keys, columns)).encode()):08x}"
    before = encoding.recorder.keep(
        database, name, selected, batch.table, batch.condition, batch.parameters, batch.locks_rows
    )
    _refuse_unfit_keys(batch, definition, encoding, before)
    yield int(database.query(f"SELECT count(*) FROM {before}")[0][0])
    _write(batch, definition, number, encoding, before, selected)


def not_told_apart(keys: Sequence[str]) -> Refused:
    """Why rows can't be recorded by these columns."""
    return Refused(f"rows can't be told apart by {', '.join(keys)}: NULL, or not unique")


def _refuse_unfit_keys(batch: Batch, definition: Definition, encoding: Encoding, before: str) -> None:
    """Refuse rows that the ledger could not tell apart, before they are changed."""
    database, keys = batch.database, _named("b.key", definition.row_keys)
    if definition.row_key:
        null = " OR ".join(f"{key} IS NULL" for key in keys)
        text = f"SELECT 1 FROM {before} AS b GROUP BY {', '.join(keys)} HAVING count(*) > 1 OR {null} LIMIT 1"
        if database.query(text):
            raise not_told_apart(definition.row_keys)
    if any(encoding.kinds[key] is not Kind.PLAIN for key in definition.row_keys):
        key = encoding.key(definition.row_keys, keys)
        if database.query(f"SELECT 1 FROM {before} AS b WHERE char_length({key}) > {LONGEST_KEY} LIMIT 1"):
            raise Refused(f"a row's key is longer than the {LONGEST_KEY} characters that the ledger has for it")


def _write(batch: Batch, definition: Definition, number: int, encoding: Encoding, before: str, selected: str) -> None:
    """Write a line for each row that is not as it was: its key, the old values, the new ones, its reason if any."""
    database, keys, columns = batch.database, definition.row_keys, definition.records
    key = encoding.list(map(encoding.expression, keys, _named("b.key", keys)))
    old, new = (encoding.list(map(encoding.of_kept, columns, _named(held, columns))) for held in ("b.held", "t.held"))
    line, its_reason = [*key, "', '", *old, "', '", *new], ""
    if batch.notes.reasons:
        _keep_reasons(batch, definition, encoding, before)
        line += ["', '", encoding.text("r.reason")]
        its_reason = f"LEFT JOIN {REASONS} AS r ON r.row_key = {encoding.joined(key)}"
    # By the batch's keys as well, or a server may read all rows before them for a merge join.
    whole = "" if definition.row_key else f"WHERE {batch.whole.text}"
    same_row = " AND ".join(f"t.key_{index} = b.key_{index}" for index in range(len(keys)))
    differs = " OR ".join(
        encoding.differs(column, f"b.held_{index}", f"t.held_{index}") for index, column in enumerate(columns)
    )
    rows = f"""
        {before} AS b
        JOIN (SELECT {selected} FROM {batch.table} {whole}) AS t ON {same_row}
        {its_reason}
        WHERE {differs}
        """
    told = {
        "job": definition.name,
        "batch": number,
        "place": definition.place,
        "column_names": json.dumps(columns, ensure_ascii=False),
        "reason": batch.notes.reason,
        "made_by": this_process(),
    }
    encoding.recorder.pack(
        database,
        f"stepwell_change_pack ({', '.join(told)}, at, number, changes, row_count)",
        f"{', '.join('?' * len(told))}, {database.clock}",
        encoding.joined(["'['", *line, "']'"]),
        rows,
        (*told.values(), *(batch.whole.parameters if whole else ())),
    )


def _keep_reasons(batch: Batch, definition: Definition, encoding: Encoding, before: str) -> None:
    database, names = batch.database, _named("b.key", definition.row_keys)
    found = database.query(f"SELECT {', '.join(names)}, {encoding.key(definition.row_keys, names)} FROM {before} AS b")
    spelled = {tuple(values): text for *values, text in found}
    reasons = {spelled[key]: text for key, text in batch.notes.reasons.items() if key in spelled}
    encoding.recorder.keep_reasons(database, REASONS, LONGEST_KEY, reasons)


def _named(beginning: str, columns: Sequence[str]) -> list[str]:
    return [f"{beginning}_{index}" for index in range(len(columns))]
