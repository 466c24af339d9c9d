"""The SQLite adapter keeps these promises on real files, through real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.databases import open_database
from stepwell.databases.database import Command, Conduct, Database, Outcome
from stepwell.databases.sqlite import SqliteDatabase
from stepwell.databases.url import parse
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Denied,
    DiskFull,
    LockHeld,
    LockLost,
    LockTimeout,
    MemoryLimit,
    Refused,
    StatementTimeout,
)

SOURCE = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    with connected(sqlite_url) as database:
        yield database


@pytest.fixture(scope="module")
def lasting() -> Iterator[Database]:
    """One database in memory for tests that leave nothing behind."""
    with connected("sqlite:///:memory:") as database:
        yield database


@contextmanager
def connected(url: str) -> Iterator[Database]:
    database = SqliteDatabase("state", parse(url), Path.cwd())
    database.connect()
    try:
        yield database
    finally:
        database.close()


def command(text: str, **more: Any) -> Command:
    return Command(text=text, **more)


def run(database: Database, *texts: str) -> None:
    for text in texts:
        database.run(command(text))


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own; what it prints is read from its `stdout`."""
    opening = """
import sys, time
from pathlib import Path
from stepwell.databases import open_database
from stepwell.databases.database import Command
from stepwell.errors import StepwellError
def database():
    database = open_database("state", sys.argv[1], Path())
    database.connect()
    return database
"""
    return subprocess.Popen(
        [sys.executable, "-c", opening + code, *arguments],
        env=os.environ | SOURCE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


# --- connecting -----------------------------------------------------------------------------------------------


def test_importing_the_adapter_leaves_the_driver_alone() -> None:
    code = "import sys, stepwell.databases.sqlite; sys.exit('sqlite3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=SOURCE, check=True)


def test_the_file_is_made_where_the_project_is(tmp_path: Path) -> None:
    database: Database = open_database("state", "sqlite:///odd name?.db".replace("?", "%3F"), tmp_path)
    database.connect()
    run(database, "CREATE TABLE t (a)")
    database.close()
    assert (tmp_path / "odd name?.db").stat().st_size > 0
    assert isinstance(database, SqliteDatabase)
    assert (database.name, database.engine, database.session_lock) == ("state", "sqlite", True)


def test_a_missing_folder_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    database = SqliteDatabase("state", parse("sqlite:///absent/a.db"), tmp_path)
    with pytest.raises(CannotConnect) as caught:
        database.connect()
    assert f"mkdir -p {tmp_path}/absent" in str(caught.value)
    with pytest.raises(ConnectionLost):
        database.query("SELECT 1")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("a diary, not a database, and long enough to be looked into " * 9)
    with pytest.raises(CannotConnect, match="database") as caught:
        SqliteDatabase("state", parse("sqlite:///a.db"), tmp_path).connect()
    assert "something else, or encrypted" in str(caught.value)


def test_a_closed_database_can_be_closed_again_and_reopened(database: Database) -> None:
    database.close()
    database.close()
    with pytest.raises(ConnectionLost):
        database.query("SELECT 1")
    database.connect()
    assert database.query("SELECT ?, '?'", (1,)) == [(1, "?")]


# --- tracking tables ------------------------------------------------------------------------------------------


def test_tracking_tables_can_be_made_twice_and_need_a_version_only(database: Database) -> None:
    for statement in database.tracking_tables() * 2:
        database.query(statement)
    database.query("INSERT INTO schema_migrations (version) VALUES ('0001_runs_and_spans')")
    database.query("INSERT INTO schema_migrations_journal (seq) VALUES (1)")
    [row] = database.query("SELECT * FROM schema_migrations")
    columns = dict(zip(database.columns("schema_migrations"), row, strict=True))
    assert len(columns.pop("applied_at")) == len("2026-01-02 03:04:05.678000")
    assert columns == {
        "version": "0001_runs_and_spans",
        "checksum": "",
        "applied_by": "",
        "duration": 0.0,
        "statements": 0,
        "tool": "",
        "layout": 1,
    }
    assert " ".join(database.columns("schema_migrations_journal")) == (
        "seq at run who version direction position event checksum tag evidence note"
    )
    with pytest.raises(Refused):
        database.query("INSERT INTO schema_migrations (version) VALUES (NULL)")


# --- transactions ---------------------------------------------------------------------------------------------


def test_a_transaction_commits_as_a_whole(database: Database, sqlite_url: str) -> None:
    with database.transaction():
        run(database, "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    with connected(sqlite_url) as other:
        assert other.query("SELECT a FROM t") == [(1,)]


def test_a_failed_transaction_leaves_nothing_but_a_usable_connection(database: Database) -> None:
    for failure in ("SELECT nothing", "not even SQL", "SELECT 1; SELECT 2"):
        with pytest.raises(Refused), database.transaction():
            run(database, "CREATE TABLE t (a)", failure)
        assert database.columns("t") == []
    with pytest.raises(KeyboardInterrupt), database.transaction():
        run(database, "CREATE TABLE t (a)")
        raise KeyboardInterrupt
    assert database.columns("t") == []


def test_a_commit_that_is_refused_is_an_error(database: Database) -> None:
    run(database, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "PRAGMA foreign_keys = ON")
    run(database, "CREATE TABLE b (a REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Refused) as caught, database.transaction():
        run(database, "INSERT INTO b VALUES (7)")
    assert caught.value.code == "SQLITE_CONSTRAINT_FOREIGNKEY"
    assert database.query("SELECT * FROM b") == []


def test_a_transaction_that_ended_before_its_time_is_an_error(database: Database) -> None:
    run(database, "CREATE TABLE t (a PRIMARY KEY)")
    with pytest.raises(Refused, match="refused"), database.transaction():
        run(database, "INSERT INTO t VALUES (1)")
        with pytest.raises(Refused):
            run(database, "INSERT OR ROLLBACK INTO t VALUES (1)")
    assert database.query("SELECT * FROM t") == []


def test_a_runner_killed_in_a_transaction_leaves_nothing(database: Database, sqlite_url: str) -> None:
    process = python(
        """
database = database()
with database.transaction():
    database.run(Command(text="CREATE TABLE t (a)"))
    database.insert("t", ["a"], [(i,) for i in range(100_000)])
    print("written", flush=True)
    time.sleep(60)
""",
        sqlite_url,
    )
    assert said(process) == "written"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert database.columns("t") == []
    run(database, "CREATE TABLE t (a)")


# --- what a refusal means -------------------------------------------------------------------------------------


def test_an_error_says_what_sqlite_said(database: Database) -> None:
    with pytest.raises(Refused) as caught:
        run(database, "SELECT absent")
    assert type(caught.value) is Refused
    assert caught.value.code == "SQLITE_ERROR"
    assert caught.value.said == "no such column: absent"


def test_another_writer_is_waited_for_as_long_as_the_lock_timeout_says(database: Database, sqlite_url: str) -> None:
    run(database, "CREATE TABLE t (a)")
    with connected(sqlite_url) as other, other.transaction():
        for seconds in (0.01, 0.3):
            with pytest.raises(LockTimeout):
                database.run(command("INSERT INTO t VALUES (1)", lock_timeout=seconds))
        with pytest.raises(LockTimeout), database.transaction():
            pass
    run(database, "INSERT INTO t VALUES (1)")


def test_a_statement_with_a_time_limit_ends(database: Database) -> None:
    with pytest.raises(StatementTimeout):
        database.run(command(ENDLESS, timeout=0.1))
    run(database, f"{ENDLESS.replace('n) SELECT', 'n LIMIT 300000) SELECT')}")


def test_a_full_disk_is_told_apart_and_rolled_back(database: Database) -> None:
    run(database, "CREATE TABLE t (a)", "PRAGMA max_page_count = 20")
    with pytest.raises(DiskFull), database.transaction():
        database.insert("t", ["a"], [("x" * 1000,) for _ in range(1000)])
    assert database.query("SELECT count(*) FROM t") == [(0,)]
    with database.transaction():
        run(database, "INSERT INTO t VALUES (1)")


def test_too_little_memory_is_told_apart(sqlite_url: str) -> None:
    # In a process of its own: the limit is the whole process's, and can't be raised again.
    process = python(
        """
database = database()
database.query("PRAGMA hard_heap_limit = 1000000")
try:
    database.query("SELECT hex(zeroblob(100000000))")
except StepwellError as error:
    print(error.kind)
""",
        sqlite_url,
    )
    assert said(process) == MemoryLimit.__name__
    process.wait()


def test_a_database_that_may_only_be_read_says_so(database: Database, sqlite_url: str) -> None:
    run(database, "CREATE TABLE t (a)")
    with connected(f"{sqlite_url}?mode=ro") as other, pytest.raises(Denied):
        run(other, "INSERT INTO t VALUES (1)")


# --- the migration lock ---------------------------------------------------------------------------------------


def test_one_runner_holds_the_lock_and_the_other_is_told_who(database: Database, sqlite_url: str) -> None:
    told: list[str] = []
    with connected(sqlite_url) as second:
        with database.lock(1, print):
            database.assert_locked()
            with pytest.raises(LockHeld) as caught, second.lock(0.3, told.append):
                pass
        assert len(told) == 1
        assert told[0].startswith(f"pid {os.getpid()} on {os.uname().nodename} since 20")
        assert f"held by pid {os.getpid()}" in str(caught.value)
        with second.lock(1, print):
            second.assert_locked()
        with pytest.raises(LockLost):
            second.assert_locked()


def test_the_lock_of_a_killed_runner_frees_itself(database: Database, sqlite_url: str) -> None:
    process = python(
        """
with database().lock(1, print):
    print("locked", flush=True)
    time.sleep(60)
""",
        sqlite_url,
    )
    assert said(process) == "locked"
    told: list[str] = []
    with pytest.raises(LockHeld), database.lock(0.1, told.append):
        pass
    assert told[0].startswith(f"pid {process.pid} on ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with database.lock(10, told.append):
        database.assert_locked()


def test_a_lock_whose_file_was_removed_is_lost(database: Database, tmp_path: Path) -> None:
    with database.lock(1, print):
        (tmp_path / "main.db.stepwell-lock").unlink()
        with pytest.raises(LockLost):
            database.assert_locked()
        (tmp_path / "main.db.stepwell-lock").touch()
        with pytest.raises(LockLost):
            database.assert_locked()


def test_two_names_of_one_file_have_one_lock(database: Database, tmp_path: Path) -> None:
    (tmp_path / "alias.db").symlink_to(tmp_path / "main.db")
    with (
        connected(f"sqlite:///{tmp_path / 'alias.db'}") as second,
        database.lock(1, print),
        pytest.raises(LockHeld),
        second.lock(0, print),
    ):
        pass


def test_a_database_in_memory_needs_no_lock(lasting: Database) -> None:
    with lasting.lock(0, print), lasting.lock(0, print):
        lasting.assert_locked()


def test_settings_of_a_script_last_until_reset(database: Database, tmp_path: Path) -> None:
    with database.lock(1, print):
        run(database, "PRAGMA foreign_keys = ON", f"ATTACH '{tmp_path / 'b.db'}' AS b", "SELECT 1")
        assert database.query("PRAGMA foreign_keys") == [(1,)]
        database.reset()
        database.assert_locked()
        assert database.query("PRAGMA foreign_keys") == [(0,)]
        assert [name for _, name, _ in database.query("PRAGMA database_list")] == ["main"]
        run(database, "SELECT 1")
        assert database.query("PRAGMA busy_timeout") == [(5000,)]


# --- how statements behave ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE u (a)",
        "ALTER TABLE t RENAME TO u",
        "CREATE INDEX i ON t (a)",
        "DROP TABLE t",
        "REINDEX",
        "ANALYZE",
        "PRAGMA user_version = 7",
        "PRAGMA main.application_id(7)",
        "/* VACUUM */ INSERT INTO t VALUES ('VACUUM')",
    ],
)
def test_what_is_called_transactional_is_undone_by_a_rollback(database: Database, text: str) -> None:
    def state() -> list[Any]:
        statements = ["SELECT * FROM sqlite_master", "PRAGMA user_version", "PRAGMA application_id"]
        return [database.query(statement) for statement in [*statements, "SELECT * FROM t"]]

    run(database, "CREATE TABLE t (a)")
    before = state()
    assert database.conduct(command(text)) is Conduct.TRANSACTIONAL
    with pytest.raises(KeyboardInterrupt), database.transaction():
        run(database, text)
        raise KeyboardInterrupt
    assert state() == before


@pytest.mark.parametrize(
    ("text", "conduct"),
    [
        ("VACUUM", Conduct.REPEATABLE),
        ("vacuum main", Conduct.REPEATABLE),
        ("VACUUM INTO 'copy.db'", Conduct.OPAQUE),
        ("ATTACH 'b.db' AS b", Conduct.SESSION),
        ("DETACH b", Conduct.SESSION),
        ("PRAGMA foreign_keys = OFF", Conduct.SESSION),
        ("PRAGMA journal_mode = wal", Conduct.SESSION),
        ("PRAGMA defer_foreign_keys = ON", Conduct.TRANSACTIONAL),
        ("BEGIN", Conduct.OPAQUE),
        ("COMMIT", Conduct.OPAQUE),
        ("ROLLBACK", Conduct.OPAQUE),
        ("ROLLBACK TRANSACTION TO SAVEPOINT a", Conduct.TRANSACTIONAL),
        ("SELECT 'never closed", Conduct.TRANSACTIONAL),
        ("VACUUM INTO 'never closed", Conduct.TRANSACTIONAL),
        ("", Conduct.TRANSACTIONAL),
    ],
)
def test_what_is_not_transactional_is_told_apart(lasting: Database, text: str, conduct: Conduct) -> None:
    assert lasting.conduct(command(text)) is conduct


def test_vacuum_is_refused_in_a_transaction_and_can_be_repeated(database: Database) -> None:
    with pytest.raises(Refused), database.transaction():
        run(database, "VACUUM")
    run(database, "VACUUM", "VACUUM")


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("CREATE TABLE Items (a)", '"items"'),
        ("create temp table if not exists [odd name] (a)", '"odd name"'),
        ("CREATE TABLE main.`t` AS SELECT 1", '"main"."t"'),
        ("CREATE VIRTUAL TABLE search USING fts5 (a)", '"search"'),
        ("CREATE INDEX i ON t (a)", None),
        ("INSERT INTO t VALUES (1)", None),
        ("CREATE TABLE 'never closed", None),
    ],
)
def test_a_created_table_is_named(lasting: Database, text: str, table: str | None) -> None:
    assert lasting.creates(command(text)) == table


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("ALTER TABLE Items_New RENAME TO items", ['"items_new"']),
        ("ALTER TABLE items RENAME COLUMN a TO b", []),
        ("ALTER TABLE items RENAME a TO b", []),
        ("DROP TABLE items", []),
    ],
)
def test_a_renamed_table_is_named(lasting: Database, text: str, tables: list[str]) -> None:
    assert lasting.renames(command(text)) == tables


