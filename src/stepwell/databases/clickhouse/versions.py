"""Changing rows of a ReplacingMergeTree: each is added again, whole, with a newer version.

A writer must not lose a change that it makes meanwhile. So the new version is dated first, then the inserts that are
under way are waited for, and only then the rows are read: what a writer dated before us is read, and what it dates
after us is newer than ours.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stepwell.databases.clickhouse.names import literal, pair, parse, quote
from stepwell.errors import LockTimeout, Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

PATIENCE = 30.0
"""Seconds to wait for the inserts that were under way."""

POLL = 0.01

# In a cluster the engine has a path and a replica's name before the version column.
_REPLACING = re.compile(r"\w*ReplacingMergeTree\((?:'[^']*', '[^']*',? ?)?(\w+)")
_MOMENT = re.compile(r"DateTime64\((\d)")


def put(
    database: ClickhouseDatabase, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any]
) -> None:
    """Add the newest version of the rows that a condition finds again, with these values, dated now.

    Raises Refused where the table's engine keeps no versions, LockTimeout where others go on inserting.
    """
    name = database.qualified(parse(table))
    engines = database.query(f"SELECT engine_full FROM system.tables WHERE (database, name) = {pair(name)}")
    found = _REPLACING.match(str(engines[0][0])) if engines else None
    if not found:
        raise Refused(f"rows of {table} can't be changed: its engine is no ReplacingMergeTree with a version column")
    version = found[1]
    types = {
        str(column): str(kind)
        for column, kind in database.query(
            f"""
            SELECT name, type
            FROM system.columns
            WHERE (database, table) = {pair(name)} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
            ORDER BY position
            """
        )
    }
    put_there = {column: value for column, value in values.items() if column != version}
    newer = _newer(database, version, types[version])
    _let_inserts_end(database, name[1])
    written = dict.fromkeys(put_there, "?") | {version: newer}
    selected = ", ".join(written.get(column, quote(column)) for column in types)
    bound = [put_there[column] for column in types if column in put_there]
    database.query(
        f"""
        INSERT INTO {quote(*name)} ({", ".join(map(quote, types))})
        SELECT {selected}
        FROM {quote(*name)} FINAL
        WHERE {where}
        """,
        (*bound, *parameters),
    )


def _newer(database: ClickhouseDatabase, version: str, kind: str) -> str:
    """SQL for a version of now, or the next one where a row is from a clock ahead of the server's."""
    [(now,)] = database.query("SELECT toString(now64(9, 'UTC'))")
    if precision := _MOMENT.match(kind):
        step = 10 ** (9 - int(precision[1]))
        return f"greatest(toDateTime64({literal(now)}, 9, 'UTC'), addNanoseconds({quote(version)}, {step}))"
    if kind.startswith("DateTime"):
        return f"greatest(toDateTime({literal(now[:19])}, 'UTC'), addSeconds({quote(version)}, 1))"
    return f"{quote(version)} + 1"


def _let_inserts_end(database: ClickhouseDatabase, table: str) -> None:
    """Wait until no insert into the table is under way that is at work now."""
    asked = time.monotonic()
    while True:
        waited = time.monotonic() - asked
        [(at_work,)] = database.query(
            f"""
            SELECT countIf(elapsed >= {waited})
            FROM {database.everywhere("processes")}
            WHERE query_kind = 'Insert' AND position(query, {literal(table)}) > 0
            """
        )
        if not at_work:
            return
        if waited > PATIENCE:
            raise LockTimeout(f"an insert into {table} has been under way for more than {PATIENCE:.0f} s")
        time.sleep(POLL)
