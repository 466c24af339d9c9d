"""kill -9 at random moments, again and again, while writers insert, update and delete rows all the while.

The job adds 1,000,000 to `n` of every row once; the writers add to `by_writer`, and remember on their own what they did.
In the end each row must be there, or not, and hold just what writers and job together made of it.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import copying
import dumping
from jobbing import ENGINES, add_job, fill, make, rows, run, shown, start_quick
from projects import Project, ended
from writing import write

COUNT = 400
LEASE = 0.6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rounds", [10, pytest.param(70, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_whatever_is_killed_no_row_is_lost_and_none_is_taken_twice(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, rounds: int
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, COUNT)
    workers = "workers: 1" if engine == "sqlite" else "workers: 3"
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 20", "target: 5ms", workers)})
    assert project("job", "resume", "add").code == 0  # makes its row in the ledger
    dumping.query(url, """UPDATE stepwell_job SET limits = '{"size": 10, "pause": 0.02}'""")
    spawn = multiprocessing.get_context("spawn")
    stop, told = spawn.Event(), spawn.Queue()
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    writers = [spawn.Process(target=write, args=(url, COUNT, number, seed + number, stop, told)) for number in (0, 1)]
    for writer in writers:
        writer.start()
    try:
        kill_again_and_again(project, "add", rounds, random.Random(seed))
    finally:
        stop.set()
        accounts: dict[int, tuple[int, int]] = {}
        for _ in writers:
            accounts |= told.get(timeout=120)
        for writer in writers:
            writer.join()
    complete(project, "add")
    found = {key: (n, seen, writes) for key, n, seen, writes in rows(url, "SELECT id, n, seen, by_writer FROM item")}
    expected = {key: (start + count + 1_000_000, 1, count) for key, (start, count) in accounts.items()}
    wrong = {
        key: (found.get(key), expected.get(key)) for key in found | expected if found.get(key) != expected.get(key)
    }
    assert not wrong, f"of {len(expected)} rows are wrong (found, expected): {wrong}"
    assert shown(project, "add")["failures"] == []


def kill_again_and_again(
    project: Project, name: str, rounds: int, chance: random.Random, between: Callable[[], None] = lambda: None
) -> None:
    """Start the job and kill it after a random time, so often; half of the kills strike it at work for sure."""
    for number in range(rounds):
        running = start_quick(project, "job", "run", name, lease=LEASE, beat=0.1)
        deadline = time.monotonic() + 60
        if number % 2:
            while running.poll() is None and time.monotonic() < deadline:
                if "run by" in project("job", "show", name).stdout:
                    break
        time.sleep(chance.uniform(0.0, 0.8))
        running.kill()
        ended(running)
        between()
        time.sleep(LEASE * chance.random())  # some come while the dead one's lease still holds


def complete(project: Project, name: str) -> None:
    deadline = time.monotonic() + 60
    while (end := project("job", "run", name)).code == 5 and time.monotonic() < deadline:
        time.sleep(0.2)  # the lease of the one killed last
    assert end.code == 0, end.text


COPY = """
from stepwell.jobs import Job, Keyset

class Copy(Job):
    '''Copy every item to ClickHouse; what an earlier try has written is left out.'''
    batches = Keyset("state", "item", key="id", size=7)

    def migrate(self, batch):
        rows = batch.rows("id, n")
        target = batch.on("analytics")
        first, last = rows[0][0], rows[-1][0]
        there = {key for key, in target.query("SELECT id FROM item WHERE id BETWEEN ? AND ?", (first, last))}
        target.insert("item", ["id", "n"], [row for row in rows if row[0] not in there])
"""


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
@pytest.mark.parametrize("rounds", [pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_copy_to_clickhouse_that_is_killed_leaves_each_row_there_once(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, rounds: int
) -> None:
    urls = {
        "state": copying.empty(request, engine, tmp_path),
        "analytics": copying.empty(request, "clickhouse", tmp_path),
    }
    fill(urls["state"], COUNT)
    dumping.query(urls["analytics"], "CREATE TABLE item (id Int64, n Int64) ENGINE = MergeTree ORDER BY id")
    project = make(tmp_path, urls, {"copy.py": COPY})
    assert project("job", "resume", "copy").code == 0  # makes its row in the ledger
    dumping.query(urls["state"], """UPDATE stepwell_job SET limits = '{"size": 7, "pause": 0.02}'""")
    kill_again_and_again(project, "copy", rounds, random.Random())
    complete(project, "copy")
    found = rows(urls["analytics"], "SELECT id, n FROM item ORDER BY id")
    assert found == [(key, key) for key in range(1, COUNT + 1)]
    assert run(project, "copy")["state"] == "complete"
