"""Every item of a runbook held against the facts: done, open, or not as it must be, and by which evidence.

Nothing is done because somebody said so, but for sign-offs: a tick goes away when what it rests on does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stepwell.checks.snapshots import moment
from stepwell.ledger.signoffs import NO
from stepwell.runbook.definition import Item, Phase, Runbook
from stepwell.runbook.facts import Facts
from stepwell.safety.doctor.finding import Level


class Mark(Enum):
    DONE = "done"
    LOOK = "look"
    OPEN = "open"
    FAILS = "fails"
    TEXT = ""

    @property
    def settled(self) -> bool:
        """Whether what comes after it may come."""
        return self in (Mark.DONE, Mark.LOOK, Mark.TEXT)


@dataclass(frozen=True, slots=True)
class Status:
    """How an item stands: that in words, when it came about (seconds since 1970; 0: not told), and by whom.

    `command` is what to run next for it.
    """

    item: Item
    mark: Mark
    words: str = ""
    at: float = 0.0
    who: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A runbook and how all of it stands, section by section."""

    runbook: Runbook
    sections: tuple[tuple[Phase, tuple[Status, ...]], ...]

    def of(self, phase: Phase) -> tuple[Status, ...]:
        return next((statuses for each, statuses in self.sections if each is phase), ())

    @property
    def to_do(self) -> list[Status]:
        """All that must be done or hold, in order; the way back is no part of it."""
        phases = (*self.runbook.phases, self.runbook.criteria)
        return [status for phase in phases for status in self.of(phase) if status.mark is not Mark.TEXT]

    @property
    def done(self) -> int:
        return sum(status.mark.settled for status in self.to_do)

    @property
    def next(self) -> Status | None:
        """The first item that is not done; None at the end."""
        return next((status for status in self.to_do if not status.mark.settled), None)


def progress(runbook: Runbook, facts: Facts) -> Progress:
    """How every item stands."""
    return Progress(
        runbook, tuple((phase, tuple(status(item, facts) for item in phase.items)) for phase in runbook.sections)
    )


def status(item: Item, facts: Facts) -> Status:
    """How an item stands, by its kind."""
    match item.kind:
        case "text":
            return Status(item, Mark.TEXT)
        case "script":
            return _script_undone(item, facts) if item.undo else _script(item, facts)
        case "job":
            return _job_undone(item, facts) if item.undo else _job(item, facts)
        case "check":
            return _check(item, facts)
        case "snapshot":
            return _snapshot(item, facts)
        case "doctor":
            return _doctor(item, facts)
        case "rehearsal":
            return _rehearsal(item, facts)
    return _answer(item, facts)


def _script(item: Item, facts: Facts) -> Status:
    state = facts.scripts[item.reference]
    if state.state == "applied":
        return Status(item, Mark.DONE, f"applied {state.since[:19]} UTC by {state.by}")
    mark = Mark.OPEN if state.state in ("pending", "waiting") else Mark.FAILS
    words = f"{state.state}: {state.detail}" if state.detail else state.state
    return Status(item, mark, words, command=f"stepwell up --to {item.reference}")


def _script_undone(item: Item, facts: Facts) -> Status:
    state = facts.scripts[item.reference]
    if state.state in ("pending", "waiting"):
        return Status(item, Mark.DONE, "it is not applied")
    if state.state == "applied":
        return Status(item, Mark.OPEN, f"applied {state.since[:19]} UTC by {state.by}")
    return Status(item, Mark.OPEN, f"{state.state}: {state.detail}")


def _job(item: Item, facts: Facts) -> Status:
    state, failed = facts.jobs.get(item.name), facts.failed.get(item.name, 0)
    run = f"stepwell job run {item.name}"
    if state is None:
        return Status(item, Mark.OPEN, "not begun", command=run)
    rows = f"{state.rows_done:,} rows"
    if failed:
        words = f"{state.state}, but {failed:,} rows failed by themselves"
        return Status(item, Mark.FAILS, words, state.finished, command=f"stepwell job show {item.name}")
    if state.state == "complete":
        event = facts.runs.get(item.reference)
        by = f" by {event.who}" if event else ""
        words = f"complete, {rows}, {moment(state.finished)}{by}"
        return Status(item, Mark.DONE, words, state.finished, event.who if event else "")
    mark = Mark.FAILS if state.state in ("stalled", "cancelled") else Mark.OPEN
    reason = facts.reasons.get(item.name, "")
    begun = f"{state.state}, {rows} so far" if state.rows_done or state.started else "not begun"
    return Status(item, mark, f"{begun}: {reason}" if reason else begun, command=run)


