"""What the server's system tables tell: objects, the parts that hold rows, views, mutations, how a statement ended."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse.names import Name, literal, pair, quote, spell
from stepwell.databases.clickhouse.statement import Statement
from stepwell.databases.lexing import Reader
from stepwell.errors import Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

Names = dict[str, list[str] | None]
"""Objects by name: [uuid, definition], or None for one that is not there."""

NO_UUID = "00000000-0000-0000-0000-000000000000"
"""What stands for the UUID of an object whose database gives it none."""


def objects(database: ClickhouseDatabase, statement: Statement) -> Names:
    """The objects that a statement names, as they are now."""
    wanted = [database.qualified(name, statement.object) for name in statement.names]
    if statement.object == "FUNCTION":
        rows = database.query("SELECT '', name, '', create_query FROM system.functions WHERE origin = 'SQLUserDefined'")
    elif statement.object == "DATABASE":
        rows = database.query("SELECT '', name, toString(uuid), engine_full || comment FROM system.databases")
    else:
        rows = database.query(
            f"""
            SELECT database, name, toString(uuid), create_table_query
            FROM system.tables
            WHERE (database, name) IN ({", ".join(pair(name) for name in wanted)})
            """
        )
    found = {(str(where), str(name)): [str(uuid), str(text)] for where, name, uuid, text in rows}
    return {spell(name): found.get(name) for name in wanted}


def drop(database: ClickhouseDatabase, name: Name, word: str = "TABLE") -> None:
    """Drop a table of Stepwell's own making, of whatever size, if it is there."""
    database.query(f"DROP {word} IF EXISTS {quote(*name)} SYNC SETTINGS max_table_size_to_drop = 0")


def drop_unfinished(database: ClickhouseDatabase, name: Name) -> None:
    """Drop what a dead CREATE … AS SELECT or CREATE OR REPLACE left of `name`.

    ClickHouse fills a table of another name first, and renames it at the end (measured on 26.9): `_tmp_replace_`, a
    hash of database and name, and a word made by chance.
    """
    rows = database.query(
        """
        SELECT name FROM system.tables
        WHERE database = ? AND startsWith(name, concat('_tmp_replace_', lower(hex(sipHash64(concat(?, ?)))), '_'))
        """,
        (name[0], *name),
    )
    for (left,) in rows:
        drop(database, (name[0], str(left)))


# --- rows -----------------------------------------------------------------------------------------------------


def parts(database: ClickhouseDatabase, name: Name) -> list[str]:
    """The names of a table's active parts."""
    rows = database.query(
        f"""
        SELECT name FROM system.parts
        WHERE active AND (database, table) = {pair(name)}
        ORDER BY name
        """
    )
    return [str(row[0]) for row in rows]


def contents(database: ClickhouseDatabase, names: Iterable[Name]) -> list[str] | None:
    """What changes when the rows of these tables do: their parts, or their size where they have no parts.

    None when there is a table whose rows are elsewhere, so that nothing here tells.
    """
    seen: list[str] = []
    for name in names:
        found = database.query(
            f"SELECT engine, total_rows, total_bytes FROM system.tables WHERE (database, name) = {pair(name)}"
        )
        if not found:
            seen.append(f"{spell(name)}: absent")
            continue
        engine, rows, size = found[0]
        if str(engine).endswith("MergeTree"):
            seen += [f"{spell(name)}: {part}" for part in parts(database, name)]
        elif rows is None:
            return None
        else:
            seen.append(f"{spell(name)}: {rows} rows, {size} bytes")
    return seen


# --- materialized views ---------------------------------------------------------------------------------------


def fed_by(database: ClickhouseDatabase, name: Name) -> list[Name]:
    """The tables that materialized views fill with what is inserted into a table, one behind the other."""
    views = database.query(
        f"""
        SELECT database, name, toString(uuid), create_table_query
        FROM system.tables
        WHERE engine = 'MaterializedView' AND (database, name) IN (
          SELECT reader_database, reader
          FROM system.tables
          ARRAY JOIN dependencies_database AS reader_database, dependencies_table AS reader
          WHERE (database, name) = {pair(name)}
        )
        """
    )
    targets = [_target(*map(str, view)) for view in views]
    return targets + [further for target in targets for further in fed_by(database, target)]


