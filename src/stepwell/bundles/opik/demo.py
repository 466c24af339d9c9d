"""`stepwell demo opik`: both upgrades in a folder, on SQLite and chDB, with data and with proof."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from stepwell import bundles
from stepwell.bundles.opik.data import generate
from stepwell.bundles.opik.live import Application
from stepwell.bundles.opik.proof import Fact, proof
from stepwell.config import FILE
from stepwell.project import Project
from stepwell.schema import events
from stepwell.schema.plan import Options

BEFORE = ("state/0002", "analytics/0002")
"""The last scripts of the 1.x schema, and of what the upgrade adds to it before any row moves."""

VERSIONS = ("copy-dataset-items", "dataset-version-items-total", "reconcile-datasets")
"""The jobs of migration 1, in their order."""

SNAPSHOT = "before-versioning"

Say = Callable[[str], None]


def run(folder: Path, scale: float, seed: int, tell: events.Listener, say: Say, *, live: bool = False) -> list[Fact]:
    """Make the project, fill it with 1.x data, upgrade it twice, and return what proves that all of it arrived.

    In a folder where a demo was begun, it goes on from where that one ended, however it ended. `live`: an application
    of 1.x writes during both.
    """
    if not (folder / FILE).exists():
        bundles.copy("opik", folder)
        say(f"made a project in {folder}")
        say("SQLite for state, chDB (ClickHouse in this process) for analytics")
    project = _project(folder)

    say("\nOpik 1.x:")
    for reference in BEFORE:
        project.up(Options(to=reference), tell)
    started = time.monotonic()
    with project.targets() as targets:
        state, analytics = (target.database for target in targets)
        if not state.query("SELECT id FROM datasets LIMIT 1"):
            summary = generate(state, analytics, scale=scale, seed=seed)
            say(f"generated in {time.monotonic() - started:.1f} s: {summary}")

    before = not live and all(kept.name != SNAPSHOT for kept in project.snapshots())
    if before:
        say(f"\nsnapshot {SNAPSHOT}:")
        for name, rows in project.take_snapshot(SNAPSHOT).items():
            say(f"check/{name:<42} {rows:,} rows kept")

    applications = [Application(project.open, seed + number) for number in (10, 20)]
    say("\nmigration 1, dataset versions:")
    with applications[0] if live else nullcontext():
        project.up(Options(to="state/0003"), tell)
        _run_jobs(project, VERSIONS, say)
    say("\nmigration 2, projects:")
    with applications[1] if live else nullcontext():
        project.up(Options(), tell)
        _run_jobs(project, _others(project), say)
    if live:
        writes, longest = sum(each.writes for each in applications), max(each.longest for each in applications)
        say(f"\nmeanwhile {writes:,} writes, the longest of {longest:.2f} s; what came late:")
        _run_jobs(project, (*VERSIONS, *_others(project)), say)

    say("\nonce more:")
    result = project.up(Options(), tell)
    say(f"applied {len(result.applied)}, skipped {result.skipped}")

    say("\nchecks:")
    # What was kept is compared in the run that has kept it: an application may have written since.
    names = [check.name for check in project.checks().values() if before or not check.snapshot]
    checked = project.check(*names, tell=lambda outcome: say(f"check/{outcome.check:<38} {outcome.words}"))

    say("\nproof:")
    with project.targets() as targets:
        state, analytics = (target.database for target in targets)
        failing = sum(not outcome.holds for outcome in checked)
        return [*proof(state, analytics), Fact("checks that do not hold", failing, 0)]


def _project(folder: Path) -> Project:
    """The project with every job switched on, on the databases in its folder."""
    # The demo is about the embedded databases; variables of a real installation must not lead it there.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_DB_URL")}
    project = Project.load(folder, environment)
    flags = {job.flag.name: "true" for job in project.jobs() if job.flag}
    return Project.load(folder, {**environment, **flags})


def _others(project: Project) -> tuple[str, ...]:
    """The jobs of migration 2: what a job requires comes before it."""
    left = {job.name: set(job.requires) for job in project.jobs() if job.name not in VERSIONS}
    order: list[str] = []
    while left:
        ready = [name for name, requires in left.items() if not requires & {f"job/{other}" for other in left}]
        order += ready
        for name in ready:
            del left[name]
    return tuple(order)


def _run_jobs(project: Project, names: tuple[str, ...], say: Say) -> None:
    for name in names:
        started = time.monotonic()
        before = next(found.done for found in project.overview(name))
        outcome = project.run_job(name)
        rows = f"{outcome.rows_done - before:,} rows"
        say(f"job/{name:<44} {outcome.state}, {rows}, {time.monotonic() - started:.2f} s")
