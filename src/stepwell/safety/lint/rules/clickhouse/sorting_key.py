"""Changes of a sorting key, which ClickHouse can't do."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        adds = any(part.match(r"ADD COLUMN\b") for part in change.alters)
        for part in change.alters:
            if part.match(r"MODIFY (?:ORDER BY|PRIMARY KEY|PARTITION BY)\b") and not adds:
                yield remark(
                    change,
                    "A table's parts lie in the order of its key, so the server refuses: a key can only get new "
                    "columns at its end, in the ALTER that adds them.",
                    "Make a new table with the key, copy the rows (`-- key: …` at the top, or a job), and swap "
                    "the two: EXCHANGE TABLES old AND new;",
                    part.offset,
                )


RULE = Rule(
    name="sorting-key",
    level=Level.ERROR,
    engines=("clickhouse",),
    about="""
`MODIFY ORDER BY` may only append columns that the same `ALTER` adds: for all rows there are they are equal, so
nothing moves. Every other change of a sorting key, primary key or partition key is a new table.
""",
    bad="""
ALTER TABLE orders MODIFY ORDER BY (id, status);
""",
    good="""
ALTER TABLE orders ADD COLUMN region String, MODIFY ORDER BY (id, region);
""",
    find=find,
)
