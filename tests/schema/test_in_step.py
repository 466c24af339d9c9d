"""Another tool's table that is kept in step: the tool finds in it what it would have written, so the way back is open."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import dumping
import foreign
import projects
import sweeping
from projects import done
from stepwell.databases import open_database
from stepwell.errors import NotInStep
from stepwell.project import Project
from stepwell.schema.adopt.flyway import checksum_of
from stepwell.schema.plan import Options
from writing import connect

NOW = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "serial PRIMARY KEY",
    "mysql": "SERIAL PRIMARY KEY",
}
TABLES = {
    "flyway": f"""
CREATE TABLE flyway_schema_history (
  installed_rank INT NOT NULL PRIMARY KEY, version VARCHAR(50), description VARCHAR(200) NOT NULL,
  type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum INT, installed_by VARCHAR(100) NOT NULL,
  installed_on {NOW}, execution_time INT NOT NULL, success BOOLEAN NOT NULL)
""",
    "golang-migrate": "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
    "dbmate": "CREATE TABLE schema_migrations (version VARCHAR(128) PRIMARY KEY)",
    "goose": f"CREATE TABLE goose_db_version (id SERIAL, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp {NOW})",
    "prisma": """
CREATE TABLE _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMP NULL,
  migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMP NULL, started_at TIMESTAMP NOT NULL,
  applied_steps_count INT NOT NULL DEFAULT 0)
""",
    "liquibase": """
CREATE TABLE DATABASECHANGELOG (
  ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, FILENAME VARCHAR(255) NOT NULL, DATEEXECUTED TIMESTAMP NOT NULL,
  ORDEREXECUTED INT NOT NULL, EXECTYPE VARCHAR(10) NOT NULL, MD5SUM VARCHAR(35), DESCRIPTION VARCHAR(255),
  COMMENTS VARCHAR(255), TAG VARCHAR(255), LIQUIBASE VARCHAR(20), CONTEXTS VARCHAR(255), LABELS VARCHAR(255),
  DEPLOYMENT_ID VARCHAR(10))
""",
}
ROWS = {
    "flyway": "SELECT installed_rank, version, description, type, script, checksum, success FROM flyway_schema_history ORDER BY 1",
    "golang-migrate": "SELECT version, dirty FROM schema_migrations",
    "dbmate": "SELECT version FROM schema_migrations ORDER BY 1",
    "goose": "SELECT version_id, is_applied FROM goose_db_version WHERE version_id > 0 ORDER BY version_id",
    "prisma": "SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at, applied_steps_count "
    "FROM _prisma_migrations ORDER BY 1",
    "liquibase": "SELECT FILENAME, ID, AUTHOR, ORDEREXECUTED, EXECTYPE, MD5SUM FROM DATABASECHANGELOG ORDER BY 4",
}
"""What tells in each table, in the order in which it was written."""


def expected(form: str, files: Mapping[str, str], count: int) -> Sequence[tuple[str, ...]]:
    """The rows that the tool itself leaves after its first `count` versions."""
    names = sorted(
        (n for n in files if n.startswith("V")), key=lambda name: [int(n) for n in name[1:].split("__")[0].split(".")]
    )
    match form:
        case "flyway":
            rows = [("1", "1", "a"), ("2", "1.10", "more")]
            return [
                (rank, version, said, "SQL", name, str(checksum_of(files[name])), "True")
                for (rank, version, said), name in zip(rows, names, strict=True)
            ][:count]
        case "golang-migrate":
            return [(version, "False") for version in ("1", "10")][:count][-1:]
        case "dbmate":
            return [("001",), ("010",)][:count]
        case "goose":
            return [("1", "True"), ("10", "True")][:count]
        case "prisma":
            texts = [(name, files[f"{name}/migration.sql"]) for name in ("001_a", "010_more")]
            sums = [(name, hashlib.sha256(text.encode()).hexdigest()) for name, text in texts]
            return [(name, checksum, "True", "None", "1") for name, checksum in sums][:count]
    return [("a.sql", "1", "ann", "1", "EXECUTED", "None"), ("a.sql", "2", "ann", "2", "EXECUTED", "None")][:count]


def rows(url: str, form: str) -> list[tuple[str, ...]]:
    """The tool's rows as text; engines spell truth as 1 or as true."""
    truth = {"flyway": 6, "golang-migrate": 1, "goose": 1, "prisma": 2}.get(form)
    found = [line.split("\t") for line in dumping.query(url, ROWS[form])]
    return [
        tuple(str(cell in ("1", "True")) if place == truth else cell for place, cell in enumerate(line))
        for line in found
    ]


def send(url: str, *statements: str) -> None:
    connection = connect(url)
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    finally:
        connection.close()


