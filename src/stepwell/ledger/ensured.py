"""Keys that are migrated one by one: the gate that they go through, and which ones no condition in the data tells of.

A key reads how its job stands, and how often the gate was closed. In the transaction that migrates it it holds the
gate, together with others, and reads the second once more. Who undoes the job changes its state first and closes the
gate then, which waits for those that hold it; whoever comes later finds it closed once more than it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepwell.databases.database import Command, Database
from stepwell.errors import Refused
from stepwell.ledger.jobs import HELD, Ledger

PATIENCE = 30.0
"""Seconds that keys under way are waited for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands for its keys. What was found of a key in one epoch tells nothing in another."""

    state: str
    epoch: int
    closed: int

    @property
    def held(self) -> bool:
        """Whether a person wants no row migrated."""
        return self.state in HELD


def standing(database: Database, job: str) -> Standing:
    """How a job stands now; the first look gives it its rows."""
    rows = _standing(database, job)
    if not rows:
        Ledger(database).register([job])
        try:
            database.query("INSERT INTO stepwell_gate (job) VALUES (?)", (job,))
        except Refused:
            if not _standing(database, job):  # else another process was quicker
                raise
        rows = _standing(database, job)
    state, epoch, closed = rows[0]
    return Standing(str(state), int(epoch), int(closed))


def _standing(database: Database, job: str) -> list[tuple[Any, ...]]:
    return database.query(
        """
        SELECT stepwell_job.state, stepwell_job.epoch, stepwell_gate.closed
        FROM stepwell_job
        JOIN stepwell_gate ON stepwell_gate.job = stepwell_job.job
        WHERE stepwell_job.job = ?
        """,
        (job,),
    )


def asked_for(database: Database) -> set[str]:
    """The jobs of which a key was ever asked for: any rows of theirs may be migrated, whatever else is recorded."""
    return {str(job) for (job,) in database.query("SELECT job FROM stepwell_gate")}


def entered(database: Database, job: str, since: Standing) -> bool:
    """Hold the gate to the end of the transaction; False where it was closed since, and the key is to be left alone.

    Raises Refused (40001) where PostgreSQL's snapshot is older than the last time.
    """
    rows = database.query(f"SELECT closed FROM stepwell_gate WHERE job = ? {database.for_share}", (job,))
    return bool(rows) and int(rows[0][0]) == since.closed


def close(database: Database, job: str) -> None:
    """Let nobody in who has not seen the job's state, and wait for those inside. Raises LockTimeout after 30 s."""
    text = "UPDATE stepwell_gate SET closed = closed + 1 WHERE job = ?"
    database.run(Command(text=text, parameters=(job,), lock_timeout=PATIENCE))


def claim(database: Database, job: str, key: str) -> None:
    """Record a key as migrated, in the transaction that migrates it. Waits for another that does the same.

    Raises Refused when the other's commits; if it rolls back, the key is ours.
    """
    text = f"INSERT INTO stepwell_ensured (job, row_key, at) VALUES (?, ?, {database.clock})"
    database.run(Command(text=text, parameters=(job, key)))


def claimed(database: Database, job: str, key: str) -> bool:
    """Whether the key was migrated."""
    return bool(database.query("SELECT 1 FROM stepwell_ensured WHERE job = ? AND row_key = ?", (job, key)))


def forget(database: Database, job: str) -> None:
    """Let a job's keys be migrated again."""
    database.query("DELETE FROM stepwell_ensured WHERE job = ?", (job,))
