"""What is read before a statement runs, and what it tells afterwards.

An object is known by its UUID and its definition: CREATE brings a new UUID, RENAME and EXCHANGE move it, ALTER
changes the definition. A mutation is known by a mark in its condition, rows by the parts that hold them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse import catalog, inserts, probe
from stepwell.databases.clickhouse.catalog import NO_UUID, End, Names
from stepwell.databases.clickhouse.names import Name, parse, quote, spell
from stepwell.databases.clickhouse.statement import Kind, Statement, read
from stepwell.databases.database import Command, Evidence, Finding, Outcome

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

POLL = 0.5
"""Seconds between two looks at a mutation that is not finished."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A statement that runs no more, and the objects it names: as they were before it, and as they are now."""

    database: ClickhouseDatabase
    command: Command
    statement: Statement
    evidence: Evidence
    before: Names
    now: Names

    @property
    def name(self) -> Name:
        """The one object that the statement is about, or the first."""
        return self.database.qualified(self.statement.names[0], self.statement.object)


def gather(database: ClickhouseDatabase, command: Command) -> Evidence:
    """Read what will tell later whether the statement ran, and was it complete."""
    statement = read(command.text)
    seen: Evidence = {"tag": command.tag}
    if not statement.names:
        return seen
    seen["names"] = catalog.objects(database, statement)
    if statement.kind is Kind.INSERT:
        seen |= inserts.gather(database, command, statement)
    if statement.kind in (Kind.TRUNCATE, Kind.PARTS):
        seen["contents"] = catalog.contents(database, map(database.qualified, statement.names))
    if statement.kind is Kind.MUTATION:
        seen["numbers"] = catalog.last_numbers(database, database.qualified(statement.names[0]))
    return seen


def settle(database: ClickhouseDatabase, command: Command, evidence: Evidence) -> Finding:
    """What became of a statement that runs no more; what it left half done is finished or removed."""
    statement, tag = read(command.text), str(evidence.get("tag", ""))
    ending = catalog.ending(database, tag) if tag else None
    finished = ending is not None and ending.end is End.FINISHED
    # What the log knows of a swap is the INSERT into the clone, and of a mutation that it was submitted.
    if evidence.get("way") != "swap" and statement.kind is not Kind.MUTATION:
        if finished:
            return Finding(Outcome.DONE, "the server's query log says that it finished")
        # Of DDL the log says so even half way through (measured): RENAME of several pairs, the first one done.
        if ending and ending.end is End.NEVER_BEGAN and statement.kind is Kind.INSERT:
            return Finding(Outcome.NOT_DONE, "the server's query log says that it was refused before it began")
    if statement.kind in (Kind.REPEATABLE, Kind.SETTING, Kind.SESSION):
        return Finding(Outcome.NOT_DONE, "it is harmless to repeat")
    if statement.kind is Kind.OPAQUE:
        return Finding(Outcome.UNKNOWN, "neither the server's log nor its catalog tells of such a statement")
    before = dict(evidence.get("names") or {})
    doubt = Doubt(database, command, statement, evidence, before, catalog.objects(database, statement))
    if statement.kind is Kind.INSERT:
        return inserts.settle(database, command, statement, evidence, doubt.now, finished)
    return _SETTLE[statement.kind](doubt)


def _settle_create(doubt: Doubt) -> Finding:
    if doubt.statement.kind is Kind.CREATE_FILLED or doubt.statement.replaces:
        catalog.drop_unfinished(doubt.database, doubt.name)
    name = spell(doubt.name)
    before, now = doubt.before.get(name), doubt.now[name]
    if now is None:
        return Finding(Outcome.NOT_DONE, f"{name} does not exist")
    if now == before:
        return Finding(Outcome.NOT_DONE, f"nothing changed: {name} is as it was before")
    if before is not None and not doubt.statement.replaces:
        return Finding(Outcome.UNKNOWN, f"{name} was there already, and is another one now")
    if probe.agrees(doubt.database, doubt.command, doubt.statement, "", now[1]) is False:
        return Finding(Outcome.UNKNOWN, f"{name} is there now, but it is not what this statement makes")
    if doubt.statement.kind is Kind.CREATE_FILLED and not doubt.statement.replaces:
        catalog.drop(doubt.database, doubt.name, doubt.statement.object)
        return Finding(Outcome.NOT_DONE, f"{name} may have been filled in part; it was dropped, to be made again")
    if before is not None:
        return Finding(Outcome.DONE, f"{name} has been replaced")
    return Finding(Outcome.DONE, f"{name} exists, which it did not before")


