"""Statements that were begun and not recorded as done: what became of them?

The order is always the same. Is it still running on the server? Then it is followed to its end. Only then the
database is asked, by its log and its catalog, and what an unfinished statement left is repaired (the adapter knows
how, engine by engine). What nobody can tell stops the run and is named; `resolve` takes a person's answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from stepwell.databases.database import Activity, Command, Database, Evidence, Finding, Outcome
from stepwell.schema.history import Entry
from stepwell.schema.journal import Journal

POLL = 0.25
"""Seconds between two looks at a statement that is at work on the server."""


def settle(
    database: Database,
    journal: Journal,
    command: Command,
    doubt: Entry,
    working: Callable[[Activity], None],
) -> Finding:
    """Settle one statement in doubt and write the outcome into the journal, unless it is unknown."""
    if not doubt.tag:  # `adopt` found it half done
        return Finding(Outcome.UNKNOWN, f"another tool sent it, so nothing was read before it ran; {doubt.note}")
    waited = follow(database, doubt.tag, working)
    finding = database.settle(command, doubt.evidence)
    if waited:
        finding = replace(finding, reason=f"it was still running and was followed to its end; {finding.reason}")
    if finding.outcome is not Outcome.UNKNOWN:
        event = "done" if finding.outcome is Outcome.DONE else "undone"
        _write(journal, doubt, event, None, f"settled: {finding.reason}")
    elif not finding.seen.items() <= doubt.evidence.items():
        _write(journal, doubt, "begun", doubt.evidence | finding.seen, finding.reason)
    return finding


def _write(journal: Journal, doubt: Entry, event: str, evidence: Evidence | None, note: str) -> None:
    journal.write(
        event,
        doubt.version,
        doubt.direction,
        doubt.position,
        checksum=doubt.checksum,
        tag=doubt.tag,
        evidence=evidence,
        note=note,
    )


def follow(database: Database, tag: str, working: Callable[[Activity], None]) -> bool:
    """Wait until the statement of this tag runs no more on the server. Whether it was running at all."""
    seen = False
    while tag and (activity := database.activity(tag)):
        seen = True
        working(activity)
        time.sleep(POLL)
    return seen
