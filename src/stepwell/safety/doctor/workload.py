"""The jobs of a release that are not done: how many rows they have left, and how long that may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.databases.database import Database
from stepwell.errors import Refused, StepwellError
from stepwell.safety.doctor.finding import Finding, Level, span

if TYPE_CHECKING:
    from stepwell.jobs.definition import Definition
    from stepwell.ledger.jobs import JobState

# A release without jobs, of which `up` looks at many, imports nothing of them.

OVER = ("complete", "cancelled", "undone")


@dataclass(frozen=True, slots=True)
class Ahead:
    """A job that is not done. `left` is rows, None where they can't be counted in time; `rate` is rows a second."""

    definition: Definition
    state: JobState | None
    left: int | None
    rate: float | None


def ahead(
    definitions: Sequence[Definition],
    ledger: Database | None,
    open: Callable[[str], Database | None],
    environment: Mapping[str, str],
    patience: float,
) -> list[Ahead]:
    """The jobs that are switched on and not done; the rows of all are counted for `patience` seconds at most."""
    if not definitions:
        return []
    from stepwell.ledger.jobs import Ledger

    deadline = time.monotonic() + patience
    known = ledger is not None and ledger.columns("stepwell_job")
    book = Ledger(ledger) if ledger is not None and known else None
    states = book.read_all() if book else {}
    found = []
    for definition in definitions:
        state = states.get(definition.name)
        if (state and state.state in OVER) or (definition.flag and not definition.flag.on(environment)):
            continue
        done = book.count_done(definition.name) if book else 0
        if state and state.rows_left >= 0:
            left: int | None = max(0, state.rows_left - done)
        else:
            left = _count(definition, open(definition.source.database), deadline - time.monotonic())
        found.append(Ahead(definition, state, left, _rate(state, done)))
    return found


def _rate(state: JobState | None, done: int) -> float | None:
    """Rows a second since the job was started; None before its first batch."""
    if state is None or state.worked <= state.started or not state.rows_done + done:
        return None
    return (state.rows_done + done) / (state.worked - state.started)


def _count(definition: Definition, database: Database | None, patience: float) -> int | None:
    from stepwell.jobs.sources import Range, condition

    source = definition.source
    found = condition(source, Range(None, None))
    if patience <= 0 or database is None or found.parameters or "${" in found.text:
        return None
    try:
        if not database.columns(source.table):
            return None
        with database.stream(f"SELECT count(*) FROM {source.table} WHERE {found.text}", patience) as counted:
            ((rows,),) = list(counted.rows)
    except Refused:
        return None
    return int(rows)


def findings(jobs: Sequence[Ahead]) -> Iterator[Finding]:
    """How long each job may take, and those that met trouble."""
    for job in jobs:
        name, state = job.definition.reference, job.state
        if state and state.state == "stalled":
            do = f"Mend that, then: stepwell job run {job.definition.name}"
            yield Finding("jobs", Level.WARNING, "", f"{name} stalled: {state.held_by.splitlines()[0]}", do)
            continue
        rows = "an unknown number of rows" if job.left is None else f"{job.left:,} rows"
        if job.rate and job.left is not None:
            rest = f"about {span(job.left / job.rate)} at {job.rate:,.0f} rows/s"
        else:
            rest = "its first batches will tell how long they take"
        yield Finding("jobs", Level.OK, "", f"{name}: {rows} left, {rest}")
    if not jobs:
        yield Finding("jobs", Level.OK, "", "none is left to run")


def trouble(error: StepwellError) -> Finding:
    """The finding that jobs can't be looked at."""
    return Finding("jobs", Level.WARNING, "", f"the jobs can't be looked at: {error.what}", error.do)