def _settle_drop(doubt: Doubt) -> Finding:
    there = [name for name, seen in doubt.before.items() if seen]
    left = [name for name, seen in doubt.now.items() if seen]
    if any(_uuid(doubt.now[name]) != _uuid(doubt.before.get(name)) for name in left):
        return Finding(Outcome.UNKNOWN, f"{_listed(left)} is there, but not the one of before")
    if left == there:
        return Finding(Outcome.NOT_DONE, f"nothing changed: {_listed(left or doubt.now)} is as it was before")
    if left:
        _rest(doubt, ", ".join(quote(*parse(name)) for name in left))
        return Finding(Outcome.DONE, f"some were gone; {_listed(left)} was dropped now")
    return Finding(Outcome.DONE, f"{_listed(there)} is gone")


def _settle_moves(doubt: Doubt) -> Finding:
    """RENAME and EXCHANGE of several pairs do one after the other: find how many were done, and do the rest."""
    names = [doubt.database.qualified(name, doubt.statement.object) for name in doubt.statement.names]
    now = {name: _uuid(seen) for name, seen in doubt.now.items()}
    state = {name: _uuid(seen) for name, seen in doubt.before.items()}
    exchange = doubt.statement.kind is Kind.EXCHANGE
    start, end = doubt.statement.span
    guarded = "EXISTS" in doubt.command.text[start:end].upper()
    pairs = list(zip(names[::2], names[1::2], strict=True))
    moves, states = [], [dict(state)]
    for at, (first, second) in enumerate(pairs):
        one, other = spell(first), spell(second)
        if exchange:
            state[one], state[other] = state[other], state[one]
        elif state[one] is not None:
            state[other], state[one] = state[one], None
        elif not guarded:
            moves += pairs[at:]  # the server stops here, where there is nothing to rename
            break
        if state != states[-1]:
            moves.append((first, second))
            states.append(dict(state))
    possible = [done for done, then in enumerate(states) if then == now]
    if len(possible) != 1 or (exchange and NO_UUID in now.values()):
        return Finding(Outcome.UNKNOWN, f"nothing tells which of {_listed(now)} was which before")
    (done,) = possible
    if done == 0:
        return Finding(Outcome.NOT_DONE, f"{_listed(now)}: each is in its old place")
    if done < len(moves):
        between = " AND " if exchange else " TO "
        _rest(doubt, ", ".join(between.join(quote(*name) for name in move) for move in moves[done:]))
        return Finding(Outcome.DONE, f"{done} of {len(moves)} were done; the rest was done now")
    return Finding(Outcome.DONE, f"{_listed(now)}: each is in its new place")


def _rest(doubt: Doubt, names: str) -> None:
    """Run the statement with what is left of its names."""
    start, end = doubt.statement.span
    text = doubt.command.text[:start] + names + doubt.command.text[end:]
    doubt.database.send(text, replace(doubt.command, text=text, tag=""))


def _settle_alter(doubt: Doubt) -> Finding:
    name = spell(doubt.name)
    before, now = doubt.before.get(name), doubt.now[name]
    if before == now:
        return Finding(Outcome.NOT_DONE, f"the definition of {name} is as it was before")
    if before is None or now is None or before[0] != now[0]:
        return Finding(Outcome.UNKNOWN, f"{name} is another one than before")
    if probe.agrees(doubt.database, doubt.command, doubt.statement, before[1], now[1]) is False:
        return Finding(Outcome.UNKNOWN, f"the definition of {name} has changed, but not into what this statement makes")
    if doubt.statement.object == "TABLE" and (trouble := _wait_for_mutations(doubt, "")):
        return Finding(Outcome.UNKNOWN, trouble)
    return Finding(Outcome.DONE, f"the definition of {name} has changed")


