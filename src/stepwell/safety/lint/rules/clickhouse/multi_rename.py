"""RENAME of several tables, which is not atomic."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        found = change.match(r"RENAME (?:TABLES? )?")
        pairs = [
            pair
            for part in (change.behind(found).parts() if found else ())
            if (pair := part.match(r"(?P<old>\S+) TO (?P<new>\S+)"))
        ]
        if len(pairs) > 1:
            yield remark(
                change,
                f"RENAME of {len(pairs)} tables is not atomic: one after another. Between two, or after a failure, "
                f"a name is missing, and its queries and inserts fail.",
                "To swap two tables: EXCHANGE TABLES one AND other; it is one step. A single RENAME is too.",
            )


RULE = Rule(
    name="multi-rename",
    level=Level.ERROR,
    engines=("clickhouse",),
    about="""
`RENAME TABLE a TO b, c TO d` looks like one step, as it is in MySQL. ClickHouse renames pair after pair; if the
second fails, the first stays renamed (measured). `EXCHANGE TABLES` swaps two tables in one step, in databases of the
engine Atomic, which is the default.
""",
    bad="""
CREATE TABLE orders_new AS orders;
RENAME TABLE orders TO orders_old, orders_new TO orders;
""",
    good="""
CREATE TABLE orders_new AS orders;
EXCHANGE TABLES orders AND orders_new;
""",
    find=find,
)
