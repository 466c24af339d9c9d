"""kill -9 in the middle of a running INSERT … SELECT of a million rows: of the client, and of the server."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import until
from servers.clickhouse_front import ClickhouseFront

ROWS = 1_000_000
START = [
    "CREATE TABLE event (id UInt64, name String, price Int64) ENGINE = MergeTree ORDER BY id",
    f"""
    INSERT INTO event SELECT number, concat('event ', toString(cityHash64(number))), number % 97
    FROM numbers({ROWS})
    """,
    "CREATE TABLE kept (id UInt64, name String, price Int64) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO kept SELECT number + 100000000, 'kept', number FROM numbers(10000)",
]
# A little slow, and in small blocks, so that a kill falls between two of them.
SOURCE = """SELECT id, name, price + toInt64(cityHash64(repeat(name, 40)) % 2) AS price FROM event
SETTINGS max_block_size = 20000, min_insert_block_size_rows = 20000, min_insert_block_size_bytes = 0, max_threads = 2"""
WAYS = {
    "a table that the script makes": f"""
CREATE TABLE copied (id UInt64, name String, price Int64) ENGINE = MergeTree ORDER BY id;
INSERT INTO copied {SOURCE};
RENAME TABLE copied TO renamed;
""",
    "rows with a key": f"-- key: id\nINSERT INTO kept {SOURCE};\n",
    "no other writers": f"-- writers: none\nINSERT INTO kept {SOURCE};\n",
    "a table made and filled at once": f"CREATE TABLE copied ENGINE = MergeTree ORDER BY id AS {SOURCE};\n",
}
CONTENT = "SELECT count(), sum(cityHash64(*)), groupBitXor(cityHash64(*)) FROM {table}"


def copying_project(request: pytest.FixtureRequest, folder: Path, engine: str, way: str) -> projects.Project:
    url = copying.empty(request, engine, folder)
    for text in START:
        dumping.query(url, text)
    beside = copying.empty(request, "sqlite", folder)
    scripts: dict[str, str | bytes] = {"analytics/0001_copy": WAYS[way]}
    return projects.make(folder / "project", {"state": beside, "analytics": url}, scripts)


def content(project: projects.Project) -> list[list[str]]:
    """Count and two hashes over the rows of the tables that a copy may end in; and which tables there are."""
    url = project.urls["analytics"]
    tables = dumping.query(url, "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
    ours = [name for name in tables if not name.startswith(("schema_", "stepwell_"))]
    return [ours, *(dumping.query(url, CONTENT.format(table=name)) for name in ours)]


def expected(request: pytest.FixtureRequest, folder: Path, engine: str, way: str) -> list[list[str]]:
    project = copying_project(request, folder / "undisturbed", engine, way)
    ended = project("up")
    assert ended.code == 0, ended.text
    return content(project)


# To chDB the death of its client is that of the server, so two ways of it are enough for each run of the tests.
CLIENTS = [
    pytest.param(engine, way, marks=pytest.mark.soak if engine == "chdb" and number > 1 else ())
    for engine in ("chdb", "clickhouse")
    for number, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("engine", "way"), CLIENTS)
def test_a_client_killed_in_an_insert_loses_and_doubles_no_row(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, way: str
) -> None:
    right = expected(request, tmp_path, engine, way)
    project = copying_project(request, tmp_path / "killed", engine, way)
    killed = project.killed("during", "price + toInt64", str(random.uniform(0.1, 1.2)), "up")
    assert killed.code == -9, killed.text
    again = project("up")
    assert again.code == 0, again.text
    assert content(project) == right, again.text
    assert project("up").stdout == "applied 0, skipped 1\n"


OFTEN = ("a table that the script makes", "rows with a key")
"""The others are killed in `make soak`."""


@pytest.mark.parametrize("way", [way if way in OFTEN else pytest.param(way, marks=pytest.mark.soak) for way in WAYS])
def test_a_server_killed_in_an_insert_loses_and_doubles_no_row(
    request: pytest.FixtureRequest, tmp_path: Path, clickhouse_front: ClickhouseFront, way: str
) -> None:
    right = expected(request, tmp_path, "clickhouse", way)
    project = copying_project(request, tmp_path / "killed", "clickhouse", way)
    running = project.start("up")
    until(lambda: dumping.at_work(project.urls["analytics"], "price + toInt64"), running)
    clickhouse_front.kill()
    clickhouse_front.restart()
    first = projects.ended(running)
    assert first.code in (0, 1), first.text
    if first.code == 1:
        assert "lost its connection" in first.text
        again = project("up")
        assert again.code == 0, again.text
    assert content(project) == right
    assert project("up").stdout == "applied 0, skipped 1\n"