def kept(folder: Path, url: str, form: str) -> Path:
    """A project whose first script the tool has applied, adopted, its table kept in step from now on."""
    files = foreign.PROJECTS[form]
    made = projects.make(folder / "project", {"state": url}, {f"state/{name}": text for name, text in files.items()})
    config = made.folder / "stepwell.toml"
    config.write_text(f'[databases.state]\nurl = "{url}"\n[variables]\nten = "10"\n')
    serial = SERIAL[dumping.scheme(url)] if not url.startswith(("chdb", "clickhouse")) else ""
    send(url, TABLES[form].replace("id SERIAL", f"id {serial}"))
    return made.folder


@pytest.mark.parametrize(
    ("engine", "form"),
    [
        *(("sqlite", form) for form in TABLES),
        *(("postgres", form) for form in ("flyway", "prisma", "goose")),
        *(("mysql", form) for form in ("liquibase", "golang-migrate", "dbmate")),
    ],
)
def test_the_tool_s_table_says_what_the_tool_would_have_written(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, form: str
) -> None:
    url: str = request.getfixturevalue(f"{engine}_url")
    files = foreign.PROJECTS[form]
    made = Project.load(kept(tmp_path, url, form))
    made.adopt("state")
    made.keep_in_step("state")
    assert rows(url, form) == []
    for count in (1, 2):
        made.up(Options(count=1))
        assert rows(url, form) == expected(form, files, count)
    assert made.up().applied == []
    made.down(Options(database="state"))
    assert rows(url, form) == expected(form, files, 1)
    made.down(Options(database="state"))
    assert rows(url, form) == []
    made.up()
    assert rows(url, form) == expected(form, files, 2)
    made.down(Options(database="state", count=2))
    assert rows(url, form) == []


def test_what_was_applied_before_is_brought_into_the_table_and_status_says_so(tmp_path: Path, sqlite_url: str) -> None:
    folder = kept(tmp_path, sqlite_url, "goose")
    Project.load(folder).adopt("state")
    Project.load(folder).up()
    assert rows(sqlite_url, "goose") == []
    command = projects.Project(folder, {})
    printed = done(command("adopt", "state", "--keep-in-step"))
    assert "from now on goose_db_version is written too, as goose would write it" in printed
    assert rows(sqlite_url, "goose") == [("1", "True"), ("10", "True")]
    assert "state: kept in step with goose" in command("status").stderr
    assert json.loads(done(command("status", "--json")))["in_step"] == {"state": "goose"}
    done(command("adopt", "state", "--no-keep-in-step"))
    Project.load(folder).down(Options(database="state"))
    assert rows(sqlite_url, "goose") == [("1", "True"), ("10", "True")]
    assert json.loads(done(command("status", "--json")))["in_step"] == {}


def test_what_the_tool_has_applied_by_itself_is_taken_over_and_never_undone(tmp_path: Path, sqlite_url: str) -> None:
    made = Project.load(kept(tmp_path, sqlite_url, "dbmate"))
    made.adopt("state")
    made.keep_in_step("state")
    made.up(Options(count=1))
    send(sqlite_url, "INSERT INTO schema_migrations VALUES ('010')", "INSERT INTO b VALUES (10)")
    with pytest.raises(NotInStep, match="dbmate or Rails has applied state/010_more"):
        made.up()
    assert len(made.adopt("state").applied) == 1
    assert made.up().applied == []
    assert dumping.query(sqlite_url, "SELECT x FROM b") == ["10"]


def test_what_the_tool_has_undone_by_itself_is_told_and_not_claimed(tmp_path: Path, sqlite_url: str) -> None:
    made = Project.load(kept(tmp_path, sqlite_url, "dbmate"))
    made.adopt("state")
    made.keep_in_step("state")
    made.up()
    send(sqlite_url, "DELETE FROM schema_migrations WHERE version = '010'")
    with pytest.raises(NotInStep, match="has undone state/010_more"):
        made.up()
    assert rows(sqlite_url, "dbmate") == [("001",)]


def test_a_script_that_the_tool_could_not_have_is_refused_before_anything_is_run(
    tmp_path: Path, sqlite_url: str
) -> None:
    folder = kept(tmp_path, sqlite_url, "flyway")
    made = Project.load(folder)
    made.adopt("state")
    made.keep_in_step("state")
    made.convert("state", "migrations/native")
    config = folder / "stepwell.toml"
    config.write_text(config.read_text().replace("[variables]", 'scripts = "migrations/native"\n[variables]'))
    with pytest.raises(NotInStep, match="no script that Flyway could have"):
        Project.load(folder).up()
    assert dumping.query(sqlite_url, "SELECT name FROM sqlite_master WHERE name = 'a'") == []


