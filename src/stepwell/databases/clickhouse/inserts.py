"""INSERT that is exact in spite of kill -9.

A killed INSERT SELECT leaves the blocks it had written, so it can never be repeated blindly, and count() can't tell
(measured: exactly right while as many rows were lost as doubled). So the way back is chosen before it starts and kept
in the journal, by what is true of the target:

- `restart`: the script made the table itself, it is empty and no view feeds it. What a dead run left is removed.
- `swap`: nobody else writes to the target. The rows go into a clone (hard links), which then changes places with it
  in one atomic step; the target's UUID tells whether that happened.
- `key`: the script names columns that make its rows unique. Rows whose key the target has already are left out.
- `none`: it is not known who else writes. Only the server's log, or parts that did not change, settle it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse import evidence as evidences
from stepwell.databases.clickhouse.statement import Statement, quote
from stepwell.databases.database import Command, Evidence, Finding, Outcome

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

CLONE = "__stepwell_clone"
"""What is added to a table's name for the clone that takes its place."""


def gather(database: ClickhouseDatabase, command: Command, statement: Statement) -> Evidence:
    """Choose the way back, and read what it needs."""
    table = database.qualified(statement.names[0])
    way = _way(database, command, statement, table)
    return {"way": way} | ({"parts": evidences.parts(database, table)} if way == "none" else {})


def _way(database: ClickhouseDatabase, command: Command, statement: Statement, table: str) -> str:
    found = database.query(
        f"""
        SELECT engine, dependencies_table FROM system.tables
        WHERE (database, name) = {evidences._pair(table)}
        """
    )
    if not found or not str(found[0][0]).endswith("MergeTree"):
        return "none"
    engine, readers = str(found[0][0]), found[0][1]
    if readers:
        return "none"  # the rows also go into views; what arrived there can't be taken back
    alone = command.sole_writer or table in command.own
    if alone and not _feeders(database, table):
        if table in command.own and not evidences.parts(database, table):
            return "restart"
        if not database.cluster and not engine.startswith("Replicated"):
            return "swap"
    return "key" if command.key and statement.source_at is not None else "none"


def _feeders(database: ClickhouseDatabase, table: str) -> list[str]:
    """The materialized views that write into a table."""
    views = database.query(
        "SELECT concat(database, '.', name), create_table_query FROM system.tables WHERE engine = 'MaterializedView'"
    )
    target = re.compile(
        r"\bTO " + r"\.".join(f"`?{re.escape(part)}`?" for part in table.split(".", 1)) + r"[\s(]"
    )
    return [str(name) for name, definition in views if target.search(str(definition))]


def run(database: ClickhouseDatabase, command: Command, statement: Statement, evidence: Evidence) -> None:
    """Run the INSERT in the way that was chosen."""
    table = database.qualified(statement.names[0])
    if evidence.get("way") == "swap":
        _swap(database, command, statement, table)
    elif evidence.get("way") == "key" and evidences.parts(database, table):
        database.send(_only_new(database, command, statement, table), command)
    else:
        database.send(command.text, command)


def _swap(database: ClickhouseDatabase, command: Command, statement: Statement, table: str) -> None:
    source = quote(*table.split(".", 1))
    clone = quote(*(table + CLONE).split(".", 1))
    database.query(f"DROP TABLE IF EXISTS {clone} SYNC")
    database.query(f"CREATE TABLE {clone} CLONE AS {source}")
    start, end = statement.name_span
    database.send(command.text[:start] + clone + command.text[end:], command)
    database.query(f"EXCHANGE TABLES {source} AND {clone}")
    database.query(f"DROP TABLE {clone} SYNC")


def _only_new(database: ClickhouseDatabase, command: Command, statement: Statement, table: str) -> str:
    """The INSERT without the rows whose key the target has already.

    The inner IN keeps the set of known keys at the size of the source, however large the target is.
    """
    assert statement.source_at is not None
    head, source = command.text[: statement.source_at], command.text[statement.source_at :]
    target = quote(*table.split(".", 1))
    ours, theirs = _key_columns(database, command, statement, table)
    return f"""{head}
SELECT * FROM (
{source}
)
WHERE ({ours}) NOT IN (
  SELECT {theirs} FROM {target} WHERE ({theirs}) IN (SELECT {ours} FROM (
{source}
  ))
)"""


