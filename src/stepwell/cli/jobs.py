"""The commands that run jobs, steer them, and show how far they are."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import threading
import time
from collections import deque
from dataclasses import asdict, replace

from stepwell.cli.output import Output, clock, duration, plural
from stepwell.errors import LeaseHeld
from stepwell.jobs.limits import Limits
from stepwell.jobs.overview import ENDED, Overview
from stepwell.jobs.runner import Outcome, Progress
from stepwell.ledger.jobs import Ledger
from stepwell.project import Project
from stepwell.schema.plan import Options
from stepwell.schema.upgrade import Result

LOOK = 1.0
"""Seconds between two looks at a job that somebody else runs."""

MOST_SHOWN = 20
"""Rows that are named one by one; `--json` names all."""


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
        case "set":
            return _set(project, options, output)
        case "why" | "undo" | "reassess" as verb:
            from stepwell.cli import changes

            return {"why": changes.why, "undo": changes.undo, "reassess": changes.reassess}[verb](
                project, options, output
            )
        case _:
            return _steer(project, options, output)


def stop_on_signals() -> threading.Event:
    """What SIGTERM and Ctrl-C set from now on, so that what is under way is ended in order."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


# --- running --------------------------------------------------------------------------------------------------


def up_to_the_end(project: Project, options: Options, result: Result, output: Output) -> tuple[Result, int]:
    """Run the release's jobs, each once, and apply the scripts that wait for them, as long as that leads on.

    The exit code is 1 where a job did not migrate all of its rows, or a script still waits for one.
    """
    applied, skipped, tried = list(result.applied), result.skipped, set[str]()
    code = 0
    while True:
        ready = [
            found.name
            for found in project.overview()
            if found.state not in ENDED and not found.waits_for and found.name not in tried
        ]
        if not ready:
            held = any(other.startswith("job/") for others in result.waiting.values() for other in others)
            return replace(result, applied=applied, skipped=skipped), 1 if held else code
        for name in ready:
            tried.add(name)
            code = max(code, _run_in_turn(project, name, output))
        result = project.up(options, output.tell)
        # What this run's earlier rounds applied is no script that it found applied.
        skipped = result.skipped - len(applied)
        applied += result.applied


def _run_in_turn(project: Project, name: str, output: Output) -> int:
    """Run a job as soon as nobody else does; its exit code."""
    told = False
    while True:
        try:
            return _code(_run(project, name, output))
        except LeaseHeld as error:
            if not told:
                output.note(error.what)
            told = True
        pace = Pace()
        while (one := project.overview(name)[0]).holder:
            output.live(_progress(one, pace.of(one.done)))
            time.sleep(LOOK)


def work(options: argparse.Namespace, output: Output) -> int:
    """Run until SIGTERM or Ctrl-C; the batch under way is finished first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    Project.load(options.project).work(lambda progress: None, stop_on_signals())
    return 0


def _run(project: Project, name: str, output: Output) -> Outcome:
    started, pace, rows = time.monotonic(), Pace(), 0

    def tell(progress: Progress) -> None:
        nonlocal rows
        rows += progress.batch_rows
        output.live(f"job/{progress.job}  {_described(progress, pace.of(progress.rows_done))}")

    outcome = project.run_job(name, tell, stop_on_signals())
    seconds = time.monotonic() - started
    rate = f", {rows / seconds:,.0f} rows/s" if rows else ""
    if outcome.state == "off":
        flag = project.job(name).flag
        output.line(f"job/{outcome.job:<16}  is skipped: {flag.name if flag else 'its flag'} is not true")
        return outcome
    output.line(f"job/{outcome.job:<16}  {_state(outcome)}, {duration(seconds)}{rate}")
    if outcome.failed:
        output.paragraph("  ", f"`stepwell job show {outcome.job}` names the rows that failed, and why")
    return outcome


def _ended(outcome: Outcome, output: Output) -> int:
    output.result(asdict(outcome))
    return _code(outcome)


def _code(outcome: Outcome) -> int:
    return 0 if outcome.state in ("complete", "off") and not outcome.failed else 1


def _state(outcome: Outcome) -> str:
    rows = plural(outcome.rows_done, "row")
    if outcome.state == "complete" and outcome.failed:
        return f"complete except {plural(outcome.failed, 'row')} ({rows} migrated)"
    return f"{outcome.state}, {rows} migrated"


class Pace:
    """Rows a second of late: what is told of progress over the last half minute."""

    def __init__(self) -> None:
        self._heard: deque[tuple[float, int]] = deque()

    def of(self, done: int) -> float:
        """Take into account that so many rows are done by now; 0 until something moves."""
        now = time.monotonic()
        self._heard.append((now, done))
        while len(self._heard) > 2 and now - self._heard[0][0] > 30:
            self._heard.popleft()
        since, before = self._heard[0]
        return (done - before) / (now - since) if done > before else 0.0


def _described(progress: Progress, rate: float) -> str:
    if progress.held_by:
        return f"{progress.rows_done:,} rows, held back: {progress.held_by}"
    return ", ".join([f"{progress.rows_done:,} rows", *_ahead(progress.rows_done, progress.rows_left, rate)])


def _ahead(done: int, left: int, rate: float) -> list[str]:
    """The share that is done, rows a second, and the time left, as far as they are known."""
    return [
        *([_percent(done / (done + left))] if left > 0 else []),
        *([f"{rate:,.0f} rows/s"] if rate else []),
        *([f"{duration(left / rate)} left"] if rate and left > 0 else []),
    ]


def _percent(share: float) -> str:
    """Rounded down: 100% means all."""
    return f"{math.floor(100 * share)}%"


# --- looking --------------------------------------------------------------------------------------------------


def _list(project: Project, output: Output) -> int:
    found = project.overview()
    rows: list[tuple[str, ...]] = [("JOB", "STATE", "DONE", "LEFT", "SHARE", "FAILED")]
    rows += [
        (
            one.name,
            one.state,
            f"{one.done:,}",
            "?" if one.left < 0 else f"{one.left:,}",
            "?" if one.share is None else _percent(one.share),
            f"{one.failed:,}",
        )
        for one in found
    ]
    if found:
        output.table(_right_aligned(rows, 2))
    else:
        output.note("this project has no job; jobs are files in the folder jobs")
    remarks = [(one.name, remark) for one in found for remark in _remarks(one)]
    if remarks:
        output.line()
    for name, remark in remarks:
        output.paragraph(f"{name}: ", remark, indent=2)
    output.result({"jobs": [_as_json(one) for one in found]})
    return 0


def _right_aligned(rows: list[tuple[str, ...]], first: int) -> list[tuple[str, ...]]:
    """The columns from `first` on, which are numbers, end below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (*row[:first], *(cell.rjust(width) for cell, width in zip(row[first:], widths[first:], strict=True)))
        for row in rows
    ]


