"""A PostgreSQL server that dies in a run, or right behind it: what it forgets, it forgets together with its record."""

from __future__ import annotations

from pathlib import Path

import pytest

import dumping
import projects
from projects import done, ended, until
from servers.postgres import PostgresServer

TABLES = [f"{number:04}_item" for number in range(1, 21)]
SCRIPTS: dict[str, str | bytes] = {f"state/{table}": f'CREATE TABLE "{table}" AS SELECT 1 AS id;' for table in TABLES}
SLOW = """CREATE FUNCTION slow(id INT) RETURNS INT LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN PERFORM pg_sleep(1); RETURN id; END $$"""


def tables(url: str) -> list[str]:
    return dumping.query(url, "SELECT relname FROM pg_class WHERE relname LIKE '%_item' ORDER BY relname")


def test_scripts_that_a_dying_server_forgets_are_forgotten_with_their_records_and_applied_again(
    forgetful: PostgresServer, tmp_path: Path
) -> None:
    url = forgetful.new_database()
    dumping.query(url, SLOW)
    project = projects.make(
        tmp_path, {"state": url}, SCRIPTS | {"state/0021_slow": "CREATE TABLE slow AS SELECT slow(1);"}
    )
    running = project.start("up")
    until(lambda: dumping.at_work(url, "slow("), running)
    assert tables(url) == TABLES
    forgetful.kill()
    ended(running)
    forgetful.restart()
    left = tables(url)
    assert left == TABLES[: len(left)] == dumping.versions(url)
    assert len(left) < len(TABLES), "nothing was forgotten, so this test shows nothing"
    done(project("up"))
    assert tables(url) == TABLES
    assert dumping.versions(url) == [*TABLES, "0021_slow"]


@pytest.mark.parametrize(
    ("behind", "script"),
    [
        ("the end of the run", {}),
        ("a step elsewhere", {"local/0001_note": "-- requires: state/0020_item\nCREATE TABLE note (id INT);"}),
        ("Python", {"state/0021_slow.py": 'def up(db):\n    db.query("SELECT slow(1)")\n'}),
        ("a journalled statement", {"state/0021_slow": 'CREATE INDEX CONCURRENTLY i ON "0020_item" (slow(id));'}),
        ("an error", {"state/0021_wrong": "SELECT 1 / 0;"}),
    ],
)
def test_nothing_is_forgotten_of_what_comes_before(
    forgetful: PostgresServer, tmp_path: Path, behind: str, script: dict[str, str | bytes]
) -> None:
    url = forgetful.new_database()
    dumping.query(url, SLOW)
    project = projects.make(tmp_path, {"state": url, "local": f"sqlite:///{tmp_path}/local"}, SCRIPTS | script)
    running = project.start("up")
    if "slow" in "".join(script):
        until(lambda: dumping.at_work(url, "slow("), running)
    else:
        ended(running)
    forgetful.kill()
    ended(running)
    forgetful.restart()
    assert tables(url) == TABLES
    assert dumping.versions(url)[:20] == TABLES