def fed_from_elsewhere(database: ClickhouseDatabase, name: Name) -> bool:
    """Whether a materialized view writes into a table."""
    views = database.query(
        """
        SELECT database, name, toString(uuid), create_table_query
        FROM system.tables
        WHERE engine = 'MaterializedView'
        """
    )
    return any(_target(*map(str, view)) == name for view in views)


def _target(database: str, name: str, uuid: str, definition: str) -> Name:
    """The table that a materialized view writes into: the one it names, or its own inner one."""
    reader = Reader(definition, "clickhouse")
    reader.take("CREATE", "MATERIALIZED", "VIEW")
    reader.name()
    if reader.skip_to("TO", "AS", "ENGINE") == "TO":
        reader.next()
        where, target = reader.name()
        return where, target
    return database, f".inner.{name}" if uuid == NO_UUID else f".inner_id.{uuid}"


# --- mutations ------------------------------------------------------------------------------------------------


def mutations(database: ClickhouseDatabase, name: Name, mark: str = "") -> list[tuple[bool, str]]:
    """The mutations of a table with `mark` in their text, but for killed ones: is it done, and what went wrong last."""
    rows = database.query(
        f"""
        SELECT is_done, latest_fail_reason FROM system.mutations
        WHERE (database, table) = {pair(name)}
          AND NOT is_killed
          AND ('' = {literal(mark)} OR position(command, {literal(literal(mark))}) > 0)
        """
    )
    return [(bool(done), str(reason)) for done, reason in rows]


MUTATED = "toUInt64OrZero(splitByChar('_', name)[5])"
"""The number of the mutation that wrote a part, 0 for one as it was inserted: PARTITION_MIN_MAX_LEVEL_MUTATION."""


def last_numbers(database: ClickhouseDatabase, name: Name) -> dict[str, int]:
    """The highest number that a block or a mutation of a table has by now, by partition."""
    rows = database.query(
        f"""
        SELECT partition_id, max(greatest(toUInt64(max_block_number), {MUTATED}))
        FROM system.parts
        WHERE active AND (database, table) = {pair(name)}
        GROUP BY partition_id
        """
    )
    return {str(partition): int(number) for partition, number in rows}


def mutated_since(database: ClickhouseDatabase, name: Name, last: dict[str, int], mark: str) -> int:
    """The parts that mutations wrote since, but for those that the server knows and that lack the mark."""
    known = {
        int(number)
        for (number,) in database.query(
            f"""
            SELECT arrayJoin(`block_numbers.number`) FROM system.mutations
            WHERE (database, table) = {pair(name)} AND position(command, {literal(literal(mark))}) = 0
            """
        )
    }
    rows = database.query(
        f"SELECT partition_id, {MUTATED} FROM system.parts WHERE active AND (database, table) = {pair(name)}"
    )
    return sum(int(number) > last.get(str(partition), 0) and int(number) not in known for partition, number in rows)


# --- the query log --------------------------------------------------------------------------------------------


class End(Enum):
    """How a statement ended that runs no more."""

    FINISHED = "it finished"
    NEVER_BEGAN = "it failed before a row was read"
    BROKE_OFF = "it failed on its way"


@dataclass(frozen=True, slots=True)
class Ending:
    """How the query log says a statement ended: with an error of this code, unless it finished."""

    end: End
    code: int = 0
    said: str = ""


def ending(database: ClickhouseDatabase, tag: str) -> Ending | None:
    """How the statement of this tag ended; None where the log does not know, or there is none to be read."""
    log = database.everywhere("query_log")
    try:
        with suppress(Refused):  # who may not flush can still read, a few seconds later
            database.query("SYSTEM FLUSH LOGS query_log")
        rows = database.query(
            f"""
            SELECT toString(type), exception_code, exception
            FROM {log}
            WHERE query_id = {literal(tag)} OR log_comment = {literal(tag)}
            ORDER BY event_time_microseconds DESC, type DESC
            LIMIT 1
            """
        )
    except Refused:
        return None
    ends = {
        "QueryFinish": End.FINISHED,
        "ExceptionBeforeStart": End.NEVER_BEGAN,
        "ExceptionWhileProcessing": End.BROKE_OFF,
    }
    # Where the newest line says that it started, the server died with it.
    if not rows or rows[0][0] not in ends:
        return None
    return Ending(ends[rows[0][0]], int(rows[0][1]), str(rows[0][2]))
