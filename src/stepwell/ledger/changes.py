"""The changes that jobs made to rows, as the ledger remembers them: old values, new values, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from stepwell.databases.database import Database
from stepwell.ledger.jobs import this_process

COLUMNS = "job, row_key, batch, place, old_values, new_values, reason, made_by, at, undone"

MADE = COLUMNS.removesuffix(", undone").split(", ")


@dataclass(frozen=True, slots=True)
class Change:
    """What a batch of a job changed in one row.

    `key` is a JSON text; `old` and `new` hold one for each column, `place` is DATABASE.TABLE, `made_by` the process
    that did the batch. Times are seconds since 1970, 0 for never.
    """

    job: str
    key: str
    batch: int
    place: str
    old: Mapping[str, str]
    new: Mapping[str, str]
    reason: str
    made_by: str = ""
    at: float = 0.0
    undone: float = 0.0


def dump_values(values: Mapping[str, str]) -> str:
    """JSON texts by column as one JSON text."""
    return "{" + ", ".join(f"{json.dumps(column, ensure_ascii=False)}: {text}" for column, text in values.items()) + "}"


def load_values(text: str) -> dict[str, str]:
    """The JSON texts by column, each in its canonical form."""
    return {column: json.dumps(value, ensure_ascii=False) for column, value in json.loads(text).items()}


def canonical(text: str) -> str:
    """A JSON text as Python spells it, whichever engine wrote it."""
    return json.dumps(json.loads(text), ensure_ascii=False)


def add(ledger: Database, changes: Iterable[Change]) -> None:
    """Record changes in bulk, as made now by this process, in the caller's transaction."""
    now = float(ledger.query(f"SELECT {ledger.clock}")[0][0])
    write_out(ledger, (replace(change, made_by=this_process(), at=now) for change in changes))


def write_out(ledger: Database, changes: Iterable[Change]) -> None:
    """Give each change a row of the ledger, in the caller's transaction."""
    rows = [
        (c.job, c.key, c.batch, c.place, dump_values(c.old), dump_values(c.new), c.reason, c.made_by, c.at)
        for c in changes
    ]
    if rows:
        ledger.insert("stepwell_change", MADE, rows)


def of_keys(ledger: Database, job: str, keys: Sequence[str], undone: bool = False, further: str = "") -> list[Change]:
    """The changes of these rows, the newest of a row first; with `undone`, also those that were undone.

    With `further`, also those of rows that are these keys and this text: rows of other tables with the same key.
    """
    others = " OR substr(row_key, 1, ?) = ?" * len(keys) if further else ""
    beginnings = [part for key in keys for part in (len(key + further), key + further)] if further else []
    if not keys:
        return []
    rows = ledger.query(
        f"""
        SELECT {COLUMNS}
        FROM stepwell_change
        WHERE job = ?
            AND (row_key IN ({", ".join("?" * len(keys))}){others})
            {"" if undone else "AND undone = 0"}
        ORDER BY row_key
        """,
        (job, *keys, *beginnings),
    )
    by_row = groupby(map(_change, rows), key=lambda change: change.key)
    return [change for _, made in by_row for change in newest_first(made)]


def newest_first(made: Iterable[Change]) -> list[Change]:
    """A row's changes in their order, as far as that is known.

    The numbers of a run's batches grow. A lazy key's number tells nothing, so it stands where the clock says, which may
    have gone back since: what each found and left tells then (`unwind`).
    """
    by_clock = sorted(made, key=lambda change: (change.at, change.batch), reverse=True)
    of_runs = sorted((change for change in by_clock if change.batch > 0), key=lambda change: change.batch)
    return [of_runs.pop() if change.batch > 0 else change for change in by_clock]


def changed_keys(ledger: Database, job: str, behind: str, most: int, reason: str = "") -> list[str]:
    """The next rows behind a key with changes that stand, and whose reason begins with `reason`."""
    rows = ledger.query(
        f"""
        SELECT DISTINCT row_key
        FROM stepwell_change
        WHERE job = ? AND row_key > ? AND undone = 0 AND substr(reason, 1, {len(reason)}) = ?
        ORDER BY row_key
        LIMIT {most}
        """,
        (job, behind, reason),
    )
    return [str(key) for (key,) in rows]


def count_changed(ledger: Database, job: str, reason: str = "") -> int:
    """The rows with changes that stand, and whose reason begins with `reason`; all packed ones with their batches."""
    rows = ledger.query(
        f"""
        SELECT
          (
            SELECT count(DISTINCT row_key)
            FROM stepwell_change
            WHERE job = ? AND undone = 0 AND substr(reason, 1, {len(reason)}) = ?
          ),
          (SELECT coalesce(sum(row_count), 0) FROM stepwell_change_pack WHERE job = ?)
        """,
        (job, reason, job),
    )
    return sum(map(int, rows[0]))


def mark_undone(ledger: Database, job: str, batch: int, keys: Sequence[str]) -> None:
    """Record what a batch changed in these rows as undone now."""
    ledger.query(
        f"""
        UPDATE stepwell_change
        SET undone = {ledger.clock}
        WHERE job = ? AND row_key IN ({", ".join("?" * len(keys))}) AND batch = ?
        """,
        (job, *keys, batch),
    )


def mark_all_undone(ledger: Database, job: str) -> None:
    """Record all changes of a job as undone now."""
    ledger.query(f"UPDATE stepwell_change SET undone = {ledger.clock} WHERE job = ? AND undone = 0", (job,))


# --- what a batch found, until it is done ---------------------------------------------------------------------


def found_before(ledger: Database, job: str) -> dict[int, str]:
    """By batch, what those found that were begun and are not recorded as done."""
    rows = ledger.query("SELECT number, found FROM stepwell_before WHERE job = ? ORDER BY number", (job,))
    return {int(number): str(found) for number, found in rows}


def keep_before(ledger: Database, job: str, number: int, found: str) -> None:
    """Keep what a batch found, in place of what was kept of it."""
    with ledger.transaction():
        forget_before(ledger, job, number)
        ledger.query("INSERT INTO stepwell_before (job, number, found) VALUES (?, ?, ?)", (job, number, found))


def forget_before(ledger: Database, job: str, number: int) -> None:
    ledger.query("DELETE FROM stepwell_before WHERE job = ? AND number = ?", (job, number))


def _change(row: Sequence[object]) -> Change:
    job, key, batch, place, old, new, reason, made_by, at, undone = row
    return Change(
        str(job),
        str(key),
        int(str(batch)),
        str(place),
        load_values(str(old)),
        load_values(str(new)),
        str(reason),
        str(made_by),
        float(str(at)),
        float(str(undone)),
    )
