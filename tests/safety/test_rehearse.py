"""A rehearsal runs the release and its way back on copies, says what it took, and leaves the original alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import checking
import dumping
import jobbing
from dumping import Dump
from projects import Project, done

SCRIPTS = {
    "state/0001_users": "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50), team INTEGER);\n",
    "state/0002_full_name": (
        "-- phase: expand\nALTER TABLE users ADD COLUMN full_name VARCHAR(50);\n"
        "-- down\nALTER TABLE users DROP COLUMN full_name;\n"
    ),
    "state/0003_drop_name": (
        "-- phase: contract\n-- requires: job/full-name, check/full-name, signoff/name-unused\n"
        "ALTER TABLE users DROP COLUMN name;\n"
    ),
}
JOB = """
-- batches: keyset state.users by id
-- where: full_name IS NULL AND name IS NOT NULL
-- requires: state/0002
UPDATE users SET full_name = name WHERE ${batch};
"""
CHECK = "-- expect: no rows\n\n-- database: state\nSELECT id FROM users WHERE full_name <> name\n"


def release(folder: Path, url: str, **more: str) -> Project:
    """A release whose first script is applied, with some rows."""
    made = jobbing.make(folder, {"state": url}, {"full_name": JOB}, SCRIPTS)
    checking.write(made, {"full_name": CHECK})
    done(made("up", "--to", "state/0001"))
    dumping.query(url, "INSERT INTO users VALUES (1, 'Ann', 1), (2, 'Ben', 1), (3, NULL, 2)")
    with checking.loaded(made).ledger():
        pass  # its tables are made, and its jobs known
    made.write({f"state/{name}": text for name, text in more.items()})
    return made


def everything(url: str) -> Dump:
    """All that the database holds but what the ledger remembers of rehearsals."""
    return {name: text for name, text in dumping.dump(url).items() if "stepwell_event" not in name}


def rehearsed(made: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    end = made("rehearse", "--json", *arguments)
    assert end.code == code, end.text
    found: dict[str, Any] = json.loads(end.stdout)
    return found


@pytest.mark.parametrize(
    "engine",
    [pytest.param("sqlite", marks=pytest.mark.soak), "postgres", pytest.param("mysql", marks=pytest.mark.soak)],
)
def test_the_whole_release_runs_on_a_copy_and_the_original_stays_as_it_was(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    relational_url = str(request.getfixturevalue(f"{engine}_url"))
    made = release(tmp_path, relational_url)
    before = everything(relational_url)
    found = rehearsed(made)
    assert [step["reference"] for step in found["steps"]] == [
        "state/0002_full_name", "job/full-name", "state/0003_drop_name",
    ]  # fmt: skip
    assert found["steps"][1]["rows"] == 2
    assert [(one["check"], one["holds"]) for one in found["checks"]] == [("full-name", True)]
    assert (found["undone"], found["stayed"], found["signed"]) == (
        ["state/0002_full_name"],
        "",
        ["signoff/name-unused"],
    )
    assert found["waiting"] == {} and found["disk"][0]["before"] > 0
    assert everything(relational_url) == before
    assert not list(tmp_path.glob("*rehearsal*")), "the copy is still there"


def test_what_it_found_is_printed_in_80_columns_and_kept_in_the_history(tmp_path: Path) -> None:
    made = release(tmp_path, f"sqlite:///{tmp_path}/main.db")
    out = done(made("rehearse"))
    assert "copy of state: by SQLite's backup" in out
    assert "taken for given: signoff/name-unused" in out
    assert out.rstrip().split("\n\n")[-1].startswith("rehearsed: 3 steps in ")
    assert max(map(len, out.splitlines())) <= 80
    history = done(made("history", "--step", "rehearsal"))
    assert "rehearsal  rehearsed" in history
    assert "1 of 1 checks hold, the way back holds (1 undone)" in " ".join(history.split())


def test_a_check_that_does_not_hold_is_told_and_so_is_what_waits_for_it(tmp_path: Path) -> None:
    made = release(tmp_path, f"sqlite:///{tmp_path}/main.db")
    checking.write(made, {"full_name": CHECK.replace("full_name <> name", "team = 2")})
    found = rehearsed(made, code=7)
    assert not found["checks"][0]["holds"]
    assert "check/full-name" in found["waiting"]["state/0003_drop_name"][0]
    assert "failed" in done(made("history", "--step", "rehearsal"))


def test_a_statement_that_fails_ends_it_and_leaves_the_original_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/main.db"
    made = release(tmp_path, url, **{"0004_bad": "ALTER TABLE nowhere ADD COLUMN x INTEGER;\n"})
    before = everything(url)
    found = rehearsed(made, code=1)
    assert "state/0004_bad, statement 1 of 1 failed" in found["error"]
    assert everything(url) == before
    assert not list(tmp_path.glob("*rehearsal*")), "the copy is still there"


@pytest.mark.soak
def test_a_script_without_a_way_back_is_named(tmp_path: Path) -> None:
    text = "CREATE TABLE later (id INTEGER);\n"
    made = release(tmp_path, f"sqlite:///{tmp_path}/main.db", **{"0004_later": text})
    assert rehearsed(made)["stayed"] == "the way back ends: state/0004_later has no way back"


@pytest.mark.soak
def test_a_copy_that_is_given_is_used_and_left_there(postgres_url: str, postgres: Any, tmp_path: Path) -> None:
    made, copy = release(tmp_path, postgres_url), postgres.new_database()
    before = everything(postgres_url)
    end = made("rehearse", "--on", f"state={copy}", "--json")
    assert end.code == 0, end.text
    assert json.loads(end.stdout)["copies"] == {"state": "given"}
    assert dumping.versions(copy) == ["0001_users", "0002_full_name", "0003_drop_name"]
    assert everything(postgres_url) == before
    assert "well-kept" not in end.text, "the password"


def test_the_original_is_recognised_under_another_name(postgres_url: str, sqlite_url: str, tmp_path: Path) -> None:
    for url, other in (
        (postgres_url, postgres_url.replace("127.0.0.1", "localhost")),
        (sqlite_url, sqlite_url.replace("main.db", "../" + tmp_path.name + "/main.db")),
    ):
        made = release(tmp_path / url.partition(":")[0], url)
        end = made("rehearse", "--on", f"state={other}")
        assert end.code == 6 and "is the original itself" in end.stderr


@pytest.mark.soak
def test_an_original_in_use_is_copied_all_the_same(postgres_url: str, tmp_path: Path) -> None:
    import psycopg

    made = release(tmp_path, postgres_url)
    with psycopg.connect(postgres_url):
        assert "by pg_dump" in rehearsed(made)["copies"]["state"]


def test_locks_are_told_by_table_and_step(postgres_url: str, tmp_path: Path) -> None:
    slow = "-- phase: expand\nALTER TABLE users ADD COLUMN n INTEGER;\nSELECT pg_sleep(0.5);\n"
    back = "-- down\nALTER TABLE users DROP COLUMN n;\n"
    made = release(tmp_path, postgres_url, **{"0004_slow": slow + back})
    longest = rehearsed(made)["locks"][0]
    assert (longest["table"], longest["mode"], longest["step"]) == ("users", "AccessExclusiveLock", "state/0004_slow")
    assert longest["seconds"] > 0.2


CLICKHOUSE = {
    "state/0001_t": "CREATE TABLE t (id INTEGER PRIMARY KEY);\n",
    "analytics/0001_items": (
        "CREATE TABLE items (id UInt64, day Date) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id;\n"
    ),
}


@pytest.mark.parametrize("kind", ["clickhouse", pytest.param("chdb", marks=pytest.mark.soak)])
def test_clickhouse_is_copied_beside_itself(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    made = jobbing.make(tmp_path, {"state": f"sqlite:///{tmp_path}/main.db", "analytics": url}, {}, CLICKHOUSE)
    done(made("up"))
    dumping.query(url, "INSERT INTO items SELECT number, toDate('2026-01-01') + number FROM numbers(100)")
    text = (
        "-- phase: expand\nALTER TABLE items ADD COLUMN n UInt64 DEFAULT id;\nALTER TABLE items DELETE WHERE id < 50;\n"
    )
    made.write({"analytics/0002_n": text + "-- down\nALTER TABLE items DROP COLUMN n;\n"})
    # What a killed run that held the lock left behind.
    dumping.query(url, "CREATE TABLE IF NOT EXISTS stepwell_lock_1 (at DateTime) ENGINE = Memory")
    before = everything(url)
    found = rehearsed(made)
    assert [step["reference"] for step in found["steps"]] == ["analytics/0002_n"]
    assert found["undone"] == ["analytics/0002_n"]
    assert everything(url) == before
    assert dumping.query(url, "SELECT count() FROM system.databases WHERE name LIKE 'rehearsal%'") == ["0"]


def test_a_file_that_names_the_original_is_refused_on_its_own_server(mysql_url: str, tmp_path: Path) -> None:
    own = mysql_url.rpartition("/")[2]
    made = release(tmp_path, mysql_url, **{"0004_other": f"ALTER TABLE {own}.users ADD COLUMN x INTEGER;\n"})
    before = everything(mysql_url)
    end = made("rehearse")
    assert end.code == 2 and "on the same server that is the original" in end.stderr
    assert everything(mysql_url) == before
