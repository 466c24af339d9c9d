"""One database under examination: what it told of itself, once, and what the release has in store for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.databases.health import Health
from stepwell.databases.pressure import Signal
from stepwell.errors import Refused
from stepwell.schema.plan import Target

PATIENCE = 1.0
"""Seconds for what a server says of its load."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A connected database. `skew` is how many seconds its clock is ahead of this machine's, `vague` how many of them
    may be the way there and back; `signals` are what it says of its load, `texts` the statements that wait for it.
    """

    database: Database
    health: Health
    skew: float
    vague: float
    signals: Mapping[str, float]
    texts: Sequence[str]

    @property
    def name(self) -> str:
        return self.database.name


def examine(target: Target, variables: Mapping[str, str]) -> Subject:
    """Ask a database for all that it tells of itself. Raises Refused, BadScript, MissingVariable."""
    database = target.database
    started = time.time()
    health = database.health()
    ended = time.time()
    skew, vague = health.clock - (started + ended) / 2, (ended - started) / 2
    signals = {signal.name: signal.value for signal in _pressure(database)}
    return Subject(database, health, skew, vague, signals, _pending(target, variables))


def _pressure(database: Database) -> list[Signal]:
    """How hard the server is at work, if it tells in time: replicas that do not answer must not hold a release up."""
    told: list[Signal] = []
    asking = threading.Thread(target=lambda: told.extend(database.pressure()), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return list(told)


def _pending(target: Target, variables: Mapping[str, str]) -> list[str]:
    """The statements of all scripts that are not applied; those of Python scripts nobody can tell."""
    return [
        statement.text
        for script in target.scripts
        if target.history.due(script) and not script.is_python
        for statement in script.statements("up", variables)
    ]


def bytes_of(subject: Subject, table: str) -> int | None:
    """The size of a table; None where it does not tell, or there is none of this name yet."""
    try:
        found = subject.database.size(table)
    except Refused:
        return None
    return found.bytes if found else None
