"""Data changes that belong in a job."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark


def find(reading: Reading) -> Iterator[Remark]:
    made = {change.table for change in reading.changes if change.creates_table}
    for change in reading.changes:
        tree = change.tree if change.match(_ROWS) else None
        if isinstance(tree, exp.Insert):
            if source := _source(tree, made):
                yield remark(change, f"INSERT … SELECT copies rows of {source} in one transaction. {_LONG}", _JOB)
        elif not change.fresh and (_ranges(tree) if tree else _looks_like_one(change)):
            verb = change.shape.split()[0]
            yield remark(change, f"{verb} of {change.table_written} changes rows in one transaction. {_LONG}", _JOB)


_ROWS = r"(?:INSERT|UPDATE|DELETE|WITH)\b"
_LONG = "On a large table that is minutes with its locks held, and replicas that lag."
_JOB = (
    "Put it into jobs/NAME.sql: `-- batches: keyset DATABASE.TABLE by id` above the statement, with "
    "`WHERE ${batch}` in it; scripts that need it say `-- requires: job/NAME`."
)


def _source(insert: exp.Insert, made: set[str]) -> str:
    """A table that the rows come from; '' for rows that the script itself holds or has made."""
    query = insert.expression
    if query is None or isinstance(query, exp.Values) or query.args.get("limit") is not None:
        return ""
    names = {cte.alias for cte in insert.find_all(exp.CTE)}
    tables = [table.name for table in query.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
    return next((name for name in tables if name not in names and key(name) not in made), "")


def _ranges(change: exp.Expr) -> bool:
    """Whether its condition may hold for many rows. Of a change without any another rule tells."""
    if not isinstance(change, exp.Update | exp.Delete):
        return False
    where = change.args.get("where")
    return where is not None and change.args.get("limit") is None and not any(map(_few, _conditions(where.this)))


def _conditions(condition: exp.Expr) -> list[exp.Expr]:
    condition = condition.unnest()
    return [part.unnest() for part in condition.flatten()] if isinstance(condition, exp.And) else [condition]


def _few(condition: exp.Expr) -> bool:
    """id = 7, name IN ('a', 'b'): rows that somebody has named one by one."""
    if isinstance(condition, exp.EQ):
        return isinstance(condition.this, exp.Column) and isinstance(condition.expression, exp.Literal)
    if isinstance(condition, exp.In):
        return bool(condition.expressions) and all(isinstance(one, exp.Literal) for one in condition.expressions)
    return False


def _looks_like_one(change: Change) -> bool:
    return bool(change.match(r"(?:UPDATE|DELETE)\b") and "WHERE" in change.without_parentheses().shape.split())


RULE = Rule(
    name="data-change",
    level=Level.WARNING,
    engines=("postgres", "mysql", "sqlite"),
    about="""
An `UPDATE`, `DELETE` or `INSERT … SELECT` over the rows of a table that is in use. In a script it is one transaction:
its locks are held to the end, the log of changes grows, replicas lag, and a failure at the last row undoes hours. As
a [job](jobs.md) it runs in batches that follow the load.

Nothing is said of rows that a condition names one by one (`id = 7`, `name IN ('a', 'b')`), of `LIMIT`, of rows that
the script holds itself (`VALUES`), and of tables that it has made. On a table that you know to be small the script is
right, and the warning is a false alarm: say so with [a comment](#allowing-a-finding).
""",
    bad="""
UPDATE orders SET total = 0 WHERE total IS NULL;
""",
    good="""
INSERT INTO orders (id, total) VALUES (9001, 0);
UPDATE orders SET total = 0 WHERE id IN (7, 8, 9);
""",
    find=find,
)
