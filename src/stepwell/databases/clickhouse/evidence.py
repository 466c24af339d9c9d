"""What is read before a statement runs, and what it tells afterwards.

An object is known by its UUID and the digest of its definition: CREATE brings a new UUID, RENAME and EXCHANGE move
it, ALTER changes the definition. A mutation is known by a mark in its condition, rows by the parts that hold them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse import inserts
from stepwell.databases.clickhouse.statement import Kind, Statement, quote, read
from stepwell.databases.database import Command, Evidence, Finding, Outcome
from stepwell.errors import Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

MUTATION_POLL = 0.5
"""Seconds between two looks at a mutation that is not finished."""

Names = dict[str, list[str] | None]
"""Objects by qualified name: [uuid, digest of the definition], or None for one that is not there."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the server's query log says a statement ended."""

    finished: bool
    code: int = 0
    said: str = ""


def gather(database: ClickhouseDatabase, command: Command) -> Evidence:
    """Read what will tell later whether the statement ran, and was it complete."""
    statement = read(command.text)
    seen: Evidence = {"tag": command.tag}
    if statement.kind in (Kind.SETTING, Kind.REPEATABLE, Kind.OPAQUE):
        return seen
    seen["names"] = look_up(database, statement)
    if statement.kind is Kind.INSERT:
        seen |= inserts.gather(database, command, statement)
    if statement.kind in (Kind.TRUNCATE, Kind.PARTS):
        seen["parts"] = parts(database, database.qualified(statement.names[0]))
    return seen


def look_up(database: ClickhouseDatabase, statement: Statement) -> Names:
    """The named objects as they are now."""
    if statement.object == "FUNCTION":
        wanted = [name for _, name in statement.names]
        rows = database.query(
            "SELECT name, '', create_query FROM system.functions WHERE origin = 'SQLUserDefined'"
        )
    elif statement.object == "DATABASE":
        wanted = [name for _, name in statement.names]
        rows = database.query("SELECT name, toString(uuid), engine_full FROM system.databases")
    else:
        wanted = [database.qualified(name) for name in statement.names]
        rows = database.query(
            f"""
            SELECT concat(database, '.', name), toString(uuid), create_table_query
            FROM system.tables
            WHERE (database, name) IN ({", ".join(_pair(name) for name in wanted)})
            """
        )
    found = {str(name): [str(uuid), _digest(str(definition))] for name, uuid, definition in rows}
    return {name: found.get(name) for name in wanted}


