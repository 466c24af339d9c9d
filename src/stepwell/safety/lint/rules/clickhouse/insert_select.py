"""INSERT … SELECT over a whole table."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.key or reading.front.writers:
        return
    for change in reading.changes:
        if source := _whole(change):
            yield remark(
                change,
                f"It copies all of {source} in one statement, without a bound on its memory and time; killed on the "
                "way it leaves the blocks it had written.",
                "Copy it by a job (`-- batches: groups DATABASE.TABLE by COLUMN`), or say at the top what makes the "
                "rows unique, so that Stepwell can end it exactly: `-- key: id`.",
            )


def _whole(change: Change) -> str:
    """The table that an INSERT … SELECT reads all of; '' for another statement."""
    tree = change.tree
    if not isinstance(tree, exp.Insert) or not isinstance(tree.expression, exp.Select):
        return ""
    select = tree.expression
    if any(select.args.get(clause) for clause in ("where", "prewhere", "limit", "sample")):
        return ""
    names = {cte.alias for cte in tree.find_all(exp.CTE)}
    source = select.find(exp.Table)
    if source is None or not isinstance(source.this, exp.Identifier) or source.name in names or source.db == "system":
        return ""
    return source.name


RULE = Rule(
    name="insert-select",
    level=Level.WARNING,
    engines=("clickhouse",),
    about="""
An `INSERT … SELECT` without a condition works until the table has grown. A failure in its middle leaves the blocks
that were written, and running it again doubles them. In batches it can be watched, slowed and resumed. In one
statement it is exact with [`key` or `writers` at the top](clickhouse.md): then nothing is said, nor with a condition
or LIMIT, nor of table functions (`numbers`, `s3`).
""",
    bad="""
CREATE TABLE orders_new AS orders;
INSERT INTO orders_new SELECT * FROM orders;
""",
    good="""
-- key: id

CREATE TABLE orders_new AS orders;
INSERT INTO orders_new SELECT * FROM orders;
""",
    find=find,
)
