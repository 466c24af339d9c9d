"""INSERT that is exact in spite of kill -9.

A killed INSERT SELECT leaves the blocks it had written, so it can never be repeated blindly, and count() can't tell
(measured: exactly right while as many rows were lost as doubled). So the way back is chosen before it starts and kept
in the journal, by what is true of the target:

- `restart`: the script made the table itself, it is empty and no view feeds it. What a dead run left is removed.
- `swap`: nobody else writes to the target. The rows go into a clone (hard links), which then changes places with it
  in one atomic step; the clone's UUID, chosen beforehand, tells whether that happened.
- `key`: the script names columns that make its rows unique. Rows whose key the target has already are left out.
- `none`: it is not known who else writes. Only the server's log, or tables that did not change, settle it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse import catalog
from stepwell.databases.clickhouse.catalog import NO_UUID, Names
from stepwell.databases.clickhouse.names import Name, literal, pair, quote, spell
from stepwell.databases.clickhouse.statement import Statement
from stepwell.databases.database import Command, Evidence, Finding, Outcome
from stepwell.errors import Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

ONE_OF_MANY = {"max_threads": "1", "max_block_size": "1048576", "preferred_block_size_bytes": "0"}
"""For an INSERT of a job's batch. It reads blocks of up to a million rows, which become parts without being put
together first: two such at once are as quick as one with all threads, at less than half of its memory (measured)."""

CLONE = "__stepwell_clone"
"""What is added to a table's name for the clone that takes its place."""


def gather(database: ClickhouseDatabase, command: Command, statement: Statement) -> Evidence:
    """Choose the way back, and read what it needs. Raises Refused for a key that can't tell rows apart."""
    table = database.qualified(statement.names[0])
    way = _way(database, command, statement, table)
    if way == "swap":
        return {"way": way, "clone": str(uuid.uuid4()), "contents": catalog.contents(database, [table])}
    if way == "key":
        _key(database, command, statement, table)
    if way == "none":
        touched = [table, *catalog.fed_by(database, table)]
        return {"way": way, "contents": catalog.contents(database, touched)}
    return {"way": way}


def _way(database: ClickhouseDatabase, command: Command, statement: Statement, table: Name) -> str:
    found = database.query(
        f"""
        SELECT engine, toString(uuid), dependencies_table
        FROM system.tables
        WHERE (database, name) = {pair(table)}
        """
    )
    if not found:
        return "none"
    engine, identity, readers = found[0]
    if readers or not str(engine).endswith("MergeTree"):
        return "none"  # the rows also go into views, or elsewhere; what arrived there can't be taken back
    own = spell(table) in command.own
    if (own or command.sole_writer) and not catalog.fed_from_elsewhere(database, table):
        if own and not catalog.parts(database, table):
            return "restart"
        if not database.cluster and not str(engine).startswith("Replicated") and identity != NO_UUID:
            return "swap"
    return "key" if command.key and statement.source else "none"


def run(database: ClickhouseDatabase, command: Command, statement: Statement, evidence: Evidence) -> None:
    """Run the INSERT in the way that was chosen."""
    table = database.qualified(statement.names[0])
    if evidence.get("way") == "swap":
        _swap(database, command, statement, table, str(evidence["clone"]))
    elif evidence.get("way") == "key" and catalog.parts(database, table):
        database.send(_only_new(database, command, statement, table), command)
    else:
        database.send(command.text, command)


def settle(
    database: ClickhouseDatabase,
    command: Command,
    statement: Statement,
    evidence: Evidence,
    names: Names,
    finished: bool,
) -> Finding:
    """What an INSERT left that runs no more, by the way that was chosen for it. `finished`: the log says it did."""
    table = database.qualified(statement.names[0])
    before, now, way = dict(evidence.get("names") or {}).get(spell(table)), names[spell(table)], evidence.get("way")
    if now is None and before is None:
        return Finding(Outcome.NOT_DONE, f"there is no {spell(table)}")
    if now is None or before is None:
        return Finding(Outcome.UNKNOWN, f"{spell(table)} is another table than when it began")
    if way == "swap":
        return _settle_swap(database, table, before[0], now[0], evidence, finished)
    if now[0] != before[0]:
        return Finding(Outcome.UNKNOWN, f"{spell(table)} is another table than when it began")
    if way == "restart":
        return _settle_restart(database, table)
    if way == "key":
        return _settle_key(database, command, statement, table)
    return _settle_unguarded(database, table, evidence)


# --- restart --------------------------------------------------------------------------------------------------


def _settle_restart(database: ClickhouseDatabase, table: Name) -> Finding:
    rows = database.query(f"SELECT count() FROM {quote(*table)}")[0][0]
    if not rows:
        return Finding(Outcome.NOT_DONE, f"{spell(table)} is empty")
    database.query(f"TRUNCATE TABLE {quote(*table)} SYNC SETTINGS max_table_size_to_drop = 0")
    return Finding(Outcome.NOT_DONE, f"{rows} rows of it in {spell(table)} were removed, to be inserted again")


# --- swap -----------------------------------------------------------------------------------------------------


def _swap(database: ClickhouseDatabase, command: Command, statement: Statement, table: Name, identity: str) -> None:
    clone = (table[0], table[1] + CLONE)
    catalog.drop(database, clone)
    database.query(f"CREATE TABLE {quote(*clone)} UUID {literal(identity)} CLONE AS {quote(*table)}")
    start, end = statement.span
    database.send(command.text[:start] + quote(*clone) + command.text[end:], command)
    database.query(f"EXCHANGE TABLES {quote(*table)} AND {quote(*clone)}")
    catalog.drop(database, clone)