def _as_json(one: Overview) -> dict[str, object]:
    return asdict(one) | {"share": one.share, "limits": Limits.load(one.limits).chosen}


def _remarks(one: Overview) -> list[str]:
    failed = f"{plural(one.failed, 'row')} failed; `stepwell job show {one.name}` names and explains them"
    return [
        *([one.reason] if one.reason else []),
        *([f"run by {one.holder}, since {clock(one.since)}"] if one.holder else []),
        *([failed] if one.failed else []),
    ]


def _show(project: Project, name: str, output: Output) -> int:
    definition = project.job(name)
    [one] = project.overview(name)
    with project.looking() as ledger:
        failures = Ledger(ledger).failures(definition.name)
    output.line(": ".join(filter(None, [definition.reference, definition.about])))

    def say(label: str, text: str) -> None:
        output.paragraph(f"  {label:<9}", text)

    say("file", f"{definition.path}:{definition.line}")
    say("state", one.state)
    if definition.flag and not definition.flag.on(project.variables):
        say("off", f"{definition.flag.name} is not true")
    if one.reason:
        say("why", one.reason)
    left = "not counted" if one.left < 0 else f"{one.left:,}"
    say("rows", f"{one.done:,} done, {left} left" + ("" if one.share is None else f", {_percent(one.share)}"))
    if one.holder:
        say("run by", f"{one.holder}, since {clock(one.since)}")
    if one.limits:
        say("limits", _limits(Limits.load(one.limits)))
    if failures:
        say("failed", f"{plural(len(failures), 'row')}; `stepwell job retry {one.name}` tries them again")
    for key, error, _ in failures[:MOST_SHOWN]:
        say("", f"{key}: {error}")
    if len(failures) > MOST_SHOWN:
        say("", f"and {len(failures) - MOST_SHOWN:,} more; --json names all")
    output.result(_as_json(one) | {"failures": [{"key": key, "error": error} for key, error, _ in failures]})
    return 0


def _watch(project: Project, name: str, output: Output) -> int:
    pace = Pace()
    while (one := project.overview(name)[0]).state not in ENDED:
        output.live(_progress(one, pace.of(one.done)))
        time.sleep(LOOK)
    output.line(f"job/{one.name} is {one.state}, {plural(one.done, 'row')} migrated")
    for remark in _remarks(one):
        output.paragraph("  ", remark)
    output.result(_as_json(one))
    return 0 if one.state in ("complete", "off") and not one.failed else 1


def _progress(one: Overview, rate: float) -> str:
    moving = [f"{one.done:,} rows", *_ahead(one.done, one.left, rate)]
    return f"job/{one.name}  {one.state}, {', '.join([one.reason, *moving[:2]] if one.reason else moving)}"


# --- steering -------------------------------------------------------------------------------------------------


def _steer(project: Project, options: argparse.Namespace, output: Output) -> int:
    steered = project.steer_job(options.name, options.job_command)
    [one] = project.overview(options.name)
    output.line(f"job/{one.name} is {one.state}{'' if steered else f': nothing to {options.job_command}'}")
    if one.reason and options.job_command in ("resume", "retry"):
        output.paragraph("  ", one.reason)
    output.result({"job": one.name, "state": one.state})
    return 0


def _set(project: Project, options: argparse.Namespace, output: Output) -> int:
    limits = project.limit_job(options.name, options.limits)
    name = options.name.removeprefix("job/")
    output.paragraph(f"job/{name}: ", _limits(limits), indent=2)
    output.result({"job": name, "limits": limits.chosen})
    return 0


def _limits(limits: Limits) -> str:
    """What a person has set, in words."""
    words = {
        "size": f"size at most {limits.size or 0:,} rows",
        "target": f"target {_span(limits.target)} a batch",
        "workers": f"workers {limits.workers}",
        "pause": f"pause {_span(limits.pause)} after each batch",
    }
    return ", ".join(words[name] for name in limits.chosen) or "no limits but those of its file"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"
