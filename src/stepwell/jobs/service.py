"""A project's jobs together: what is ready, what remains, running one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from stepwell.databases.database import Database
from stepwell.errors import JobNotReady, Refused
from stepwell.graph import Step
from stepwell.jobs import runner
from stepwell.jobs.definition import Definition
from stepwell.jobs.runner import Outcome, Site
from stepwell.ledger.jobs import JobState, Ledger
from stepwell.ledger.tables import upgrade

Missing = Callable[[Definition], list[str]]
"""What of a job's requirements is not complete now, as references with notes."""


def steps(definitions: Sequence[Definition], ledger: Database) -> tuple[Step, ...]:
    """The jobs as steps of the graph: complete or how far. A ledger without tables knows no job."""
    states = _states(ledger)
    return tuple(_step(definition, states.get(definition.name), Ledger(ledger)) for definition in definitions)


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