def _settle_swap(
    database: ClickhouseDatabase, table: Name, before: str, now: str, evidence: Evidence, finished: bool
) -> Finding:
    clone = (table[0], table[1] + CLONE)
    if now == before and finished and _exchange_late(database, table, clone, evidence):
        return Finding(Outcome.DONE, f"the clone was complete, and has taken the place of {spell(table)} now")
    if now == before:
        catalog.drop(database, clone)
        return Finding(Outcome.NOT_DONE, f"{spell(table)} is as it was; an unfinished clone was removed")
    if now == evidence.get("clone"):
        catalog.drop(database, clone)
        return Finding(Outcome.DONE, f"the clone with the new rows has taken the place of {spell(table)}")
    return Finding(Outcome.UNKNOWN, f"{spell(table)} is another table than when it began, and not the clone of it")


def _exchange_late(database: ClickhouseDatabase, table: Name, clone: Name, evidence: Evidence) -> bool:
    """Swap with a clone that is complete, unless somebody has written to the table since it was made."""
    made = database.query(f"SELECT toString(uuid) FROM system.tables WHERE (database, name) = {pair(clone)}")
    if made != [(evidence.get("clone"),)] or catalog.contents(database, [table]) != evidence.get("contents"):
        return False
    database.query(f"EXCHANGE TABLES {quote(*table)} AND {quote(*clone)}")
    catalog.drop(database, clone)
    return True


# --- key ------------------------------------------------------------------------------------------------------


def _only_new(database: ClickhouseDatabase, command: Command, statement: Statement, table: Name) -> str:
    """The INSERT without the rows whose key the target has already.

    The inner IN keeps the set of known keys at the size of the source, however large the target is.
    """
    ours, theirs = _key(database, command, statement, table)
    return f"""{statement.head}
SELECT * FROM (
{statement.source}
)
WHERE ({ours}) NOT IN (
  SELECT {theirs} FROM {quote(*table)} WHERE ({theirs}) IN (SELECT {ours} FROM (
{statement.source}
  ))
)"""


def _key(database: ClickhouseDatabase, command: Command, statement: Statement, table: Name) -> tuple[str, str]:
    """The key as expressions over the SELECT's columns and over the target's, which compare as stored.

    Raises Refused where it can't tell rows apart.
    """
    given = _described(database, statement.source)
    stored = _described(database, f"SELECT {statement.columns} FROM {quote(*table)}")
    if len(given) != len(stored):
        raise Refused(f"the SELECT has {len(given)} columns, and the INSERT takes {len(stored)}")
    ours, theirs = [], []
    for column in command.key:
        place = next((place for place, (name, _) in enumerate(stored) if name == column), None)
        if place is None:
            names = ", ".join(name for name, _ in stored)
            raise Refused(f"the key column {column!r} is not among the columns of the INSERT ({names})")
        ours += _comparable(*given[place], stored[place][1])
        theirs += _comparable(*stored[place], stored[place][1])
    return ", ".join(ours), ", ".join(theirs)


def _described(database: ClickhouseDatabase, select: str) -> list[tuple[str, str]]:
    """The names and types of a query's columns."""
    return [(str(row[0]), str(row[1])) for row in database.select(f"DESCRIBE (\n{select}\n)")]


def _comparable(column: str, its: str, stored: str) -> list[str]:
    """A column as it will be stored, without NULL, which IN takes for unknown."""
    nullable = [type.startswith(("Nullable(", "LowCardinality(Nullable(")) for type in (its, stored)]
    if nullable == [True, False]:
        raise Refused(f"the key column {column!r} may be NULL in the SELECT, but not in the table: wrap it in ifNull")
    value = quote(column) if its == stored else f"CAST({quote(column)}, {literal(stored)})"
    return [f"isNull({value})", f"ifNull(toString({value}), '')"] if nullable[1] else [value]


def _settle_key(database: ClickhouseDatabase, command: Command, statement: Statement, table: Name) -> Finding:
    ours, _ = _key(database, command, statement, table)
    rows, keys = database.select(f"SELECT count(), uniqExact({ours}) FROM (\n{statement.source}\n)")[0]
    if rows != keys:
        return Finding(
            Outcome.UNKNOWN,
            f"its rows are not unique by the key ({', '.join(command.key)}): {rows} rows, {keys} keys",
        )
    return Finding(Outcome.NOT_DONE, "the rows that are missing will be found by their key")


# --- none -----------------------------------------------------------------------------------------------------


def _settle_unguarded(database: ClickhouseDatabase, table: Name, evidence: Evidence) -> Finding:
    touched = [table, *catalog.fed_by(database, table)]
    if catalog.contents(database, touched) == evidence.get("contents") is not None:
        return Finding(Outcome.NOT_DONE, f"{spell(table)} has not changed since")
    return Finding(
        Outcome.UNKNOWN,
        f"{spell(table)} has changed since, by this INSERT or by others, and nothing tells their rows apart.\n"
        "Next time say in the script's front matter which columns make its rows unique (`-- key: a, b`),\n"
        "or that nobody else writes there meanwhile (`-- writers: none`): then it settles itself.",
    )