def test_columns_are_found_however_the_table_is_spelled(database: Database) -> None:
    run(database, 'CREATE TABLE "Odd name" (b, "A", c AS (b + 1))', "CREATE TEMP TABLE t (a)")
    assert database.columns('"Odd name"') == database.columns("main.[ODD NAME]") == ["b", "A", "c"]
    assert database.columns("temp.t") == database.columns("t") == ["a"]
    assert database.columns("main.t") == database.columns("absent") == []


def test_what_was_begun_is_repeated_where_that_is_harmless(database: Database) -> None:
    for text in ("VACUUM", "PRAGMA foreign_keys = ON"):
        assert database.settle(command(text), database.evidence(command(text))).outcome is Outcome.NOT_DONE
    for text in ("VACUUM INTO 'copy.db'", "INSERT INTO t VALUES (1)"):
        assert database.settle(command(text), database.evidence(command(text))).outcome is Outcome.UNKNOWN


def test_nothing_of_sqlite_runs_on_a_server(database: Database) -> None:
    assert database.activity("") is None
    assert database.holders() == []


# --- bulk -----------------------------------------------------------------------------------------------------

VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)


@given(st.lists(st.tuples(VALUES, VALUES)))
def test_rows_arrive_as_they_were(lasting: Database, rows: list[tuple[Any, ...]]) -> None:
    lasting.query('CREATE TABLE IF NOT EXISTS bulk (n INTEGER PRIMARY KEY, "a ""b""", c)')
    lasting.query("DELETE FROM bulk")
    lasting.insert("main.bulk", ['a "b"', "c"], rows)
    assert lasting.query('SELECT "a ""b""", c FROM bulk ORDER BY n') == rows


def test_a_refused_row_leaves_none_of_them(database: Database) -> None:
    run(database, "CREATE TABLE t (a PRIMARY KEY)")
    for rows in ([(1,), (2,), (1,)], [(1,), (2**64,)], [(1,), (object(),)]):
        with pytest.raises(Refused):
            database.insert("t", ["a"], rows)
        assert database.query("SELECT * FROM t") == []
