"""A project's jobs together: what is ready, what remains, running them all cycle after cycle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from stepwell.databases.database import Database
from stepwell.errors import JobNotReady, LeaseHeld, Refused, StepwellError
from stepwell.graph import Step
from stepwell.jobs import runner, sources
from stepwell.jobs.batch import Connections
from stepwell.jobs.definition import Definition
from stepwell.jobs.runner import Outcome, Site
from stepwell.ledger.jobs import JobState, Ledger
from stepwell.ledger.tables import create

LOGGER = logging.getLogger("stepwell")

Missing = Callable[[Definition], list[str]]
"""What of a job's requirements is not complete now, as references with notes."""


def steps(definitions: Sequence[Definition], ledger: Database) -> tuple[Step, ...]:
    """The jobs as steps of the graph: complete or how far. Reads only; a ledger without tables knows no job."""
    states = _states(ledger)
    return tuple(_step(definition, states.get(definition.name), Ledger(ledger)) for definition in definitions)


def _states(ledger: Database) -> dict[str, JobState]:
    try:
        return Ledger(ledger).read_all()
    except Refused:
        if ledger.columns("stepwell_job"):
            raise
        return {}


def _step(definition: Definition, state: JobState | None, ledger: Ledger) -> Step:
    complete = state is not None and state.state == "complete"
    where = f"{definition.path}:{definition.line}"
    note = ""
    if state and not complete:
        total = state.rows_done + state.rows_left
        done = state.rows_done + ledger.count_done(definition.name)
        share = f"{min(99, 100 * done // total)}%" if state.rows_left >= 0 and total else ""
        note = ", ".join(filter(None, [share, "" if share and state.state in ("pending", "running") else state.state]))
    return Step(definition.reference, definition.requires, where, complete, note, holds=definition.gates)


def prepare(definitions: Sequence[Definition], ledger: Database) -> None:
    """Make the ledger's tables and a row for every job."""
    create(ledger)
    Ledger(ledger).register(definition.name for definition in definitions)


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


def work(
    definitions: Sequence[Definition],
    site: Site,
    missing: Missing,
    tell: runner.Listener,
    stop: threading.Event,
    executor: Executor | None = None,
) -> None:
    """Run every enabled job whenever it has something to do, cycle after cycle, until `stop` is set.

    A complete job is looked at once a cycle: rows that arrived late reopen it.
    """
    connections = Connections(site.open)
    started = time.monotonic()
    due = {definition.name: started + definition.startup_delay for definition in definitions}
    for definition in definitions:
        if definition.flag and not definition.flag.on(site.environment):
            LOGGER.info("job=%s is disabled by %s and skipped", definition.name, definition.flag.name)
            runner.say(definition.says.off)
            del due[definition.name]
    by_name = {definition.name: definition for definition in definitions}
    try:
        while due and not stop.wait(max(0.0, min(due.values()) - time.monotonic())):
            name = min(due, key=lambda name: due[name])
            definition = by_name[name]
            try:
                if _has_work(definition, site, connections) and not missing(definition):
                    outcome = runner.run(definition, site, tell=tell, stop=stop, executor=executor)
                    LOGGER.info("job=%s state=%s rows=%d", name, outcome.state, outcome.rows_done)
            except LeaseHeld as error:
                LOGGER.info("job=%s %s", name, error.what)
            except StepwellError as error:
                connections.close()
                LOGGER.warning("job=%s %s", name, str(error).replace("\n", " "))
            due[name] = time.monotonic() + definition.cycle
    finally:
        connections.close()


def _has_work(definition: Definition, site: Site, connections: Connections) -> bool:
    ledger = Ledger(connections.get(site.ledger))
    state = ledger.read(definition.name)
    if state is None or state.state in ("paused", "cancelled", "undone"):
        return False
    if state.state != "complete":
        return True
    behind = None if definition.source.where or not state.place else sources.load_key(state.place)
    failed = tuple(sources.load_key(key) for key, _, _ in ledger.failures(definition.name))
    database = connections.get(definition.source.database)
    if sources.next_scope(database, definition.source, behind, 1, failed) is None:
        return False
    ledger.update(definition.name, None, state="pending", quiet_passes=0)
    return True
