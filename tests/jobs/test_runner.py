"""A job from its first batch to its end, and every way in which it may be told, or forced, to stop."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import copying
import dumping
import jobbing
from jobbing import ENGINES, add_job, fill, make, rows, run, shown, until, write_jobs, wrong_rows
from projects import Project, ended
from servers.mariadb import MariadbServer
from servers.postgres import PostgresServer
from stepwell.errors import JobStalled
from stepwell.jobs import runner
from stepwell.project import Project as StepwellProject

SLOW = """
import time
from stepwell.jobs import Job, Keyset

class Slow(Job):
    '''One row at a time.'''
    batches = Keyset("state", "item", key="id", where="seen = 0", size=1)
    {more}

    def migrate(self, batch):
        time.sleep(0.02)
        batch.execute("UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE ${{batch}}")
"""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> str:
    return copying.empty(request, engine, tmp_path)


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return copying.empty(request, "sqlite", tmp_path)


def slow(folder: Path, url: str, more: str = "", count: int = 400) -> Project:
    """A job that takes a row at a time, and leaves others room meanwhile, as SQLite needs it."""
    fill(url, count)
    project = make(folder, {"state": url}, {"slow.py": SLOW.format(more=more)})
    assert project("job", "resume", "slow").code == 0  # makes its row in the ledger
    pause = 0.1 if url.startswith("sqlite") else 0.02
    dumping.query(url, f"""UPDATE stepwell_job SET limits = '{{"size": 1, "pause": {pause}}}'""")
    return project


def begun(project: Project) -> bool:
    """Whether some batches are done, and some are not."""
    return bool(rows(project.urls["state"], "SELECT count(*) FROM item WHERE seen > 0")[0][0] > 2)


def seen(project: Project) -> int:
    return rows(project.urls["state"], "SELECT coalesce(sum(seen), 0) FROM item")[0][0]


# --- to the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["keyset state.item by id", "drain state.item by id", "groups state.item by seen"])
def test_every_row_is_taken_once_and_the_job_is_complete(tmp_path: Path, url: str, source: str) -> None:
    fill(url, 2500)
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 100", "unindexed: accept", source=source)})
    found = run(project, "add")
    assert (found["state"], found["rows_done"], found["failed"]) == ("complete", 2500, 0)
    assert wrong_rows(url) == []
    one = shown(project, "add")
    assert (one["state"], one["done"], one["left"], one["holder"]) == ("complete", 2500, 0, "")


def test_without_a_condition_every_row_is_visited_once_and_later_ones_too(tmp_path: Path, url: str) -> None:
    fill(url, 300)
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 50", where="")})
    assert run(project, "add")["rows_done"] == 300
    fill(url, 40, start=301)
    assert run(project, "add")["rows_done"] == 340
    assert wrong_rows(url) == []


@pytest.mark.parametrize("where", ["-- where: note IS NULL\n", ""])
def test_a_complete_job_looks_again_when_a_script_it_requires_was_undone(
    tmp_path: Path, sqlite: str, where: str
) -> None:
    fill(sqlite, 30)
    script = "ALTER TABLE item ADD COLUMN note TEXT;\n-- down\nALTER TABLE item DROP COLUMN note;\n"
    job = f"-- batches: keyset state.item by id\n{where}-- requires: state/0001\nUPDATE item SET note = 'x' WHERE ${{batch}};"
    project = make(tmp_path, {"state": sqlite}, {"note": job}, {"state/0001_note": script})
    for _ in range(2):
        assert project("up").code == 0
        assert shown(project, "note")["state"] == "pending"
        assert run(project, "note")["state"] == "complete"
        assert rows(sqlite, "SELECT count(*) FROM item WHERE note = 'x'") == [(30,)]
        assert project("down", "--database", "state").code == 0


def test_a_job_halfway_starts_over_when_a_script_it_requires_was_undone(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 30)
    script = "ALTER TABLE item ADD COLUMN note TEXT;\n-- down\nALTER TABLE item DROP COLUMN note;\n"
    job = "-- batches: keyset state.item by id\n-- requires: state/0001\nUPDATE item SET note = 'x' WHERE ${batch};"
    project = make(tmp_path, {"state": sqlite}, {"note": job}, {"state/0001_note": script})
    assert project("up").code == 0
    assert project("job", "resume", "note").code == 0  # makes its row in the ledger
    dumping.query(sqlite, "UPDATE stepwell_job SET place = '[10]', rows_done = 10, holder = 'x', lease_until = 9e9")
    held = project("down", "--database", "state")
    assert held.code == 5 and "job/note is run by x" in held.stderr
    dumping.query(sqlite, "UPDATE stepwell_job SET holder = ''")
    assert project("down", "--database", "state").code == 0
    assert project("up").code == 0
    assert run(project, "note")["rows_done"] == 30
    assert rows(sqlite, "SELECT count(*) FROM item WHERE note = 'x'") == [(30,)]


def test_a_way_back_that_was_not_gone_has_no_row_visited_twice(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 30)
    script = "ALTER TABLE item ADD COLUMN note TEXT;\n-- down\nALTER TABLE item DROP COLUMN no_such;\n"
    visit = add_job("requires: state/0001", where="")
    project = make(tmp_path, {"state": sqlite}, {"visit": visit}, {"state/0001_note": script})
    assert project("up", "--wait").code == 0
    assert project("down", "--database", "state").code == 1
    assert run(project, "visit")["state"] == "complete"
    assert wrong_rows(sqlite) == []


@pytest.mark.parametrize("where", ["seen = 0", ""])
def test_what_an_older_backup_took_from_a_job_is_done_anew_before_anything_counts_on_it(
    tmp_path: Path, where: str
) -> None:
    urls = {"state": f"sqlite:///{tmp_path}/state.db", "data": f"sqlite:///{tmp_path}/data.db"}
    fill(urls["state"], 30)
    fill(urls["data"], 30)
    first = {"data/0001_note": "CREATE TABLE first (id INT);\n"}
    fill_note = add_job("requires: data/0002", where=where, source="keyset data.item by id")
    project = make(tmp_path, urls, {"add": fill_note}, first | {"data/0002_ready": "CREATE TABLE ready (id INT);\n"})
    assert project("up", "--to", "data/0001").code == 0
    shutil.copy(tmp_path / "data.db", tmp_path / "backup.db")
    assert project("up", "--wait").code == 0
    shutil.copy(tmp_path / "backup.db", tmp_path / "data.db")
    project.write({"state/0001_contract": "-- requires: job/add\nDROP TABLE item;\n"})
    assert "data/0002_ready was taken away under it" in " ".join(project("plan").stdout.split())
    ended = project("up")
    assert ended.code == 0 and "applied 1" in ended.stdout
    assert shown(project, "add")["state"] == "pending"
    assert project("up", "--wait").code == 0
    assert wrong_rows(urls["data"]) == []


def test_a_complete_job_that_requires_another_script_by_now_does_not_begin_anew(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 30)
    scripts = {"state/0001_one": "CREATE TABLE one (id INT);\n", "state/0002_two": "CREATE TABLE two (id INT);\n"}
    project = make(tmp_path, {"state": sqlite}, {"visit": add_job("requires: state/0001", where="")}, scripts)
    assert project("up", "--to", "state/0001_one").code == 0
    assert run(project, "visit")["rows_done"] == 30
    write_jobs(project, {"visit": add_job("requires: state/0001, state/0002", where="")})
    assert project("up", "--wait").code == 0
    assert wrong_rows(sqlite) == []


@pytest.mark.parametrize("key", ["n", "n, id"])
def test_a_job_that_knows_rows_by_its_key_does_not_go_on_by_another(tmp_path: Path, url: str, key: str) -> None:
    fill(url, 30)
    dumping.query(url, "CREATE UNIQUE INDEX by_n ON item (n, id)")
    visits = (
        "-- batches: keyset state.item by {}\n-- unindexed: accept\nUPDATE item SET seen = seen + 1 WHERE ${{batch}};"
    )
    project = make(tmp_path, {"state": url}, {"visit": visits.format("id")})
    assert run(project, "visit")["rows_done"] == 30
    fill(url, 5, start=31)
    write_jobs(project, {"visit": visits.format(key)})
    refused = project("job", "run", "visit")
    assert refused.code == 2
    said = f"job/visit went by keyset item by id so far, and would go by keyset item by {key} now"
    assert said in " ".join(refused.stderr.split())
    assert rows(url, "SELECT count(*) FROM item WHERE seen = 1") == [(30,)]
    dumping.query(url, "ALTER TABLE item RENAME TO thing")
    write_jobs(project, {"visit": visits.format("id").replace("item", "thing")})
    assert run(project, "visit")["rows_done"] == 35
    assert rows(url, "SELECT count(*) FROM thing WHERE seen = 1") == [(35,)]


def test_where_the_rows_themselves_tell_what_is_left_the_key_may_change(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    dumping.query(url, "CREATE UNIQUE INDEX by_n ON item (by_writer, id)")
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    assert run(project, "add")["rows_done"] == 30
    fill(url, 5, start=31)
    write_jobs(project, {"add": add_job(source="keyset state.item by by_writer, id")})
    assert run(project, "add")["rows_done"] == 35
    assert wrong_rows(url) == []


def test_changes_are_taken_back_by_the_key_that_they_were_recorded_by(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    dumping.query(url, "CREATE UNIQUE INDEX by_writer ON item (by_writer, id)")
    project = make(tmp_path, {"state": url}, {"add": add_job("records: n, seen")})
    assert run(project, "add")["rows_done"] == 30
    write_jobs(project, {"add": add_job("records: n, seen", source="keyset state.item by by_writer, id")})
    refused = project("job", "undo", "add", "--yes")
    assert refused.code == 2 and "job/add went by keyset item by id so far" in " ".join(refused.stderr.split())
    write_jobs(project, {"add": add_job("records: n, seen")})
    assert project("job", "undo", "add", "--yes").code == 0
    assert rows(url, "SELECT count(*) FROM item WHERE n = id AND seen = 0") == [(30,)]
    write_jobs(project, {"add": add_job("records: n, seen", source="keyset state.item by by_writer, id")})
    assert run(project, "add")["rows_done"] == 30


def test_a_drain_whose_rows_stay_eligible_ends(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    job = "-- batches: drain state.item by id\n-- where: id > 10\n-- size: 5\nUPDATE item SET n = n WHERE ${batch};"
    project = make(tmp_path, {"state": url}, {"never": job})
    ended = project("job", "run", "never")
    assert ended.code == 1 and "20 rows" in ended.stderr


def test_a_script_does_not_follow_a_job_with_failed_rows(tmp_path: Path, url: str, engine: str) -> None:
    fill(url, 30)
    dumping.query(url, "UPDATE item SET by_writer = 7 WHERE id = 3")
    contract = "-- requires: job/add\nALTER TABLE item DROP COLUMN by_writer;\n"
    project = make(tmp_path, {"state": url}, {"add": POISON[engine]}, {"state/0001_contract": contract})
    ended = project("up", "--wait")
    assert ended.code == 1
    assert "state/0001_contract waits for job/add (1 row failed)" in " ".join(ended.stdout.split())
    dumping.query(url, "UPDATE item SET by_writer = 0")
    assert project("job", "retry", "add").code == 0
    assert "applied 1" in project("up", "--wait").stdout


def test_several_batches_at_once_take_every_row_once(tmp_path: Path, url: str) -> None:
    fill(url, 2000)
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 50", "workers: 4")})
    assert run(project, "add")["state"] == "complete"
    assert wrong_rows(url) == []


def test_an_empty_table_is_complete_at_once(tmp_path: Path, url: str) -> None:
    dumping.query(url, jobbing.TABLE)
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    found = run(project, "add")
    assert (found["state"], found["rows_done"]) == ("complete", 0)


def test_complete_needs_two_passes_that_find_nothing(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 10)
    late = """
    import sqlite3
    from stepwell.jobs import Job, Keyset

    class Late(Job):
        '''Another row comes with each of the first rows.'''
        batches = Keyset("state", "item", key="id", where="seen = 0", size=10)

        def migrate(self, batch):
            highest = batch.database.query("SELECT max(id) FROM item")[0][0]
            if highest < 60:
                batch.execute("INSERT INTO item (id, n) VALUES (?, ?)", (-highest, -highest))
                batch.execute("INSERT INTO item (id, n) VALUES (?, ?)", (highest + 10, highest + 10))
            batch.execute("UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE ${batch}")
    """
    project = make(tmp_path, {"state": sqlite}, {"late.py": late})
    assert run(project, "late")["state"] == "complete"
    assert wrong_rows(sqlite) == []
    assert rows(sqlite, "SELECT count(*), max(quiet_passes) FROM item, stepwell_job") == [(20, 2)]


# --- requirements, flags, hours ---------------------------------------------------------------------------


def test_a_job_whose_requirement_is_not_complete_is_refused_with_the_reason(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    scripts = {"state/0001_kind": "ALTER TABLE item ADD COLUMN kind INT;"}
    jobs = {"first": add_job("requires: state/0001"), "second": add_job("requires: job/first")}
    project = make(tmp_path, {"state": url}, jobs, scripts)
    refused = project("job", "run", "first")
    assert refused.code == 5
    assert "job/first can't start: it requires state/0001_kind" in refused.stderr
    assert project("up").code == 0
    refused = project("job", "run", "second", "--json")
    assert refused.code == 5
    assert json.loads(refused.stdout)["error"]["kind"] == "JobNotReady"
    assert "it requires job/first" in refused.stderr
    assert seen(project) == 0
    assert run(project, "first")["state"] == "complete"
    assert run(project, "second")["state"] == "complete"
    assert wrong_rows(url) == []


def test_up_wait_takes_scripts_and_jobs_to_the_end_in_their_order(tmp_path: Path, url: str) -> None:
    fill(url, 200)
    scripts = {
        "state/0001_done": "ALTER TABLE item ADD COLUMN done INT NOT NULL DEFAULT 0;",
        "state/0002_all_done": "-- requires: job/add\nINSERT INTO item (id, n, seen) SELECT -1, count(*), 9 FROM item WHERE seen = 1;",
    }
    project = make(tmp_path, {"state": url}, {"add": add_job("requires: state/0001")}, scripts)
    first = project("up")
    assert first.code == 0 and "state/0002_all_done waits for job/add" in first.stdout
    end = project("up", "--wait")
    assert end.code == 0, end.text
    assert end.stdout.splitlines()[-1].startswith("applied 1, skipped")
    assert rows(url, "SELECT n FROM item WHERE id = -1") == [(200,)]
    assert "applied 0" in project("up", "--wait").stdout


def test_a_job_that_its_flag_switches_off_does_nothing(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 10)
    project = make(tmp_path, {"state": sqlite}, {"add": add_job("flag: ADD_ENABLED = false")})
    end = project("job", "run", "add")
    assert (end.code, end.stdout) == (0, "job/add               is skipped: ADD_ENABLED is not true\n")
    assert "ADD_ENABLED is not true" in project("job", "show", "add").stdout
    assert seen(project) == 0


def test_a_job_begins_no_batch_outside_its_hours(tmp_path: Path, sqlite: str) -> None:
    from datetime import UTC, datetime, timedelta

    soon, later = (f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}" for hours in (3, 6))
    fill(sqlite, 10)
    project = make(tmp_path, {"state": sqlite}, {"add": add_job(f"window: {soon}-{later}")})
    assert run(project, "add", code=1)["state"] == "outside its hours"
    assert seen(project) == 0
    jobbing.write_jobs(project, {"add": add_job(f"window: {later}-{soon}")})
    assert run(project, "add")["state"] == "complete"


def test_a_job_ends_when_its_time_is_over_and_the_next_run_goes_on(tmp_path: Path, sqlite: str) -> None:
    project = slow(tmp_path, sqlite, more="timeout = 1.0", count=60)
    assert run(project, "slow", code=1)["state"] == "out of time"
    done = seen(project)
    assert 0 < done < 60
    jobbing.write_jobs(project, {"slow.py": SLOW.format(more="")})
    assert run(project, "slow")["state"] == "complete"
    assert wrong_rows(sqlite) == []


# --- told to stop -----------------------------------------------------------------------------------------


def test_pause_is_heard_while_the_job_runs_and_resume_lets_it_go_on(tmp_path: Path, url: str) -> None:
    project = slow(tmp_path, url, count=150)
    running = project.start("job", "run", "slow")
    until(lambda: begun(project), running)
    assert project("job", "pause", "slow").stdout == "job/slow is paused\n"
    end = ended(running, timeout=20)
    assert end.code == 1 and "paused" in end.stdout
    done = seen(project)
    assert 0 < done < 150
    assert run(project, "slow", code=1)["state"] == "paused"  # it stays so until somebody says `resume`
    assert run(project, "slow", code=1)["state"] == "paused"
    assert (seen(project), shown(project, "slow")["state"]) == (done, "paused")
    assert project("job", "resume", "slow").code == 0
    assert run(project, "slow")["state"] == "complete"
    assert wrong_rows(url) == []


def test_a_job_that_leaves_its_condition_true_ends_and_says_so(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    project = make(tmp_path, {"state": url}, {"add": add_job(where="n > 0")})
    end = project("job", "run", "add")
    assert end.code == 1, end.text
    assert "job/add makes no headway: its `where` still finds 30 rows that were migrated" in end.stderr
    assert "the first of them has the key [1]" in end.stderr
    assert shown(project, "add")["state"] == "stalled"
    write_jobs(project, {"add": add_job(where="seen < 5")})
    assert run(project, "add")["state"] == "complete"


def test_a_group_that_rows_keep_coming_to_is_not_taken_for_one_without_headway(tmp_path: Path, url: str) -> None:
    fill(url, 1)
    dumping.query(url, "CREATE INDEX item_by_writer ON item (by_writer)")
    coming = """
        INSERT INTO item (id, n)
        SELECT id + 1, id + 1
        FROM item
        WHERE id < 12 AND id = (SELECT top FROM (SELECT max(id) AS top FROM item) AS last);
    """
    text = add_job(source="groups state.item by by_writer")
    project = make(tmp_path, {"state": url}, {"add": f"{text}{coming}"})
    assert run(project, "add")["rows_done"] == 12


def test_cancel_is_heard_while_the_job_runs_and_what_is_done_stays(tmp_path: Path, sqlite: str) -> None:
    project = slow(tmp_path, sqlite)
    running = project.start("job", "run", "slow")
    until(lambda: begun(project), running)
    assert project("job", "cancel", "slow").code == 0
    assert "cancelled" in ended(running, timeout=20).stdout
    done = seen(project)
    assert run(project, "slow", code=1)["state"] == "cancelled"
    assert 0 < done == seen(project)


@pytest.mark.parametrize("command", [("job", "run", "slow"), ("work",)])
def test_sigterm_ends_after_the_batch_under_way_and_frees_the_lease(
    tmp_path: Path, url: str, command: tuple[str, ...]
) -> None:
    project = slow(tmp_path, url, count=60)
    running = project.start(*command)
    until(lambda: begun(project), running)
    running.send_signal(signal.SIGTERM)
    end = ended(running, timeout=20)
    assert end.code == (0 if command == ("work",) else 1), end.text
    done = seen(project)
    assert 0 < done < 60
    one = shown(project, "slow")
    assert (one["holder"], one["done"]) == ("", done)
    [(cut_ahead,)] = rows(url, "SELECT count(*) FROM stepwell_batch WHERE state = 'begun'")
    assert cut_ahead <= 1
    assert run(project, "slow")["state"] == "complete"
    assert wrong_rows(url) == []


def test_rows_of_a_batch_cut_ahead_that_others_migrate_meanwhile_are_not_counted_as_the_jobs(
    tmp_path: Path, url: str
) -> None:
    fill(url, 100)
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 10")})
    stop = threading.Event()
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": url})
    outcome = loaded.run_job("add", lambda progress: stop.set(), stop)
    [(migrated,)] = rows(url, "SELECT count(*) FROM item WHERE seen = 1")
    assert (outcome.state, outcome.rows_done) == ("stopped", migrated)
    dumping.query(url, "UPDATE item SET seen = 2 WHERE seen = 0")
    assert run(project, "add")["rows_done"] == migrated < 100


# --- the service ------------------------------------------------------------------------------------------


def test_rows_that_arrive_late_reopen_a_complete_job(tmp_path: Path, url: str) -> None:
    fill(url, 50)
    project = make(tmp_path, {"state": url}, {"add": add_job("cycle: 200ms"), "off": add_job("flag: OFF = false")})
    running = project.start("work")
    until(lambda: shown(project, "add")["state"] == "complete", running)
    fill(url, 50, start=51)
    until(lambda: wrong_rows(url) == [], running)
    until(lambda: shown(project, "add")["state"] == "complete", running)
    running.send_signal(signal.SIGTERM)
    end = ended(running)
    assert end.code == 0
    assert "job=off is disabled by OFF and skipped" in end.stderr
    assert shown(project, "add")["done"] == 100
    assert wrong_rows(url) == []


def test_a_job_that_takes_long_does_not_keep_the_others_waiting(tmp_path: Path, url: str) -> None:
    project = slow(tmp_path, url)
    (project.folder / "jobs" / "z_quick.sql").write_text(
        "-- batches: keyset state.item by id\n-- where: n < 5000000\nUPDATE item SET n = n + 5000000 WHERE ${batch};\n"
    )
    running = project.start("work")
    until(lambda: shown(project, "z-quick")["state"] == "complete", running)
    assert shown(project, "slow")["state"] == "running"
    running.send_signal(signal.SIGTERM)
    assert ended(running).code == 0
    assert shown(project, "slow")["holder"] == ""


# --- rows that fail ---------------------------------------------------------------------------------------

DIVIDE = """
-- batches: keyset state.item by id
-- where: seen = 0
-- size: 2000
UPDATE item SET n = n + 1000000 / (CASE WHEN by_writer = 7 THEN 0 ELSE 1 END), seen = 1 WHERE ${batch};
"""
POISON = {
    "postgres": DIVIDE,
    "mysql": DIVIDE.replace("CASE WHEN by_writer = 7 THEN 0 ELSE 1 END", "CASE WHEN by_writer = 7 THEN 0.0 ELSE 1 END"),
    "sqlite": DIVIDE.replace("n + 1000000 / (CASE WHEN by_writer = 7 THEN 0 ELSE 1 END)",
                             "CASE WHEN by_writer = 7 THEN NULL ELSE n + 1000000 END"),
}  # fmt: skip
"""What each engine refuses in a row with by_writer = 7: a division by zero, or NULL where there may be none."""


@pytest.mark.parametrize(("count", "poison"), [(100_000, [54_321]), (3_000, [1, 1500, 3000]), (500, [100, 101, 102])])
def test_rows_that_fail_stand_alone_with_their_errors_and_all_others_are_migrated(
    tmp_path: Path, url: str, engine: str, count: int, poison: list[int]
) -> None:
    fill(url, count)
    dumping.query(url, f"UPDATE item SET by_writer = 7 WHERE id IN ({', '.join(map(str, poison))})")
    project = make(tmp_path, {"state": url}, {"add": POISON[engine]})
    found = run(project, "add", code=1)
    assert (found["state"], found["failed"], found["rows_done"]) == ("complete", len(poison), count - len(poison))
    assert [key for key, *_ in wrong_rows(url)] == poison
    failures = shown(project, "add")["failures"]
    assert sorted(json.loads(failure["key"])[0] for failure in failures) == poison
    assert all(failure["error"] for failure in failures)
    assert f"complete except {len(poison)} row" in project("job", "run", "add").stdout

    dumping.query(url, "UPDATE item SET by_writer = 0")
    assert project("job", "retry", "add").code == 0
    assert run(project, "add")["failed"] == 0
    assert wrong_rows(url) == []
    assert shown(project, "add")["failures"] == []


def test_a_row_that_failed_without_a_condition_is_retried_behind_the_place_too(
    tmp_path: Path, url: str, engine: str
) -> None:
    fill(url, 100)
    dumping.query(url, "UPDATE item SET by_writer = 7 WHERE id = 30")
    text = POISON[engine].replace("-- where: seen = 0\n", "")
    project = make(tmp_path, {"state": url}, {"add": text})
    assert run(project, "add", code=1)["failed"] == 1
    dumping.query(url, "UPDATE item SET by_writer = 0")
    assert project("job", "retry", "add").code == 0
    assert run(project, "add")["failed"] == 0
    assert wrong_rows(url) == []


def test_a_job_whose_rows_all_fail_stalls_at_the_most_that_may(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 100)
    dumping.query(sqlite, "UPDATE item SET by_writer = 7")
    project = make(tmp_path, {"state": sqlite}, {"add": POISON["sqlite"]})
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": sqlite})
    with loaded.ledger():
        pass
    few = replace(loaded.job("add"), most_failures=5)
    with pytest.raises(JobStalled, match="stalled"):
        runner.run(few, loaded.site())
    one = shown(project, "add")
    assert (one["failed"], one["holder"], one["state"]) == (5, "", "stalled")
    assert "5 rows failed" in one["held_by"]
    dumping.query(sqlite, "UPDATE item SET by_writer = 0")
    assert project("job", "retry", "add").code == 0
    assert run(project, "add")["state"] == "complete"
    assert wrong_rows(sqlite) == []


# --- servers in trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["postgres", "mysql"], indirect=True)
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_server_restarted_in_mid_job_delays_it_and_changes_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, how: str
) -> None:
    server: PostgresServer | MariadbServer = request.getfixturevalue({"mysql": "mariadb"}.get(engine, engine))
    project = slow(tmp_path, server.new_database(), count=100)
    running = project.start("job", "run", "slow")
    until(lambda: begun(project), running)
    if how == "kill":
        server.kill()
        server.launch() if isinstance(server, PostgresServer) else server.boot()
    else:
        server.restart()
    end = ended(running)
    assert end.code == 0, end.text
    assert wrong_rows(project.urls["state"]) == []


CUT = {
    "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()",
}


@pytest.mark.parametrize("engine", ["postgres", "mysql"], indirect=True)
def test_connections_cut_again_and_again_lose_and_double_nothing(tmp_path: Path, url: str, engine: str) -> None:
    project = slow(tmp_path, url, count=100)
    running = project.start("job", "run", "slow")
    for _ in range(5):
        done = seen(project)
        until(lambda done=done: seen(project) > done + 3, running)  # type: ignore[misc]  # a default is no parameter
        found = dumping.query(url, CUT[engine])
        if engine == "mysql":
            for number in found:
                with pytest.MonkeyPatch.context():
                    try:
                        dumping.query(url, f"KILL {number}")
                    except Exception as error:  # it ended meanwhile
                        assert "Unknown thread" in str(error)
    end = ended(running)
    assert end.code == 0, end.text
    assert wrong_rows(url) == []


# --- what a person and a program see ----------------------------------------------------------------------


def test_the_list_says_how_far_each_job_is_and_what_it_waits_for(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 10)
    jobs = {"one": add_job(), "two": add_job("requires: job/one")}
    project = make(tmp_path, {"state": sqlite}, jobs)
    run(project, "one")
    fill(sqlite, 5, start=11)
    text = project("job", "list").stdout
    assert text.splitlines()[0].split() == ["JOB", "STATE", "DONE", "LEFT", "SHARE", "FAILED"]
    assert text.splitlines()[1].split() == ["one", "complete", "10", "0", "100%", "0"]
    assert text.splitlines()[2].split() == ["two", "pending", "0", "?", "?", "0"]
    listed = json.loads(project("job", "list", "--json").stdout)["jobs"]
    assert [(one["name"], one["state"], one["done"]) for one in listed] == [
        ("one", "complete", 10),
        ("two", "pending", 0),
    ]


def test_progress_counts_up_to_all_rows_and_says_what_is_left(tmp_path: Path, url: str) -> None:
    fill(url, 500)
    project = make(tmp_path, {"state": url}, {"add": add_job("size: 50", "target: 1ms")})
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": url})
    heard: list[runner.Progress] = []
    outcome = loaded.run_job("add", heard.append)
    assert (outcome.state, outcome.rows_done) == ("complete", 500)
    done = [progress.rows_done for progress in heard]
    assert done == sorted(done) and done[-1] == 500
    assert all(progress.rows_done + progress.rows_left == 500 for progress in heard)


def test_an_unknown_job_is_refused_with_the_one_that_may_be_meant(tmp_path: Path, sqlite: str) -> None:
    fill(sqlite, 1)
    project = make(tmp_path, {"state": sqlite}, {"add-one": add_job()})
    end = project("job", "run", "ad-one")
    assert end.code == 2 and "did you mean 'add-one'?" in end.stderr
