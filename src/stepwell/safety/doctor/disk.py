"""Whether there is room for what a release writes: twice the size of every table that it copies.

Twice, for a copy is there beside its source, and merges and sorts of it take as much again for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stepwell.safety.doctor.copies import copied
from stepwell.safety.doctor.finding import Finding, Level, size
from stepwell.safety.doctor.subject import Subject, bytes_of
from stepwell.safety.doctor.workload import Ahead

TIMES = 2
SCARCE = 0.05
"""The share of a disk that should stay free whatever is done."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that are needed for sure, bytes that may be, and the tables that they are for."""

    certain: int
    possible: int
    tables: tuple[str, ...]


def need(subject: Subject, jobs: Sequence[Ahead]) -> Need:
    """What the pending scripts and jobs write on a database, as far as their text and the catalog tell."""
    scripts = {table for text in subject.texts for table in copied(text, subject.database.engine)}
    sizes = {table: found for table in sorted(scripts) if (found := bytes_of(subject, table))}
    certain = possible = TIMES * sum(sizes.values())
    for job in jobs:
        source = job.definition.source
        if source.database != subject.name or source.table in sizes or job.left == 0:
            continue
        whole = subject.database.size(source.table)
        if whole is None or not whole.bytes:
            continue
        if job.left is not None and whole.rows:
            part = int(TIMES * whole.bytes * min(1.0, job.left / whole.rows))
            certain, possible = certain + part, possible + part
        else:
            possible += TIMES * whole.bytes
        sizes[source.table] = whole.bytes
    return Need(certain, possible, tuple(sizes))


def space(subject: Subject, jobs: Sequence[Ahead]) -> Iterator[Finding]:
    needs, room = need(subject, jobs), subject.health.space
    tables = ", ".join(needs.tables[:3]) + (", …" if len(needs.tables) > 3 else "")
    wants = f"needs {size(needs.possible)} to copy {tables}" if needs.tables else "copies no table"

    def found(level: Level, what: str, do: str = "") -> Finding:
        return Finding("disk-space", level, subject.name, what, do)

    if room is None:
        what = f"the release {wants}; the server does not tell how much room it has"
        do = "Look on the server whether its disk has that much free: df -h"
        yield found(Level.WARNING if needs.possible else Level.OK, what, do if needs.possible else "")
        return
    what = f"the release {wants}, and {size(room.free)} of {size(room.total)} is free ({room.told_by})"
    if needs.certain > room.free:
        yield found(Level.BLOCKER, what, f"Free or add {size(needs.certain - room.free)} on the server.")
    elif needs.possible > room.free:
        yield found(Level.WARNING, what, "It may be less, for nobody knows how many rows its jobs find. Make room.")
    elif room.free < SCARCE * room.total:
        yield found(Level.WARNING, what, "Make room: the disk is nearly full.")
    else:
        yield found(Level.OK, what)
