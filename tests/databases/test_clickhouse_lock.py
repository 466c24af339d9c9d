"""The lock of projects that have a ClickHouse server alone: one runner at a time, whoever dies or falls asleep."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from clickhouse_cases import opened, send
from conftest import SOURCE
from stepwell.databases.clickhouse import ClickhouseDatabase, lock
from stepwell.errors import LockHeld, LockLost

LEASE = 3
"""Seconds; short, so that a test can wait for its end."""

# Takes the lock, says so, and holds it until a line comes or the given seconds are over.
RUNNER = """
import pathlib, select, sys, time
from stepwell.databases import url
from stepwell.databases.clickhouse import ClickhouseDatabase, lock
from stepwell.errors import LockLost

address, lease, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
lock.LEASE, lock.POLL = lease, 0.05
database = ClickhouseDatabase("analytics", url.parse(address), pathlib.Path("/"))
database.connect()
with database.lock(100, lambda holder: None):
    database.query("INSERT INTO inside (event) VALUES ('in')")
    print("held", flush=True)
    select.select([sys.stdin], [], [], seconds)
    try:
        database.assert_locked()
        print("still held", flush=True)
    except LockLost:
        print("lost", flush=True)
    database.query("INSERT INTO inside (event) VALUES ('out')")
"""


@pytest.fixture
def db(clickhouse_url: str) -> Iterator[ClickhouseDatabase]:
    with opened(clickhouse_url) as database:
        send(
            database,
            "CREATE TABLE inside (event String, at DateTime64(6) DEFAULT now64(6)) ENGINE = MergeTree ORDER BY at",
        )
        yield database


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE", LEASE)
    monkeypatch.setattr(lock, "POLL", 0.05)


def runner(url: str, seconds: float = 60) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, url, str(LEASE), str(seconds)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def holder(url: str) -> subprocess.Popen[str]:
    process = runner(url)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def tables(db: ClickhouseDatabase) -> list[str]:
    rows = db.query(
        "SELECT name FROM system.tables WHERE database = ? AND startsWith(name, ?)", (db.database, lock.PREFIX)
    )
    return [str(row[0]) for row in rows]


def test_of_eight_processes_one_at_a_time_is_inside(db: ClickhouseDatabase, clickhouse_url: str) -> None:
    processes = [runner(clickhouse_url, seconds=0.1) for _ in range(8)]
    assert [process.communicate()[0] for process in processes] == ["held\nstill held\n"] * 8
    events = [event for (event,) in db.query("SELECT event FROM inside ORDER BY at")]
    assert events == ["in", "out"] * 8
    assert len(tables(db)) == 1


def test_a_released_lock_is_free_at_once(db: ClickhouseDatabase) -> None:
    for _ in range(3):
        with db.lock(0, print):
            db.assert_locked()
    with pytest.raises(LockLost):
        db.assert_locked()
    assert len(tables(db)) == 1


def test_who_waits_is_told_for_whom_and_for_how_long(db: ClickhouseDatabase, clickhouse_url: str, quick: None) -> None:
    process, told = holder(clickhouse_url), list[str]()
    with pytest.raises(LockHeld) as caught, db.lock(0.5, told.append):
        raise AssertionError("two hold it")
    process.communicate("\n")
    assert told == [told[0]]
    for text in (told[0], caught.value.said):
        assert f"process {process.pid} on " in text and "its lease ends in" in text


def test_a_holder_keeps_it_beyond_its_lease(db: ClickhouseDatabase, clickhouse_url: str, quick: None) -> None:
    process = holder(clickhouse_url)
    with pytest.raises(LockHeld), db.lock(2 * LEASE + 1, lambda holder: None):
        raise AssertionError("two hold it")
    assert process.communicate("\n")[0] == "still held\n"


def test_a_killed_holder_s_lock_is_taken_over_when_its_lease_is_over(
    db: ClickhouseDatabase, clickhouse_url: str, quick: None
) -> None:
    process = holder(clickhouse_url)
    process.kill()
    process.wait()
    with pytest.raises(LockHeld), db.lock(0, lambda holder: None):
        raise AssertionError("its lease is not over")
    with db.lock(100, lambda holder: None):
        db.assert_locked()
    assert len(tables(db)) == 1


def test_a_holder_that_slept_past_its_lease_finds_that_it_is_lost(
    db: ClickhouseDatabase, clickhouse_url: str, quick: None
) -> None:
    process = holder(clickhouse_url)
    process.send_signal(signal.SIGSTOP)
    with db.lock(100, lambda holder: None):
        process.send_signal(signal.SIGCONT)
        assert process.communicate("\n")[0] == "lost\n"
        db.assert_locked()
    with db.lock(0, lambda holder: None):
        db.assert_locked()


def test_who_looked_long_ago_does_not_take_a_number_that_is_free_again(db: ClickhouseDatabase) -> None:
    """Number 1 was free when it looked; since then it was taken, taken over by 2, and dropped."""
    with db.lock(0, print):
        pass
    with db.lock(0, print):
        assert lock._take(db, 1, lock._promise(lock._now(db), ())) is False
        db.assert_locked()
    assert tables(db) == [f"{lock.PREFIX}2"]


def test_tables_that_dead_runners_left_below_are_dropped(db: ClickhouseDatabase) -> None:
    send(
        db,
        *(f"CREATE TABLE {lock.PREFIX}{number} (nothing UInt8) ENGINE = Memory COMMENT '0 '" for number in (3, 40, 41)),
    )
    with db.lock(0, print):
        assert tables(db) == [f"{lock.PREFIX}42"]


def test_a_server_s_clock_in_another_zone_makes_no_lease_longer(db: ClickhouseDatabase, quick: None) -> None:
    send(db, f"CREATE TABLE {lock.PREFIX}5 (nothing UInt8) ENGINE = Memory COMMENT '{int(time.time()) - 1} somebody'")
    with db.lock(0, print):
        assert tables(db) == [f"{lock.PREFIX}6"]


def test_a_chdb_folder_is_its_own_lock(chdb_url: str) -> None:
    with opened(chdb_url) as database, database.lock(0, print):
        database.assert_locked()
        assert database.session_lock
        assert tables(database) == []
