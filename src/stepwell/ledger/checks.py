"""How checks came out, each time one was run to its end."""

from __future__ import annotations

from stepwell.databases.database import Database
from stepwell.ledger.actor import actor, host
from stepwell.ledger.events import new_id
from stepwell.ledger.jobs import CLOCK


def add(ledger: Database, check: str, step: str, verdict: str, summary: str, rows: int, seconds: float) -> None:
    """Record a result; `step` is the one that waited for it, '' where a person asked."""
    ledger.query(
        f"""
        INSERT INTO stepwell_check (id, check_name, at, who, host, for_step, verdict, summary, row_count, seconds)
        VALUES (?, ?, {CLOCK[ledger.engine]}, ?, ?, ?, ?, ?, ?, ?)
        """,
        (new_id(), check, actor(), host(), step, verdict, summary, rows, seconds),
    )