def _key_columns(
    database: ClickhouseDatabase, command: Command, statement: Statement, table: str
) -> tuple[str, str]:
    """The key as the SELECT's output names it, and as the target does."""
    source = command.text[statement.source_at :]
    output = [str(row[0]) for row in database.query(f"DESCRIBE (\n{source}\n)")]
    columns = statement.columns or tuple(database.columns(table))
    places = [columns.index(column) for column in command.key]
    return ", ".join(quote(output[place]) for place in places), ", ".join(
        quote(column) for column in command.key
    )


def settle(
    database: ClickhouseDatabase, command: Command, statement: Statement, evidence: Evidence, finished: bool
) -> Finding:
    """What an INSERT left that runs no more, by the way that was chosen for it. `finished`: the log says it did."""
    table = database.qualified(statement.names[0])
    before = dict(evidence.get("names") or {}).get(table)
    now = evidences.look_up(database, statement)[table]
    way = evidence.get("way")
    if way == "swap":
        return _settle_swap(database, table, before, now, finished)
    if now is None or before is None or now[0] != before[0]:
        return Finding(Outcome.UNKNOWN, f"{table} is another table than when it began")
    if way == "restart":
        rows = database.query(f"SELECT count() FROM {quote(*table.split('.', 1))}")[0][0]
        if rows:
            database.query(
                f"TRUNCATE TABLE {quote(*table.split('.', 1))} SYNC SETTINGS max_table_size_to_drop = 0"
            )
            return Finding(
                Outcome.NOT_DONE, f"{rows} rows of it in {table} were removed, to be inserted again"
            )
        return Finding(Outcome.NOT_DONE, f"{table} is empty")
    if way == "key":
        return _settle_key(database, command, statement, table)
    if evidences.parts(database, table) == evidence.get("parts"):
        return Finding(Outcome.NOT_DONE, f"{table} has not changed since")
    return Finding(
        Outcome.UNKNOWN,
        f"{table} has changed since, by this INSERT or by others, and nothing tells their rows apart.\n"
        "Next time say in the script's front matter which columns make its rows unique (`-- key: a, b`),\n"
        "or that nobody else writes there meanwhile (`-- writers: none`): then it settles itself.",
    )


def _settle_swap(
    database: ClickhouseDatabase,
    table: str,
    before: list[str] | None,
    now: list[str] | None,
    finished: bool,
) -> Finding:
    clone = table + CLONE
    if before is None or now is None:
        return Finding(Outcome.UNKNOWN, f"{table} is gone")
    there = database.query(
        f"SELECT toString(uuid) FROM system.tables WHERE (database, name) = {evidences._pair(clone)}"
    )
    if now[0] == before[0]:
        if finished and there:
            database.query(f"EXCHANGE TABLES {quote(*table.split('.', 1))} AND {quote(*clone.split('.', 1))}")
        database.query(f"DROP TABLE IF EXISTS {quote(*clone.split('.', 1))} SYNC")
        if finished and there:
            return Finding(Outcome.DONE, f"the clone was complete, and has taken the place of {table} now")
        return Finding(Outcome.NOT_DONE, f"{table} is as it was; the unfinished clone was removed")
    if there and there[0][0] != before[0]:
        return Finding(Outcome.UNKNOWN, f"{table} is another table than when it began, and so is {clone}")
    database.query(f"DROP TABLE IF EXISTS {quote(*clone.split('.', 1))} SYNC")
    return Finding(Outcome.DONE, f"the clone with the new rows has taken the place of {table}")


def _settle_key(database: ClickhouseDatabase, command: Command, statement: Statement, table: str) -> Finding:
    ours, _ = _key_columns(database, command, statement, table)
    source = command.text[statement.source_at :]
    rows, keys = database.query(f"SELECT count(), uniqExact({ours}) FROM (\n{source}\n)")[0]
    if rows != keys:
        return Finding(
            Outcome.UNKNOWN,
            f"its rows are not unique by the key ({', '.join(command.key)}): {rows} rows, {keys} keys",
        )
    return Finding(Outcome.NOT_DONE, "the rows that are missing will be found by their key")
