"""Conversions of a table to another character set."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        for part in () if change.fresh else change.alters:
            if part.match(r"CONVERT TO (?:CHARACTER SET|CHARSET)"):
                yield remark(
                    change,
                    f"CONVERT TO copies all of {change.table_written} with its writers shut out, makes every index "
                    "longer, and turns TEXT into MEDIUMTEXT where the new bytes might not fit.",
                    f"For new columns only: ALTER TABLE {change.table_written} DEFAULT CHARACTER SET utf8mb4; is "
                    "instant. To convert rows: a new table, a job that copies them, then RENAME TABLE of both.",
                    part.offset,
                )


RULE = Rule(
    name="charset-conversion",
    level=Level.ERROR,
    engines=("mysql",),
    about="""
`CONVERT TO CHARACTER SET` has no online form: it copies the table, and nobody can write meanwhile. Its indexes grow
to four bytes a character, which may pass the limit of 3072 bytes; columns of different character sets can't use an
index when they are compared, so the tables that it is joined with want the same.
""",
    bad="""
ALTER TABLE customers CONVERT TO CHARACTER SET utf8mb4;
""",
    good="""
ALTER TABLE customers DEFAULT CHARACTER SET utf8mb4;
""",
    find=find,
)
