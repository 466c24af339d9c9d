"""An Opik installation for tests: its tables of before the rows move, and a connection to each of its databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import copying
from opik_versions import Row, empty, state_rows, version_1
from stepwell import bundles
from stepwell.databases.database import Database
from stepwell.project import Project
from stepwell.schema.plan import Options

JOBS = ("copy-dataset-items", "dataset-version-items-total")


@dataclass(frozen=True, slots=True)
class Opik:
    project: Project
    state: Database
    analytics: Database

    def upgrade(self) -> None:
        self.project.up(Options(to="state/0003"))
        for job in JOBS:
            outcome = self.project.run_job(job)
            assert (outcome.state, outcome.failed) == ("complete", 0)

    def roll_back(self) -> None:
        """As an operator does it: the jobs, last first, then the scripts."""
        for job in reversed(JOBS):
            assert self.project.undo_job(job).complete
        self.project.down(Options(database="state", to="state/0002"))

    def anew(self) -> None:
        """Empty all tables, and forget what was done."""
        self.roll_back()
        empty(self.state, self.analytics)

    def told(self, **variables: str) -> Project:
        """The same project under other variables."""
        return Project(self.project.config, {**self.project.variables, **variables})

    def tables(self) -> tuple[tuple[list[Row], list[Row]], list[Row]]:
        return state_rows(self.state), version_1(self.analytics)


def installed(request: pytest.FixtureRequest, folder: Path, state: str, analytics: str) -> Iterator[Opik]:
    """The project on new databases of these engines, closed when the generator ends."""
    urls = {"STATE_DB_URL": copying.empty(request, state, folder)}
    urls["ANALYTICS_DB_URL"] = copying.empty(request, analytics, folder)
    project = Project.load(bundles.HERE / "opik", urls)
    for name in ("state", "analytics"):
        project.up(Options(to=f"{name}/0002"))
    with project.ledger():
        pass
    with ExitStack() as stack:
        opened = [project.open(name) for name in ("state", "analytics")]
        for database in opened:
            database.connect()
            stack.callback(database.close)
        yield Opik(project, *opened)
