"""What was done, by whom, when: the acts that no database's own journal tells, such as those of jobs and people.

A script's acts stand in the journal of its database, committed with what it did; `Project.history` shows both.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from stepwell import __version__
from stepwell.databases.database import Database
from stepwell.ledger.actor import actor, host


@dataclass(frozen=True, slots=True)
class Event:
    """One act. `at` is seconds since 1970 by the database's clock, `step` a reference, `who` user@host."""

    at: float
    who: str
    step: str
    act: str
    note: str = ""
    tool: str = ""


def new_id() -> str:
    """An identifier that sorts by time within a process, and that no two processes share."""
    return f"{time.time_ns():019}-{uuid.uuid4().hex[:16]}"


def add(ledger: Database, step: str, act: str, note: str = "") -> None:
    """Record an act, in the caller's transaction if there is one. The note must hold no secret."""
    ledger.query(
        f"""
        INSERT INTO stepwell_event (id, at, who, host, tool, step, act, note)
        VALUES (?, {ledger.clock}, ?, ?, ?, ?, ?, ?)
        """,
        (new_id(), actor(), host(), f"stepwell {__version__}", step[:300], act, note),
    )


def latest(ledger: Database, acts: Sequence[str]) -> dict[str, Event]:
    """The last of these acts, for each step that one was done to."""
    rows = ledger.query(
        f"""
        SELECT at, who, host, step, act, note, tool
        FROM stepwell_event
        WHERE act IN ({", ".join("?" * len(acts))})
        ORDER BY at, id
        """,
        tuple(acts),
    )
    return {str(row[3]): _event(row) for row in rows}


def read(ledger: Database, step: str, limit: int) -> list[Event]:
    """The last acts, newest first; of one step where it is named."""
    rows = ledger.query(
        f"""
        SELECT at, who, host, step, act, note, tool
        FROM stepwell_event
        {"WHERE step = ?" if step else ""}
        ORDER BY at DESC, id DESC
        LIMIT {limit}
        """,
        (step,) if step else (),
    )
    return [_event(row) for row in rows]


def _event(row: Sequence[object]) -> Event:
    at, who, place, name, act, note, tool = map(str, row)
    return Event(float(at), f"{who}@{place}", name, act, note, tool)
