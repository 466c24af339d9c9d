"""The commands about jobs."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
from dataclasses import asdict, replace

from stepwell.cli.output import Output, duration, plural
from stepwell.errors import LeaseHeld
from stepwell.jobs.runner import Outcome, Progress
from stepwell.jobs.service import Overview
from stepwell.ledger.jobs import Ledger
from stepwell.project import Project
from stepwell.schema.plan import Options
from stepwell.schema.upgrade import Result

LOOK = 1.0
"""Seconds between two looks at a job that somebody else runs."""


def job(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    match options.job_command:
        case "list":
            return _list(project, output)
        case "show":
            return _show(project, options.name, output)
        case "run":
            return _ended(_run(project, options.name, output), output)
        case "watch":
            return _watch(project, options.name, output)
        case verb:
            return _steer(project, options.name, verb, output)


def up_to_the_end(project: Project, options: Options, result: Result, output: Output) -> Result:
    """Run the release's jobs, each once, and apply the scripts that wait for them, as long as that leads on."""
    applied, tried = list(result.applied), set[str]()
    while True:
        ready = [
            found.name
            for found in project.overview()
            if found.state != "complete" and not found.waits_for and found.name not in tried
        ]
        if not ready:
            return replace(result, applied=applied)
        for name in ready:
            tried.add(name)
            try:
                _run(project, name, output)
            except LeaseHeld as error:
                output.note(error.what)
                _watch(project, name, output)
        result = project.up(options, output.tell)
        applied += result.applied


def work(options: argparse.Namespace, output: Output) -> int:
    """Run until SIGTERM or Ctrl-C; the batch under way is finished first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Project.load(options.project).work(lambda progress: None, stop)
    return 0


def _run(project: Project, name: str, output: Output) -> Outcome:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()

    def tell(progress: Progress) -> None:
        seconds = time.monotonic() - started
        output.live(f"job/{progress.job}  {_described(progress, seconds)}")

    outcome = project.run_job(name, tell, stop)
    seconds = time.monotonic() - started
    rate = f", {outcome.rows_done / seconds:,.0f} rows/s" if seconds and outcome.rows_done else ""
    output.line(f"job/{outcome.job:<44} {_state(outcome)}, {duration(seconds)}{rate}")
    return outcome


def _ended(outcome: Outcome, output: Output) -> int:
    output.result(asdict(outcome))
    return 0 if outcome.state in ("complete", "off") and not outcome.failed else 1


def _state(outcome: Outcome) -> str:
    rows = plural(outcome.rows_done, "row")
    if outcome.state == "complete" and outcome.failed:
        return f"complete except {plural(outcome.failed, 'row')} ({rows} migrated)"
    if outcome.state == "off":
        return "is disabled by its flag and skipped"
    return f"{outcome.state}, {rows} migrated"


def _described(progress: Progress, seconds: float) -> str:
    parts = [f"{progress.rows_done:,} rows"]
    if seconds > 0:
        parts.append(f"{progress.rows_done / seconds:,.0f}/s")
    total = progress.rows_done + progress.rows_left
    if progress.rows_left > 0 and progress.rows_done:
        parts.append(f"{progress.rows_done / total:.0%}")
        parts.append(f"{duration(seconds * progress.rows_left / progress.rows_done)} left")
    if progress.held_by:
        parts.append(f"held back: {progress.held_by}")
    return ", ".join(parts)


def _list(project: Project, output: Output) -> int:
    found = project.overview()
    rows: list[tuple[str, ...]] = [("JOB", "STATE", "DONE", "LEFT", "FAILED")]
    rows += [
        (one.name, one.state, f"{one.done:,}", "?" if one.left < 0 else f"{one.left:,}", f"{one.failed:,}")
        for one in found
    ]
    output.table(rows)
    for one in found:
        for line in _remarks(one):
            output.line(line)
    output.result({"jobs": [asdict(one) for one in found]})
    return 0


def _remarks(one: Overview) -> list[str]:
    return [
        *([f"{one.name} waits for {', '.join(one.waits_for)}"] if one.waits_for else []),
        *([f"{one.name} is held back: {one.held_by}"] if one.held_by else []),
        *([f"{one.name} is run by {one.holder}"] if one.holder else []),
    ]


def _show(project: Project, name: str, output: Output) -> int:
    definition = project.job(name)
    one = next(found for found in project.overview() if found.name == definition.name)
    with project.ledger() as ledger:
        failures = Ledger(ledger).failures(definition.name)
    output.line(f"{definition.reference}: {definition.about}")
    output.line(f"  file     {definition.path}:{definition.line}")
    output.line(f"  state    {one.state}")
    output.line(f"  rows     {one.done:,} done, {'not counted' if one.left < 0 else f'{one.left:,}'} left")
    for line in _remarks(one):
        output.line(f"  {line}")
    for key, error, _ in failures:
        output.line(f"  failed   {key}: {error}")
    output.result(asdict(one) | {"failures": [{"key": key, "error": error} for key, error, _ in failures]})
    return 0


def _watch(project: Project, name: str, output: Output) -> int:
    definition = project.job(name)
    while True:
        one = next(found for found in project.overview() if found.name == definition.name)
        share = "" if one.share is None else f", {one.share:.0%}"
        output.live(f"job/{one.name}  {one.state}, {one.done:,} rows{share}")
        if one.state in ("complete", "paused", "cancelled"):
            output.line(f"job/{one.name} is {one.state}")
            return 0
        time.sleep(LOOK)


def _steer(project: Project, name: str, verb: str, output: Output) -> int:
    definition = project.job(name)
    with project.ledger() as database:
        ledger = Ledger(database)
        if verb == "retry":
            ledger.retry_failures(definition.name)
        state = {"pause": "paused", "cancel": "cancelled"}.get(verb, "pending")
        ledger.update(definition.name, None, state=state, quiet_passes=0)
    output.line(f"{definition.reference} is {state}")
    output.result({"job": definition.name, "state": state})
    return 0
