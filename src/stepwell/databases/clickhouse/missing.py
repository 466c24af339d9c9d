"""How much of a table's groups another table has, told by checksums: rows are read once, and none is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepwell.databases.clickhouse.checksums import REPLACING
from stepwell.databases.clickhouse.names import Name, pair, parse
from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote
from stepwell.errors import Denied

IN_ORDER = "SETTINGS optimize_aggregation_in_order = 1"
"""Groups that the sorting key begins with are then gone through one by one, which takes a tenth of the time."""


class There(Enum):
    """How much of a group the other table has."""

    NOTHING = 0
    ALL = 1
    SOME = 2
    """Or all of it, and more: only its rows can tell."""


Where = tuple[str, tuple[Any, ...]]
"""A condition of a table's rows, and its parameters."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tables, the `columns` of which the rows of a group have the same values, and the `key` both know a row by.

    Two groups have the same keys where the sums of their keys' 64-bit hashes are the same. `replacing` ones may have a
    key several times: it counts once then.
    """

    database: Database
    ours: str
    theirs: str
    columns: Sequence[str]
    key: str
    replacing: bool

    def whole(self, ours: Where, theirs: Where) -> There:
        """How much is there of all groups together. Of each table a few rows are held at a time, however many it has.

        Keys that count once have to be held, so it never says ALL of a table that replaces rows.
        """
        if not self.database.query(f"SELECT 1 FROM {self.theirs} WHERE {theirs[0]} LIMIT 1", theirs[1]):
            return There.NOTHING
        if self.replacing:
            return There.SOME
        by = ", ".join(self.columns)
        # Numbers of two types may have one hash and not be equal.
        summary = f"{by}, sum(cityHash64({self.key})) AS checksum, any(toTypeName(({by}, {self.key}))) AS type"
        group = f"cityHash64({by}, checksum, type)"
        same = self.database.query(
            f"""
            SELECT
                (SELECT sum({group}) FROM (SELECT {summary} FROM {self.ours} WHERE {ours[0]} GROUP BY {by}))
                = (SELECT sum({group}) FROM (SELECT {summary} FROM {self.theirs} WHERE {theirs[0]} GROUP BY {by}))
            {IN_ORDER}
            """,
            (*ours[1], *theirs[1]),
        )
        return There.ALL if same == [(1,)] else There.SOME

    def by_group(self, ours: Where, theirs: Where) -> dict[tuple[Any, ...], There]:
        """How much is there of each group that ours has."""
        by, once = ", ".join(self.columns), "DISTINCT " if self.replacing else ""
        summary = f"sum({once}cityHash64({self.key})) AS checksum, any(toTypeName(({self.key}))) AS type"
        rows = self.database.query(
            f"""
            SELECT
                {by},
                multiIf(
                    NOT theirs.found, {There.NOTHING.value},
                    (ours.checksum, ours.type) = (theirs.checksum, theirs.type), {There.ALL.value},
                    {There.SOME.value}) AS there
            FROM (SELECT {by}, {summary} FROM {self.ours} WHERE {ours[0]} GROUP BY {by}) AS ours
            LEFT JOIN (SELECT {by}, 1 AS found, {summary} FROM {self.theirs} WHERE {theirs[0]} GROUP BY {by}) AS theirs
            USING ({by})
            {IN_ORDER}, join_use_nulls = 0
            """,
            (*ours[1], *theirs[1]),
        )
        return {tuple(values): There(there) for *values, there in rows}


def comparison(database: Database, ours: str, theirs: str, columns: Sequence[str], key: str) -> Comparison:
    """Compare two tables, whatever their engines are."""
    return Comparison(database, ours, theirs, columns, key, _replace(database, ours, theirs))


Fingerprint = tuple[tuple[Any, ...], ...]
"""What tables and their parts tell of their rows."""


def fingerprint(database: Database, *tables: str) -> Fingerprint:
    """What changes whenever rows of these tables come, go or change; empty where the server does not tell.

    No part is ever written to. A new one has a higher block number than all before it, and one that is mutated has the
    mutation's number, which is above that of its first block. To merge parts as they are changes neither; where that
    replaces rows, they become fewer. Of replicated tables a lower block may come late, so they have none.
    """
    named = ", ".join(pair(_place(database, table)) for table in tables)
    try:
        rows = database.query(
            f"""
            SELECT
                database, name, toString(uuid), cityHash64(create_table_query),
                partition_id, row_count, block, mutated
            FROM system.tables
            LEFT JOIN (
                SELECT
                    database, table AS name, partition_id,
                    sum(rows) AS row_count, max(max_block_number) AS block,
                    sumIf(rows * data_version, data_version > min_block_number) AS mutated
                FROM system.parts
                WHERE active AND (database, table) IN ({named})
                GROUP BY database, name, partition_id
            ) AS parts
            USING (database, name)
            WHERE (database, name) IN ({named})
              AND endsWith(engine, 'MergeTree') AND NOT match(engine, '^(Replicated|Shared)')
            ORDER BY ALL
            """
        )
    except Denied:  # who may read the tables need not be let into system.parts
        return ()
    return tuple(rows) if len({row[:2] for row in rows}) == len(tables) else ()


def _replace(database: Database, *tables: str) -> bool:
    """Whether one of these tables may have a row several times until its parts are merged."""
    named = ", ".join(pair(_place(database, table)) for table in tables)
    found = database.query(
        f"""
        SELECT 1
        FROM system.tables
        WHERE (database, name) IN ({named}) AND match(engine, '{"|".join(REPLACING)}')
        LIMIT 1
        """
    )
    return bool(found)


def _place(database: Database, table: str) -> Name:
    home, name = parse(table.removesuffix(" FINAL"))
    return home or unquote(database.home()), name
