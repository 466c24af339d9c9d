"""What a database remembers of its own schema: `schema_migrations`, and the journal beside it.

`schema_migrations` has a row for every version that is applied. The journal is only ever added to: for statements
that can't commit together with the record of them it says begun and done; it also keeps failures, settlements and
what a person accepted. Here both are read; `journal.py` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from stepwell.databases.database import BESIDE, HISTORY, Database, Evidence
from stepwell.errors import ForeignHistory, NewerHistory, Refused
from stepwell.scripts.script import Script

LAYOUT = 1
"""Which tables this version of Stepwell writes; a row of a higher layout was written by a newer one."""

COLUMNS = ["version", "checksum", "applied_at", "applied_by", "duration", "statements", "tool", "layout"]

APPLIED = "SELECT version, checksum, applied_at, applied_by, layout FROM {table}"
OPEN = """
SELECT seq, version, direction, position, event, checksum, tag, evidence, note, who, at
FROM {table}_journal
WHERE event = 'accepted'
   OR version NOT IN (SELECT version FROM {table})
   OR version IN (SELECT version FROM {table}_journal WHERE direction = 'down')
ORDER BY seq
"""


class Applied(NamedTuple):
    """A version that is applied. The checksum is '' for one that was recorded by hand."""

    version: str
    checksum: str
    at: str
    by: str


class Entry(NamedTuple):
    """One line of the journal.

    `event` is begun, done, undone, failed, applied, reverted, again, contracted, accepted, admitted, held or
    overridden; `position` counts statements from 1. Of a database as a whole: opened, before all others; in step,
    `note` being the tool, or ''.
    """

    seq: int
    version: str
    direction: str
    position: int
    event: str
    checksum: str
    tag: str
    evidence: Evidence
    note: str
    who: str
    at: str


def was_stopped(entry: Entry) -> bool:
    """Whether a statement was recorded as begun only for a person to answer: it was not sent, see `session.py`."""
    return "gone" in entry.evidence


@dataclass(frozen=True, slots=True)
class Attempt:
    """How far a script got in one direction: statements done, and those that nobody knows the end of."""

    done: dict[int, Entry] = field(default_factory=dict)
    doubts: dict[int, Entry] = field(default_factory=dict)
    failed: dict[int, Entry] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.done or self.doubts)


@dataclass(frozen=True, slots=True)
class History:
    """What one database remembers, and the table, spelled as in SQL. `exists` is False where Stepwell never ran."""

    exists: bool = False
    applied: dict[str, Applied] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    table: str = HISTORY

    def attempt(self, version: str, direction: str) -> Attempt:
        """The attempt at a version that is not finished yet; empty where there is none."""
        attempt = Attempt()
        for entry in self.entries:
            if entry.version != version:
                continue
            if entry.event in ("applied", "reverted", "again"):
                attempt = Attempt()
            elif entry.event in ("begun", "done", "undone", "failed"):
                if entry.direction != direction:
                    # The other way is begun when this one is over, though a kill may have come before "reverted".
                    attempt = Attempt()
                    continue
                for state in (attempt.done, attempt.doubts, attempt.failed):
                    state.pop(entry.position, None)
                if entry.event == "done":
                    attempt.done[entry.position] = entry
                elif entry.event == "begun":
                    attempt.doubts[entry.position] = entry
                else:
                    attempt.failed[entry.position] = entry
        return attempt

    @property
    def in_step(self) -> str:
        """The tool whose own table is kept in step; '' for none."""
        return next((entry.note for entry in reversed(self.entries) if entry.event == "in step"), "")

    def due(self, script: Script) -> bool:
        """Whether `up` has to run a script: for the first time, or again as its front matter asks."""
        applied = self.applied.get(script.version)
        if applied is None or script.front.repeat == "always":
            return True
        return script.front.repeat == "changed" and applied.checksum != script.checksum

    def accepted(self, version: str) -> set[str]:
        """The checksums that a person accepted for an applied version; 'gone' for its missing file."""
        return {e.checksum for e in self.entries if e.event == "accepted" and e.version == version}


def read(database: Database, scripts: Iterable[Script] = ()) -> History:
    """Read a database's history; changes nothing. What a script was applied as before it was converted counts as it.

    Raises ForeignHistory for a table that another tool made, NewerHistory for one of a newer Stepwell, and what
    `home` raises.
    """
    home = database.home()
    table = f"{home}.{HISTORY}"
    try:
        rows = database.query(APPLIED.format(table=table))
    except Refused:
        present = database.columns(HISTORY)  # anywhere on a search path
        if not present:
            return History(table=table)
        if not set(COLUMNS) <= set(present):
            table = f"{home}.{BESIDE}"
            if not database.columns(table):
                raise ForeignHistory(database.name, present) from None
        # Another run has made it since; if not, this says what is wrong.
        rows = database.query(APPLIED.format(table=table))
    if any(int(row[4]) > LAYOUT for row in rows):
        raise NewerHistory(database.name)
    applied = {str(row[0]): Applied(*map(str, row[:4])) for row in rows}
    try:
        found = database.query(OPEN.format(table=table))
    except Refused:
        found = database.query(OPEN.format(table=table)) if database.columns(f"{table}_journal") else []
    return _by_names_of_now(History(True, applied, tuple(_entry(row) for row in found), table), scripts)


def _by_names_of_now(history: History, scripts: Iterable[Script]) -> History:
    converted = {script.front.was: script for script in scripts if script.front.was}
    if not converted:
        return history
    applied: dict[str, Applied] = {}
    for version, one in history.applied.items():
        script = converted.get(version)
        if script is not None:
            # One that was edited under its old name, and accepted, is what was converted.
            known = {one.checksum, *history.accepted(version)} - {""}
            checksum = script.checksum if any(map(script.says_what, known)) else one.checksum
            one = Applied(script.version, checksum, one.at, one.by)
        applied[one.version] = one
    entries = tuple(
        entry._replace(version=converted[entry.version].version) if entry.version in converted else entry
        for entry in history.entries
    )
    return History(history.exists, applied, entries, history.table)


def _entry(row: Iterable[object]) -> Entry:
    seq, version, direction, position, event, checksum, tag, evidence, note, who, at = row
    return Entry(
        int(str(seq)),
        str(version),
        str(direction),
        int(str(position)),
        str(event),
        str(checksum),
        str(tag),
        _evidence(str(evidence or "")),
        str(note or ""),
        str(who),
        str(at),
    )


def _evidence(text: str) -> Evidence:
    if not text:
        return {}
    import json  # a history without anything open has no need of it

    found: Evidence = json.loads(text)
    return found
