"""A job as a person asks about it: how far it is, and where it stands still, why.

The states are the ledger's, corrected by what it can't know: a job whose flag is off is 'off'; one that a dead worker
left 'running' is 'pending'. Whatever is not complete and makes no progress has a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.errors import StepwellError
from stepwell.jobs.definition import Definition
from stepwell.ledger import changes
from stepwell.ledger.jobs import JobState, Ledger

LONG = 10.0
"""Seconds without a new batch after which a job that is run is said to stand still."""

ENDED = ("complete", "paused", "cancelled", "undone", "off")
"""States that a job does not leave by itself."""

Missing = Callable[[Sequence[Definition]], Mapping[str, list[str]]]
"""What of the requirements of jobs is not complete now, by job, as references with notes."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A job as `job list` shows it. `left` is -1 where it was never counted; `limits` are those that a person set.

    `reason` says why it makes no progress, '' while it does; `holder` is who runs it now, `since` 1970 in seconds.
    """

    name: str
    about: str
    state: str
    done: int
    left: int
    failed: int
    holder: str
    since: float
    reason: str = ""
    waits_for: tuple[str, ...] = ()
    held_by: str = ""
    limits: str = ""

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1; None where it is not known."""
        total = self.done + self.left
        return self.done / total if self.left >= 0 and total else None


def overview(
    definitions: Sequence[Definition], ledger: Database, missing: Missing, environment: Mapping[str, str]
) -> list[Overview]:
    """Every job and its state. Reads only."""
    book = Ledger(ledger)
    states = {d.name: JobState(d.name) for d in definitions} | book.read_all()
    now = book.clock()
    shown = {d.name: _shown(d, states[d.name], now, environment) for d in definitions}
    asked = [d for d in definitions if shown[d.name] == "pending" and d.requires]
    waiting, trouble = _waits(asked, missing)
    found = []
    for definition in definitions:
        name, state = definition.name, states[definition.name]
        waits_for = tuple(waiting.get(name, ()))
        waits = f"waits for {', '.join(waits_for)}" if waits_for else trouble if definition in asked else ""
        since = book.count_done(name)
        found.append(
            Overview(
                name,
                definition.about,
                shown[name],
                state.rows_done + since,
                state.rows_left if state.rows_left < 0 else max(0, state.rows_left - since),
                len(book.failures(name)),
                state.holder if _run_by(state, now) else "",
                state.started,
                _reason(definition, shown[name], state, now, waits, book),
                waits_for,
                state.held_by,
                state.limits,
            )
        )
    return found


def _run_by(state: JobState, now: float) -> bool:
    return bool(state.holder) and state.lease_until > now


def _shown(definition: Definition, state: JobState, now: float, environment: Mapping[str, str]) -> str:
    if state.state in ("complete", "undone"):
        return state.state
    if definition.flag and not definition.flag.on(environment):
        return "off"
    if state.state in ("paused", "cancelled"):
        return state.state
    if _run_by(state, now):
        return "running"
    return "pending" if state.state == "running" else state.state


def _waits(definitions: Sequence[Definition], missing: Missing) -> tuple[Mapping[str, list[str]], str]:
    """What these jobs wait for; or, where a database does not answer, why that can't be told."""
    if not definitions:
        return {}, ""
    try:
        return missing(definitions), ""
    except StepwellError as error:
        return {}, f"what it requires can't be looked at: {error.what}"


def _reason(definition: Definition, shown: str, state: JobState, now: float, waits: str, book: Ledger) -> str:
    name, run_by = definition.name, _run_by(state, now)
    match shown:
        case "complete":
            return ""
        case "off":
            assert definition.flag
            return f"switched off by {definition.flag.name}"
        case "undone":
            left = changes.count_changed(book.database, name)
            but = f", but for {left:,} rows that others wrote since, or that `job undo` did not reach" if left else ""
            return f"its changes were taken back{but}; `stepwell job resume {name}` lets it run again"
        case "paused" | "cancelled":
            end = (
                "its worker ends after the batch under way" if run_by else f"`stepwell job resume {name}` lets it go on"
            )
            return f"{shown} by a person; {end}"
        case "running":
            return _held(state, now, book)
        case "stalled":
            return f"its last run failed: {state.held_by}; mend that, and `stepwell job run {name}` goes on"
    if waits:
        return waits
    if definition.window and (closed := definition.window.waits()):
        return f"waits for {closed}"
    before = f"its last run ended: {state.held_by}; " if state.held_by else ""
    if state.holder:
        before = f"the lease of {state.holder} ended {_span(now - state.lease_until)} ago; "
    return f"{before}nobody runs it: `stepwell job run {name}` does at once, `stepwell work` in its turn"


def _held(state: JobState, now: float, book: Ledger) -> str:
    """Why a job that is run makes no progress."""
    if state.held_by:
        return f"held back: {state.held_by}"
    still = now - max(state.worked, state.started)
    if still < LONG:
        return ""
    begun = book.open_batches(state.job)
    if begun:
        return f"its batch {begun[0].number} is under way for {_span(still)}"
    return f"no batch is under way for {_span(still)}: it counts or looks for its next rows, or rests between batches"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
