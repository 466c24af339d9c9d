"""What comes between: a person, a writer or an odd row at the worst moment of a job, and nothing is lost by it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import copying
import dumping
from jobbing import ENGINES, add_job, fill, make, rows, run, shown, until, wrong_rows
from projects import Project
from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.errors import UnfitKey
from stepwell.jobs import runner, steer
from stepwell.project import Project as StepwellProject


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> str:
    return copying.empty(request, engine, tmp_path)


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return copying.empty(request, "sqlite", tmp_path)


def loaded(project: Project) -> StepwellProject:
    return StepwellProject.load(project.folder, {"STATE_DB_URL": project.urls["state"]})


@contextmanager
def working(project: Project) -> Iterator[None]:
    """`stepwell work` beside the block."""
    stop = threading.Event()
    thread = threading.Thread(target=loaded(project).work, args=(lambda progress: None, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- a person's word --------------------------------------------------------------------------------------


def test_a_complete_job_that_is_looked_at_for_late_rows_is_cancelled_as_soon_as_they_reopen_it(
    tmp_path: Path, postgres_url: str
) -> None:
    fill(postgres_url, 3)
    where = "seen = 0 AND (by_writer = 0 OR pg_sleep(1) IS NOT NULL)"
    project = make(tmp_path, {"state": postgres_url}, {"add": add_job("cycle: 50ms", where=where)})
    assert run(project, "add")["state"] == "complete"
    dumping.query(postgres_url, "INSERT INTO item (id, n, by_writer) VALUES (4, 4, 1)")
    looks = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with working(project):
        until(lambda: rows(postgres_url, looks) == [(1,)])
        assert not loaded(project).steer_job("add", "cancel")
        until(lambda: loaded(project).steer_job("add", "cancel"))
        until(lambda: shown(project, "add")["holder"] == "")
        assert shown(project, "add")["state"] == "cancelled"


DIVIDE = "UPDATE item SET n = CASE WHEN by_writer = 7 THEN NULL ELSE n + 1000000 END, seen = 1 WHERE ${batch};\n"


@pytest.mark.parametrize("where", ["", "-- where: seen = 0\n"])
def test_a_retry_that_is_asked_for_while_the_job_ends_is_heard(tmp_path: Path, sqlite: str, where: str) -> None:
    fill(sqlite, 10)
    dumping.query(sqlite, "UPDATE item SET by_writer = 7 WHERE id = 3")
    project = make(tmp_path, {"state": sqlite}, {"add": f"-- batches: keyset state.item by id\n{where}{DIVIDE}"})
    assert run(project, "add", code=1)["failed"] == 1
    dumping.query(sqlite, "UPDATE item SET by_writer = 0")
    asked: list[bool] = []

    def at_the_end(_: object) -> list[str]:
        if not asked:
            asked.append(True)
            with opened(sqlite) as database:
                steer.retry(database, "add")
        return []

    project_ = loaded(project)
    outcome = runner.run(project_.job("add"), replace(project_.site(), objections=at_the_end))
    assert (outcome.state, outcome.failed) == ("complete", 0)
    assert wrong_rows(sqlite) == []


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        yield database
    finally:
        database.close()


def test_outside_its_hours_a_job_writes_nothing_into_the_history(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 3)
    jobs = {"add": add_job("cycle: 20ms", "window: 00:00-00:01 Pacific/Kiritimati"), "on": add_job("cycle: 20ms")}
    project = make(tmp_path, {"state": sqlite}, jobs)
    with working(project):
        until(lambda: shown(project, "on")["state"] == "complete")
    assert rows(sqlite, "SELECT count(*) FROM stepwell_event WHERE step = 'job/add'") == [(0,)]


# --- odd rows ---------------------------------------------------------------------------------------------


def test_the_service_says_how_many_rows_failed(tmp_path: Path, sqlite: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stepwell")
    fill(sqlite, 10)
    dumping.query(sqlite, "UPDATE item SET by_writer = 7 WHERE id IN (3, 4)")
    project = make(
        tmp_path, {"state": sqlite}, {"add": f"-- batches: keyset state.item by id\n-- where: seen = 0\n{DIVIDE}"}
    )
    with working(project):
        until(lambda: shown(project, "add")["state"] == "complete")
    assert "job=add state=complete rows=8 failed=2" in caplog.messages


def test_rows_without_a_key_that_come_later_stall_the_job_with_the_reason(tmp_path: Path, url: str) -> None:
    dumping.query(url, "CREATE TABLE item (id BIGINT UNIQUE, n BIGINT NOT NULL, seen INT NOT NULL DEFAULT 0)")
    dumping.query(url, "INSERT INTO item (id, n) VALUES (1, 1)")
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    assert loaded(project).run_job("add").state == "complete"
    dumping.query(url, "INSERT INTO item (id, n) VALUES (NULL, 2)")
    stop = threading.Event()
    late = threading.Timer(20, stop.set)
    late.start()
    try:
        with pytest.raises(UnfitKey, match="1 of its rows have no id"):
            loaded(project).run_job("add", stop=stop)
    finally:
        late.cancel()
    one = shown(project, "add")
    assert (one["state"], one["left"]) == ("stalled", 1)


def test_rows_that_fail_are_recorded_however_long_their_keys_are(tmp_path: Path, url: str) -> None:
    dumping.query(url, "CREATE TABLE item (id VARCHAR(700) PRIMARY KEY, n BIGINT NOT NULL, seen INT DEFAULT 0)")
    keys = ["k" * 650 + end for end in "abcd"]
    values = ", ".join(f"('{key}', {int(key[-1] in 'bd')})" for key in keys)
    dumping.query(url, f"INSERT INTO item (id, n) VALUES {values}")
    job = """
        from stepwell.jobs import Job, Keyset

        class Add(Job):
            batches = Keyset("state", "item", key="id", where="seen = 0")

            def migrate(self, batch):
                if any(n for (n,) in batch.rows("n")):
                    raise ValueError("no")
                batch.execute("UPDATE item SET seen = 1 WHERE ${batch}")
    """
    project = make(tmp_path, {"state": url}, {"add.py": job})
    assert loaded(project).run_job("add").failed == 2
    failures = [failure["key"] for failure in shown(project, "add")["failures"]]
    assert sorted(failures) == [f'["{keys[1]}"]', f'["{keys[3]}"]']
    dumping.query(url, "UPDATE item SET n = 0")
    loaded(project).steer_job("add", "retry")
    assert loaded(project).run_job("add").failed == 0
    assert rows(url, "SELECT count(*) FROM item WHERE seen = 1") == [(4,)]


def test_a_migrate_that_ends_the_process_fails_its_row_only(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 4)
    job = """
        import sys
        from stepwell.jobs import Job, Keyset

        class Add(Job):
            batches = Keyset("state", "item", key="id", where="seen = 0")

            def migrate(self, batch):
                if (3,) in batch.keys():
                    sys.exit(0)
                batch.execute("UPDATE item SET n = n + 1000000, seen = 1 WHERE ${batch}")
    """
    project = make(tmp_path, {"state": sqlite}, {"add.py": job})
    assert run(project, "add", code=1)["failed"] == 1
    assert [key for key, *_ in wrong_rows(sqlite)] == [3]


# --- writers ----------------------------------------------------------------------------------------------

ADDS = """
    from stepwell.jobs import Job, Keyset

    class Add(Job):
        batches = Keyset("state", "item", key="id", where="seen = 0")
        records = ["seen"]

        def migrate(self, batch):
            for (key,) in batch.keys():
                batch.add("other", {"id": key}, {"n": key}, on=ON)
            batch.execute("UPDATE item SET seen = 1 WHERE ${batch}")
"""


@pytest.mark.parametrize(("engine", "on"), [("postgres", "state"), ("mysql", "second")], indirect=["engine"])
def test_undo_leaves_an_added_row_that_somebody_is_changing_just_now(
    request: pytest.FixtureRequest, tmp_path: Path, url: str, engine: str, on: str
) -> None:
    fill(url, 3)
    urls = {"state": url, "second": copying.empty(request, engine, tmp_path)}
    dumping.query(urls[on], "CREATE TABLE other (id BIGINT PRIMARY KEY, n BIGINT)")
    project = make(tmp_path, urls, {"add.py": ADDS.replace("ON", repr(on))})
    assert run(project, "add")["state"] == "complete"
    with opened(urls[on]) as writer, writer.transaction():
        writer.query("UPDATE other SET n = 77 WHERE id = 2")
        undo = project.start("job", "undo", "add", "--yes", "--json")
        until(lambda: dumping.at_work(urls[on], "other"), undo)
    end = undo.communicate(timeout=60)
    assert rows(urls[on], "SELECT id, n FROM other") == [(2, 77)], end
    assert "[2] of other" in end[0]