def _settle_mutation(doubt: Doubt) -> Finding:
    tag = str(doubt.evidence.get("tag", ""))
    if _uuid(doubt.before.get(spell(doubt.name))) != _uuid(doubt.now[spell(doubt.name)]):
        return Finding(Outcome.UNKNOWN, f"{spell(doubt.name)} is another table than before")
    if not tag or not catalog.mutations(doubt.database, doubt.name, tag):
        # Killed, or so old that the server has cleaned it away: the parts that it wrote bear its number.
        last = doubt.evidence.get("numbers")
        if last is not None and (parts := catalog.mutated_since(doubt.database, doubt.name, last, tag)):
            said = f"a mutation that was killed, or forgotten, has written {parts} of the parts of {spell(doubt.name)}"
            return Finding(Outcome.UNKNOWN, f"{said}: their rows may be done")
        if doubt.evidence.get("submitted"):
            said = f"its mutation of {spell(doubt.name)} was there, and was killed or forgotten since"
            return Finding(Outcome.UNKNOWN, f"{said}: rows of some parts may be done")
        return Finding(Outcome.NOT_DONE, f"{spell(doubt.name)} has no mutation with its mark")
    if trouble := _wait_for_mutations(doubt, tag):
        return Finding(Outcome.UNKNOWN, trouble, {"submitted": True})
    return Finding(Outcome.DONE, "its mutation is finished")


def _wait_for_mutations(doubt: Doubt, mark: str) -> str:
    """Wait for a table's mutations; returns why one can't finish, or ''."""
    while unfinished := [why for done, why in catalog.mutations(doubt.database, doubt.name, mark) if not done]:
        if why := next(filter(None, unfinished), ""):
            return f"its mutation of {spell(doubt.name)} can't finish: {why[:300]}"
        time.sleep(POLL)
    return ""


def _settle_truncate(doubt: Doubt) -> Finding:
    name = spell(doubt.name)
    if _uuid(doubt.before.get(name)) != _uuid(doubt.now[name]):
        return Finding(Outcome.UNKNOWN, f"{name} is another table than before")
    if doubt.now[name] is None:
        return Finding(Outcome.NOT_DONE, f"there is no {name}")
    if catalog.contents(doubt.database, [doubt.name]) == doubt.evidence.get("contents") is not None:
        return Finding(Outcome.NOT_DONE, f"{name} is as it was before")
    if not doubt.database.query(f"SELECT 1 FROM {quote(*doubt.name)} LIMIT 1"):
        return Finding(Outcome.DONE, f"{name} is empty")
    return Finding(Outcome.UNKNOWN, f"{name} has other rows than before, and they may be new")


def _settle_parts(doubt: Doubt) -> Finding:
    names = [doubt.database.qualified(name) for name in doubt.statement.names]
    if catalog.contents(doubt.database, names) == doubt.evidence.get("contents") is not None:
        return Finding(Outcome.NOT_DONE, f"the parts of {_listed(map(spell, names))} are as they were")
    return Finding(
        Outcome.UNKNOWN,
        f"the parts of {_listed(map(spell, names))} have changed since, by this statement or by others",
    )


_SETTLE: dict[Kind, Callable[[Doubt], Finding]] = {
    Kind.CREATE: _settle_create,
    Kind.CREATE_FILLED: _settle_create,
    Kind.DROP: _settle_drop,
    Kind.RENAME: _settle_moves,
    Kind.EXCHANGE: _settle_moves,
    Kind.ALTER: _settle_alter,
    Kind.MUTATION: _settle_mutation,
    Kind.TRUNCATE: _settle_truncate,
    Kind.PARTS: _settle_parts,
}


def _uuid(seen: list[str] | None) -> str | None:
    return None if seen is None else seen[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