def test_a_repeatable_script_gets_the_row_that_its_tool_gives_it(tmp_path: Path, sqlite_url: str) -> None:
    head = "--liquibase formatted sql\n--changeset ann:v runOnChange:true\n"
    folder = kept(tmp_path, sqlite_url, "liquibase")
    view = folder / "migrations/state/a.sql"
    view.write_text(f"{head}DROP VIEW IF EXISTS v;\n")
    made = Project.load(folder)
    made.adopt("state")
    made.keep_in_step("state")
    made.up()
    view.write_text(f"{head}DROP VIEW IF EXISTS v; SELECT 1;\n")
    made.up()
    assert rows(sqlite_url, "liquibase") == [("a.sql", "v", "ann", "2", "RERAN", "None")]


def test_a_path_is_written_as_the_tool_has_written_the_others(tmp_path: Path, sqlite_url: str) -> None:
    made = Project.load(kept(tmp_path, sqlite_url, "liquibase"))
    send(
        sqlite_url,
        "INSERT INTO DATABASECHANGELOG (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, EXECTYPE) "
        "VALUES ('1', 'ann', 'classpath:db/a.sql', CURRENT_TIMESTAMP, 1, 'EXECUTED')",
        "CREATE TABLE b (x INT)",
    )
    made.adopt("state")
    made.keep_in_step("state")
    made.up()
    assert [row[0] for row in rows(sqlite_url, "liquibase")] == ["classpath:db/a.sql"] * 2


# --- kill -9 ------------------------------------------------------------------------------------------------


CLICKHOUSE = {
    "golang-migrate": (
        "CREATE TABLE schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
        "SELECT version FROM schema_migrations ORDER BY sequence DESC LIMIT 1",
        "{}.up.sql",
        "",
    ),
    "goose": (
        "CREATE TABLE goose_db_version (version_id Int64, is_applied UInt8, date Date DEFAULT now(), "
        "tstamp DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY date",
        "SELECT max(version_id) FROM goose_db_version",
        "{}.sql",
        "-- +goose Up\n",
    ),
    "dbmate": (
        "CREATE TABLE schema_migrations (version String, ts DateTime DEFAULT now(), applied UInt8 DEFAULT 1) "
        "ENGINE = ReplacingMergeTree(ts) PRIMARY KEY version ORDER BY version",
        "SELECT max(version) FROM schema_migrations FINAL WHERE applied",
        "{}.sql",
        "-- migrate:up\n",
    ),
}
"""Of each tool its table on ClickHouse, the version that it tells, the name of a file, and what that begins with."""


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=pytest.mark.soak) if form != "goose" else form for form in CLICKHOUSE]
)
def test_on_clickhouse_a_row_that_a_crash_left_out_is_added_by_the_next_run(
    tmp_path: Path, chdb_url: str, form: str
) -> None:
    table, last, name, head = CLICKHOUSE[form]
    database = open_database("analytics", chdb_url, tmp_path)
    database.connect()
    database.query(table)
    database.close()
    create = "CREATE TABLE {} (x Int32) ENGINE = MergeTree ORDER BY x;"
    files = {f"state/{name.format(f'{number}_t')}": head + create.format(f"t{number}") for number in (1, 2, 3)}
    made = projects.make(tmp_path / "project", {"state": chdb_url}, files)
    done(made("adopt", "state", "--keep-in-step"))
    sent = int(made.killed("before", "0", "up", "--count", "1").stderr.splitlines()[-1])
    assert dumping.query(chdb_url, last) == ["1"]
    # What comes last is the tool's row, and the end of the script in the journal.
    assert made.killed("before", str(sent - 1), "up", "--count", "1").code != 0
    assert dumping.query(chdb_url, last) == ["1"]
    assert (
        done(made("up", "--to", f"state/{name.format('2_t').partition('.')[0]}")).splitlines()[-1]
        == "applied 0, skipped 2"
    )
    assert dumping.query(chdb_url, last) == ["2"]


@pytest.mark.soak
@pytest.mark.parametrize("url", ["sqlite_url", "mysql_url"])
def test_both_records_survive_kill_9_together(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> None:
    folder = kept(tmp_path, request.getfixturevalue(url), "dbmate")
    made = projects.Project(folder, {"state": request.getfixturevalue(url)})
    config = folder / "stepwell.toml"
    config.write_text(f'[databases.state]\nurl = "${{{projects.variable("state")}}}"\n')
    done(made("adopt", "state", "--keep-in-step"))
    sweeping.sweep(sweeping.prepared(request, tmp_path / "copies", made), "up", sample=3)
