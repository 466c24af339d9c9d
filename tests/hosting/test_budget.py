"""`up` with a budget of time: the server waits no longer than it may, and what goes on is found again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import dumping
import projects
from holding import HELD, held
from projects import Project, done, ended

QUICK = "CREATE TABLE item (id INT);\n"


@pytest.fixture
def project(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setitem(projects.ENVIRONMENT, "TMPDIR", str(tmp_path / "tmp"))
    return projects.make(tmp_path / "project", {"state": postgres_url}, {"state/0001_item": QUICK})


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def background(project: Project) -> dict[str, object]:
    found: dict[str, object] = json.loads(done(project("status", "--json")))["background"]
    return found


def kill_9(project: Project) -> None:
    process = int(str(background(project)["process"]))
    assert process > 1
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(process, signal.SIGKILL)


def test_what_is_done_within_the_budget_ends_as_without_one(project: Project) -> None:
    end = project("up", "--wait-budget", "30s")
    assert end.code == 0, end.text
    assert end.stdout.endswith("applied 1, skipped 0\n")
    assert project("up", "--wait-budget", "30s", "--json").stdout == project("up", "--json").stdout


def test_a_failure_within_the_budget_is_the_commands_own(project: Project) -> None:
    project.write({"state/0002_wrong": "CREATE TABLE item (id INT);"})
    end = project("up", "--wait-budget", "30s")
    assert end.code == 1
    assert "state/0002_wrong" in end.text
    assert "already exists" in end.text
    assert "ended with code 1; log " in project("status").stdout


def test_after_the_budget_it_goes_on_in_the_background_and_status_knows_how_it_ends(project: Project) -> None:
    project.write({"state/0002_slow": HELD})
    with held(project.urls["state"]):
        end = project("up", "--wait-budget", "300ms")
        assert end.code == 10, end.text
        assert "is not done after 0.3 s" in end.stderr
        assert "in the background: `up` runs since" in project("status").stdout
    eventually(lambda: not background(project)["running"])
    assert background(project)["code"] == 0
    assert done(project("up")) == "applied 0, skipped 2\n"
    assert dumping.query(project.urls["state"], "SELECT id FROM slow") == ["1"]
    assert "applied 2, skipped 0" in Path(str(background(project)["log"])).read_text()


def test_a_server_starts_when_what_it_needs_is_there_and_the_rest_goes_on(project: Project) -> None:
    project.write({"state/0002_slow": HELD})
    with held(project.urls["state"]):
        end = project("up", "--wait-budget", "50s", "--needs", "state/0001")
        assert end.code == 0, end.text
        assert "what is needed is applied; in the background: `up` runs" in end.stderr
        assert dumping.versions(project.urls["state"]) == ["0001_item"]
    eventually(lambda: dumping.versions(project.urls["state"]) == ["0001_item", "0002_slow"])


@pytest.mark.soak
def test_a_second_start_waits_with_the_first_and_begins_no_other(project: Project) -> None:
    project.write({"state/0002_slow": HELD})
    with held(project.urls["state"]):
        assert project("up", "--wait-budget", "300ms").code == 10
        process = background(project)["process"]
        assert project("up", "--wait-budget", "300ms").code == 10
        assert background(project)["process"] == process
    end = project("up", "--wait-budget", "30s")
    assert (end.code, end.stdout) == (0, "applied 0, skipped 2\n")


def test_a_kill_9_of_the_background_is_told_and_the_next_start_goes_on(project: Project) -> None:
    project.write({"state/0002_slow": HELD})
    with held(project.urls["state"]):
        assert project("up", "--wait-budget", "300ms").code == 10
        eventually(lambda: background(project)["process"] != 0)
        kill_9(project)
        eventually(lambda: not background(project)["running"])
        assert "was killed; the next one goes on from there" in project("status").stdout
    assert project("up").code == 0
    assert dumping.query(project.urls["state"], "SELECT id FROM slow") == ["1"]


@pytest.mark.soak
def test_a_start_that_is_killed_again_and_again_comes_further_each_time(project: Project) -> None:
    """As a probe does that is too impatient: the whole container ends, its background with it."""
    statements = "".join(f"INSERT INTO item SELECT {n} FROM (SELECT pg_sleep(1)) AS s;\n" for n in range(5))
    project.write({"state/0002_long": f"-- transaction: false\n{statements}"})
    count: list[int] = []
    while len(count) < 10:
        start = project.start("up", "--wait-budget", "25s")
        time.sleep(2.7)  # to begin, to wait for what the one before left at work, and for a statement of a second
        if start.poll() is None:
            os.kill(start.pid, signal.SIGKILL)
            kill_9(project)
        end = ended(start)
        count.append(int(dumping.query(project.urls["state"], "SELECT count(*) FROM item")[0]))
        if end.code == 0:
            break
    assert len(count) <= 6, f"a start made no progress: {count}"
    assert count == sorted(count)
    assert dumping.query(project.urls["state"], "SELECT id FROM item ORDER BY id") == list("01234")


def test_a_folder_that_somebody_else_has_made_for_the_logs_is_refused(project: Project) -> None:
    made = Path(projects.ENVIRONMENT["TMPDIR"], f"stepwell-{os.getuid()}")
    made.mkdir()
    made.chmod(0o777)
    end = project("up", "--wait-budget", "5s")
    assert end.code == 2
    assert re.search(r"not a folder of this user alone.*\n.*nothing was changed", end.stderr)
    assert "in the background" not in done(project("status"))


def test_needs_without_a_budget_says_nothing_of_what_is_meant(project: Project) -> None:
    end = project("up", "--needs", "state/0001")
    assert end.code == 2
    assert "Add --wait-budget 25s" in end.stderr
