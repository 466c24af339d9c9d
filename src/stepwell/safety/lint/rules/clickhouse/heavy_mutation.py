"""Mutations that write whole tables anew."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_COMMANDS = {
    r"(?P<verb>UPDATE) (?!.*\bIN PARTITION\b)": "UPDATE",
    r"(?P<verb>DELETE) (?!.*\bIN PARTITION\b)": "DELETE",
    r"(?P<verb>MATERIALIZE (?:COLUMN|INDEX|PROJECTION|STATISTICS|TTL))\b(?!.*\bIN PARTITION\b)": "MATERIALIZE",
}


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if change.fresh:
            continue
        if change.match(r"DELETE FROM \S+(?! .*\bIN PARTITION\b)"):
            yield remark(change, f"DELETE marks rows in every part of {change.table_written}. {_WHY}", _DO)
        for part in change.alters:
            if found := next((hit for pattern in _COMMANDS if (hit := part.match(pattern))), None):
                what = f"{found['verb']} goes through every part of {change.table_written}. {_WHY}"
                yield remark(change, what, _DO, part.offset)


_WHY = "It runs for as long as the table is large, beside merges that need the same disk, and can't be paused."
_DO = (
    "Do it partition by partition, … IN PARTITION 202401 WHERE …, each a batch of a job. Better still, insert "
    "corrected rows into a ReplacingMergeTree."
)

RULE = Rule(
    name="heavy-mutation",
    level=Level.WARNING,
    engines=("clickhouse",),
    about="""
`ALTER … UPDATE`, `ALTER … DELETE`, `DELETE FROM` and `MATERIALIZE` are mutations: each part of the table is written
anew in the background, and those behind it in the queue wait. With `IN PARTITION` one has an end that can be
foreseen. Of a table that is small, or of a projection that is worth its night, the warning is a false alarm, and a
comment says so.
""",
    bad="""
ALTER TABLE orders UPDATE status = 'open' WHERE status = '';
""",
    good="""
ALTER TABLE orders UPDATE status = 'open' IN PARTITION 202401 WHERE status = '';
""",
    find=find,
)
