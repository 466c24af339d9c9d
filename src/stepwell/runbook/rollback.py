"""The way back of a runbook: jobs are undone, scripts are undone, and checks prove it, in the order that is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from stepwell.errors import BadRequest, LeaseHeld, NoWayBack, RollbackStopped
from stepwell.jobs import undo
from stepwell.jobs.definition import Definition
from stepwell.runbook.definition import Item, Phase, Runbook
from stepwell.runbook.evidence import Mark, Progress, Status
from stepwell.schema.plan import Options
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.checks.service import Outcome
    from stepwell.jobs.undo import UndoReport
    from stepwell.schema import events


@dataclass(frozen=True, slots=True)
class Move:
    """An item of the way back, what would be done for it now, in words, and the last script that stays applied.

    `does` is '' where there is nothing to do any more; `keeps` is '' where no script of the database stays.
    """

    status: Status
    does: str
    keeps: str = ""


class Verbs(Protocol):
    """What the way back asks of a project."""

    def down(self, options: Options, tell: events.Listener) -> Any: ...
    def undo_job(self, name: str) -> UndoReport: ...
    def check(self, *names: str) -> list[Outcome]: ...


def alone(runbook: Runbook) -> Runbook:
    """The way back without the way there, so that no evidence is looked for that it does not need."""
    return replace(runbook, phases=(), criteria=Phase("", "", ()))


def check(runbook: Runbook, scripts: Mapping[str, Sequence[Script]], job: Callable[[str], Definition]) -> None:
    """Look whether there is a way back, and every step of it has one. Raises NoWayBack, BadRequest."""
    if not runbook.rollback.items:
        do = "Write one below [rollback], with items = [ … ]."
        raise BadRequest(f"{runbook.path} has no way back", do)
    for item in runbook.rollback.items:
        if item.undo and item.kind == "job":
            undo.check(job(item.name))
        elif item.undo:
            script = next(one for one in scripts[item.reference.partition("/")[0]] if one.reference == item.reference)
            if not script.reversible:
                raise NoWayBack(script.reference, str(script.path))


def moves(progress: Progress, scripts: Mapping[str, Sequence[Script]]) -> list[Move]:
    """What the way back would do now, item by item."""
    return [_move(status, scripts) for status in progress.of(progress.runbook.rollback)]


def _move(status: Status, scripts: Mapping[str, Sequence[Script]]) -> Move:
    item = status.item
    match item.kind:
        case "text":
            return Move(status, "")
        case "check":
            return Move(status, f"run {item.reference}, which must hold")
        case "job" if item.undo:
            return Move(status, "" if status.mark.settled else f"take back what {item.reference} changed")
        case "script" if item.undo:
            database = item.reference.partition("/")[0]
            references = [script.reference for script in scripts[database]]
            before = references[: references.index(item.reference)]
            keeps = before[-1] if before else ""
            rest = f"so that {keeps} is the last" if keeps else "so that none is left"
            does = f"undo {item.reference} and what came after it in {database}, {rest}"
            return Move(status, "" if status.mark.settled else does, keeps)
    return Move(status, "" if status.mark.settled else f"stop unless {item.label} is done by then")


def go(move: Move, runbook: Runbook, project: Verbs, tell: events.Listener) -> None:
    """Do what a move says. Raises RollbackStopped."""
    status, item = move.status, move.status.item

    def stopped(why: str, do: str) -> RollbackStopped:
        again = f"then go on: stepwell runbook rollback {runbook.name}"
        return RollbackStopped(item.label, runbook.where(item), why, f"{do}; {again}")

    if item.kind == "check":
        (outcome,) = project.check(item.name)
        if not outcome.holds:
            raise stopped(outcome.words, f"`stepwell check {item.name}` shows the rows; mend that")
    elif status.mark.settled:
        return
    elif item.undo and item.kind == "job":
        report = _undo(item, project, tell)
        if not report.complete:
            raise stopped(f"{report.restored:,} of {report.total:,} rows are given back", "Repeat it")
    elif item.undo:
        database = item.reference.partition("/")[0]
        to = move.keeps or None
        project.down(Options(database=database, to=to, count=None if to else EVERY), tell)
    elif status.mark is not Mark.TEXT:
        raise stopped(status.words, f"{status.command or 'Do it'}")


def _undo(item: Item, project: Verbs, tell: events.Listener) -> UndoReport:
    """Undo a job as soon as nobody else works at it. Raises LeaseHeld after PATIENCE, and what `undo_job` raises."""
    from stepwell.schema.events import WaitingForJob

    deadline, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            return project.undo_job(item.name)
        except LeaseHeld as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                tell(WaitingForJob(item.reference, error.holder))
            told = True
        time.sleep(AGAIN)


PATIENCE = 90.0
"""Seconds to wait for a job's lease: a dead worker's ends after 30 at most, one at work may end its batch."""

AGAIN = 1.0
"""Seconds between two tries for it."""

EVERY = 1_000_000
"""More scripts than a database has."""