def _job_undone(item: Item, facts: Facts) -> Status:
    state, event, left = facts.jobs.get(item.name), facts.runs.get(item.reference), facts.left.get(item.name, 0)
    if event is None and not left and (state is None or not state.rows_done):
        if item.name not in facts.asked_for:
            return Status(item, Mark.DONE, "it was never begun")
        return Status(item, Mark.OPEN, "its keys were asked for one by one, and may be migrated")
    # The state says so from the beginning of an undo on; the act is recorded at its end.
    if event is None or event.act != "undone" or state is None or state.state != "undone":
        return Status(item, Mark.OPEN, f"its changes stand; it is {state.state if state else 'unknown'}")
    words = f"{event.note}, {moment(event.at)} by {event.who}"
    if left:
        more = f"; {left:,} rows that others wrote since stay as they are"
        return Status(item, Mark.LOOK, words + more, event.at, event.who)
    return Status(item, Mark.DONE, words, event.at, event.who)


def _check(item: Item, facts: Facts) -> Status:
    run = f"stepwell check {item.name}"
    result, broken = facts.checks.get(item.name), facts.broken.get(item.reference)
    if broken and (result is None or broken.at >= result.at):
        return Status(item, Mark.FAILS, f"{moment(broken.at)}: {broken.note}", broken.at, broken.who, run)
    if result is None:
        return Status(item, Mark.OPEN, "never run", command=run)
    words = f"{result.verdict}: {result.summary}, {moment(result.at)} by {result.who}"
    if result.verdict != "holds":
        return Status(item, Mark.FAILS, words, result.at, result.who, run)
    if result.statement != facts.statements.get(item.name):
        return Status(item, Mark.OPEN, f"it was edited since it held, {moment(result.at)}", result.at, "", run)
    if result.at <= facts.changed.at:
        what = f"held {moment(result.at)}, before the last change ({facts.changed.step}, {moment(facts.changed.at)})"
        return Status(item, Mark.OPEN, what, result.at, "", run)
    return Status(item, Mark.DONE, words, result.at, result.who)


def _snapshot(item: Item, facts: Facts) -> Status:
    kept, unsound = facts.snapshots.get(item.name, ()), facts.unsound.get(item.name, "")
    take = f"stepwell snapshot take {item.name}"
    if not kept:
        return Status(item, Mark.OPEN, "not taken", command=take)
    if unsound:
        return Status(item, Mark.FAILS, unsound, kept[0].at, command=f"{take} --replace")
    first, rows, who = kept[0], sum(one.rows for one in kept), f"{kept[0].who}@{kept[0].host}"
    of = f"{len(kept)} check{'s' * (len(kept) > 1)}"
    words = f"{rows:,} rows of {of} kept {moment(first.at)} by {who}, at {first.applied}"
    return Status(item, Mark.DONE, words, first.at, who)


def _doctor(item: Item, facts: Facts) -> Status:
    found = facts.findings.get(item.name, ())
    look = f"stepwell doctor {item.name}"
    worst = max((one.level for one in found), key=list(Level).index, default=Level.OK)
    words = "; ".join(one.words for one in found if one.level is worst) or "nothing here tells about it"
    if worst is Level.BLOCKER:
        return Status(item, Mark.FAILS, words, command=look)
    return Status(item, Mark.DONE if worst is Level.OK and found else Mark.LOOK, words, command=look)


def _rehearsal(item: Item, facts: Facts) -> Status:
    found, run = facts.rehearsal, "stepwell rehearse"
    if found is None:
        return Status(item, Mark.OPEN, "never rehearsed", command=run)
    words = f"{found.note}, {moment(found.at)} by {found.who}"
    if found.act != "rehearsed":
        return Status(item, Mark.FAILS, words, found.at, found.who, run)
    if not found.note.endswith(facts.files):
        what = f"scripts, jobs or checks were edited since it went well, {moment(found.at)}"
        return Status(item, Mark.OPEN, what, found.at, "", run)
    return Status(item, Mark.DONE, words, found.at, found.who)


def _answer(item: Item, facts: Facts) -> Status:
    answer = facts.answers.get(item.name if item.kind == "signoff" else item.reference)
    sign = f"stepwell runbook sign {item.reference}"
    whose = f"for {', '.join(item.by)}" if item.by else ""
    if answer is None:
        return Status(item, Mark.OPEN, whose, command=sign)
    who = f"{answer.who}@{answer.host}"
    words = f"{answer.answer}, {moment(answer.at)} by {who}" + (f": {answer.note}" if answer.note else "")
    if answer.answer == NO:
        return Status(item, Mark.FAILS, words, answer.at, who, sign)
    if item.by and answer.who not in item.by:
        return Status(item, Mark.FAILS, f"{words}; but it is {whose}", answer.at, who, sign)
    return Status(item, Mark.DONE, words, answer.at, who)
