"""Rows changed before a schema change that commits them."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ROWS = r"(?:INSERT|UPDATE|DELETE|REPLACE)\b"
_SCHEMA = r"(?:CREATE|ALTER|DROP|RENAME|TRUNCATE) (?!TEMPORARY\b)"


def find(reading: Reading) -> Iterator[Remark]:
    rows: Change | None = None
    for change in reading.changes:
        if change.match(_ROWS) and not change.fresh:
            rows = rows or change
        elif rows and change.match(_SCHEMA):
            verb = rows.shape.split()[0]
            yield remark(
                change,
                f"This commits the {verb} of line {rows.line(rows.offset)}: if this fails, its rows stay changed.",
                "Put the schema change into a script of its own, before the one that changes rows.",
            )
            return


RULE = Rule(
    name="implicit-commit",
    level=Level.WARNING,
    engines=("mysql",),
    about="""
Every schema change of MySQL and MariaDB commits what came before it. A script that changes rows and then a table
can't be taken back as a whole: if the second fails, the first stays. Stepwell journals each statement and goes on
behind it, so nothing is done twice; but the application sees the half. Rows of tables that the script made are left
alone.
""",
    bad="""
INSERT INTO customers (id, name) VALUES (9001, 'nobody');
ALTER TABLE orders ADD COLUMN currency CHAR(3);
""",
    good="""
ALTER TABLE orders ADD COLUMN currency CHAR(3);
INSERT INTO customers (id, name) VALUES (9001, 'nobody');
""",
    find=find,
)
