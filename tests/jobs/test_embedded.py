"""The worker inside a server: it works while its block runs, ends with it, and does not take the server down."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import projects
import stepwell
from stepwell.errors import BadJob

JOB = """
import pathlib, time
from stepwell import Job, Keyset

class Fill(Job):
    batches = Keyset("state", "t", key="id", where="a IS NULL", size=10)

    def migrate(self, batch):
        time.sleep(0.1)
        batch.execute("UPDATE t SET a = id WHERE ${batch}")
"""


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> stepwell.Project:
    projects.make(tmp_path, {"state": postgres_url}, {})
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/fill.py").write_text(JOB)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        connection.execute("INSERT INTO t SELECT generate_series(1, 1000), NULL")
    return stepwell.Project.load(tmp_path, {"STATE_DB_URL": postgres_url})


def count(url: str, condition: str, table: str = "t") -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}".encode()).fetchone()
    assert found is not None
    return int(found[0])


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def is_at_rest(url: str) -> bool:
    """Whether nobody is connected, such as for a batch under way, and nobody holds the lease."""
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    return not count(url, others, "pg_stat_activity") and not count(url, "holder <> ''", "stepwell_job")


def test_jobs_run_while_the_block_runs_and_are_at_rest_after_it(project: stepwell.Project, postgres_url: str) -> None:
    with stepwell.worker(project):
        eventually(lambda: count(postgres_url, "a IS NOT NULL") > 0)
    done = count(postgres_url, "a IS NOT NULL")
    assert 0 < done < 1000
    assert is_at_rest(postgres_url)
    with stepwell.worker(project):
        eventually(lambda: count(postgres_url, "a IS NULL") == 0)


def test_beside_an_event_loop_too(project: stepwell.Project, postgres_url: str) -> None:
    async def serve() -> int:
        beats = 0
        async with stepwell.aworker(project):
            while not await asyncio.to_thread(count, postgres_url, "a IS NOT NULL"):
                beats += 1
                await asyncio.sleep(0.01)
        return beats

    assert asyncio.run(serve()) > 0
    assert 0 < count(postgres_url, "a IS NOT NULL") < 1000
    assert is_at_rest(postgres_url)


def test_a_server_that_fails_ends_its_worker(project: stepwell.Project, postgres_url: str) -> None:
    with pytest.raises(LookupError), stepwell.worker(project):
        eventually(lambda: count(postgres_url, "a IS NOT NULL") > 0)
        raise LookupError
    assert is_at_rest(postgres_url)


def test_a_database_that_is_away_does_not_take_the_server_down(
    project: stepwell.Project, caplog: pytest.LogCaptureFixture
) -> None:
    away = stepwell.Project.load(project.config.folder, {"STATE_DB_URL": "postgresql://nobody@127.0.0.1:1/none"})
    with caplog.at_level(logging.WARNING, "stepwell"), stepwell.worker(away):
        eventually(lambda: "can't" in caplog.text or "worker:" in caplog.text)
    assert "127.0.0.1:1" in caplog.text


def test_a_job_that_is_wrong_keeps_the_server_from_starting(project: stepwell.Project) -> None:
    (project.config.folder / "jobs/wrong.py").write_text("def")
    with pytest.raises(BadJob), stepwell.worker(project):
        pass


def test_a_job_is_awaited(project: stepwell.Project, postgres_url: str) -> None:
    outcome = asyncio.run(project.arun_job("fill"))
    assert (outcome.state, outcome.rows_done) == ("complete", 1000)


def test_a_job_that_is_cancelled_ends_after_its_batch(project: stepwell.Project, postgres_url: str) -> None:
    async def serve() -> None:
        running = asyncio.ensure_future(project.arun_job("fill"))
        while not await asyncio.to_thread(count, postgres_url, "a IS NOT NULL"):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(serve())
    assert 0 < count(postgres_url, "a IS NOT NULL") < 1000
    assert is_at_rest(postgres_url)


def test_two_servers_with_one_database_come_to_the_end_together(project: stepwell.Project, postgres_url: str) -> None:
    with stepwell.worker(project), stepwell.worker(project):
        eventually(lambda: count(postgres_url, "a IS NULL") == 0, 60)
    assert is_at_rest(postgres_url)


def test_import_stepwell_imports_nothing_else_of_it() -> None:
    program = "import sys, stepwell; print([name for name in sys.modules if name.startswith('stepwell.')])"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=projects.ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("name", stepwell.__all__)
def test_every_name_of_the_package_is_there(name: str) -> None:
    assert getattr(stepwell, name).__name__ == name
