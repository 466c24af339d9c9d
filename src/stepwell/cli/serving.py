"""Where a server starts: `up` within a budget of time, and the guard before it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from stepwell.cli.output import Output
from stepwell.errors import CannotConnect, StillRunning
from stepwell.hosting import background
from stepwell.project import Project

TICK = 0.1
"""Seconds between two looks at the run in the background."""

ASK = 1.0
"""Seconds between two looks at what the databases remember."""


def up_within_budget(project: Project, options: argparse.Namespace, output: Output) -> int:
    """Let `up` run in the background, and wait for it no longer than the budget, or than until what is needed is there.

    Raises StillRunning.
    """
    folder, needs = project.config.folder, options.needs
    over = time.monotonic() + options.wait_budget
    missing = project.lacking(*needs) if needs else []
    ours = background.begin(folder, _words(options))
    shown, asked = 0, time.monotonic()
    while True:
        run = background.look(folder)
        if ours and run and not output.as_json:
            shown = _show(run.log, shown)
        if needs and (not run or not run.running or time.monotonic() - asked > ASK):
            missing, asked = _lacking(project, needs, missing), time.monotonic()
        if needs and not missing:
            return _fit(run, output)
        if not run or not run.running:
            if ours:
                return _ended(run, output)
            ours = background.begin(folder, _words(options))  # what ran before was begun for another release
        elif time.monotonic() > over:
            raise StillRunning(options.wait_budget, missing, run.process, run.log)
        time.sleep(TICK)


def guard(options: argparse.Namespace, output: Output) -> int:
    Project.load(options.project).guard(*options.needs, tolerates=options.tolerates_contract)
    output.line("the schema fits")
    output.result({"fits": True})
    return 0


def _words(options: argparse.Namespace) -> list[str]:
    """The command line of the run in the background: this one, but for what is said of the waiting."""
    words = ["up", "--project", str(options.project.resolve()), "--lock-wait", str(options.lock_wait)]
    for name in ("database", "to", "count"):
        if value := getattr(options, name):
            words += [f"--{name}", str(value)]
    words += [word for step in options.accept for word in ("--accept", step)]
    words += [word for item in options.override for word in ("--override", item)]
    return words + [
        f"--{name}" for name in ("wait", "json", "outside-window") if getattr(options, name.replace("-", "_"))
    ]


def _lacking(project: Project, needs: list[str], known: list[str]) -> list[str]:
    try:
        return project.lacking(*needs)
    except CannotConnect:  # a chDB folder that the run itself has open, or a server that will be up again
        return known


def _show(log: str, shown: int) -> int:
    with Path(log).open("rb") as file:
        file.seek(shown)
        text = file.read()
    sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()
    return shown + len(text)


def _fit(run: background.Run | None, output: Output) -> int:
    rest = background.describe(run) if run else ""
    output.note(f"what is needed is applied{f'; {rest}' if rest else ''}")
    output.result({"needed": "applied", "background": rest})
    return 0


def _ended(run: background.Run | None, output: Output) -> int:
    if run is None or run.code is None:
        output.note("the run in the background was killed; `stepwell up` goes on from there")
        return 1
    if output.as_json:
        _show(run.log, 0)
    return run.code if run.code >= 0 else 128 - run.code
