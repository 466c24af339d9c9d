"""Other tools' files through the command line, on real engines: applied, undone, run again, guarded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import dumping
import projects
import sweeping
from foreign import PROJECTS as FORMS
from projects import Project, done


def project(folder: Path, url: str, files: Mapping[str, str]) -> Project:
    made = projects.make(folder / "project", {"state": url}, {f"state/{name}": text for name, text in files.items()})
    with (made.folder / "stepwell.toml").open("a") as config:
        config.write("\n[variables]\nten = 10\n")
    return made


def change(made: Project, name: str, text: str) -> None:
    (made.folder / "migrations" / "state" / name).write_text(text)


@pytest.mark.parametrize("form", FORMS)
def test_every_format_goes_up_and_down_and_up_again(tmp_path: Path, relational_url: str, form: str) -> None:
    made = project(tmp_path, relational_url, FORMS[form])
    done(made("baseline", "state"))  # the tracking tables alone
    empty = made.dump()
    plan = made("plan")
    assert plan.code == 0, plan.text
    assert f"state: read as {form}" in plan.stderr
    assert made.dump() == empty
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"
    full = made.dump()
    assert dumping.query(relational_url, "SELECT x FROM b") == ["10"]
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 2"
    assert done(made("down", "--count", "2")).splitlines()[-1] == "undone 2"
    assert made.dump() == empty
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"
    assert made.dump() == full


@pytest.mark.parametrize("form", ["golang-migrate", "goose", "liquibase"])
def test_clickhouse_takes_them_too(tmp_path: Path, chdb_url: str, form: str) -> None:
    files = {
        name: text.replace("(x INT)", "(x Int32) ORDER BY x").replace("DELETE FROM b", "TRUNCATE TABLE b")
        for name, text in FORMS[form].items()
    }
    made = project(tmp_path, chdb_url, files)
    assert done(made("up")).splitlines()[-1] == "applied 2, skipped 0"
    assert dumping.query(chdb_url, "SELECT x FROM b") == ["10"]
    assert done(made("down", "--count", "2")).splitlines()[-1] == "undone 2"


# --- scripts that run again ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("R__view.sql", ""),
        ("0002_view.sql", "-- repeat: changed\n"),
        ("v.sql", "--liquibase formatted sql\n--changeset a:view runOnChange:true\n"),
    ],
)
def test_a_repeatable_script_runs_when_it_has_changed_and_only_then(
    tmp_path: Path, relational_url: str, name: str, head: str
) -> None:
    def text(number: int) -> str:
        return f"{head}DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT {number} AS x;\n"

    made = project(tmp_path, relational_url, {name: text(1)})
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 1"
    change(made, name, text(2))
    assert "pending" in done(made("status"))
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(relational_url, "SELECT x FROM v") == ["2"]
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 1"


def test_one_that_always_runs_runs_every_time(tmp_path: Path, relational_url: str) -> None:
    files = {
        "0001_a.sql": "CREATE TABLE a (x INT);\n-- down\nDROP TABLE a;\n",
        "0002_b.sql": "-- repeat: always\nINSERT INTO a VALUES (1);\n",
    }
    made = project(tmp_path, relational_url, files)
    assert [done(made("up")).splitlines()[-1] for _ in range(3)] == [
        "applied 2, skipped 0",
        "applied 1, skipped 1",
        "applied 1, skipped 1",
    ]
    assert dumping.query(relational_url, "SELECT count(*) FROM a") == ["3"]


def test_a_repeated_script_that_fails_is_tried_again_from_its_first_statement(
    tmp_path: Path, relational_url: str
) -> None:
    made = project(tmp_path, relational_url, {"R__v.sql": "DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 1 AS x;\n"})
    done(made("up"))
    change(made, "R__v.sql", "DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT nothing AS x;\n")
    assert made("up").code == 1
    (step,) = json.loads(done(made("status", "--json")))["steps"]
    whole = step["state"] == "pending"  # rolled back: it is applied as it was
    assert whole or step["state"] == "applied in part"
    assert dumping.query(relational_url, "SELECT x FROM v") == ["1"] if whole else True
    assert made("guard", "--needs", "state/R__v").code == (0 if whole else 9)
    change(made, "R__v.sql", "DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 3 AS x;\n")
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(relational_url, "SELECT x FROM v") == ["3"]


def test_what_runs_again_and_has_no_way_back_is_passed_by_when_going_back(tmp_path: Path, sqlite_url: str) -> None:
    files = {"V1__a.sql": "CREATE TABLE a (x INT);", "U1__a.sql": "DROP TABLE a;", "R__v.sql": "DROP VIEW IF EXISTS v;"}
    made = project(tmp_path, sqlite_url, files)
    done(made("up"))
    assert json.loads(done(made("down", "--json")))["undone"] == ["state/V1__a"]


# --- order, edits, guards -----------------------------------------------------------------------------------


def test_flyway_stops_at_a_late_version_and_liquibase_does_not(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, {"V2__b.sql": "SELECT 1;"})
    done(made("up"))
    change(made, "V1__a.sql", "SELECT 1;")
    assert made("up").code == 3
    late = project(
        tmp_path / "late",
        f"sqlite:///{tmp_path}/late.db",
        {"b.sql": "--liquibase formatted sql\n--changeset a:1\nSELECT 1;"},
    )
    done(late("up"))
    change(late, "a.sql", "--liquibase formatted sql\n--changeset a:1\nSELECT 1;")
    assert done(late("up")).splitlines()[-1] == "applied 1, skipped 1"


def test_an_edited_changeset_stops_the_run_unless_its_checksums_are_valid(tmp_path: Path, sqlite_url: str) -> None:
    head = "--liquibase formatted sql\n--changeset a:1\n"
    made = project(tmp_path, sqlite_url, {"a.sql": f"{head}SELECT 1;"})
    done(made("up"))
    change(made, "a.sql", f"{head}SELECT 2;")
    assert made("up").code == 3
    change(made, "a.sql", f"{head}--validCheckSum: ANY\nSELECT 2;")
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 1"


@pytest.mark.parametrize(
    ("conduct", "code", "last", "after"),
    [
        ("HALT", 1, "", "applied 2, skipped 1"),
        ("MARK_RAN", 0, "applied 1, skipped 1", "applied 0, skipped 3"),
        ("CONTINUE", 0, "applied 1, skipped 1", "applied 1, skipped 2"),
        ("WARN", 0, "applied 2, skipped 1", "applied 0, skipped 3"),
    ],
)
def test_a_precondition_decides_what_becomes_of_a_changeset(
    tmp_path: Path, relational_url: str, conduct: str, code: int, last: str, after: str
) -> None:
    head = "--liquibase formatted sql\n--changeset a:1\nCREATE TABLE t (x INT);\n"
    made = project(tmp_path, relational_url, {"a.sql": head})
    done(made("up"))
    check = "--precondition-sql-check expectedResult:1 SELECT count(*) FROM t\n"
    more = f"--changeset a:2\n--preconditions onFail:{conduct}\n{check}DELETE FROM t WHERE x = 0;\n--changeset a:3\nSELECT 1;\n"
    change(made, "a.sql", head + more)
    ended = made("up")
    assert ended.code == code, ended.text
    if code:
        assert "a.sql:6" in ended.stderr and "expected 1, found 0" in ended.stderr
    else:
        assert ended.stdout.splitlines()[-1] == last
    dumping.query(relational_url, "INSERT INTO t VALUES (1)")
    assert done(made("up")).splitlines()[-1] == after


def test_a_changeset_that_may_fail_does_not_stop_the_others(tmp_path: Path, relational_url: str) -> None:
    text = "--liquibase formatted sql\n--changeset a:1 failOnError:false\nDROP TABLE none_such;\n--changeset a:2\nCREATE TABLE t (x INT);\n"
    made = project(tmp_path, relational_url, {"a.sql": text})
    ended = made("up")
    assert ended.code == 0, ended.text
    assert ended.stdout.splitlines()[-1] == "applied 1, skipped 0"
    assert "may fail; going on without it" in ended.stderr
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 1"


# --- kill -9 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sample"), [("sqlite_url", 4), ("mysql_url", 4), pytest.param("chdb_url", 3, marks=pytest.mark.soak)]
)
def test_a_repeated_script_that_is_killed_is_completed_and_neither_lost_nor_run_twice(
    request: pytest.FixtureRequest, tmp_path: Path, url: str, sample: int
) -> None:
    where: str = request.getfixturevalue(url)
    order = " ORDER BY x" if url == "chdb_url" else ""
    table = f"CREATE TABLE a (x {'Int32' if order else 'INT'}){order};"
    made = project(tmp_path, where, {"V1__a.sql": table, "R__a.sql": "DELETE FROM a WHERE x = 1;"})
    done(made("up"))
    again = f"DELETE FROM a WHERE x = 2;\nDROP TABLE IF EXISTS b;\n{table.replace(' a ', ' b ')}\n"
    change(made, "R__a.sql", again)
    sweeping.sweep(sweeping.prepared(request, tmp_path / "copies", made), "up", sample=sample)


def test_a_repeated_script_that_was_killed_between_its_two_records_begins_anew(tmp_path: Path, chdb_url: str) -> None:
    """ClickHouse can't write the version and the end of its journal in one commit; a kill may come between."""
    made = project(tmp_path, chdb_url, {"R__v.sql": "DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 1 AS x;\n"})
    done(made("up"))
    gone = "ALTER TABLE schema_migrations_journal DELETE WHERE event = 'applied' SETTINGS mutations_sync = 2"
    dumping.query(chdb_url, gone)
    change(made, "R__v.sql", "DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 2 AS x;\n")
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(chdb_url, "SELECT x FROM v") == ["2"]
