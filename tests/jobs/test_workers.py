"""Several processes and one job: one of them holds the lease, and who lost it can write nothing any more."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import copying
import dumping
from jobbing import ENGINES, fill, make, rows, shown, start_quick, until, wrong_rows
from projects import ended

# Four processes and stopped ones need the machine for themselves.
pytestmark = pytest.mark.soak

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


@pytest.mark.parametrize("engine", ENGINES)
def test_of_four_processes_one_works_and_the_others_say_who(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 300)
    project = make(tmp_path, {"state": url}, {"slow.py": SLOW})
    assert project("job", "list").code == 0
    ends = [ended(process) for process in [project.start("job", "run", "slow") for _ in range(4)]]
    assert wrong_rows(url) == []
    assert sum(end.code == 0 for end in ends) >= 1
    for end in ends:
        if end.code != 0:
            assert end.code == 5, end.text
            assert "Could not acquire lock: job/slow is run by process" in end.stderr


@pytest.mark.parametrize("engine", ["postgres", "mysql"])  # a stopped process keeps all others out of SQLite's file
def test_a_holder_that_sleeps_past_its_lease_is_fenced_when_it_wakes_up(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, 200)
    project = make(tmp_path, {"state": url}, {"slow.py": SLOW})
    assert project("job", "list").code == 0
    dumping.query(url, """UPDATE stepwell_job SET limits = '{"size": 20}'""")
    first = start_quick(project, "job", "run", "slow", lease=1.0, beat=0.1)
    until(lambda: rows(url, "SELECT count(*) FROM item WHERE seen = 1")[0][0] >= 40, first)
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
