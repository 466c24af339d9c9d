"""Several processes and one job: one of them holds the lease, and who lost it can write nothing any more."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import copying
from jobbing import ENGINES, add_job, fill, make, rows, shown, start_quick, until, wrong_rows
from projects import Project, done, ended

SLOW = """
import time
from stepwell.jobs import Job, Keyset

class Slow(Job):
    '''A batch that thinks before it writes.'''
    batches = Keyset("state", "item", key="id", size=20)

    def migrate(self, batch):
        time.sleep(0.2)
        batch.execute("UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE ${batch}")
"""


def put_to_sleep(process: subprocess.Popen[str], url: str) -> None:
    """Stop a process between two writes: who is stopped inside one keeps SQLite's file from everybody."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        try:
            if url.startswith("sqlite"):
                with closing(sqlite3.connect(url.removeprefix("sqlite://"), timeout=0)) as file:
                    file.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as locked:
            assert "locked" in str(locked), locked
            process.send_signal(signal.SIGCONT)


def seen(project: Project) -> int:
    return rows(project.urls["state"], "SELECT count(*) FROM item WHERE seen = 1")[0][0]


@pytest.mark.parametrize("engine", ENGINES)
def test_of_four_processes_one_works_and_the_others_say_who(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 60)
    # Without a condition: a row that is visited twice shows.
    project = make(tmp_path, {"state": url}, {"add": add_job(where="")})
    done(project("job", "set", "add", "size=10", "pause=1min"))
    four = [project.start("job", "run", "add") for _ in range(4)]
    until(lambda: sum(process.poll() is not None for process in four) == 3)
    done(project("job", "set", "add", "pause="))
    ends = [ended(process) for process in four]
    assert sorted(end.code for end in ends) == [0, 5, 5, 5], [end.text for end in ends]
    for end in ends:
        assert end.code == 0 or "Could not acquire lock: job/add is run by process" in end.stderr
    assert wrong_rows(url) == []
    assert shown(project, "add")["done"] == 60


@pytest.mark.parametrize("engine", ENGINES)
def test_a_holder_that_sleeps_past_its_lease_is_fenced_when_it_wakes_up(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 60)
    project = make(tmp_path, {"state": url}, {"add": add_job(where="")})
    done(project("job", "set", "add", "size=10", "pause=1min"))
    first = start_quick(project, "job", "run", "add", lease=1.0, beat=0.1)
    until(lambda: seen(project) == 10, first)
    put_to_sleep(first, url)
    try:
        done(project("job", "set", "add", "pause="))
        until(lambda: project("job", "run", "add").code == 0)
        assert wrong_rows(url) == []
    finally:
        first.send_signal(signal.SIGCONT)
    end = ended(first)
    assert end.code == 5, end.text
    assert "job/add was taken over by another worker" in end.stderr
    assert wrong_rows(url) == []
    assert (shown(project, "add")["state"], shown(project, "add")["done"]) == ("complete", 60)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["postgres", "mysql"])  # a stopped process keeps all others out of SQLite's file
def test_a_batch_that_was_under_way_in_its_sleep_is_rolled_back(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 200)
    project = make(tmp_path, {"state": url}, {"slow.py": SLOW})
    done(project("job", "set", "slow", "size=20"))
    first = start_quick(project, "job", "run", "slow", lease=1.0, beat=0.1)
    until(lambda: seen(project) >= 40, first)
    first.send_signal(signal.SIGSTOP)
    try:
        until(lambda: project("job", "run", "slow").code == 0)
        assert wrong_rows(url) == []
    finally:
        first.send_signal(signal.SIGCONT)
    end = ended(first)
    assert end.code == 5, end.text
    assert "was taken over by another worker" in end.stderr
    assert wrong_rows(url) == []
    assert (shown(project, "slow")["state"], shown(project, "slow")["done"]) == ("complete", 200)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
def test_batches_without_a_rest_let_other_processes_ask_for_the_lease(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 300)
    project = make(tmp_path, {"state": url}, {"slow.py": SLOW})
    ends = [ended(process) for process in [project.start("job", "run", "slow") for _ in range(4)]]
    assert wrong_rows(url) == []
    assert {end.code for end in ends} <= {0, 5}, [end.text for end in ends]
    assert sum(end.code == 0 for end in ends) >= 1
