"""A table's columns in ClickHouse."""

from __future__ import annotations

import re

from stepwell.databases.clickhouse.names import spell
from stepwell.databases.columns import Column, Table
from stepwell.databases.database import Database
from stepwell.databases.lexing import Kind, Reader, tokens, unquote

TABLE = """
SELECT database, name, engine, sorting_key, partition_key, sampling_key
FROM system.tables
WHERE database = ? AND name = ?
"""
COLUMNS = """
SELECT name, type, default_kind, default_expression
FROM system.columns
WHERE database = ? AND table = ?
ORDER BY position
"""
INDEXES = """
SELECT 'data skipping index ' || name, expr FROM system.data_skipping_indices WHERE database = ? AND table = ?
"""
PROJECTIONS = "SELECT 'projection ' || name, query FROM system.projections WHERE database = ? AND table = ?"
VIEWS = """
SELECT 'view ' || name, create_table_query
FROM system.tables
WHERE engine LIKE '%View' AND position(create_table_query, ?) > 0
"""


def read(database: Database, table: str) -> Table | None:
    """What the system tables tell."""
    *schema, name = Reader(table, "clickhouse").name() or (table,)
    found = database.query(TABLE, (schema[-1] if schema else unquote(database.home()), name))
    if not found:
        return None
    place, engine = found[0][:2], str(found[0][2])
    keys = zip(("the sorting key", "the partition key", "the sampling key"), found[0][3:], strict=True)
    rows = database.query(COLUMNS, place)
    texts = [
        *keys,
        *database.query(INDEXES, place),
        *database.query(PROJECTIONS, place),
        *database.query(VIEWS, (name,)),
        *((f"column {other}", expression) for other, _, _, expression in rows),
    ]
    columns = {}
    for column, type_, kind, expression in rows:
        made = [f"its own definition: {kind} {expression}"] if kind not in ("", "DEFAULT") else []
        uses = [what for what, text in texts if column in _words(str(text)) and what != f"column {column}"]
        nullable = bool(re.match(r"(LowCardinality\()?Nullable\(", str(type_)))
        columns[str(column)] = Column(
            name=quoted(str(column)),
            type=str(type_),
            nullable=nullable,
            default=str(expression) if kind == "DEFAULT" else "",
            used_by=(*made, *uses),
        )
    unfit = "" if "MergeTree" in engine else f"its engine is {engine}"
    return Table(table, columns, (), (), unfit)


def quoted(name: str) -> str:
    """A name as SQL spells it: quoted unless it is plain."""
    return spell(("", name))


def _words(text: str) -> set[str]:
    return {unquote(t.text, "clickhouse") for t in tokens(text, "clickhouse") if t.kind in (Kind.WORD, Kind.QUOTED)}
