"""A job as a person asks about it and steers it: how far, why it stands still, what it changed, and taking it back."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import copying
import dumping
import jobbing
from jobbing import ENGINES, add_job, fill, make, rows, run, shown, start_quick, until, wrong_rows
from projects import ENVIRONMENT, Project, done, ended
from stepwell.project import Project as StepwellProject

JUDGE = """
from stepwell.jobs import Job, Keyset

class Judge(Job):
    '''Judge every item: by evidence where there is some.'''
    batches = Keyset("state", "item", key="id", where="seen = 0", size=20)
    records = ["n", "seen"]

    def migrate(self, batch):
        for key, evidence in batch.rows("id, by_writer"):
            batch.reason((key,), f"evidence: {evidence} spans" if evidence else "default: no span")
        batch.execute("UPDATE item SET n = n + 1000000, seen = 1 WHERE ${batch}")
"""


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return copying.empty(request, getattr(request, "param", "sqlite"), tmp_path)


def listed(project: Project) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(done(project("job", "list", "--json")))["jobs"]}


# --- why it stands still ----------------------------------------------------------------------------------


def test_whatever_is_not_complete_and_stands_still_has_its_reason(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    soon, later = (f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}" for hours in (3, 6))
    jobs = {
        "first": add_job(where="by_writer = 5"),
        "second": add_job("requires: job/first"),
        "night": add_job(f"window: {soon}-{later} Europe/Berlin", where="by_writer = 5"),
        "off": add_job("flag: OFF_ENABLED = false"),
        "broken": add_job(source="keyset state.nowhere by id"),
        "paused": add_job(),
        "cancelled": add_job(),
    }
    project = make(tmp_path, {"state": url}, jobs)
    assert project("job", "run", "broken").code == 2  # it never began
    done(project("job", "pause", "paused"))
    done(project("job", "cancel", "cancelled"))
    found = listed(project)
    assert {name: one["state"] for name, one in found.items()} == {
        "first": "pending",
        "second": "pending",
        "night": "pending",
        "off": "off",
        "broken": "stalled",
        "paused": "paused",
        "cancelled": "cancelled",
    }
    reasons = {name: one["reason"] for name, one in found.items()}
    assert "nobody runs it: `stepwell job run first`" in reasons["first"]
    assert reasons["second"] == "waits for job/first (pending)"
    assert "waits for the window" in reasons["night"] and "Europe/Berlin" in reasons["night"]
    assert reasons["off"] == "switched off by OFF_ENABLED"
    assert "its last run failed: " in reasons["broken"] and "nowhere" in reasons["broken"]
    assert "`stepwell job resume paused`" in reasons["paused"]
    assert "`stepwell job resume cancelled`" in reasons["cancelled"]
    text = done(project("job", "list"))
    assert all(len(line) <= 80 for line in text.splitlines())
    joined = " ".join(text.split())
    assert all(f"{name}: {reason}" in joined for name, reason in reasons.items())
    assert "switched off by OFF_ENABLED" in done(project("job", "show", "off"))


def test_a_worker_that_died_is_named_with_the_end_of_its_lease(tmp_path: Path, url: str) -> None:
    fill(url, 60)
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    done(project("job", "set", "add", "size=10", "pause=1min"))
    running = start_quick(project, "job", "run", "add", lease=1.0, beat=0.2)
    until(lambda: rows(url, "SELECT sum(seen) FROM item") == [(10,)], running)
    assert f"run by   process {running.pid} on" in done(project("job", "show", "add"))
    running.kill()
    ended(running)
    until(lambda: listed(project)["add"]["holder"] == "")
    one = listed(project)["add"]
    assert (one["state"], one["done"], one["left"]) == ("pending", 10, 50)
    assert f"the lease of process {running.pid} on" in one["reason"] and "nobody runs it" in one["reason"]


def test_a_batch_that_takes_long_and_one_that_is_tried_again_are_told(tmp_path: Path, url: str) -> None:
    fill(url, 1)
    slow = """
    import time
    from stepwell.jobs import Job, Keyset

    class Slow(Job):
        '''Takes its time, then meets a lock.'''
        batches = Keyset("state", "item", key="id", where="seen = 0")

        def migrate(self, batch):
            from stepwell.errors import LockTimeout
            raise LockTimeout("table item is locked")
    """
    project = make(tmp_path, {"state": url}, {"slow.py": slow})
    running = project.start("job", "run", "slow")
    until(lambda: "is tried again" in shown(project, "slow")["reason"], running)
    assert "LockTimeout: table item is locked" in shown(project, "slow")["reason"]
    assert ended(running).code == 1
    assert "its last run failed: LockTimeout: table item is locked" in shown(project, "slow")["reason"]

    # As it would be, had the batch begun a minute ago.
    dumping.query(
        url,
        """
        UPDATE stepwell_job
        SET state = 'running', held_by = '', holder = 'process 7 on w', lease_until = 9e9, started = started - 60,
            worked = worked - 60
        """,
    )
    assert "its batch 1 is under way for 6" in shown(project, "slow")["reason"]


def test_a_database_that_does_not_answer_is_told_and_holds_nobody_up(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    urls = {"state": url, "other": "postgresql://nobody@127.0.0.1:9/none"}
    project = make(tmp_path, urls, {"add": add_job("requires: other/0001")}, {"other/0001_a": "SELECT 1;"})
    assert "what it requires can't be looked at: can't use database 'other'" in listed(project)["add"]["reason"]


# --- watch, set -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "state", "code"), [("pause", "paused", 1), ("cancel", "cancelled", 1)])
def test_watch_ends_where_the_job_does_not_go_on_by_itself(
    tmp_path: Path, url: str, word: str, state: str, code: int
) -> None:
    fill(url, 60)
    project = make(tmp_path, {"state": url}, {"add": add_job(), "off": add_job("flag: OFF = false")})
    end = project("job", "watch", "off")
    assert (end.code, end.stdout.splitlines()[0]) == (0, "job/off is off, 0 rows migrated")
    watching = project.start("job", "watch", "add")
    done(project("job", word, "add"))
    end = ended(watching)
    assert end.code == code and f"job/add is {state}" in end.stdout
    done(project("job", "resume", "add"))
    run(project, "add")
    end = project("job", "watch", "add")
    assert (end.code, end.stdout.splitlines()[-1]) == (0, "job/add is complete, 60 rows migrated")


def test_limits_are_set_shown_and_taken_away_and_bad_ones_refused(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    assert done(project("job", "set", "add")) == "job/add: no limits but those of its file\n"
    said = done(project("job", "set", "add", "size=500", "target=100ms", "workers=2", "pause=1.5s"))
    assert said.splitlines() == [
        "job/add: size at most 500 rows, target 100ms a batch, workers 2, pause 1.5s",
        "  after each batch",
    ]
    assert "size at most 500 rows" in done(project("job", "show", "add"))
    assert shown(project, "add")["limits"] == {"size": 500, "target": 0.1, "workers": 2, "pause": 1.5}
    for wrong, said in (
        ("sizes=1", "unknown limit 'sizes' (did you mean 'size'?)"),
        ("size=many", "Write a whole number from 1 to 1,000,000"),
        ("target=1d", "Write 100ms, 5s or 1min"),
        ("size", "`size=` takes the limit away"),
    ):
        end = project("job", "set", "add", wrong)
        assert end.code == 2 and said in end.stderr
    done(project("job", "set", "add", "size=", "target=", "workers="))
    assert json.loads(done(project("job", "set", "add", "--json")))["limits"] == {"pause": 1.5}


def test_a_long_pause_between_batches_ends_when_it_is_taken_away(tmp_path: Path, url: str) -> None:
    fill(url, 60)
    project = make(tmp_path, {"state": url}, {"add": add_job()})
    done(project("job", "set", "add", "size=10", "pause=1h"))
    running = project.start("job", "run", "add")
    until(lambda: rows(url, "SELECT sum(seen) FROM item") == [(10,)], running)
    done(project("job", "set", "add", "pause="))
    assert ended(running, timeout=60).code == 0
    assert wrong_rows(url) == []


@pytest.mark.parametrize("word", ["pause", "cancel", "resume", "retry"])
def test_a_complete_job_stays_complete_whatever_is_said_to_it(tmp_path: Path, url: str, word: str) -> None:
    fill(url, 10)
    scripts = {"state/0001_after": "-- requires: job/add\nCREATE TABLE after_all (a INT);"}
    project = make(tmp_path, {"state": url}, {"add": add_job()}, scripts)
    run(project, "add")
    assert done(project("job", word, "add")) == f"job/add is complete: nothing to {word}\n"
    assert json.loads(done(project("job", word, "add", "--json"))) == {"job": "add", "state": "complete"}
    assert [act["act"] for act in json.loads(done(project("history", "--json")))["acts"]] == ["completed", "started"]
    assert done(project("up")).splitlines()[-1] == "applied 1, skipped 0"
    fill(url, 5, start=11)
    assert run(project, "add")["rows_done"] == 15  # and looks for late arrivals as before


def test_what_a_person_said_of_a_job_stays_until_it_is_taken_back(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    done(project("job", "pause", "judge"))
    assert done(project("job", "retry", "judge")).startswith("job/judge is paused: nothing to retry\n")
    assert done(project("job", "cancel", "judge")) == "job/judge is cancelled\n"
    assert done(project("job", "pause", "judge")) == "job/judge is cancelled: nothing to pause\n"
    assert done(project("job", "resume", "judge")).startswith("job/judge is pending\n")
    run(project, "judge")
    done(project("job", "undo", "judge", "--yes"))
    assert done(project("job", "pause", "judge")) == "job/judge is undone: nothing to pause\n"
    assert done(project("job", "cancel", "judge")) == "job/judge is undone: nothing to cancel\n"


# --- up --wait --------------------------------------------------------------------------------------------


def test_up_wait_counts_what_all_its_rounds_applied_and_what_it_found_applied(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    scripts = {
        "state/0001_one": "CREATE TABLE one (a INT);",
        "state/0002_two": "CREATE TABLE two (a INT);",
        "state/0003_three": "-- requires: job/first\nCREATE TABLE three (a INT);",
        "state/0004_four": "-- requires: job/second\nCREATE TABLE four (a INT);",
    }
    jobs = {
        "first": add_job("requires: state/0002"),
        "second": add_job("requires: state/0003", where="seen = 1").replace("seen = seen + 1", "seen = 2"),
    }
    project = make(tmp_path, {"state": url}, jobs, scripts)
    done(project("up", "--to", "state/0001"))
    assert done(project("up", "--wait")).splitlines()[-1] == "applied 3, skipped 1"
    assert json.loads(done(project("up", "--wait", "--json"))) == {"applied": [], "skipped": 4, "waiting": {}}


def test_up_wait_goes_on_where_another_worker_leaves_off(tmp_path: Path, url: str) -> None:
    fill(url, 60)
    scripts = {"state/0001_after": "-- requires: job/add\nCREATE TABLE after_all (a INT);"}
    project = make(tmp_path, {"state": url}, {"add": add_job(where="")}, scripts)
    done(project("job", "set", "add", "size=10", "pause=1min"))
    first = start_quick(project, "job", "run", "add", lease=1.5, beat=0.2)
    until(lambda: rows(url, "SELECT sum(seen) FROM item") == [(10,)], first)
    waiting = project.start("up", "--wait")
    done(project("job", "set", "add", "pause="))
    first.kill()
    ended(first)
    end = ended(waiting)
    assert end.code == 0, end.text
    assert end.stdout.splitlines()[-1] == "applied 1, skipped 0"
    assert wrong_rows(url) == []


# --- why, undo, reassess ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ENGINES, indirect=True)
def test_why_tells_old_and_new_value_reason_time_and_who(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    dumping.query(url, "UPDATE item SET by_writer = 3 WHERE id = 7")
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    running = project.start("job", "run", "judge")
    assert ended(running).code == 0
    lines = done(project("job", "why", "judge", "7")).splitlines()
    assert lines[0].startswith("job/judge changed row 7 of state.item on 20")
    assert [line.split() for line in lines[1:4]] == [
        ["COLUMN", "OLD", "NEW"],
        ["n", "7", "1000007"],
        ["seen", "0", "1"],
    ]
    assert lines[4].split(maxsplit=1) == ["because", "evidence: 3 spans"]
    assert lines[5].split(maxsplit=1)[1].startswith(f"batch 1, process {running.pid} on ")
    [change] = json.loads(done(project("job", "why", "judge", "7", "--json")))["changes"]
    assert change["columns"] == {"n": {"old": 7, "new": 1000007}, "seen": {"old": 0, "new": 1}}
    assert "changed nothing in row 99" in done(project("job", "why", "judge", "99"))
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": url})
    assert [found.reason for found in loaded.why("judge", 7)] == ["evidence: 3 spans"]
    assert asyncio.run(loaded.awhy("judge", 7)) == loaded.why("judge", 7)


@pytest.mark.parametrize("url", ENGINES, indirect=True)
def test_undo_gives_rows_back_and_names_those_that_others_changed_since(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    run(project, "judge")
    dumping.query(url, "UPDATE item SET n = 1 WHERE id = 3")
    dumping.query(url, "DELETE FROM item WHERE id = 4")
    before = rows(url, "SELECT id, n, seen FROM item ORDER BY id")

    refused = project("job", "undo", "judge")
    assert refused.code == 2 and "Say --yes" in refused.stderr
    looked = project("job", "undo", "judge", "--dry-run")
    assert looked.code == 0
    assert looked.stdout.startswith("job/judge: 28 rows would be given back, 2 would be left")
    assert rows(url, "SELECT id, n, seen FROM item ORDER BY id") == before
    assert shown(project, "judge")["state"] == "complete"

    end = project("job", "undo", "judge", "--yes")
    assert end.code == 1  # not all of it could be given back
    assert "job/judge: 28 rows given back, 2 left" in end.stdout
    assert {line.strip() for line in end.stdout.splitlines()} >= {"[3]", "[4]"}
    assert rows(url, "SELECT id, n, seen FROM item WHERE NOT (n = id AND seen = 0)") == [(3, 1, 1)]
    one = shown(project, "judge")
    assert one["state"] == "undone" and "but for 2 rows that others wrote since" in one["reason"]
    assert "undone" in done(project("job", "why", "judge", "7"))
    assert "applied 0" in done(project("up", "--wait"))  # what was taken back stays so until somebody says `resume`
    assert shown(project, "judge")["state"] == "undone"
    done(project("job", "resume", "judge"))
    assert run(project, "judge")["rows_done"] == 28


def test_on_a_terminal_undo_asks_and_no_changes_nothing(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    run(project, "judge")
    assert "nothing was changed" in at_a_terminal(project, "n\n", "job", "undo", "judge")
    assert shown(project, "judge")["state"] == "complete"
    said = at_a_terminal(project, "y\n", "job", "undo", "judge")
    assert "will give 30 rows of state.item their old values back. Go on? [y/N]" in said
    assert shown(project, "judge")["state"] == "undone"


def at_a_terminal(project: Project, typed: str, *arguments: str) -> str:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepwell", *arguments],
        cwd=project.folder,
        env=ENVIRONMENT | {"STATE_DB_URL": project.urls["state"]},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    os.write(ours, typed.encode())
    said = b""
    try:
        while more := os.read(ours, 10_000):
            said += more
    except OSError:  # the other end is closed
        pass
    process.wait(timeout=60)
    os.close(ours)
    return said.decode()


def test_an_undo_that_is_told_to_stop_says_how_to_go_on(tmp_path: Path, url: str) -> None:
    fill(url, 20_000)
    judge = JUDGE.replace("size=20", "size=20000")
    project = make(tmp_path, {"state": url}, {"judge.py": judge})
    run(project, "judge")
    undoing = project.start("job", "undo", "judge", "--yes")
    until(lambda: rows(url, "SELECT count(*) FROM item WHERE seen = 0")[0][0] > 0, undoing)
    undoing.send_signal(signal.SIGTERM)
    end = ended(undoing)
    if rows(url, "SELECT count(*) FROM item WHERE seen = 1") != [(0,)]:
        assert end.code == 1 and "`stepwell job undo judge` goes on" in end.stdout
        assert project("job", "undo", "judge", "--yes").code == 0
    assert rows(url, "SELECT count(*) FROM item WHERE seen = 1 OR n <> id") == [(0,)]


def test_reassess_has_only_those_judged_again_that_were_judged_by_default(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    dumping.query(url, "UPDATE item SET by_writer = 3 WHERE id <= 10")
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    run(project, "judge")
    dumping.query(url, "UPDATE item SET by_writer = 5 WHERE id = 20")
    end = done(project("job", "reassess", "judge"))
    assert end.startswith("job/judge: 20 rows will be judged again by its next run")
    run(project, "judge")
    assert wrong_rows(url) == []
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": url})
    assert [change.reason for change in loaded.why("judge", 20)] == ["evidence: 5 spans", "default: no span"]
    assert [change.reason for change in loaded.why("judge", 7)] == ["evidence: 3 spans"]
    dumping.query(url, "UPDATE stepwell_change SET reason = 'evidence' WHERE reason LIKE 'default%'")
    assert done(project("job", "reassess", "judge")).startswith("job/judge: 0 rows")
    assert shown(project, "judge")["state"] == "complete"  # with nothing to judge again it need not run again


def test_a_server_undoes_and_reassesses_beside_its_event_loop(tmp_path: Path, url: str) -> None:
    fill(url, 30)
    project = make(tmp_path, {"state": url}, {"judge.py": JUDGE})
    loaded = StepwellProject.load(project.folder, {"STATE_DB_URL": url})
    run(project, "judge")
    assert asyncio.run(loaded.areassess_job("judge")).restored == 30
    run(project, "judge")
    report = asyncio.run(loaded.aundo_job("judge"))
    assert (report.restored, report.complete) == (30, True)


def test_a_job_that_records_nothing_says_so(tmp_path: Path, url: str) -> None:
    fill(url, 10)
    project = make(tmp_path, {"state": url}, {"add": jobbing.add_job()})
    run(project, "add")
    assert "it has no `records`" in done(project("job", "why", "add", "7"))
    end = project("job", "undo", "add", "--yes")
    assert end.code == 2 and "it does not record what it changes" in end.stderr
