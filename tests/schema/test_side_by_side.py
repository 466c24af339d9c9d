"""Many runs at once, and locks that are lost: never two at work side by side."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import Ended, Project, ended, until

PAIRS = {
    "PostgreSQL and ClickHouse": {"state": "postgres", "analytics": "clickhouse"},
    "MariaDB and ClickHouse": {"state": "mysql", "analytics": "clickhouse"},
    "SQLite and chDB": {"state": "sqlite", "analytics": "chdb"},
    "SQLite alone": {"state": "sqlite"},
    "ClickHouse alone": {"analytics": "clickhouse"},
    "chDB alone": {"analytics": "chdb"},
}
SCRIPTS: dict[str, str | bytes] = {
    "state/0001_item": "CREATE TABLE item (id INT);\nINSERT INTO item VALUES (1);\n",
    "state/0002_more": "-- transaction: false\nINSERT INTO item VALUES (2);\nCREATE TABLE more (id INT);\n",
    "analytics/0001_event": """
CREATE TABLE event (id UInt64) ENGINE = MergeTree ORDER BY id;
INSERT INTO event SELECT number FROM numbers(1000);
""",
    "analytics/0002_slow": """
CREATE TABLE copied (id UInt64, n UInt8) ENGINE = MergeTree ORDER BY id;
INSERT INTO copied SELECT id, sleepEachRow(0.003) FROM event SETTINGS max_block_size = 100;
""",
}


def pair(request: pytest.FixtureRequest, folder: Path, engines: dict[str, str]) -> Project:
    urls = {name: copying.empty(request, engine, folder) for name, engine in engines.items()}
    scripts = {name: text for name, text in SCRIPTS.items() if name.split("/")[0] in urls}
    return projects.make(folder / "project", urls, scripts)


LONG = ("MariaDB and ClickHouse", "SQLite and chDB", "ClickHouse alone", "chDB alone")
"""Eight runs that wait for each other there are a quarter of a minute."""


@pytest.mark.parametrize(
    "engines", [pytest.param(name, marks=pytest.mark.soak) if name in LONG else name for name in PAIRS]
)
def test_of_eight_runs_at_once_each_script_is_applied_by_one(
    request: pytest.FixtureRequest, tmp_path: Path, engines: str
) -> None:
    project = pair(request, tmp_path, PAIRS[engines])
    count = len(list((project.folder / "migrations").glob("*/*.sql")))
    running = [project.start("up") for _ in range(8)]
    ends = [ended(process, timeout=200) for process in running]
    assert [end.code for end in ends] == [0] * 8, "\n".join(end.text for end in ends)
    applied = [int(end.stdout.splitlines()[-1].split()[1].rstrip(",")) for end in ends]
    assert sum(applied) == count
    assert sorted(applied)[-1] == count  # the first to hold the lock did all of it
    if engines != "SQLite alone":  # that one may be over before the next has started
        assert sum("waiting for the " in end.stderr and "held by " in end.stderr for end in ends) >= 4
    if "state" in project.urls:
        assert dumping.query(project.urls["state"], "SELECT id FROM item ORDER BY id") == ["1", "2"]
        assert dumping.versions(project.urls["state"]) == ["0001_item", "0002_more"]
    if "analytics" in project.urls:
        assert dumping.query(project.urls["analytics"], "SELECT count() FROM copied") == ["1000"]
        assert dumping.versions(project.urls["analytics"]) == ["0001_event", "0002_slow"]
    assert project("up").stdout == f"applied 0, skipped {count}\n"


# --- a lock that is lost in the middle of a run -----------------------------------------------------------


SLOW_STEPS = {
    # Begin and end of each statement go into a table of their own; the sleep between leaves room for an overlap.
    "postgres": (
        "CREATE TABLE log (what TEXT, at TIMESTAMPTZ DEFAULT clock_timestamp())",
        "-- transaction: false\n"
        + "".join(
            f"INSERT INTO log SELECT x FROM (SELECT 'step {n}' AS x, pg_sleep(1.5)) AS s;\n"
            f"CREATE INDEX CONCURRENTLY log_{n} ON log (what);\n"
            for n in range(3)
        ),
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'",
    ),
    "mysql": (
        "CREATE TABLE log (what TEXT)",
        "".join(
            f"INSERT INTO log SELECT 'step {n}' FROM (SELECT sleep(1.5)) AS s;\n"
            f"CREATE INDEX log_{n} ON log (what(10));\n"
            for n in range(3)
        ),
        "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE info LIKE '%INSERT INTO log%step 0%' "
        "AND id <> connection_id()",
    ),
}


@pytest.mark.parametrize("engine", SLOW_STEPS)
def test_a_run_whose_connection_is_killed_stops_and_the_next_never_runs_beside_it(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    made, script, kill = SLOW_STEPS[engine]
    url = copying.empty(request, engine, tmp_path)
    dumping.query(url, made)
    project = projects.make(tmp_path / "project", {"state": url}, {"state/0001_slow": script})
    first = project.start("up")
    until(lambda: dumping.at_work(url, "INSERT INTO log"), first)
    second = project.start("up")
    for statement in dumping.query(url, kill):
        if statement.startswith("KILL"):
            dumping.query(url, statement)
    lost = ended(first)
    assert lost.code in (1, 5), lost.text
    assert "lost" in lost.stderr
    other = ended(second)
    assert other.code == 0, other.text
    assert dumping.query(url, "SELECT what FROM log ORDER BY what") == ["step 0", "step 1", "step 2"]
    assert project("up").stdout == "applied 0, skipped 1\n"


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_clickhouse_script_stops_when_the_relational_lock_is_lost(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    urls = {
        "state": copying.empty(request, engine, tmp_path),
        "analytics": copying.empty(request, "clickhouse", tmp_path),
    }
    slow = "INSERT INTO log SELECT {n}, sleepEachRow(0.2) FROM numbers(10) SETTINGS max_block_size = 1;\n"
    project = projects.make(
        tmp_path / "project",
        urls,
        {
            "analytics/0001_slow": "CREATE TABLE log (step UInt8, n UInt8) ENGINE = MergeTree ORDER BY step;\n"
            + "".join(slow.format(n=n) for n in range(3))
        },
    )
    first = project.start("up")
    until(lambda: dumping.at_work(urls["analytics"], "INSERT INTO log"), first)
    if engine == "postgres":
        dumping.query(
            urls["state"],
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    else:
        name = urls["state"].rpartition("/")[2]
        for found in dumping.query(
            urls["state"],
            f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()",
        ):
            dumping.query(urls["state"], f"KILL {found}")
    second = project.start("up")
    lost, other = ended(first), ended(second)
    assert lost.code == 5, lost.text
    assert "the migration lock of database 'state' was lost" in lost.stderr
    assert other.code == 0, other.text
    assert dumping.query(urls["analytics"], "SELECT step, count() FROM log GROUP BY step ORDER BY step") == [
        "0\t10",
        "1\t10",
        "2\t10",
    ]


def test_a_lock_that_is_not_given_up_ends_the_waiting_run_with_5_and_the_holder(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made, script, _ = SLOW_STEPS["postgres"]
    url = copying.empty(request, "postgres", tmp_path)
    dumping.query(url, made)
    project = projects.make(tmp_path / "project", {"state": url}, {"state/0001_slow": script})
    first = project.start("up")
    until(lambda: dumping.at_work(url, "INSERT INTO log"), first)
    waited = project("up", "--lock-wait", "0.5", "--json")
    assert waited.code == 5, waited.text
    assert json.loads(waited.stdout)["error"]["kind"] == "LockHeld"
    assert 'application "stepwell' in waited.stderr
    assert ended(first).code == 0


# --- ClickHouse's own lock --------------------------------------------------------------------------------

SHORT_LEASE = """
import sys
from stepwell.databases.clickhouse import lock
lock.LEASE = 2
from stepwell.cli import main
sys.exit(main(["up"]))
"""


def test_a_holder_that_slept_past_its_lease_stops_when_it_wakes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = copying.empty(request, "clickhouse", tmp_path)
    slow = "INSERT INTO log SELECT {n}, sleepEachRow(0.2) FROM numbers(10) SETTINGS max_block_size = 1;\n"
    project = projects.make(
        tmp_path / "project",
        {"analytics": url},
        {
            "analytics/0001_slow": "CREATE TABLE log (step UInt8, n UInt8) ENGINE = MergeTree ORDER BY step;\n"
            + "".join(slow.format(n=n) for n in range(3))
        },
    )
    first = project.start_python(SHORT_LEASE)
    until(lambda: dumping.at_work(url, "INSERT INTO log"), first)
    os.kill(first.pid, signal.SIGSTOP)
    second: Ended = project.python(SHORT_LEASE)
    assert second.code == 0, second.text
    assert "waiting for the migration lock" in second.stderr
    os.kill(first.pid, signal.SIGCONT)
    woken = ended(first)
    assert woken.code == 5, woken.text
    assert "lock of database 'analytics' was lost" in woken.stderr
    assert dumping.query(url, "SELECT step, count() FROM log GROUP BY step ORDER BY step") == [
        "0\t10",
        "1\t10",
        "2\t10",
    ]
    assert dumping.versions(url) == ["0001_slow"]
    assert project("up").stdout == "applied 0, skipped 1\n"


def test_a_holder_that_slept_in_its_last_statement_records_nothing_that_was_undone_since(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = copying.empty(request, "clickhouse", tmp_path)
    slow = """CREATE TABLE log (n UInt8) ENGINE = MergeTree ORDER BY n;
