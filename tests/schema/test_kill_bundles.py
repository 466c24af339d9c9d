"""kill -9 before every statement that is sent, in the upgrades of the bundled projects, with data."""

from __future__ import annotations

from pathlib import Path

import pytest

import copying
from projects import Project
from stepwell import bundles
from sweeping import prepared, sweep

GENERATE = """
from stepwell.project import Project
with Project.load().targets() as targets:
    first, second = (target.database for target in targets)
    {call}
"""
PAIRS = {
    "agent_runs": {"app": "postgres", "analytics": "clickhouse"},
    "opik on MariaDB": {"state": "mysql", "analytics": "clickhouse"},
    "opik on SQLite": {"state": "sqlite", "analytics": "chdb"},
}


def bundled(request: pytest.FixtureRequest, folder: Path, pair: str) -> Project:
    """A bundled project with its data in the tables of its first version."""
    bundle = pair.split()[0]
    (folder / "project").mkdir()
    bundles.copy(bundle, folder / "project")
    urls = {name: copying.empty(request, engine, folder) for name, engine in PAIRS[pair].items()}
    project = Project(folder / "project", urls)
    if bundle == "opik":
        first = [("state", "0001"), ("analytics", "0001")]
        call = "from stepwell.bundles.opik.data import generate; generate(first, second, scale=0.05)"
    else:
        first = [("app", "0002"), ("analytics", "0001")]
        call = "from stepwell.bundles.agent_runs.data import generate; generate(first, second, runs=200, seed=1)"
    for database, version in first:
        ended = project("up", "--database", database, "--to", f"{database}/{version}")
        assert ended.code == 0, ended.text
    generated = project.python(GENERATE.format(call=call))
    assert generated.code == 0, generated.text
    return project


@pytest.mark.parametrize("pair", PAIRS)
def test_an_upgrade_killed_anywhere_is_finished_exactly_by_the_next_up(
    request: pytest.FixtureRequest, tmp_path: Path, pair: str
) -> None:
    sweep(prepared(request, tmp_path, bundled(request, tmp_path, pair)), "up", sample=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pair", PAIRS)
def test_an_upgrade_killed_at_every_point_is_finished_exactly_by_the_next_up(
    request: pytest.FixtureRequest, tmp_path: Path, pair: str
) -> None:
    sweep(prepared(request, tmp_path, bundled(request, tmp_path, pair)), "up", sample=None)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_way_back_killed_at_every_point_is_finished_by_the_same_down(
    request: pytest.FixtureRequest, tmp_path: Path, pair: str
) -> None:
    project = bundled(request, tmp_path, pair)
    ended = project("up")
    assert ended.code == 0, ended.text
    down = ("down", "--database", "analytics", "--to", "analytics/0001")
    sweep(prepared(request, tmp_path, project), *down, sample=None, again=down)


@pytest.mark.soak  # each script's way back by itself is in tests/bundles/test_ways_back.py
@pytest.mark.parametrize("pair", PAIRS)
def test_down_then_up_leaves_the_same_schema_and_rows(
    request: pytest.FixtureRequest, tmp_path: Path, pair: str
) -> None:
    project = bundled(request, tmp_path, pair)
    assert project("up").code == 0
    before = project.dump()
    for database in reversed(list(project.urls)):
        scripts = sorted((project.folder / "migrations" / database).glob("*.sql"))
        kept = 2 if database == "app" else 1  # those hold the data
        ended = project("down", "--database", database, "--count", str(len({s.name[:4] for s in scripts}) - kept))
        assert ended.code == 0, ended.text
    ended = project("up")
    assert ended.code == 0, ended.text
    assert project.dump() == before
