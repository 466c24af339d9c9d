"""A project's jobs together: what is ready, what remains, running one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from stepwell import graph
from stepwell.databases.database import Database
from stepwell.errors import JobNotReady, Refused
from stepwell.graph import Step
from stepwell.jobs import runner, steer
from stepwell.jobs.definition import Definition
from stepwell.jobs.runner import Outcome, Site
from stepwell.ledger.jobs import JobState, Ledger
from stepwell.ledger.tables import upgrade

Missing = Callable[[Definition], list[str]]
"""What of a job's requirements is not complete now, as references with notes."""


def steps(
    definitions: Sequence[Definition], ledger: Database, applied: Sequence[str], pending: Sequence[str]
) -> tuple[Step, ...]:
    """The jobs as steps of the graph, beside scripts by reference: complete or how far.

    A ledger without tables knows no job.
    """
    states, found = _states(ledger), []
    for definition in definitions:
        state = states.get(definition.name)
        step = _step(definition, state, Ledger(ledger))
        if step.complete and state and (taken := taken_away(state.built_on, applied, pending)):
            step = replace(step, complete=False, note=f"{taken[0]} was taken away under it")
        found.append(step)
    return tuple(found)


def taken_away(built_on: Sequence[str], applied: Sequence[str], pending: Sequence[str]) -> list[str]:
    """The scripts that a job was built on and that are to be applied anew: undone, or lost with an older backup."""
    return [
        reference
        for text in built_on
        if not graph.find(text, applied)
        for reference in graph.find(text, pending)
    ]  # fmt: skip


def build_anew(
    definitions: Sequence[Definition], ledger: Database, applied: Sequence[str], ready: Sequence[str]
) -> None:
    """Before scripts that are `ready` are applied: the jobs built on them once look for their rows again.

    Raises LeaseHeld.
    """
    states = _states(ledger)
    for definition in definitions:
        state = states.get(definition.name)
        if state and (bases := taken_away(state.built_on, applied, ready)):
            steer.build_anew(ledger, state, bases[0], from_the_start=not definition.source.where)


def take_away(definitions: Sequence[Definition], ledger: Database, undone: Sequence[str]) -> None:
    """Before scripts are undone: the jobs that require them are complete no more. Raises LeaseHeld."""
    states = _states(ledger)
    for definition in definitions:
        state = states.get(definition.name)
        if state and any(graph.find(text, undone) for text in definition.requires):
            steer.take_away(ledger, state, definition.requires)


def _states(ledger: Database) -> dict[str, JobState]:
    try:
        return Ledger(ledger).read_all()
    except Refused:
        if not ledger.columns("stepwell_job"):
            return {}
        upgrade(ledger)
        return Ledger(ledger).read_all()


def _step(definition: Definition, state: JobState | None, ledger: Ledger) -> Step:
    ended = state is not None and state.state == "complete"
    failed = len(ledger.failures(definition.name)) if ended else 0
    where = f"{definition.path}:{definition.line}"
    note = f"{failed} row{'s' if failed > 1 else ''} failed" if failed else ""
    if state and not ended:
        total = state.rows_done + state.rows_left
        done = state.rows_done + ledger.count_done(definition.name)
        share = f"{min(99, 100 * done // total)}%" if state.rows_left >= 0 and total else ""
        note = ", ".join(filter(None, [share, "" if share and state.state in ("pending", "running") else state.state]))
    return Step(
        definition.reference,
        definition.requires,
        where,
        complete=ended and not failed,
        note=note,
        holds=definition.gates,
    )


def run_one(
    definition: Definition,
    site: Site,
    missing: Missing,
    tell: runner.Listener,
    stop: threading.Event | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Run one job to its end. Raises JobNotReady while something it requires is not complete."""
    if waits_for := missing(definition):
        raise JobNotReady(definition.reference, waits_for)
    return runner.run(definition, site, tell=tell, stop=stop, executor=executor)
