"""Whether a server fits the schema that it would start on: not older than it needs, not newer than it can bear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from stepwell import graph
from stepwell.databases.database import Database
from stepwell.schema.history import History
from stepwell.scripts.script import Script

Contracts = Literal["no", "known", "yes"]
"""Which contract scripts a server bears: none, those among its own files, or all."""

CONTRACTED = "SELECT DISTINCT version FROM {table}_journal WHERE event = 'contracted'"


@dataclass(frozen=True, slots=True)
class Found:
    """One database's history. `scripts` are the server's own files; `contracted` what it knows as contract scripts.

    The history itself remembers what a contract script is: the server that must not start on one is the older, whose
    files do not have it.
    """

    name: str
    history: History
    scripts: Sequence[Script]
    contracted: frozenset[str]


def find(database: Database, history: History, scripts: Sequence[Script]) -> Found:
    """What there is to judge by. `database` is connected; reads only."""
    contracted = {script.version for script in scripts if script.front.phase == "contract"}
    if database.columns(f"{history.table}_journal"):
        contracted |= {str(row[0]) for row in database.query(CONTRACTED.format(table=history.table))}
    return Found(database.name, history, scripts, frozenset(contracted))


def lacking(needs: Iterable[str], found: Sequence[Found], jobs: Iterable[str] = ()) -> list[str]:
    """Those of `needs` (`state/0042`, `job/items-total`) that are not complete; `jobs` are those that are."""
    done = [f"{one.name}/{version}" for one in found for version in one.history.applied]
    return [need for need in needs if not graph.find(need, [*done, *jobs])]


def too_new(found: Sequence[Found], tolerates: Contracts) -> list[str]:
    """The contract scripts that a server does not bear, applied or begun, in words."""
    if tolerates == "yes":
        return []
    words = []
    for one in found:
        known = {script.version for script in one.scripts} if tolerates == "known" else set()
        for version in sorted(one.contracted - known):
            if applied := one.history.applied.get(version):
                words.append(f"{one.name}/{version}, a contract script, is applied since {applied.at[:16]}")
            elif one.history.attempt(version, "up"):
                words.append(f"{one.name}/{version}, a contract script, is applied in part")
    return words
