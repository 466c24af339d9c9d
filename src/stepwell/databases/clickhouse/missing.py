"""How much of a table's groups another table has, told by checksums: rows are read once, and none is looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from stepwell.databases.clickhouse.checksums import REPLACING
from stepwell.databases.clickhouse.names import parse
from stepwell.databases.database import Database

IN_ORDER = "SETTINGS optimize_aggregation_in_order = 1"
"""Groups that the sorting key begins with are then gone through one by one, which takes a tenth of the time."""


class There(Enum):
    """How much of a group the other table has."""

    NOTHING = 0
    ALL = 1
    SOME = 2
    """Or all of it, and more: only its rows can tell."""


Comparison = Callable[[str, str, tuple[Any, ...]], dict[tuple[Any, ...], There]]
"""Takes conditions of both tables, and their parameters; gives what is there of each group that ours has."""


def comparison(database: Database, ours: str, theirs: str, columns: Sequence[str], key: str) -> Comparison:
    """Compare the groups of two tables, rows with the same values of `columns`, by the `key` that both know a row by.

    Two groups have the same keys where the sums of their keys' 64-bit hashes are the same. An engine that replaces rows
    may have a key several times: it counts once then.
    """
    by = ", ".join(columns)
    once = "DISTINCT " if any(_replaces(database, table) for table in (ours, theirs)) else ""
    # Numbers of two types may have one hash and not be equal.
    summary = f"1 AS found, sum({once}cityHash64({key})) AS checksum, any(toTypeName(({key}))) AS type"

    def compare(where: str, other: str, parameters: tuple[Any, ...]) -> dict[tuple[Any, ...], There]:
        rows = database.query(
            f"""
            SELECT
                {by},
                multiIf(
                    NOT theirs.found, {There.NOTHING.value},
                    (ours.checksum, ours.type) = (theirs.checksum, theirs.type), {There.ALL.value},
                    {There.SOME.value}) AS there
            FROM (SELECT {by}, {summary} FROM {ours} WHERE {where} GROUP BY {by}) AS ours
            LEFT JOIN (SELECT {by}, {summary} FROM {theirs} WHERE {other} GROUP BY {by}) AS theirs
            USING ({by})
            {IN_ORDER}, join_use_nulls = 0
            """,
            parameters,
        )
        return {tuple(values): There(there) for *values, there in rows}

    return compare


def _replaces(database: Database, table: str) -> bool:
    """Whether a table may have a row several times until its parts are merged."""
    home, name = parse(table.removesuffix(" FINAL"))
    found = database.query(
        f"""
        SELECT 1
        FROM system.tables
        WHERE database = if(? = '', currentDatabase(), ?) AND name = ? AND match(engine, '{"|".join(REPLACING)}')
        """,
        (home, home, name),
    )
    return bool(found)
