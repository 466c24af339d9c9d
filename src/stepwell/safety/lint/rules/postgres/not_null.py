"""NOT NULL that has to read the table, or that fails at the first row."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_SET = r"ALTER (?:COLUMN )?(?P<column>\S+) SET NOT NULL"
_ADD = r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!CONSTRAINT\b)(?P<column>\S+) .*\bNOT NULL\b"
_FILLED = r"\bDEFAULT\b|\bGENERATED\b|\b(?:SMALL|BIG)?SERIAL\b"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        table = change.table_written
        for part in () if change.fresh else change.alters:
            if (found := part.match(_SET)) and not _proven(reading, change, found["column"]):
                column = part.written(found, "column")
                yield remark(
                    change,
                    f"SET NOT NULL reads all of {table} under an ACCESS EXCLUSIVE lock: nobody can read or write it.",
                    "Let a check prove it first, beside the traffic, each in a transaction of its own:\n"
                    f"ALTER TABLE {table} ADD CONSTRAINT {column}_set CHECK ({column} IS NOT NULL) NOT VALID;\n"
                    f"ALTER TABLE {table} VALIDATE CONSTRAINT {column}_set;\n"
                    "With it SET NOT NULL is instant (PostgreSQL 12 and later), and the check can be dropped.",
                    part.offset,
                )
            elif (found := part.match(_ADD)) and not part.search(_FILLED):
                column = part.written(found, "column")
                yield remark(
                    change,
                    f"Column {column} is NOT NULL without a default: refused as soon as {table} has a row.",
                    "Give it a DEFAULT (instant if it is constant), or add it without NOT NULL, fill it by a job, and "
                    "set NOT NULL afterwards.",
                    part.offset,
                )


def _proven(reading: Reading, change: Change, column: str) -> bool:
    """Whether a validated check of an earlier statement says that the column has no NULL."""
    wanted = re.escape(key(column))
    added: set[str] = set()
    for before in reading.before(change):
        for part in before.alters if before.table == change.table else ():
            if found := part.match(rf'ADD CONSTRAINT (?P<name>\S+) CHECK \(.* ?"?(?i:{wanted})"? IS NOT NULL'):
                added.add(key(found["name"]))
                if not part.search(r"\bNOT VALID\b"):
                    return True
            elif (found := part.match(r"VALIDATE CONSTRAINT (?P<name>\S+)")) and key(found["name"]) in added:
                return True
    return False


RULE = Rule(
    name="not-null",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
`SET NOT NULL` reads every row under an ACCESS EXCLUSIVE lock, unless a validated `CHECK (column IS NOT NULL)` has
proven it already: then it is instant. The check may stand in an earlier script of the same database.

A new column that is `NOT NULL` without a default is refused by any table that has a row. It works on the empty table
of the developer, and fails in production.
""",
    bad="""
ALTER TABLE orders ALTER COLUMN day SET NOT NULL;
""",
    good="""
-- transaction: false

ALTER TABLE orders ADD CONSTRAINT day_set CHECK (day IS NOT NULL) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT day_set;
ALTER TABLE orders ALTER COLUMN day SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT day_set;
""",
    find=find,
)
