"""UPDATE and DELETE of all rows."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if not change.match(r"(?:UPDATE|DELETE|WITH)\b") or change.fresh:
            continue
        for verb, table in _unbounded(change):
            yield remark(
                change,
                f"{verb} has no condition: it changes every row of {table} in one statement, keeps them all locked "
                "until it ends, and has no way to pause.",
                "Say which rows are meant (WHERE …). If all are, write a job: it goes through them in batches, "
                "beside the traffic.",
            )


def _unbounded(change: Change) -> Iterator[tuple[str, str]]:
    """The verb and the table of each UPDATE or DELETE without a condition, also of one in a WITH."""
    if change.tree is None:
        if change.match(r"(?:UPDATE|DELETE)\b") and "WHERE" not in change.without_parentheses().shape.split():
            yield change.shape.split()[0], change.table_written
        return
    for found in change.tree.find_all(exp.Update, exp.Delete):
        where = found.args.get("where")
        bounded = found.args.get("limit") is not None or (where is not None and not _always_true(where.this))
        if not bounded:
            table = found.find(exp.Table)
            yield found.key.upper(), table.name if table else "the table"


def _always_true(condition: exp.Expr) -> bool:
    """TRUE, 1, 1 = 1."""
    condition = condition.unnest()
    if isinstance(condition, exp.Boolean):
        return bool(condition.this)
    if isinstance(condition, exp.EQ):
        return isinstance(condition.this, exp.Literal) and condition.this == condition.expression
    return isinstance(condition, exp.Literal) and condition.name not in ("0", "")


RULE = Rule(
    name="unqualified",
    level=Level.ERROR,
    engines=("postgres", "mysql", "sqlite"),
    about="""
An `UPDATE` or `DELETE` without a condition, or with one that is always true. It takes a lock on every row of the
table and keeps them until it ends; replicas apply it in one piece, and lag by as long. A job does the same in batches
that follow the load, can be paused, and goes on where it stopped. On a table that the same script made, nothing
waits, and nothing is said.
""",
    bad="""
UPDATE orders SET status = 'open';
""",
    good="""
UPDATE orders SET status = 'open' WHERE id = 7;
""",
    find=find,
)
