"""What people said yes or no to. Only ever added to: the latest answer counts, the others stay as the record."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.errors import ConnectionLost, Denied, Refused
from stepwell.ledger import events
from stepwell.ledger.actor import actor, host

YES, NO = "yes", "no"

TRIES = 20
"""How often an answer is given that meets others to the same name."""


@dataclass(frozen=True, slots=True)
class Signoff:
    """An answer: who gave it, where, when (seconds since 1970 by the ledger's clock), and what they noted."""

    name: str
    answer: str
    at: float
    who: str
    host: str
    note: str


def sign(ledger: Database, name: str, note: str = "") -> None:
    """Record a yes to `signoff/NAME`, or to a runbook's `manual/NAME`, by whoever runs this process."""
    _add(ledger, name, YES, note)


def refuse(ledger: Database, name: str, note: str = "") -> None:
    """Record a no, which takes back a yes that came before."""
    _add(ledger, name, NO, note)


def latest(ledger: Database) -> dict[str, Signoff]:
    """The answer that counts for each name."""
    return {answer.name: answer for answer in read(ledger)}


def read(ledger: Database, name: str = "") -> list[Signoff]:
    """All answers, or those to one name, in the order they were given."""
    rows = ledger.query(
        f"""
        SELECT name, answer, at, who, host, note
        FROM stepwell_signoff
        {"WHERE name = ?" if name else ""}
        ORDER BY name, number
        """,
        (name,) if name else (),
    )
    return [_signoff(row) for row in rows]


def _add(ledger: Database, name: str, answer: str, note: str) -> None:
    """Record an answer, behind all others to the same name. Who answers at the same moment takes the next number."""
    for left in range(TRIES, 0, -1):
        try:
            _add_behind(ledger, name, answer, note)
            return
        except Refused as error:
            if isinstance(error, ConnectionLost | Denied) or left == 1:
                raise
            time.sleep(random.uniform(0.0, 0.05))


def _add_behind(ledger: Database, name: str, answer: str, note: str) -> None:
    with ledger.transaction():
        ledger.query(
            f"""
            INSERT INTO stepwell_signoff (name, number, answer, at, who, host, note)
            SELECT ?, coalesce(max(number), 0) + 1, ?, {ledger.clock}, ?, ?, ?
            FROM stepwell_signoff
            WHERE name = ?
            """,
            (name, answer, actor(), host(), note, name),
        )
        step = name if name.startswith("manual/") else f"signoff/{name}"
        events.add(ledger, step, "signed" if answer == YES else "refused", note)


def _signoff(row: Sequence[object]) -> Signoff:
    name, answer, at, who, place, note = row
    return Signoff(str(name), str(answer), float(str(at)), str(who), str(place), str(note))
