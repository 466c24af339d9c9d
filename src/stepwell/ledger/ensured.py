"""Keys that were migrated one by one, where no condition in the data tells that they were."""

from __future__ import annotations

from stepwell.databases.database import Command, Database


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
