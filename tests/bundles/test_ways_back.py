"""Promises of every bundled script: it applies, its way back leaves what was before, and it applies once more."""

from __future__ import annotations

import pytest

from dumping import dump
from stepwell import bundles
from stepwell.bundles import agent_runs, opik
from stepwell.project import Project
from stepwell.schema.plan import Options

OPIK = [
    "state/0001", "state/0002", "analytics/0001", "analytics/0002", "data", "state/0003", "state/0004",
]  # fmt: skip
AGENT_RUNS = [
    "app/0001", "app/0002", "analytics/0001", "data", "app/0003", "app/0004", "analytics/0002", "analytics/0003",
    "analytics/0004", "analytics/0005", "analytics/0006", "analytics/0007",
]  # fmt: skip


def walk(project: Project, steps: list[str]) -> None:
    """Apply each script, take it back, apply it again, and compare all definitions and rows."""
    urls = {name: config.url for name, config in project.config.databases.items()}
    for database in urls:
        project.baseline(Options(database=database), None)  # the tracking tables are not the scripts' doing
    for step in steps:
        if step == "data":
            fill(project)
            continue
        database = step.split("/")[0]
        before = dump(urls[database])
        project.up(Options(to=step))
        after = dump(urls[database])
        assert after != before
        project.down(Options(database=database, count=1))
        assert dump(urls[database]) == before, step
        project.up(Options(to=step))
        assert dump(urls[database]) == after, step
    assert project.up().applied == []


def fill(project: Project) -> None:
    with project.targets() as targets:
        relational, analytics = (target.database for target in targets)
        if "state" in project.config.databases:
            opik.generate(relational, analytics, scale=0.05)
        else:
            agent_runs.generate(relational, analytics, runs=200, seed=1)


def test_every_opik_script_has_an_exact_way_back_on_servers(mysql_url: str, clickhouse_url: str) -> None:
    environment = {"STATE_DB_URL": mysql_url, "ANALYTICS_DB_URL": clickhouse_url}
    walk(Project.load(bundles.HERE / "opik", environment), OPIK)


@pytest.mark.soak
def test_every_opik_script_has_an_exact_way_back_when_embedded(sqlite_url: str, chdb_url: str) -> None:
    environment = {"STATE_DB_URL": sqlite_url, "ANALYTICS_DB_URL": chdb_url}
    walk(Project.load(bundles.HERE / "opik", environment), OPIK)


def test_every_agent_runs_script_has_an_exact_way_back(postgres_url: str, clickhouse_url: str) -> None:
    environment = {"APP_DB_URL": postgres_url, "ANALYTICS_DB_URL": clickhouse_url}
    walk(Project.load(bundles.HERE / "agent_runs", environment), AGENT_RUNS)


def test_the_walks_pass_every_script() -> None:
    for bundle, steps in (("opik", OPIK), ("agent_runs", AGENT_RUNS)):
        files = (bundles.HERE / bundle / "migrations").glob("*/*.sql")
        assert {f"{file.parent.name}/{file.name[:4]}" for file in files} == set(steps) - {"data"}
