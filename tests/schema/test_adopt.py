"""Taking over what another tool has applied, from its own table, which stays as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import dumping
import projects
from projects import Project, done
from stepwell.databases import open_database
from stepwell.schema.adopt.flyway import checksum_of
from writing import connect

ONE, TWO, THREE = (f"CREATE TABLE t{number} (x INT);\n" for number in (1, 2, 3))
TIME = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"

FLYWAY = f"""
CREATE TABLE flyway_schema_history (
  installed_rank INT NOT NULL PRIMARY KEY, version VARCHAR(50), description VARCHAR(200) NOT NULL,
  type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum INT, installed_by VARCHAR(100) NOT NULL,
  installed_on {TIME}, execution_time INT NOT NULL, success BOOLEAN NOT NULL)
"""
LIQUIBASE = """
CREATE TABLE DATABASECHANGELOG (
  ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, FILENAME VARCHAR(255) NOT NULL, DATEEXECUTED TIMESTAMP NOT NULL,
  ORDEREXECUTED INT NOT NULL, EXECTYPE VARCHAR(10) NOT NULL, MD5SUM VARCHAR(35))
"""
PRISMA = """
CREATE TABLE _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMP NULL,
  migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMP NULL, started_at TIMESTAMP NOT NULL,
  applied_steps_count INT NOT NULL DEFAULT 0)