INSERT INTO log SELECT sleepEachRow(0.2) FROM numbers(10) SETTINGS max_block_size = 1;
-- down
DROP TABLE log;
"""
    project = projects.make(tmp_path / "project", {"analytics": url}, {"analytics/0001_slow": slow})
    first = project.start_python(SHORT_LEASE)
    until(lambda: dumping.at_work(url, "INSERT INTO log"), first)
    os.kill(first.pid, signal.SIGSTOP)
    assert project.python(SHORT_LEASE).code == 0
    assert project("down", "--yes").code == 0
    os.kill(first.pid, signal.SIGCONT)
    woken = ended(first)
    assert woken.code == 5, woken.text
    assert "lock of database 'analytics' was lost" in woken.stderr
    assert dumping.versions(url) == []
    assert project("up").stdout.endswith("applied 1, skipped 0\n")


def test_a_holder_that_was_killed_is_followed_after_its_lease(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = copying.empty(request, "clickhouse", tmp_path)
    project = projects.make(
        tmp_path / "project",
        {"analytics": url},
        {
            "analytics/0001_slow": "CREATE TABLE log (n UInt8) ENGINE = MergeTree ORDER BY n;\n"
            "INSERT INTO log SELECT sleepEachRow(0.2) FROM numbers(10) SETTINGS max_block_size = 1;\n"
        },
    )
    first = project.start_python(SHORT_LEASE)
    until(lambda: dumping.at_work(url, "INSERT INTO log"), first)
    first.kill()
    ended(first)
    second = project.python(SHORT_LEASE)
    assert second.code == 0, second.text
    assert dumping.query(url, "SELECT count() FROM log") == ["10"]


# --- one ClickHouse, several projects ---------------------------------------------------------------------

# Sent twice, the UPDATE shows in the rows.
COUNTED = """
CREATE TABLE hit (n UInt8) ENGINE = MergeTree ORDER BY tuple();
INSERT INTO hit SELECT sleepEachRow(0.3) FROM numbers(3) SETTINGS max_block_size = 1;
ALTER TABLE hit UPDATE n = n + 1 WHERE 1;
"""


def sharing(request: pytest.FixtureRequest, folder: Path, *engines: str) -> list[Project]:
    """A project for each engine, with a database of that and one ClickHouse of them all; '' has ClickHouse alone."""
    analytics = copying.empty(request, "clickhouse", folder)
    found = []
    for number, engine in enumerate(engines):
        own = {"state": copying.empty(request, engine, folder)} if engine else {}
        place = folder / f"project{number}"
        found.append(projects.make(place, own | {"analytics": analytics}, {"analytics/0001_hit": COUNTED}))
    return found


@pytest.mark.parametrize("others", ["", "sqlite"])
def test_projects_that_share_a_clickhouse_alone_keep_out_each_other(
    request: pytest.FixtureRequest, tmp_path: Path, others: str
) -> None:
    one, other = sharing(request, tmp_path, "postgres", others)
    first = one.start("up")
    until(lambda: dumping.at_work(one.urls["analytics"], "INSERT INTO hit"), first)
    os.kill(first.pid, signal.SIGSTOP)
    second = other.start("up")
    assert second.stderr is not None
    told = second.stderr.readline()
    os.kill(first.pid, signal.SIGCONT)
    assert f"waiting for the migration lock of analytics, held by process {first.pid} on" in told
    assert ended(first).code == 0
    end = ended(second)
    assert (end.code, end.stdout) == (0, "applied 0, skipped 1\n"), end.text
    assert dumping.query(one.urls["analytics"], "SELECT n FROM hit") == ["1", "1", "1"]
    assert dumping.versions(one.urls["analytics"]) == ["0001_hit"]


@pytest.mark.parametrize("engine", ["postgres", "mysql", "sqlite"])
def test_a_killed_runs_lock_on_clickhouse_is_free_at_once_for_who_has_its_relational_lock(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    one, other = sharing(request, tmp_path, engine, "sqlite")
    first = one.start("up")
    until(lambda: dumping.at_work(one.urls["analytics"], "INSERT INTO hit"), first)
    first.kill()
    ended(first)
    # Another project can't know that it is dead.
    refused = other("up", "--lock-wait", "0.2")
    assert (refused.code, "its lease ends in" in refused.stderr) == (5, True), refused.text
    again = one("up", "--lock-wait", "0.2")
    assert again.code == 0, again.text
    assert dumping.query(one.urls["analytics"], "SELECT n FROM hit") == ["1", "1", "1"]
