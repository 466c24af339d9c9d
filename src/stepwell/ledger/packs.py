"""Changes as batches record them within a server: many to a row of the ledger, as lines of JSON.

A line is a change: the row's key, the old values and the new ones in the order of `column_names`, and why, where that
is not what the pack says for all. What goes through changes row by row has them written out first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from stepwell.databases.database import Database
from stepwell.ledger import changes
from stepwell.ledger.changes import Change

_CONTROL = re.compile(r"\\u([0-9a-f]{4})")

COLUMNS = "job, batch, number, place, column_names, changes, reason, made_by, at, row_count"


def of_keys(ledger: Database, job: str, keys: Sequence[str]) -> list[Change]:
    """The packed changes of these rows."""
    if not keys:
        return []
    # MySQL spells a control character \\u000B, PostgreSQL and Python \\u000b.
    spelled = {*keys, *(_CONTROL.sub(lambda found: f"\\u{found[1].upper()}", key) for key in keys)}
    likes = " OR ".join("changes LIKE ? ESCAPE '!'" for _ in spelled)
    rows = ledger.query(
        f"SELECT {COLUMNS} FROM stepwell_change_pack WHERE job = ? AND ({likes})",
        (job, *(f"%[{_literal(key)}, %" for key in spelled)),
    )
    return [change for row in rows for change in _opened(row) if change.key in keys]


def unpack(ledger: Database, job: str) -> None:
    """Write out all packed changes of a job, a row for each. Killed, it goes on when it is repeated."""
    while True:
        with ledger.transaction():
            rows = ledger.query(
                f"""
                SELECT {COLUMNS}
                FROM stepwell_change_pack
                WHERE job = ?
                ORDER BY batch, number
                LIMIT 1
                {ledger.for_update}
                """,
                (job,),
            )
            if not rows:
                return
            changes.write_out(ledger, _opened(rows[0]))
            ledger.query(
                "DELETE FROM stepwell_change_pack WHERE job = ? AND batch = ? AND number = ?", tuple(rows[0][:3])
            )


def _opened(row: Sequence[Any]) -> Iterator[Change]:
    job, batch, _number, place, names, lines, reason, made_by, at, _ = row
    columns = json.loads(names)
    for key, old, new, *its_reason in json.loads(lines):
        yield Change(
            job,
            _text(key),
            int(batch),
            place,
            dict(zip(columns, map(_text, old), strict=True)),
            dict(zip(columns, map(_text, new), strict=True)),
            reason if its_reason in ([], [None]) else its_reason[0],
            made_by,
            float(at),
        )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return text
