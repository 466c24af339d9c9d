"""Promises of the numbers that the environment gives a job, and of the lines that its author has logged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

import jobbing
from jobbing import fill
from stepwell.errors import BadJob
from stepwell.project import Project

JOB = """
    from stepwell.jobs import Flag, Job, Keyset, Says


    class Add(Job):
        batches = Keyset("state", "item", key="id", where="seen = 0", size=10)
        enabled = Flag("ADD_ENABLED")
        largest = 10
        timeout = 3600
        startup_delay = 30
        variables = {
            "size": "ADD_BATCH_SIZE", "largest": "ADD_BATCH_SIZE", "timeout": "ADD_TIMEOUT",
            "startup_delay": "ADD_DELAY", "lock_timeout": "ADD_LOCK",
        }
        says = Says(
            starting="Starting to add...",
            batch="Adding a batch...",
            complete="Added to {rows} rows\\nAdding completed",
            off="Adding is disabled and skipped",
        )

        def migrate(self, batch):
            batch.execute("UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE ${batch}")
"""


@pytest.fixture
def folder(tmp_path: Path, sqlite_url: str) -> Path:
    fill(sqlite_url, 45)
    return jobbing.make(tmp_path, {"state": sqlite_url}, {"add.py": JOB}).folder


def project(folder: Path, sqlite_url: str, environment: Mapping[str, str]) -> Project:
    return Project.load(folder, {"STATE_DB_URL": sqlite_url, **environment})


def test_without_variables_the_file_says_the_numbers(folder: Path, sqlite_url: str) -> None:
    job = project(folder, sqlite_url, {"ADD_TIMEOUT": " "}).job("add")
    assert (job.source, job.timeout, job.startup_delay, job.lock_timeout) == (job.source, 3600, 30, None)
    assert (job.largest, getattr(job.source, "size", None)) == (10, 10)


def test_a_variable_sets_its_number(folder: Path, sqlite_url: str) -> None:
    given = {"ADD_BATCH_SIZE": "20", "ADD_TIMEOUT": "1.5", "ADD_DELAY": "0", "ADD_LOCK": "3600"}
    job = project(folder, sqlite_url, given).job("add")
    assert (job.largest, getattr(job.source, "size", None)) == (20, 20)
    assert (job.timeout, job.startup_delay, job.lock_timeout) == (1.5, 0, 3600)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ADD_BATCH_SIZE", "ten"),
        ("ADD_BATCH_SIZE", "0"),
        ("ADD_BATCH_SIZE", "1.5"),
        ("ADD_DELAY", "-1"),
        ("ADD_LOCK", "inf"),
    ],
)
def test_a_variable_that_is_no_such_number_is_named(folder: Path, sqlite_url: str, variable: str, value: str) -> None:
    with pytest.raises(BadJob) as caught:
        project(folder, sqlite_url, {variable: value}).jobs()
    assert f"{variable} can't be '{value}'" in caught.value.what
    assert "add.py:4" in caught.value.where


def test_a_variable_for_what_is_no_number_is_refused(folder: Path, sqlite_url: str) -> None:
    (folder / "jobs" / "add.py").write_text((folder / "jobs" / "add.py").read_text().replace('"timeout":', '"timout":'))
    with pytest.raises(BadJob, match="timout") as caught:
        project(folder, sqlite_url, {}).jobs()
    assert "did you mean 'timeout'" in str(caught.value)


def test_the_authors_lines_are_logged_at_their_turns(
    folder: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "stepwell"):
        project(folder, sqlite_url, {"ADD_BATCH_SIZE": "20"}).run_job("add")
    batches = ["Adding a batch..."] * 3
    assert caplog.messages == ["Starting to add...", *batches, "Added to 45 rows", "Adding completed"]


def test_a_job_that_is_off_says_so_and_no_more(folder: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "stepwell"):
        assert project(folder, sqlite_url, {"ADD_ENABLED": "false"}).run_job("add").state == "off"
    assert caplog.messages == ["Adding is disabled and skipped"]
