"""Batches in other processes: sent as plain calls, done there, and once each though workers are killed."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import projects
import stepwell
from stepwell import config
from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.errors import BadProject, CannotConnect
from stepwell.jobs import sources
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.definition import Definition, Keyset
from stepwell.jobs.work import Task, Verdict, do
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create

ROWS = 200

JOB = """
import os, pathlib, time
from stepwell import Job, Keyset

HERE = pathlib.Path(__file__).parent.parent

class Fill(Job):
    batches = Keyset("state", "t", key="id", where="a IS NULL", size=20)
    workers = 2
    target = 0.02

    def migrate(self, batch):
        batch.execute("INSERT INTO seen (id, pid) SELECT id, ? FROM t WHERE ${batch}", (os.getpid(),))
        mark = HERE / f"migrating-{os.getpid()}"
        mark.touch()
        time.sleep(0.3)
        mark.unlink()
        batch.execute("UPDATE t SET a = id WHERE ${batch}")
"""


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        yield database
    finally:
        database.close()


def prepared(folder: Path, url: str, scheduler: str = "") -> stepwell.Project:
    projects.make(folder, {"state": url}, {})
    if scheduler:
        with (folder / "stepwell.toml").open("a") as file:
            file.write(f'\n[jobs]\nexecutor = "dask"\nscheduler = "{scheduler}"\n')
    (folder / "jobs").mkdir()
    (folder / "jobs/fill.py").write_text(JOB)
    with opened(url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        database.query("CREATE TABLE seen (id INT NOT NULL, pid INT NOT NULL)")
        database.insert("t", ["id"], [[number] for number in range(1, ROWS + 1)])
    return stepwell.Project.load(folder, {"STATE_DB_URL": url})


def each_row_once(url: str) -> bool:
    with opened(url) as database:
        seen = [int(row[0]) for row in database.query("SELECT id FROM seen ORDER BY id")]
        left = database.query("SELECT count(*) FROM t WHERE a IS NULL")
    return seen == list(range(1, ROWS + 1)) and int(left[0][0]) == 0


def workers_of(url: str) -> set[int]:
    with opened(url) as database:
        return {int(row[0]) for row in database.query("SELECT DISTINCT pid FROM seen")}


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@contextmanager
def cluster(folder: Path, url: str, count: int = 2) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and worker processes, with the database's URL in the workers' environment alone."""
    address_file = folder / "scheduler.json"
    with ExitStack() as stack:

        def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
            log = stack.enter_context((folder / "dask.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(address_file)],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        quiet = ("--no-dashboard", "--host", "127.0.0.1")
        start(projects.ENVIRONMENT, "scheduler", *quiet, "--port", "0")
        eventually(address_file.exists)
        environment = projects.ENVIRONMENT | {"STATE_DB_URL": url}
        options = (*quiet, "--no-nanny", "--nthreads", "1", "--local-directory", str(folder))
        workers = [start(environment, "worker", *options) for _ in range(count)]
        import distributed

        connect: Any = distributed.Client  # has no types

        with connect(scheduler_file=str(address_file), set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
            address = client.scheduler.address
        yield address, workers


# --- a cluster --------------------------------------------------------------------------------------------


def test_batches_run_on_the_workers_of_the_cluster(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url) as (scheduler, workers):
        project = prepared(tmp_path / "project", postgres_url, scheduler)
        outcome = project.run_job("fill")
    assert (outcome.state, outcome.failed) == ("complete", 0)
    assert each_row_once(postgres_url)
    assert workers_of(postgres_url) == {worker.pid for worker in workers}


def test_what_a_killed_worker_had_under_way_is_done_once_by_another(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url) as (scheduler, workers):
        project = prepared(tmp_path / "project", postgres_url, scheduler)
        outcomes: list[str] = []
        running = threading.Thread(target=lambda: outcomes.append(project.run_job("fill").state))
        running.start()
        victim, survivor = workers
        mark = tmp_path / "project" / f"migrating-{victim.pid}"
        eventually(lambda: len(workers_of(postgres_url)) == 2 and mark.exists())
        victim.kill()
        victim.wait()
        running.join(timeout=120)
        assert survivor.poll() is None
    assert outcomes == ["complete"]
    assert each_row_once(postgres_url)


def test_a_scheduler_that_is_away_is_said_before_anything_begins(tmp_path: Path, sqlite_url: str) -> None:
    project = prepared(tmp_path / "project", sqlite_url, "tcp://127.0.0.1:1")
    with pytest.raises(CannotConnect, match="scheduler"):
        project.run_job("fill")


def test_any_executor_of_processes_will_do(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = prepared(tmp_path, postgres_url)
    monkeypatch.setenv("STATE_DB_URL", postgres_url)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        assert project.run_job("fill", executor=executor).state == "complete"
    assert each_row_once(postgres_url)


# --- a batch that is sent twice ---------------------------------------------------------------------------


@pytest.mark.parametrize("unique", ["", "PRIMARY KEY"])
def test_a_batch_sent_again_after_its_commit_is_reported_as_done_and_not_done_again(
    relational_url: str, unique: str
) -> None:
    with opened(relational_url) as database:
        create(database)
        ledger = Ledger(database)
        ledger.register(["fill"])
        database.query("CREATE TABLE t (id INT PRIMARY KEY)")
        database.query(f"CREATE TABLE seen (id INT {unique})")
        database.insert("t", ["id"], [[1], [2], [3]])
        token = ledger.acquire("fill", 30.0).token
        scope = sources.dump(sources.Keys(((1,), (2,), (3,))))
        ledger.begin("fill", token, 1, [scope], "")

    def migrate(batch: Batch) -> None:
        batch.execute("INSERT INTO seen (id) SELECT id FROM t WHERE ${batch}")

    job = Definition("fill", Path("fill.py"), 1, "", Keyset("state", "t", "id"), migrate)
    connections = Connections(lambda name: open_database(name, relational_url, Path("/")))
    reports = [do(Task("fill", 1, token, scope), job, "state", connections) for _ in range(2)]
    connections.close()
    assert [(report.verdict, report.rows) for report in reports] == [(Verdict.DONE, 3)] * 2
    with opened(relational_url) as database:
        assert database.query("SELECT id FROM seen ORDER BY id") == [(1,), (2,), (3,)]


# --- stepwell.toml ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('executor = "dusk"', "did you mean 'dask'"),
        ('executor = "dask"', "belong together"),
        ('scheduler = "tcp://127.0.0.1:8786"', "belong together"),
        ('schedular = "tcp://127.0.0.1:8786"', "did you mean 'scheduler'"),
    ],
)
def test_what_is_wrong_in_the_section_is_said(tmp_path: Path, section: str, said: str) -> None:
    (tmp_path / "stepwell.toml").write_text(f'[databases.state]\nurl = "sqlite:///a.db"\n[jobs]\n{section}\n')
    with pytest.raises(BadProject, match=said):
        config.load(tmp_path, {})
