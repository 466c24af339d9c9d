"""How checks came out, each time one was run to its end."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.ledger.actor import actor, host
from stepwell.ledger.events import new_id


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result: when it was begun (seconds since 1970 by the ledger's clock), by whom, a hash of what was looked at."""

    check: str
    at: float
    who: str
    verdict: str
    summary: str
    statement: str


def add(
    ledger: Database,
    check: str,
    began: float,
    statement: str,
    step: str,
    verdict: str,
    summary: str,
    rows: int,
    seconds: float,
) -> None:
    """Record a result; `step` is the one that waited for it, '' where a person asked."""
    ledger.query(
        """
        INSERT INTO stepwell_check
          (id, check_name, at, who, host, for_step, verdict, statement, summary, row_count, seconds)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (new_id(), check, began, actor(), host(), step, verdict, statement, summary, rows, seconds),
    )


def latest(ledger: Database) -> dict[str, Recorded]:
    """How each check came out when it was run last."""
    rows = ledger.query(
        """
        SELECT check_name, at, who, host, verdict, summary, statement
        FROM stepwell_check AS c
        WHERE id = (SELECT max(id) FROM stepwell_check WHERE check_name = c.check_name)
        """
    )
    return {
        str(name): Recorded(str(name), float(at), f"{who}@{host}", str(verdict), str(summary), str(statement))
        for name, at, who, host, verdict, summary, statement in rows
    }
