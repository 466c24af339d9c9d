"""Eight servers start at once, and the one that migrates dies: all the same they come up, each script applied once."""

from __future__ import annotations

import selectors
import subprocess
from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import ended, until

SCRIPTS: dict[str, dict[str, str | bytes]] = {
    "postgres": {
        "state/0001_item": "CREATE TABLE item (id INT);\n",
        "state/0002_fill": "-- transaction: false\nINSERT INTO item VALUES (1);\n"
        "INSERT INTO item SELECT 2 FROM (SELECT pg_sleep(1)) AS s;\nCREATE INDEX CONCURRENTLY item_id ON item (id);\n",
        "state/0003_last": "INSERT INTO item VALUES (3);\n",
    },
    "mysql": {
        "state/0001_item": "CREATE TABLE item (id INT);\n",
        "state/0002_fill": "INSERT INTO item VALUES (1);\n"
        "INSERT INTO item SELECT 2 FROM (SELECT sleep(1)) AS s;\nCREATE INDEX item_id ON item (id);\n",
        "state/0003_last": "INSERT INTO item VALUES (3);\n",
    },
}
SERVER = """
import stepwell
with stepwell.Startup(stepwell.Project.load(), needs=["state/0003"], budget=60):
    print("serving", flush=True)
"""


def at_first_word(processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """The one that says something first: who applies scripts does, who waits for the lock does not."""
    with selectors.DefaultSelector() as said:
        for process in processes:
            assert process.stdout
            said.register(process.stdout, selectors.EVENT_READ, process)
        ready = said.select(60)
        assert ready, "none of them has begun"
        first: subprocess.Popen[str] = ready[0][0].data
        return first


@pytest.mark.parametrize("engine", ["postgres", pytest.param("mysql", marks=pytest.mark.soak)])
def test_all_come_up_when_the_one_that_migrates_is_killed(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    project = projects.make(tmp_path / "project", {"state": url}, SCRIPTS[engine])
    starting = [project.start("up") for _ in range(8)]
    victim = at_first_word(starting)
    until(lambda: dumping.at_work(url, "INSERT INTO item"), victim)
    victim.kill()
    victim.wait()
    ends = [ended(process) for process in starting if process is not victim]
    assert [end.code for end in ends] == [0] * 7, "\n".join(end.text for end in ends)
    again = project("up")  # what restarts a server does
    assert (again.code, again.stdout) == (0, "applied 0, skipped 3\n")
    assert dumping.query(url, "SELECT id FROM item ORDER BY id") == ["1", "2", "3"]
    assert dumping.versions(url) == ["0001_item", "0002_fill", "0003_last"]


@pytest.mark.soak
def test_eight_servers_that_migrate_from_within_all_serve(tmp_path: Path, postgres_url: str) -> None:
    project = projects.make(tmp_path / "project", {"state": postgres_url}, SCRIPTS["postgres"])
    starting = [project.start_python(SERVER) for _ in range(8)]
    ends = [ended(process) for process in starting]
    assert [end.stdout for end in ends] == ["serving\n"] * 8, "\n".join(end.text for end in ends)
    assert dumping.query(postgres_url, "SELECT id FROM item ORDER BY id") == ["1", "2", "3"]
