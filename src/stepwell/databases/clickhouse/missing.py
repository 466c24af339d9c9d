"""How much of a table's groups another table has, told by checksums: rows are read once, and none is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepwell.databases.database import Database


class There(Enum):
    """How much of a group the other table has."""

    NOTHING = 0
    ALL = 1
    SOME = 2
    """Or all of it, and more: only its rows can tell."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table that a condition finds."""

    table: str
    where: str
    parameters: tuple[Any, ...]


def groups(
    database: Database, columns: Sequence[str], key: str, ours: Rows, theirs: Rows, most: int
) -> list[tuple[tuple[Any, ...], int, There]]:
    """The first `most` groups of our rows in their order: values of their columns, number of rows, what theirs have.

    A group is the rows with the same values of `columns`, which both tables have; rows are known by `key`. Two groups
    with as many rows, and the same sum of 64-bit hashes of their keys, have the same keys.
    """
    by = ", ".join(columns)
    # Numbers of two types may have one hash and not be equal.
    summary = f"count() AS row_count, sum(cityHash64({key})) AS checksum, any(toTypeName(({key}))) AS type"
    rows = database.query(
        f"""
        SELECT
            {by},
            ours.row_count,
            multiIf(
                theirs.row_count = 0, {There.NOTHING.value},
                (ours.row_count, ours.checksum, ours.type) = (theirs.row_count, theirs.checksum, theirs.type),
                {There.ALL.value}, {There.SOME.value}) AS there
        FROM (SELECT {by}, {summary} FROM {ours.table} WHERE {ours.where} GROUP BY {by}) AS ours
        LEFT JOIN (SELECT {by}, {summary} FROM {theirs.table} WHERE {theirs.where} GROUP BY {by}) AS theirs
        USING ({by})
        ORDER BY {by}
        LIMIT {most}
        SETTINGS optimize_aggregation_in_order = 1, join_use_nulls = 0
        """,
        (*ours.parameters, *theirs.parameters),
    )
    return [(tuple(values), int(count), There(there)) for *values, count, there in rows]