"""


def flyway_row(
    rank: int, version: str | None, text: str, kind: str = "SQL", success: bool = True, name: str = "a"
) -> str:
    said = "NULL" if version is None else f"'{version}'"
    return (
        f"INSERT INTO flyway_schema_history VALUES ({rank}, {said}, '{name}', '{kind}', 's', "
        f"{checksum_of(text) if text else 'NULL'}, 'app', CURRENT_TIMESTAMP, 1, {str(success).upper()})"
    )


def prisma_row(name: str, text: str, finished: bool = True, rolled_back: bool = False) -> str:
    now, number = "CURRENT_TIMESTAMP", hashlib.sha256(text.encode()).hexdigest()
    ends = f"{now if finished else 'NULL'}, '{name}', 'it broke', {now if rolled_back else 'NULL'}, {now}, 1)"
    return f"INSERT INTO _prisma_migrations VALUES ('{name}{finished}', '{number}', {ends}"


def numbered(form: str) -> Mapping[str, str]:
    texts = {"1_a": ONE, "2_b": TWO, "10_c": THREE}
    if form == "golang-migrate":
        return {f"{name}.up.sql": text for name, text in texts.items()}
    if form == "goose":
        return {f"{name}.sql": f"-- +goose Up\n{text}" for name, text in texts.items()}
    return {f"{name}.sql": f"-- migrate:up\n{text}" for name, text in texts.items()}


FORMS: dict[str, tuple[Mapping[str, str], list[str], str, str]] = {
    "flyway": (
        {"V1__a.sql": ONE, "V2__b.sql": TWO, "V10__c.sql": THREE},
        [FLYWAY, flyway_row(1, "1", ONE), flyway_row(2, "2.0", TWO)],
        "flyway_schema_history",
        "schema_migrations",
    ),
    "golang-migrate": (
        numbered("golang-migrate"),
        ["CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
         "INSERT INTO schema_migrations VALUES (2, FALSE)"],
        "schema_migrations",
        "stepwell_migrations",
    ),
    "dbmate": (
        numbered("dbmate"),
        ["CREATE TABLE schema_migrations (version VARCHAR(128) PRIMARY KEY)",
         "INSERT INTO schema_migrations VALUES ('1'), ('2')"],
        "schema_migrations",
        "stepwell_migrations",
    ),
    "goose": (
        numbered("goose"),
        [f"CREATE TABLE goose_db_version (id INT PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp {TIME})",
         "INSERT INTO goose_db_version (id, version_id, is_applied) VALUES (1, 0, TRUE), (2, 1, TRUE), (3, 2, TRUE), "
         "(4, 10, TRUE), (5, 10, FALSE)"],
        "goose_db_version",
        "schema_migrations",
    ),
    "prisma": (
        {"1_a/migration.sql": ONE, "2_b/migration.sql": TWO, "3_c/migration.sql": THREE},
        [PRISMA, prisma_row("1_a", ONE), prisma_row("2_b", TWO, finished=False, rolled_back=True), prisma_row("2_b", TWO)],
        "_prisma_migrations",
        "schema_migrations",
    ),
    "liquibase": (
        {"a.sql": f"--liquibase formatted sql\n--changeset ann:1\n{ONE}--changeset bob:1\n{TWO}--changeset ann:2\n{THREE}"},
        [LIQUIBASE,
         "INSERT INTO DATABASECHANGELOG VALUES ('1', 'ann', 'classpath:db/a.sql', CURRENT_TIMESTAMP, 1, 'EXECUTED', '9:1')",
         "INSERT INTO DATABASECHANGELOG VALUES ('1', 'bob', 'db/a.sql', CURRENT_TIMESTAMP, 2, 'MARK_RAN', '9:2')"],
        "DATABASECHANGELOG",
        "schema_migrations",
    ),
}  # fmt: skip


def send(url: str, *statements: str) -> None:
    connection = connect(url)
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    finally:
        connection.close()


def project(folder: Path, url: str, files: Mapping[str, str]) -> Project:
    return projects.make(folder / "project", {"state": url}, {f"state/{name}": text for name, text in files.items()})


def rows(url: str, table: str) -> list[str]:
    return sorted(dumping.query(url, f"SELECT * FROM {table}"))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_tool_has_applied_is_taken_over_and_its_table_left_alone(
    tmp_path: Path, relational_url: str, form: str
) -> None:
    files, statements, table, home = FORMS[form]
    send(relational_url, ONE.rstrip(";\n"), TWO.rstrip(";\n"), *statements)
    made = project(tmp_path, relational_url, files)
    before = rows(relational_url, table)
    look = json.loads(done(made("adopt", "state", "--dry-run", "--json")))
    assert (len(look["applied"]), look["missing"], look["history"]) == (2, [], home)
    assert json.loads(done(made("adopt", "state", "--json")))["applied"] == look["applied"]
    assert len(dumping.query(relational_url, f"SELECT version FROM {home}")) == 2
    ran = json.loads(done(made("up", "--json")))["applied"]
    assert len(ran) == 1 and ran[0] not in look["applied"]
    assert done(made("up")).splitlines()[-1] == "applied 0, skipped 3"
    again = json.loads(done(made("adopt", "state", "--json")))
    assert (again["applied"], len(again["known"])) == ([], 2)
    assert rows(relational_url, table) == before


def test_a_foreign_schema_migrations_is_explained_and_adopt_is_offered(tmp_path: Path, sqlite_url: str) -> None:
    files, statements, _, _ = FORMS["golang-migrate"]
    send(sqlite_url, *statements)
    ended = project(tmp_path, sqlite_url, files)("up")
    assert ended.code == 6
    assert "stepwell adopt state" in ended.stderr
    assert "golang-migrate" in ended.stderr


@pytest.mark.parametrize("form", ["flyway", "goose", "prisma", "liquibase"])
def test_what_a_tool_has_applied_is_never_applied_again_because_nobody_took_it_over(
    tmp_path: Path, sqlite_url: str, form: str
) -> None:
    files, statements, table, _ = FORMS[form]
    send(sqlite_url, ONE.rstrip(";\n"), *statements)
    made = project(
        tmp_path, sqlite_url, {name: text.replace("TABLE", "TABLE IF NOT EXISTS") for name, text in files.items()}
    )
    before = made.dump()
    for command in (("up",), ("up", "--yes", "--database", "state"), ("plan",), ("status",)):
        ended = made(*command)
        assert ended.code == 6, ended.text
        assert "has applied scripts to database 'state' that `up` would apply again" in ended.stderr
        assert table.lower() in ended.stderr.lower() and "stepwell adopt state --dry-run" in ended.stderr
    assert "that `up` would apply again" in made("doctor").stdout
    assert made.dump() == before


def test_other_scripts_than_the_tool_s_begin_a_history_of_their_own_beside_it(tmp_path: Path, sqlite_url: str) -> None:
    send(sqlite_url, *FORMS["flyway"][1], *FORMS["goose"][1])
    made = project(tmp_path, sqlite_url, {"0001_one.sql": ONE})
    ended = made("up")  # 0001 is goose's 1, for all that anybody can tell
    assert ended.code == 6 and "goose has applied" in ended.stderr and "stepwell baseline state" in ended.stderr
    done(made("baseline", "state"))
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"


def test_converted_scripts_are_not_applied_again_either(tmp_path: Path, sqlite_url: str) -> None:
    send(sqlite_url, *FORMS["flyway"][1])
    made = project(tmp_path, sqlite_url, {"0001_a.sql": f"-- was: V1__a {'0' * 64}\n{ONE}"})
    ended = made("up")
    assert ended.code == 6
    assert "with the files as they were before they were converted" in ended.stderr


def test_scripts_go_down_from_a_history_that_lives_beside_another_tool_s(tmp_path: Path, relational_url: str) -> None:
    statements = FORMS["golang-migrate"][1]
    send(relational_url, ONE.rstrip(";\n"), *statements[:1], "INSERT INTO schema_migrations VALUES (1, FALSE)")
    made = project(
        tmp_path,
        relational_url,
        {"1_a.up.sql": ONE, "1_a.down.sql": "DROP TABLE t1;", "2_b.up.sql": TWO, "2_b.down.sql": "DROP TABLE t2;"},
    )
    done(made("adopt", "state"))
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 1"
    assert done(made("down", "--count", "2")).splitlines()[-1] == "undone 2"
    assert dumping.query(relational_url, "SELECT count(*) FROM stepwell_migrations") == ["0"]


# --- files that differ --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"V1__a.sql": "SELECT 2;"}, "its checksum was"),
        ({}, "1: Flyway has applied it, and there is no such file"),
    ],
)
def test_a_file_that_is_not_what_was_applied_stops_it(
    tmp_path: Path, sqlite_url: str, files: dict[str, str], said: str
) -> None:
    send(sqlite_url, FLYWAY, flyway_row(1, "1", ONE))
    made = project(tmp_path, sqlite_url, {"V2__b.sql": TWO} | files)
    for command in (("adopt", "state", "--dry-run"), ("adopt", "state")):
        ended = made(*command)
        assert ended.code == 3
        assert said in ended.stderr
    assert dumping.query(sqlite_url, "SELECT name FROM sqlite_master WHERE name = 'schema_migrations'") == []
    assert "would take over" in done(made("adopt", "state", "--as-is", "--dry-run"))
    done(made("adopt", "state", "--as-is"))
    assert dumping.versions(sqlite_url) == (["V1__a"] if files else [])


def test_flyway_s_checksum_is_over_lines_without_their_ends() -> None:
    assert (
        checksum_of("SELECT 1;\nSELECT 2;\n")
        == checksum_of("SELECT 1;\r\nSELECT 2;")
        == checksum_of("SELECT 1;SELECT 2;")
    )
    assert checksum_of("123456789") == 0xCBF43926 - (1 << 32)  # the check value that CRC-32 is published with


def test_a_baseline_stands_for_all_before_it_and_an_undone_version_for_nothing(tmp_path: Path, sqlite_url: str) -> None:
    rows = [
        flyway_row(1, "2", "", "BASELINE"),
        flyway_row(2, "3", "SELECT 3;"),
        flyway_row(3, "3", "", "UNDO_SQL"),
        flyway_row(4, None, "", "SQL", name="a view"),
    ]
    send(sqlite_url, FLYWAY, *rows)
    names = ["V1__a.sql", "V2__b.sql", "V3__c.sql", "R__a_view.sql"]
    made = project(tmp_path, sqlite_url, dict.fromkeys(names, "SELECT 3;"))
    taken = json.loads(done(made("adopt", "state", "--json")))
    assert taken["applied"] == ["state/V1__a", "state/V2__b", "state/R__a_view"]


# --- versions that failed -----------------------------------------------------------------------------------


def test_a_failed_version_that_was_a_transaction_is_simply_run(tmp_path: Path, postgres_url: str) -> None:
    send(postgres_url, FORMS["golang-migrate"][1][0], "INSERT INTO schema_migrations VALUES (1, TRUE)")
    made = project(tmp_path, postgres_url, {"1_a.up.sql": ONE + TWO})
    assert "nothing of it is there; `stepwell up` runs it" in done(made("adopt", "state"))
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"


def test_a_failed_version_is_answered_for_statement_by_statement(tmp_path: Path, mysql_url: str) -> None:
    """On MySQL the first table was made, then an INSERT failed; nothing tells about the INSERT, and t2 is not there."""
    send(mysql_url, ONE.rstrip(";\n"), FORMS["golang-migrate"][1][0], "INSERT INTO schema_migrations VALUES (1, TRUE)")
    made = project(tmp_path, mysql_url, {"1_a.up.sql": f"{ONE}INSERT INTO t1 VALUES (7);\n{TWO}"})
    taken = json.loads(done(made("adopt", "state", "--json")))
    assert taken["failed"] == [{"reference": "state/1_a", "why": "it is marked as dirty", "in_doubt": [1, 2]}]
    ended = made("up")
    assert ended.code == 4
    assert "state/1_a, statement 1 is in doubt" in ended.stderr and "is there" in ended.stderr
    done(made("resolve", "state/1_a:1", "done"))
    assert made("up").code == 4
    done(made("resolve", "state/1_a:2", "not-done"))
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(mysql_url, "SELECT x FROM t1") == ["7"]


def test_prisma_s_failed_migration_tells_what_it_logged(tmp_path: Path, sqlite_url: str) -> None:
    send(sqlite_url, PRISMA, prisma_row("1_a", ONE, finished=False))
    made = project(tmp_path, sqlite_url, {"1_a/migration.sql": ONE})
    assert "it was begun and not finished: it broke" in done(made("adopt", "state"))


# --- which tool ---------------------------------------------------------------------------------------------


def test_no_table_and_several_tables_are_both_said(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, {"V1__a.sql": ONE})
    assert "has no table of another tool" in made("adopt", "state").stderr
    send(sqlite_url, FLYWAY, PRISMA)
    ended = made("adopt", "state")
    assert ended.code == 2 and "the tables of Flyway and of Prisma" in ended.stderr
    done(made("adopt", "state", "--from", "flyway"))


@pytest.mark.parametrize(
    ("form", "statements"),
    [
        ("golang-migrate", ["CREATE TABLE schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
                            "INSERT INTO schema_migrations VALUES (1, 0, 1), (2, 0, 2)"]),
        ("dbmate", ["CREATE TABLE schema_migrations (version String, ts DateTime DEFAULT now(), applied UInt8 DEFAULT 1) ENGINE = ReplacingMergeTree(ts) ORDER BY version",
                    "INSERT INTO schema_migrations (version) VALUES ('1'), ('2')"]),
        ("goose", ["CREATE TABLE goose_db_version (version_id Int64, is_applied UInt8, date Date DEFAULT now(), tstamp DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY date",
                   "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1), (2, 1)"]),
    ],
)  # fmt: skip
def test_clickhouse_too(tmp_path: Path, chdb_url: str, form: str, statements: list[str]) -> None:
    database = open_database("analytics", chdb_url, tmp_path)
    database.connect()
    for statement in statements:
        database.query(statement)
    database.close()
    files = {name: text.replace("(x INT)", "(x Int32) ORDER BY x") for name, text in numbered(form).items()}
    made = project(tmp_path, chdb_url, files)
    assert len(json.loads(done(made("adopt", "state", "--json")))["applied"]) == 2
    assert done(made("up")).splitlines()[-1] == "applied 1, skipped 2"
