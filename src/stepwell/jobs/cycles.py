"""The service: every enabled job whenever it has something to do, cycle after cycle, several jobs at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from stepwell.errors import LeaseHeld, StepwellError
from stepwell.jobs import preflight, runner, sources
from stepwell.jobs.batch import Connections
from stepwell.jobs.definition import Definition
from stepwell.jobs.runner import Outcome, Site
from stepwell.jobs.service import Missing
from stepwell.ledger.jobs import HELD, Ledger

LOGGER = logging.getLogger("stepwell")

AT_ONCE = 4
"""Jobs that run side by side: one that is long, or is held back, does not keep the others waiting."""

TICK = 0.2
"""Seconds between two looks at jobs that run."""


def work(
    definitions: Sequence[Definition],
    site: Site,
    missing: Missing,
    run: Callable[[Definition], Outcome],
    stop: threading.Event,
) -> None:
    """Run all enabled jobs until `stop` is set; the batches under way are finished first.

    A complete job is looked at once a cycle: rows that arrived late reopen it. `run` is called from several threads.
    """
    enabled = {definition.name: definition for definition in definitions if _enabled(definition, site)}
    started = time.monotonic()
    due = {name: started + definition.startup_delay for name, definition in enabled.items()}
    running: dict[str, Future[None]] = {}
    connections = Connections(site.open)

    def run_logged(definition: Definition) -> None:
        try:
            outcome = run(definition)
            failed = f" failed={outcome.failed}" if outcome.failed else ""
            LOGGER.info("job=%s state=%s rows=%d%s", definition.name, outcome.state, outcome.rows_done, failed)
        except LeaseHeld as error:
            LOGGER.info("job=%s %s", definition.name, error.what)
        except StepwellError as error:
            LOGGER.warning("job=%s %s", definition.name, _on_one_line(error))
        except Exception:  # of one job; the others go on
            LOGGER.exception("job=%s", definition.name)

    with ThreadPoolExecutor(AT_ONCE, "job") as threads:
        try:
            while enabled and not stop.wait(_pause(due, running)):
                for name in [name for name, future in running.items() if future.done()]:
                    del running[name]
                    due[name] = time.monotonic() + enabled[name].cycle
                for name in sorted(due, key=lambda name: due[name]):
                    if due[name] > time.monotonic() or len(running) == AT_ONCE:
                        break
                    definition = enabled[name]
                    try:
                        if _has_work(definition, site, connections) and not missing(definition):
                            running[name] = threads.submit(run_logged, definition)
                            del due[name]
                            continue
                    except StepwellError as error:
                        connections.close()
                        LOGGER.warning("job=%s %s", name, _on_one_line(error))
                    due[name] = time.monotonic() + definition.cycle
        finally:
            connections.close()


def _pause(due: dict[str, float], running: dict[str, Future[None]]) -> float:
    soonest = max(0.0, min(due.values(), default=TICK + time.monotonic()) - time.monotonic())
    if len(running) == AT_ONCE:
        return TICK
    return min(TICK, soonest) if running else soonest


def _enabled(definition: Definition, site: Site) -> bool:
    if definition.flag and not definition.flag.on(site.environment):
        LOGGER.info("job=%s is disabled by %s and skipped", definition.name, definition.flag.name)
        runner.say(definition.says.off)
        return False
    return True


def _on_one_line(error: StepwellError) -> str:
    return str(error).replace("\n", " ")


def _has_work(definition: Definition, site: Site, connections: Connections) -> bool:
    ledger = Ledger(connections.get(site.ledger))
    state = ledger.read(definition.name)
    if state is None or state.state in HELD:
        return False
    if definition.window and not definition.window.open_at(datetime.now(UTC)):
        return False
    if state.state != "complete" or ledger.to_retry(definition.name):
        return True
    database = connections.get(definition.source.database)
    preflight.require_same_rows(definition, ledger, database)
    behind = None if definition.source.where or not state.place else sources.load_key(state.place)
    failed = tuple(sources.load_key(key) for key, _, _ in ledger.failures(definition.name))
    if sources.next_scope(database, definition.source, behind, 1, failed) is None:
        return False
    return ledger.reopen(definition.name)
