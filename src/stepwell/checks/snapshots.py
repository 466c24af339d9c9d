"""Taking what checks will be compared with later, and finding it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from stepwell.checks.definition import Check
from stepwell.checks.run import Kept, Open, reading
from stepwell.databases.database import Database
from stepwell.databases.values import reader
from stepwell.errors import BadRequest, NoSnapshot, Refused, SnapshotExists, did_you_mean
from stepwell.ledger import events, snapshots


def release_of(references: Iterable[str]) -> str:
    """What tells one release of a project from another: a hash of the references of all its scripts.

    Not of what they hold: a script that failed may be mended between a snapshot and the check.
    """
    return hashlib.sha256("\n".join(sorted(references)).encode()).hexdigest()


def take(
    ledger: Database, checks: Iterable[Check], name: str, open: Open, release: str, applied: str, replace: bool
) -> dict[str, int]:
    """Run the statements of all checks that compare with snapshot `name`, and keep their rows; how many of each.

    All are kept or none. Raises BadRequest, SnapshotExists, CheckBroken.
    """
    chosen = [check for check in checks if check.snapshot == name]
    if not chosen:
        known = sorted({check.snapshot for check in checks if check.snapshot})
        do = f"There are {', '.join(known)}." if known else "A check says it: -- expect: unchanged since NAME"
        raise BadRequest(f"no check compares with a snapshot {name!r}{did_you_mean(name, known)}", do)
    before = snapshots.find(ledger, name)
    if before and not replace:
        raise SnapshotExists(name, f"{moment(before[0].at)} by {before[0].who}@{before[0].host}")
    taken: dict[str, int] = {}
    with ledger.transaction():
        if before:
            snapshots.forget(ledger, name)
        for check in chosen:
            taken[check.name] = _keep(ledger, check, open, release, applied)
        rows = sum(taken.values())
        events.add(
            ledger,
            f"snapshot/{name}",
            "replaced" if before else "taken",
            f"{rows:,} rows of {len(taken)} check{'s' * (len(taken) > 1)}",
        )
    return taken


def _keep(ledger: Database, check: Check, open: Open, release: str, applied: str) -> int:
    with reading(check, open) as (source,):
        fields = source.stream.fields
        readers = [reader(one.kind) for one in fields]
        rows = (tuple(read(value) for read, value in zip(readers, row, strict=True)) for row in source.stream.rows)
        return snapshots.keep(
            ledger, check.snapshot, check.name, release, applied, check.sides[0].checksum, fields, rows
        )


def kept(ledger: Database, check: Check, release: str) -> Kept:
    """The rows that a check is compared with. Raises NoSnapshot where they are missing, or not of what is here now."""
    name = check.snapshot
    try:
        found = next((one for one in snapshots.find(ledger, name) if one.check == check.name), None)
    except Refused:
        if ledger.columns("stepwell_snapshot"):
            raise
        found = None
    if found is None:
        do = f"Take it before what it is to protect from: stepwell snapshot take {name}"
        raise NoSnapshot(check.reference, name, check.where(), "there is none", do)
    again = f"Take one of what is here now: stepwell snapshot take {name} --replace"
    taken = f"it was taken {moment(found.at)} by {found.who}@{found.host}"
    if found.release != release:
        raise NoSnapshot(check.reference, name, check.where(), f"{taken}, of another release or project", again)
    if found.statement != check.sides[0].checksum:
        why = f"{taken}, and the check's statement was edited since"
        raise NoSnapshot(check.reference, name, check.where(check.sides[0]), why, again)
    return Kept(found.fields, lambda: snapshots.rows(ledger, name, check.name), moment(found.at))


def moment(at: float) -> str:
    """2026-01-31 12:00:00 UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
