"""What the databases say, read once: the evidence that a runbook's items are held against.

All times are by the ledger's clock. Other databases' clocks are brought to it by how far apart they are now, so that
"after the last change" means what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from stepwell.checks.definition import Check
from stepwell.checks.service import BROKEN
from stepwell.checks.snapshots import kept
from stepwell.databases.database import Database
from stepwell.errors import NoSnapshot
from stepwell.ledger import checks, ensured, events, signoffs, snapshots
from stepwell.ledger.changes import count_changed
from stepwell.ledger.checks import Recorded
from stepwell.ledger.events import Event
from stepwell.ledger.jobs import JobState, Ledger
from stepwell.ledger.signoffs import Signoff
from stepwell.ledger.snapshots import Snapshot
from stepwell.safety.doctor.finding import Finding
from stepwell.schema.acts import seconds_of
from stepwell.schema.outlook import State
from stepwell.schema.plan import Target

T = TypeVar("T")

RUNS = ("started", "completed", "stopped", "undone", "reassessed")
"""What is done to a job's rows, or ends what is done to them."""


APPLIED = "SELECT version, applied_at FROM {table} ORDER BY applied_at DESC LIMIT 1"
JOURNAL = """
SELECT version, at
FROM {table}_journal
WHERE event IN ('begun', 'done', 'undone', 'failed', 'reverted', 'again')
ORDER BY seq DESC
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Change:
    """The last thing that was done to the databases' structure or rows: when, and which step did it."""

    at: float = 0.0
    step: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The evidence. `statements` are the hashes of the checks as they stand in the files now.

    `reasons` say why a job makes no progress, `runs` is what was done last to it, `left` the rows of which its changes
    stand, `asked_for` are the jobs whose lazy keys were; `unsound` says why what was kept under a snapshot's name can't
    be compared with. `rehearsal` is the last one, whose note ends with `files` if it was of the files as they are now.
    """

    scripts: Mapping[str, State] = field(default_factory=dict)
    jobs: Mapping[str, JobState] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    asked_for: Collection[str] = ()
    runs: Mapping[str, Event] = field(default_factory=dict)
    checks: Mapping[str, Recorded] = field(default_factory=dict)
    broken: Mapping[str, Event] = field(default_factory=dict)
    statements: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Signoff] = field(default_factory=dict)
    snapshots: Mapping[str, Sequence[Snapshot]] = field(default_factory=dict)
    unsound: Mapping[str, str] = field(default_factory=dict)
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    rehearsal: Event | None = None
    files: str = ""
    changed: Change = Change()


def gather(
    targets: Sequence[Target],
    ledger: Database,
    scripts: Sequence[State],
    jobs: Mapping[str, str],
    checks_here: Mapping[str, Check],
    release: str,
    findings: Sequence[Finding],
    files: str,
) -> Facts:
    """All evidence there is; `jobs` are those of the project, with why each makes no progress.

    Raises Refused.
    """
    book = Ledger(ledger)
    found = Facts(
        scripts={state.reference: state for state in scripts},
        jobs={job: JobState(job) for job in jobs} | book.read_all(),
        reasons=jobs,
        failed={job: len(book.failures(job)) for job in jobs},
        left={job: count_changed(ledger, job) for job in jobs},
        asked_for=ensured.asked_for(ledger),
        runs=events.latest(ledger, RUNS),
        checks=checks.latest(ledger),
        broken=events.latest(ledger, (BROKEN,)),
        statements={name: check.checksum for name, check in checks_here.items()},
        answers=signoffs.latest(ledger),
        snapshots=_by(snapshots.find(ledger), lambda one: one.name),
        unsound=_unsound(ledger, checks_here.values(), release),
        findings=_by(findings, lambda one: one.item),
        rehearsal=events.latest(ledger, ("rehearsed", "failed")).get("rehearsal"),
        files=files,
    )
    return replace(found, changed=_last_change(targets, book, found))


def _by(rows: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _unsound(ledger: Database, checks_here: Iterable[Check], release: str) -> dict[str, str]:
    """By snapshot, why what was kept can't be compared with, if for any check it can't."""
    found: dict[str, str] = {}
    for check in checks_here:
        if check.snapshot and check.snapshot not in found:
            try:
                kept(ledger, check, release)
            except NoSnapshot as error:
                found[check.snapshot] = f"{check.reference}: {error.what.partition(': ')[2]}"
    return found


def _last_change(targets: Sequence[Target], book: Ledger, facts: Facts) -> Change:
    """What was done last, to whichever database."""
    found, now = [Change()], book.clock()
    for target in targets:
        ahead = 0.0 if target.database.name == book.database.name else target.database.health().clock - now
        found += [Change(at - ahead, step) for at, step in _of_scripts(target)]
    found += [Change(event.at, event.step) for event in facts.runs.values()]
    for job, state in facts.jobs.items():
        # Who died in the middle may have written until the lease ended.
        until = min(state.lease_until, now) if state.holder else 0.0
        found.append(Change(max(state.worked, state.finished, until), f"job/{job}"))
    return max(found, key=lambda change: change.at)


def _of_scripts(target: Target) -> list[tuple[float, str]]:
    database, table = target.database, target.history.table
    if not target.history.exists:
        return []
    applied = database.query(APPLIED.format(table=table))
    journal = database.query(JOURNAL.format(table=table)) if database.columns(f"{table}_journal") else []
    return [(seconds_of(at), f"{database.name}/{version}") for version, at in (*applied, *journal)]