def _pair(qualified: str) -> str:
    database, name = qualified.split(".", 1)
    return "('{}', '{}')".format(
        *(part.replace("\\", "\\\\").replace("'", "\\'") for part in (database, name))
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parts(database: ClickhouseDatabase, table: str) -> list[str]:
    """The names of a table's active parts."""
    rows = database.query(
        f"""
        SELECT name FROM system.parts
        WHERE active AND (database, table) = {_pair(table)}
        ORDER BY name
        """
    )
    return [str(row[0]) for row in rows]


def ending(database: ClickhouseDatabase, tag: str) -> Ending | None:
    """How the query log says the statement of this tag ended; None where it does not know, or there is no log."""
    try:
        database.query("SYSTEM FLUSH LOGS")
        rows = database.query(
            """
            SELECT toString(type), exception_code, exception
            FROM system.query_log
            WHERE (query_id = ? OR log_comment = ?) AND type != 'QueryStart'
            ORDER BY event_time_microseconds DESC
            LIMIT 1
            """,
            (tag, tag),
        )
    except Refused:
        return None
    if not rows:
        return None
    kind, code, said = rows[0]
    return Ending(kind == "QueryFinish", int(code), str(said))


def settle(database: ClickhouseDatabase, command: Command, evidence: Evidence) -> Finding:
    """What became of a statement that runs no more; what it left half done is finished or removed."""
    statement, before = read(command.text), dict(evidence.get("names") or {})
    tag = str(evidence.get("tag", ""))
    end = ending(database, tag) if tag else None
    finished = end is not None and end.finished
    # What finished of a `swap` is the INSERT into the clone; what counts there is the exchange behind it.
    if finished and statement.kind is not Kind.MUTATION and evidence.get("way") != "swap":
        return Finding(Outcome.DONE, "the server's query log says that it finished")
    if statement.kind in (Kind.REPEATABLE, Kind.SETTING):
        return Finding(Outcome.NOT_DONE, "it is harmless to repeat")
    if statement.kind is Kind.MUTATION:
        return _settle_mutation(database, statement, tag)
    if statement.kind is Kind.INSERT:
        return inserts.settle(database, command, statement, evidence, finished)
    if statement.kind is Kind.TRUNCATE:
        return _settle_truncate(database, statement, evidence)
    if statement.kind is Kind.PARTS:
        unchanged = parts(database, database.qualified(statement.names[0])) == evidence.get("parts")
        if unchanged:
            return Finding(Outcome.NOT_DONE, "the table's parts are as they were")
        return Finding(
            Outcome.UNKNOWN, "the table's parts have changed since, by this statement or by others"
        )
    if statement.kind is Kind.OPAQUE:
        return Finding(Outcome.UNKNOWN, "neither the server's log nor its catalog tells of such a statement")
    now = look_up(database, statement)
    settle_kind = {
        Kind.CREATE: _settle_create,
        Kind.CREATE_FILLED: _settle_create_filled,
        Kind.DROP: _settle_drop,
        Kind.RENAME: _settle_rename,
        Kind.EXCHANGE: _settle_exchange,
        Kind.ALTER: _settle_alter,
    }[statement.kind]
    return settle_kind(database, statement, before, now)


def _settle_create(_database: ClickhouseDatabase, statement: Statement, before: Names, now: Names) -> Finding:
    (name,) = now
    if now[name] is None:
        return Finding(Outcome.NOT_DONE, f"{name} does not exist")
    if before.get(name) is None:
        return Finding(Outcome.DONE, f"{name} exists, which it did not before")
    if statement.replaces and now[name] != before[name]:
        return Finding(Outcome.DONE, f"{name} has been replaced")
    return Finding(Outcome.NOT_DONE, f"nothing changed: {name} is as it was before")


def _settle_create_filled(
    database: ClickhouseDatabase, statement: Statement, before: Names, now: Names
) -> Finding:
    (name,) = now
    if before.get(name) is None and now[name] is not None:
        word = "VIEW" if statement.object == "VIEW" else "TABLE"
        database.query(f"DROP {word} {quote(*name.split('.', 1))} SYNC")
        return Finding(
            Outcome.NOT_DONE, f"{name} may have been filled in part; it was dropped, to be made again"
        )
    return _settle_create(database, statement, before, now)


def _settle_drop(database: ClickhouseDatabase, statement: Statement, before: Names, now: Names) -> Finding:
    left = [name for name in now if now[name] is not None]
    there = [name for name in before if before[name] is not None]
    if there and not left:
        return Finding(Outcome.DONE, f"{_listed(there)} is gone")
    if len(left) == len(there):
        return Finding(
            Outcome.NOT_DONE, f"nothing changed: {_listed(left) or _listed(list(now))} is as it was before"
        )
    for name in left:
        database.query(f"DROP {statement.object} {quote(*name.split('.', 1))} SYNC")
    return Finding(Outcome.DONE, f"some were gone; {_listed(left)} was dropped now")


def _settle_rename(database: ClickhouseDatabase, statement: Statement, before: Names, now: Names) -> Finding:
    """RENAME of several pairs does one after the other: find after how many it stopped, and do the rest."""
    names = list(before)
    spelled = [database.qualified(n) if statement.object != "DATABASE" else n[1] for n in statement.names]
    pairs = list(zip(spelled[::2], spelled[1::2], strict=True))
    state = {name: _uuid(before[name]) for name in names}
    current = {name: _uuid(now[name]) for name in names}
    for done in range(len(pairs) + 1):
        if state == current:
            if done == len(pairs):
                return Finding(
                    Outcome.DONE, f"{_listed([new for _, new in pairs])} holds what had the old name"
                )
            if done == 0:
                return Finding(Outcome.NOT_DONE, "no table has changed its name")
            for old, new in pairs[done:]:
                database.query(
                    f"RENAME {statement.object} {quote(*old.split('.', 1))} TO {quote(*new.split('.', 1))}"
                )
            return Finding(Outcome.DONE, f"{done} of {len(pairs)} were renamed; the rest was done now")
        if done < len(pairs):
            old, new = pairs[done]
            state[new], state[old] = state[old], None
    return Finding(Outcome.UNKNOWN, f"the tables {_listed(names)} are not what any part of it would leave")


def _settle_exchange(
    _database: ClickhouseDatabase, _statement: Statement, before: Names, now: Names
) -> Finding:
    first, second = list(before)[:2]
    was, current = (_uuid(before[first]), _uuid(before[second])), (_uuid(now[first]), _uuid(now[second]))
    if current == was:
        return Finding(Outcome.NOT_DONE, "the two have not changed places")
    if current == was[::-1]:
        return Finding(Outcome.DONE, "the two have changed places")
    return Finding(Outcome.UNKNOWN, f"{first} and {second} are neither as before nor exchanged")


def _settle_alter(database: ClickhouseDatabase, _statement: Statement, before: Names, now: Names) -> Finding:
    (name,) = now
    was, current = before.get(name), now[name]
    if was == current:
        return Finding(Outcome.NOT_DONE, f"the definition of {name} is as it was before")
    if was is None or current is None or was[0] != current[0]:
        return Finding(Outcome.UNKNOWN, f"{name} is another table than before")
    if trouble := _wait_for_mutations(database, name, ""):
        return Finding(Outcome.UNKNOWN, trouble)
    return Finding(Outcome.DONE, f"the definition of {name} has changed")


def _settle_mutation(database: ClickhouseDatabase, statement: Statement, tag: str) -> Finding:
    name = database.qualified(statement.names[0])
    if not _mutations(database, name, tag):
        return Finding(Outcome.NOT_DONE, f"{name} has no mutation with its mark")
    if trouble := _wait_for_mutations(database, name, tag):
        return Finding(Outcome.UNKNOWN, trouble)
    return Finding(Outcome.DONE, "its mutation is finished")


def _mutations(database: ClickhouseDatabase, name: str, mark: str) -> list[tuple[bool, str]]:
    rows = database.query(
        f"""
        SELECT is_done, latest_fail_reason FROM system.mutations
        WHERE (database, table) = {_pair(name)} AND NOT is_killed AND position(command, ?) > 0
        """,
        (mark,),
    )
    return [(bool(done), str(reason)) for done, reason in rows]


def _wait_for_mutations(database: ClickhouseDatabase, name: str, mark: str) -> str:
    """Wait for a table's mutations; returns why one can't finish, or ''."""
    while unfinished := [reason for done, reason in _mutations(database, name, mark) if not done]:
        if reason := next(filter(None, unfinished), ""):
            return f"its mutation of {name} can't finish: {reason[:300]}"
        time.sleep(MUTATION_POLL)
    return ""


def _settle_truncate(database: ClickhouseDatabase, statement: Statement, evidence: Evidence) -> Finding:
    name = database.qualified(statement.names[0])
    before, now = set(evidence.get("parts") or ()), set(parts(database, name))
    if not now:
        return Finding(Outcome.DONE, f"{name} is empty")
    if before <= now:
        return Finding(Outcome.NOT_DONE, f"{name} still has its rows")
    return Finding(Outcome.UNKNOWN, f"{name} has other rows than before, and they may be new")


def _uuid(seen: Sequence[str] | None) -> str | None:
    return None if seen is None else seen[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
