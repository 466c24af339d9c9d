"""What was done to a database's scripts, by whom, when: its own history, told as acts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stepwell.databases.database import Database
from stepwell.ledger.events import Event

APPLIED = """
SELECT version, applied_at, applied_by, duration, tool
FROM {table}
ORDER BY applied_at DESC
"""
JOURNAL = """
SELECT version, at, who, event, position, note
FROM {table}_journal
WHERE event IN ('applied', 'reverted', 'failed', 'accepted', 'admitted', 'held', 'overridden')
   OR (event IN ('done', 'undone') AND note <> '')
ORDER BY seq DESC
"""

WORDS = {"reverted": "undone", "done": "settled as done", "undone": "settled as not done"}
"""How the journal's events read as acts, where they do not by themselves."""


def read(database: Database, table: str, version: str, limit: int) -> list[Event]:
    """The last acts, newest first, from the history in `table`; those of one version where it is named."""
    found = []
    latest: set[str] = set()
    notes: dict[str, str] = {}
    if database.columns(f"{table}_journal"):
        for name, at, who, event, position, note in database.query(JOURNAL.format(table=table)):
            if event == "applied" and name not in latest:
                notes[str(name)] = str(note or "")  # the row of `schema_migrations` says the rest
            elif not version or version == name:
                place = f"statement {position}: " if position else ""
                reference = f"{database.name}/{name}"
                found.append(
                    Event(seconds_of(at), str(who), reference, WORDS.get(event, event), f"{place}{note or ''}")
                )
            if event in ("applied", "reverted"):
                latest.add(str(name))
    if database.columns(table):
        for name, at, who, duration, tool in database.query(APPLIED.format(table=table)):
            if not version or version == name:
                note = notes.get(str(name)) or f"{float(duration):.2f} s"
                found.append(Event(seconds_of(at), str(who), f"{database.name}/{name}", "applied", note, str(tool)))
    return sorted(found, key=lambda act: act.at, reverse=True)[:limit]


def seconds_of(at: Any) -> float:
    """Seconds since 1970 of what an engine gives for a time; one without a zone is UTC."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
