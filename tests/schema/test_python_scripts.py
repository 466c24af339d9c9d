"""Python scripts: exact on every engine, killed between two `db.execute` or anywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import Project
from sweeping import prepared, sweep

START = {
    "sqlite": "CREATE TABLE item (id INT PRIMARY KEY, price INT NOT NULL)",
    "postgres": "CREATE TABLE item (id INT PRIMARY KEY, price INT NOT NULL)",
    "mysql": "CREATE TABLE item (id INT PRIMARY KEY, price INT NOT NULL)",
    "clickhouse": "CREATE TABLE item (id Int32, price Int32) ENGINE = MergeTree ORDER BY id",
    "chdb": "CREATE TABLE item (id Int32, price Int32) ENGINE = MergeTree ORDER BY id",
}
SCRIPT = '''
"""Every shelf gets a table of its own, and prices go up."""

def up(db):
    keeping = " ENGINE = MergeTree ORDER BY id" if db.engine == "clickhouse" else ""
    raise_prices = (
        "ALTER TABLE item UPDATE price = price + ? WHERE id < ?"
        if db.engine == "clickhouse"
        else "UPDATE item SET price = price + ? WHERE id < ?"
    )
    for number in range(2):
        db.execute(f"CREATE TABLE shelf_{number} (id INT, title VARCHAR(20)){keeping}")
        db.execute(raise_prices, (number + 1, 5))
    assert db.query("SELECT count(*) FROM item WHERE id = ?", (1,))[0][0] == 1
    db.execute("ALTER TABLE shelf_1 ADD COLUMN note VARCHAR(20)")

def down(db):
    for number in range(2):
        db.execute(f"DROP TABLE shelf_{number}")
    if db.engine == "clickhouse":
        db.execute("ALTER TABLE item UPDATE price = price - 3 WHERE id < 5")
    else:
        db.execute("UPDATE item SET price = price - 3 WHERE id < 5")
'''


def project_with(request: pytest.FixtureRequest, folder: Path, engine: str, script: str) -> Project:
    url = copying.empty(request, engine, folder)
    dumping.query(url, START[engine])
    dumping.query(url, "INSERT INTO item VALUES (1, 10), (2, 20), (9, 90)")
    urls = {"main": url}
    if START[engine] is START["chdb"] or engine == "chdb":
        # Beside another database ClickHouse needs no lock of its own, which a dead holder leaves for a minute.
        urls["beside"] = copying.empty(request, "sqlite", folder)
        dumping.query(urls["beside"], "PRAGMA user_version = 1")
    return projects.make(folder / "project", urls, {"main/0001_shelves.py": script})


@pytest.mark.parametrize("engine", START)
def test_a_python_script_killed_anywhere_is_finished_exactly(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    sweep(prepared(request, tmp_path, project_with(request, tmp_path, engine, SCRIPT)), "up", sample=2)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", START)
def test_a_python_script_killed_at_every_point_is_finished_exactly(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    sweep(prepared(request, tmp_path, project_with(request, tmp_path, engine, SCRIPT)), "up", sample=None)


@pytest.mark.parametrize("engine", START)
def test_its_way_back_leaves_what_was_there_before(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    project = project_with(request, tmp_path, engine, SCRIPT)
    assert project("baseline", "main").code == 0
    before = project.dump()
    for command in (("up",), ("down", "--database", "main")):
        ended = project(*command)
        assert ended.code == 0, ended.text
    assert project.dump() == before


@pytest.mark.parametrize("engine", START)
def test_an_exception_in_the_script_names_its_line_and_what_is_done(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    project = project_with(
        request, tmp_path, engine, SCRIPT.replace("    assert", "    raise KeyError('oops')\n    assert")
    )
    ended = project("up")
    assert ended.code == 2, ended.text
    line = 1 + SCRIPT.split("    assert")[0].count("\n")
    assert f"0001_shelves.py:{line}" in ended.stderr
    assert "oops" in ended.stderr
    assert dumping.versions(project.urls["main"]) == []
    project.write({"main/0001_shelves.py": SCRIPT})
    ended = project("up")
    assert ended.code == 0, ended.text
    assert dumping.query(project.urls["main"], "SELECT price FROM item WHERE id = 1") == ["13"]


def test_calls_that_differ_from_what_was_sent_before_stop_the_run(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = project_with(
        request, tmp_path, "mysql", SCRIPT.replace("    assert", "    raise KeyError('oops')\n    assert")
    )
    assert project("up").code == 2
    before = project.dump()
    project.write({"main/0001_shelves.py": SCRIPT.replace("number + 1, 5", "number + 2, 5")})
    ended = project("up")
    assert ended.code == 3, ended.text
    assert "statement 2" in ended.stderr
    assert project.dump() == before
