"""The PostgreSQL adapter keeps these promises on a real server, through real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projects
from servers.postgres import PASSWORD, PostgresServer, start
from stepwell.databases import open_database
from stepwell.databases.database import Activity, Command, Conduct, Database, Outcome
from stepwell.databases.postgres import PostgresDatabase
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

ROOT = Path(__file__).parents[2]

RUN_AS_A_PROCESS = """
import sys
from pathlib import Path
from stepwell.databases import open_database
from stepwell.databases.database import Command
database = open_database("state", sys.argv[1], Path())
database.connect()
with database.lock(10, print):
    database.run(Command(text=sys.argv[2], tag="0001:1"))
"""


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with connected(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def lasting(postgres: PostgresServer) -> Iterator[Database]:
    """One database for tests that leave nothing behind."""
    with connected(postgres.new_database()) as database:
        yield database


@contextmanager
def connected(url: str) -> Iterator[Database]:
    database = PostgresDatabase("state", parse(url))
    database.connect()
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Another client of the same database: the application."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def command(text: str, **more: Any) -> Command:
    return Command(text=text, **more)


def run(database: Database, *texts: str) -> None:
    for text in texts:
        database.run(command(text))


def eventually(look: Callable[[], Any], patience: float = 30.0) -> Any:
    """What `look` returns once it is true."""
    deadline = time.monotonic() + patience
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return seen


@contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[list[BaseException]]:
    """Run `work` in a thread during the block and wait for it after; what it raised is in the list."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(60)


@contextmanager
def application_transaction(url: str, text: str) -> Iterator[psycopg.Connection[Any]]:
    """An application in the middle of a transaction that has run `text`."""
    with psycopg.connect(url, application_name="shop") as connection:
        connection.execute(text.encode())
        yield connection
        connection.rollback()


@contextmanager
def killed_in_the_middle(url: str, text: str, until: Callable[[], Any]) -> Iterator[None]:
    """A process sends `text` under the lock and is killed -9 once `until` is true; then the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_AS_A_PROCESS, url, text], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    try:
        eventually(until)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    yield


def backend_of(connection: psycopg.Connection[Any], beginning: str) -> int | None:
    """The backend that is at work on a statement with this beginning."""
    row = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND starts_with(query, %s)", (beginning,)
    ).fetchone()
    return row[0] if row else None


def terminate(connection: psycopg.Connection[Any], pid: int) -> None:
    """End a backend in the middle of what it does, and wait until it is gone."""
    connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


SOMEBODY = """
DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""
"""Makes a role; roles belong to the whole server."""


def indexes(connection: psycopg.Connection[Any], table: str) -> dict[str, bool]:
    rows = connection.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = %s::regclass", (table,)
    )
    return dict(rows.fetchall())


# --- connecting -----------------------------------------------------------------------------------------------


def test_importing_the_adapter_leaves_the_driver_alone() -> None:
    code = "import sys, stepwell.databases.postgres; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, check=True)


def test_a_missing_driver_is_named_with_the_command_that_installs_it() -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from pathlib import Path
from stepwell.databases import open_database
from stepwell.errors import CannotConnect
try:
    open_database("state", "postgresql://me@127.0.0.1/app", Path()).connect()
except CannotConnect as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert 'pip install "stepwell[postgres]"' in ended.stdout


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ((PASSWORD, "wr0ng"), "ALTER ROLE"),
        ((f":{PASSWORD}@", "@"), "Put a password into the URL"),
        (("/test_", "/absent_"), 'CREATE DATABASE "absent_'),
        (("127.0.0.1:", "127.0.0.1:1#"), "pg_isready -h 127.0.0.1 -p 1"),
        (("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
        (("?", "?sslmode=require"), "Take sslmode out"),
        (("?", "?colour=red"), "Correct the options"),
    ],
)
def test_a_failed_connection_says_what_to_do_and_no_password(
    postgres_url: str, change: tuple[str, str], advice: str
) -> None:
    url = f"{postgres_url}?".replace(*change)
    if "1#" in url:
        url = url[: url.index("1#") + 1] + "/app"
    database = PostgresDatabase("state", parse(url))
    with pytest.raises(CannotConnect) as caught:
        database.connect()
    assert advice in str(caught.value)
    assert PASSWORD not in str(caught.value) and "wr0ng" not in str(caught.value)


def test_the_server_sees_who_is_connected(database: Database) -> None:
    [(application,)] = database.query("SELECT current_setting('application_name')")
    assert application.startswith("stepwell ")


def test_verbs_of_a_closed_database_say_that_the_connection_is_lost(database: Database) -> None:
    database.close()
    database.close()
    with pytest.raises(ConnectionLost):
        database.query("SELECT 1")
    assert database.activity("") is None
    assert database.holders() == []


# --- placeholders ---------------------------------------------------------------------------------------------

ITEMS = [
    ("?", ["v"], "v"),
    ("?::int % 4", [7], 3),
    ("? || ?", ["a", "b"], "ab"),
    ("?||'!'", ["a"], "a!"),
    ("CASE WHEN ? = 'x' THEN ? END", ["x", "y"], "y"),
    ("'wh?t %s'", [], "wh?t %s"),
    (r"E'\'?'", [], "'?"),
    ("$q$ ? %d $q$", [], " ? %d "),
    ("/* ? /* ? */ % */ 7", [], 7),
    ("-- ?\n 7", [], 7),
    ("7 % 4", [], 3),
    ("""'{"a": 1}'::jsonb ? 'a'""", [], True),
    ("""('{"a": 1}'::jsonb) ? ?""", ["a"], True),
    ("""j."wh?t" ? 'b'""", [], False),
    ("""j."wh?t" ?| array['a', 'b']""", [], True),
    ("""j."wh?t" ?& array[?]""", ["a"], True),
    ("""j."wh?t" @? '$.a'""", [], True),
    ("""'{"a": 1}' OPERATOR(pg_catalog.?) 'a'""", [], True),
]


@given(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=8))
def test_question_marks_stand_for_values_and_nothing_else(
    lasting: Database, items: list[tuple[str, list[Any], Any]]
) -> None:
    selected = ", ".join(f"{text}" for text, _, _ in items)
    rows = lasting.query(
        f"""SELECT ?, {selected} FROM (SELECT '{{"a": 1}}'::jsonb AS "wh?t") j""",
        ["first", *(value for _, values, _ in items for value in values)],
    )
    assert rows == [("first", *(expected for _, _, expected in items))]


def test_a_statement_without_parameters_is_sent_as_it_is(database: Database) -> None:
    assert database.query("SELECT '%s', '?', 7 % 4") == [("%s", "?", 3)]
    assert database.query("CREATE TABLE t ()") == []


def test_an_unclosed_string_is_refused_at_its_place(database: Database) -> None:
    with pytest.raises(Refused) as caught:
        database.query("SELECT ?, 'open", ("v",))
    assert caught.value.position == 10


# --- tracking tables ------------------------------------------------------------------------------------------


def test_tracking_tables_can_be_made_twice_and_need_a_version_only(database: Database) -> None:
    for statement in database.tracking_tables() * 2:
        database.query(statement)
    database.query("INSERT INTO schema_migrations (version) VALUES ('0001_runs_and_spans')")
    database.query("INSERT INTO schema_migrations_journal (seq) VALUES (1)")
    [row] = database.query("SELECT * FROM schema_migrations")
    columns = dict(zip(database.columns("schema_migrations"), row, strict=True))
    assert abs(columns.pop("applied_at").timestamp() - time.time()) < 60
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


# --- transactions ---------------------------------------------------------------------------------------------


def test_a_transaction_commits_as_a_whole(database: Database, other: psycopg.Connection[Any]) -> None:
    with database.transaction():
        run(database, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
    assert other.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_failed_transaction_leaves_nothing_but_a_usable_connection(database: Database) -> None:
    with pytest.raises(Refused), database.transaction():
        run(database, "CREATE TABLE t (a int)", "SELECT nothing")
    assert database.columns("t") == []
    with pytest.raises(KeyboardInterrupt), database.transaction():
        run(database, "CREATE TABLE t (a int)")
        raise KeyboardInterrupt
    assert database.columns("t") == []


def test_a_commit_that_the_server_refuses_is_an_error(database: Database) -> None:
    run(database, "CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Refused) as caught, database.transaction():
        run(database, "INSERT INTO t VALUES (1), (1)")
    assert caught.value.code == "23505"
    assert database.query("SELECT * FROM t") == []


def test_a_failure_that_nobody_passed_on_does_not_end_in_a_silent_rollback(database: Database) -> None:
    run(database, "CREATE TABLE t (a int)")
    with pytest.raises(Refused, match="refused"), database.transaction():
        run(database, "INSERT INTO t VALUES (1)")
        with pytest.raises(Refused):
            run(database, "SELECT nothing")
    assert database.query("SELECT * FROM t") == []


def test_a_transaction_that_a_statement_ended_is_an_error(database: Database) -> None:
    with pytest.raises(Refused, match="refused"), database.transaction():
        run(database, "COMMIT")
    assert database.query("SELECT 1") == [(1,)]


# --- limits ---------------------------------------------------------------------------------------------------


def limits(database: Database) -> tuple[Any, ...]:
    return database.query("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")[0]


def test_a_statement_runs_without_time_limit_unless_it_asks_for_one(
    database: Database, other: psycopg.Connection[Any], postgres_url: str
) -> None:
    other.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {parse(postgres_url).database} SET statement_timeout = 50")
    database.connect()
    run(database, "SELECT pg_sleep(0.1)")
    with pytest.raises(StatementTimeout):
        database.run(command("SELECT pg_sleep(60)", timeout=0.1))
    database.query("SELECT pg_sleep(0.2)")


def test_limits_hold_after_the_transaction_that_set_them_was_rolled_back(database: Database) -> None:
    database.run(command("SELECT 1", lock_timeout=1))
    with pytest.raises(Refused), database.transaction():
        database.run(command("SELECT 1", lock_timeout=2))
        run(database, "SELECT nothing")
    database.run(command("SELECT 1", lock_timeout=2))
    assert limits(database) == ("2s", "0")


def test_settings_of_a_script_last_until_reset(database: Database) -> None:
    settings = "SELECT current_user, current_setting('search_path')"
    before = database.query(settings)
    with database.lock(1, print):
        run(database, SOMEBODY, "SET search_path = pg_catalog", "SET lock_timeout = '7s'", "SELECT 1")
        run(database, "PREPARE p AS SELECT 1", "SET ROLE somebody")
        assert database.query(settings) == [("somebody", "pg_catalog")]
        assert limits(database)[0] == "7s"
        database.reset()
        database.assert_locked()
        assert database.query(settings) == before
        run(database, "PREPARE p AS SELECT 1")
        assert limits(database)[0] == "5s"


def test_limits_hold_after_a_script_reset_them(database: Database) -> None:
    run(database, "SELECT 1", "RESET ALL", "SELECT 1")
    assert limits(database) == ("5s", "0")


def test_a_lock_timeout_names_those_who_hold_the_lock(database: Database, postgres_url: str) -> None:
    run(database, "CREATE TABLE t (a int)")
    with application_transaction(postgres_url, "INSERT INTO t VALUES (1)") as application:
        pid = application.info.backend_pid
        alter = command("ALTER TABLE t ADD b int", lock_timeout=1.5)
        with in_background(lambda: database.run(alter)) as raised:
            [holder] = eventually(database.holders)
            activity = eventually(lambda: database.activity(""))
    assert isinstance(raised[0], LockTimeout)
    assert raised[0].code == "55P03"
    assert holder.startswith(f'pid {pid} stepwell@127.0.0.1 application "shop": INSERT INTO t VALUES (1)')
    assert ", in transaction for " in holder
    assert activity.stage == "waiting for a lock"
    run(database, "ALTER TABLE t ADD b int")


# --- what a refusal means -------------------------------------------------------------------------------------


def test_an_error_says_what_the_server_said_and_where(database: Database) -> None:
    text = "SELECT 'ä',\n  nothing FROM pg_class"
    for tag in ("", "0001:1"):
        with pytest.raises(Refused) as caught:
            database.run(command(text, tag=tag))
        assert type(caught.value) is Refused
        assert caught.value.code == "42703"
        assert caught.value.position == text.index("nothing")
        assert 'column "nothing" does not exist' in caught.value.said
    run(database, "CREATE TABLE t (total int)")
    with pytest.raises(Refused, match="refused") as caught:
        run(database, "SELECT totl FROM t")
    assert 'hint: Perhaps you meant to reference the column "t.total"' in caught.value.said
    with pytest.raises(Refused) as caught:
        run(database, "INSERT INTO t VALUES (1), (2)", "CREATE UNIQUE INDEX ON t ((total > 0))")
    assert "detail: Key ((total > 0))=(t) is duplicated." in caught.value.said


def test_a_missing_privilege_is_denied(database: Database) -> None:
    run(database, SOMEBODY, "CREATE TABLE t (a int)", "SET ROLE somebody")
    with pytest.raises(Denied):
        run(database, "SELECT * FROM t")


def test_too_little_memory_is_told_apart(database: Database) -> None:
    with pytest.raises(MemoryLimit):
        run(database, "SELECT pg_advisory_xact_lock(i) FROM generate_series(1, 1000000) AS i")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_told_apart(database: Database, postgres: PostgresServer) -> None:
    folder = postgres.data.parent / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "none", str(folder)], check=True)
    try:
        place = folder / "tablespace"
        subprocess.run(["install", "-d", "-o", "postgres", "-g", "postgres", str(place)], check=True)
        run(database, f"CREATE TABLESPACE small LOCATION '{place}'", "CREATE TABLE t (a text) TABLESPACE small")
        with pytest.raises(DiskFull), database.transaction():
            run(database, "INSERT INTO t SELECT repeat('x', 100) FROM generate_series(1, 100000)")
        assert database.query("SELECT count(*) FROM t") == [(0,)]
        run(database, "DROP TABLE t", "DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def test_a_cancelled_statement_is_no_timeout(database: Database, other: psycopg.Connection[Any]) -> None:
    with in_background(lambda: run(database, "SELECT pg_sleep(60)")) as raised:
        pid = eventually(lambda: backend_of(other, "SELECT pg_sleep"))
        other.execute("SELECT pg_cancel_backend(%s)", (pid,))
    assert type(raised[0]) is Refused


def test_a_terminated_connection_is_lost_and_can_be_opened_again(
    database: Database, other: psycopg.Connection[Any]
) -> None:
    def work() -> None:
        with database.transaction():
            run(database, "CREATE TABLE t (a int)", "SELECT pg_sleep(60)")

    with in_background(work) as raised:
        terminate(other, eventually(lambda: backend_of(other, "SELECT pg_sleep")))
    assert isinstance(raised[0], ConnectionLost)
    with pytest.raises(ConnectionLost):
        database.query("SELECT 1")
    database.connect()
    assert database.columns("t") == []


def test_rows_come_out_in_whole_lines_however_many(database: Database) -> None:
    chunks = list(database.unload("SELECT n, repeat('x', 90) FROM generate_series(1, 200000) AS n"))
    assert len(chunks) > 1
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert [int(line[:-91]) for line in b"".join(chunks).splitlines()] == list(range(1, 200001))


def test_what_fails_behind_rows_that_came_is_an_error(database: Database) -> None:
    with pytest.raises(Refused, match="division by zero"), database.transaction():
        list(database.unload("SELECT 1 / (5000 - n) FROM generate_series(1, 10000) AS n"))
    assert database.query("SELECT 1") == [(1,)]


def test_rows_that_nobody_reads_to_the_end_leave_a_usable_connection(database: Database) -> None:
    rows = database.unload("SELECT n, repeat('x', 90) FROM generate_series(1, 1000000) AS n")
    next(rows)
    rows.close()
    assert database.query("SELECT 1") == [(1,)]


def test_a_connection_that_is_terminated_between_rows_is_lost(
    database: PostgresDatabase, other: psycopg.Connection[Any]
) -> None:
    pid = database.query("SELECT pg_backend_pid()")[0][0]
    rows = database.unload("SELECT n, repeat('x', 90) FROM generate_series(1, 10000000) AS n")
    next(rows)
    other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(ConnectionLost):
        list(rows)


def test_a_server_killed_in_the_middle_is_a_lost_connection(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        with connected(server.url()) as database:
            run(database, "CREATE TABLE t AS SELECT 1 AS a")
            with in_background(lambda: run(database, "SELECT pg_sleep(60)")) as raised:
                eventually(lambda: database.activity(""))
                server.kill()
            assert isinstance(raised[0], ConnectionLost)
            server.restart()
            database.connect()
            assert database.query("SELECT a FROM t") == [(1,)]
    finally:
        server.stop()


# --- the migration lock ---------------------------------------------------------------------------------------


def test_one_runner_holds_the_lock_and_the_other_is_told_who(database: Database, postgres_url: str) -> None:
    [(pid,)] = database.query("SELECT pg_backend_pid()")
    told: list[str] = []
    with connected(postgres_url) as second:
        with database.lock(1, print):
            database.assert_locked()
            with pytest.raises(LockHeld) as caught, second.lock(0.3, told.append):
                pass
        assert len(told) == 1
        assert told[0].startswith(f'pid {pid}, stepwell@127.0.0.1, application "stepwell ')
        assert f"held by pid {pid}" in str(caught.value)
        with second.lock(1, print):
            second.assert_locked()
        with pytest.raises(LockLost):
            second.assert_locked()


def test_the_lock_is_taken_as_soon_as_it_is_free(database: Database, postgres_url: str) -> None:
    taken, waiting = threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with connected(postgres_url) as second, second.lock(60, lambda holder: waiting.set()):
            taken.set()

    with database.lock(1, print):
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        assert waiting.wait(30)
        assert not taken.is_set()
    assert taken.wait(30)
    thread.join()


def test_databases_of_one_server_have_a_lock_each(database: Database, postgres: PostgresServer) -> None:
    with connected(postgres.new_database()) as second, database.lock(1, print), second.lock(0, print):
        second.assert_locked()


def test_a_lock_whose_connection_was_terminated_is_lost(database: Database, other: psycopg.Connection[Any]) -> None:
    [(pid,)] = database.query("SELECT pg_backend_pid()")
    with database.lock(1, print):
        terminate(other, pid)
        with pytest.raises(LockLost):
            database.assert_locked()


def test_a_lock_that_a_script_gave_up_is_lost(database: Database) -> None:
    with database.lock(1, print):
        run(database, "DISCARD ALL")
        with pytest.raises(LockLost):
            database.assert_locked()


def test_the_lock_of_a_killed_runner_frees_itself(
    database: Database, other: psycopg.Connection[Any], postgres_url: str
) -> None:
    def sleeping() -> int | None:
        return backend_of(other, "/* 0001:1 */ SELECT pg_sleep")

    told: list[str] = []
    with (
        killed_in_the_middle(postgres_url, "SELECT pg_sleep(1.5)", until=sleeping),
        database.lock(30, told.append),
    ):
        database.assert_locked()
    assert "running: /* 0001:1 */ SELECT pg_sleep(1.5)" in told[0]


# --- how statements behave ------------------------------------------------------------------------------------

SETTING = """
CREATE TABLE t (a int PRIMARY KEY, b int);
CREATE INDEX i ON t (b);
CREATE TABLE p (a int) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
CREATE INDEX pi ON p (a);
CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;
CREATE PROCEDURE pr() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
CREATE TYPE mood AS ENUM ('ok');
CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;
CREATE UNIQUE INDEX mi ON m (a)
"""

TRANSACTIONAL = """
INSERT INTO t VALUES (1)
WITH x AS (SELECT 1) SELECT * FROM x
SELECT set_config('lock_timeout', '1s', true)
CREATE INDEX ON t (b)
CREATE UNIQUE INDEX IF NOT EXISTS i ON t (b)
CREATE INDEX concurrently_not ON t (b)
DROP INDEX i
REINDEX INDEX i
REINDEX TABLE t
REINDEX (VERBOSE) TABLE public.t
CLUSTER t USING t_pkey
CLUSTER VERBOSE t USING t_pkey
ALTER TABLE t ADD COLUMN concurrently int
ALTER TABLE p DETACH PARTITION p1
ALTER TYPE mood ADD VALUE 'good'
ALTER DATABASE {database} SET work_mem = '4MB'
ALTER ROLE CURRENT_USER SET work_mem = '4MB'
ANALYZE
ANALYZE t
CALL pr()
DO $$ BEGIN PERFORM 1; END $$
TRUNCATE t
LOCK TABLE t
REFRESH MATERIALIZED VIEW CONCURRENTLY m
SET LOCAL lock_timeout = '1s'
SET CONSTRAINTS ALL DEFERRED
SET TRANSACTION READ ONLY
SAVEPOINT a
COMMENT ON TABLE t IS 'VACUUM; CREATE INDEX CONCURRENTLY'
NOTIFY somebody
"""
OUTSIDE = """
visible    CREATE INDEX CONCURRENTLY ON t (b)
visible    CREATE INDEX CONCURRENTLY ON ONLY t (b)
visible    create unique index concurrently if not exists j on public.t using btree (a)
visible    /* first */ CREATE /* then */ INDEX CONCURRENTLY "on" ON t (b)
visible    DROP INDEX CONCURRENTLY i
visible    DROP INDEX CONCURRENTLY IF EXISTS i
visible    REINDEX INDEX CONCURRENTLY i
visible    REINDEX TABLE CONCURRENTLY t
visible    REINDEX (CONCURRENTLY, VERBOSE) TABLE t
visible    REINDEX SCHEMA CONCURRENTLY public
visible    CREATE DATABASE d
visible    DROP DATABASE IF EXISTS d
visible    CREATE TABLESPACE s LOCATION '/nowhere'
visible    DROP TABLESPACE s
visible    ALTER TABLE ONLY p DETACH PARTITION p1 CONCURRENTLY
visible    ALTER TABLE IF EXISTS public.p DETACH PARTITION public.p1 CONCURRENTLY
visible    CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p
repeatable VACUUM
repeatable VACUUM (FULL) t
repeatable REINDEX SCHEMA public
repeatable REINDEX TABLE p
repeatable REINDEX INDEX pi
repeatable CLUSTER
repeatable CLUSTER VERBOSE
repeatable CLUSTER p USING pi
repeatable ALTER SYSTEM RESET work_mem
repeatable ALTER DATABASE {database} SET TABLESPACE pg_default
session    DISCARD ALL
opaque     COMMIT PREPARED 'x'
opaque     ROLLBACK PREPARED 'x'
"""
REFUSED_IN_A_TRANSACTION = "25001"


@pytest.fixture(scope="module")
def setting(postgres: PostgresServer) -> Iterator[tuple[Database, psycopg.Connection[Any]]]:
    url = postgres.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(SETTING.encode())
        connection.commit()
        with connected(url) as database:
            yield database, connection


def refused_in_a_transaction(connection: psycopg.Connection[Any], text: str) -> bool:
    try:
        connection.execute("SAVEPOINT one")
        connection.execute(text.encode())
    except psycopg.Error as error:
        return error.sqlstate == REFUSED_IN_A_TRANSACTION
    finally:
        connection.rollback()
    return False


@pytest.mark.parametrize("text", TRANSACTIONAL.strip().splitlines())
def test_what_is_called_transactional_runs_in_a_transaction(
    setting: tuple[Database, psycopg.Connection[Any]], text: str
) -> None:
    database, connection = setting
    text = text.format(database=connection.info.dbname)
    assert database.conduct(command(text)) is Conduct.TRANSACTIONAL
    assert not refused_in_a_transaction(connection, text)


@pytest.mark.parametrize("line", OUTSIDE.strip().splitlines())
def test_what_refuses_a_transaction_is_not_called_transactional(
    setting: tuple[Database, psycopg.Connection[Any]], line: str
) -> None:
    database, connection = setting
    kind, text = line.format(database=connection.info.dbname).split(maxsplit=1)
    assert database.conduct(command(text)) is Conduct[kind.upper()]
    assert refused_in_a_transaction(connection, text)


@pytest.mark.parametrize(
    ("text", "conduct"),
    [
        ("SET search_path = app", Conduct.SESSION),
        ("SELECT pg_catalog.set_config('search_path', '', false)", Conduct.SESSION),
        ("RESET ALL", Conduct.SESSION),
        ("PREPARE p AS SELECT 1", Conduct.SESSION),
        ("LISTEN somebody", Conduct.SESSION),
        ("BEGIN", Conduct.OPAQUE),
        ("COMMIT", Conduct.OPAQUE),
        ("ROLLBACK", Conduct.OPAQUE),
        ("ROLLBACK WORK TO SAVEPOINT a", Conduct.TRANSACTIONAL),
        ("PREPARE TRANSACTION 'x'", Conduct.OPAQUE),
        ("ALTER SUBSCRIPTION s REFRESH PUBLICATION", Conduct.VISIBLE),
        ("ALTER SUBSCRIPTION s ADD PUBLICATION p", Conduct.VISIBLE),
        ("ALTER SUBSCRIPTION s DISABLE", Conduct.TRANSACTIONAL),
        ("DROP SUBSCRIPTION s", Conduct.VISIBLE),
        ("SELECT 'never closed", Conduct.TRANSACTIONAL),
        ("", Conduct.TRANSACTIONAL),
    ],
)
def test_settings_and_transaction_control_are_told_apart(lasting: Database, text: str, conduct: Conduct) -> None:
    assert lasting.conduct(command(text)) is conduct


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("CREATE TABLE Items (a int)", "items"),
        ('CREATE UNLOGGED TABLE IF NOT EXISTS app."Items" (a int)', 'app."Items"'),
        ("CREATE TEMP TABLE t AS SELECT 1", "t"),
        ("CREATE VIEW v AS SELECT 1", None),
        ("CREATE INDEX ON t (a)", None),
        ("ALTER TABLE t ADD a int", None),
    ],
)
def test_a_created_table_is_named(lasting: Database, text: str, table: str | None) -> None:
    assert lasting.creates(command(text)) == table


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("ALTER TABLE IF EXISTS ONLY Items_New RENAME TO items", ["items_new"]),
        ("ALTER TABLE items RENAME COLUMN a TO b", []),
        ("ALTER TABLE items RENAME a TO b", []),
        ("ALTER INDEX i RENAME TO j", []),
    ],
)
def test_a_renamed_table_is_named(lasting: Database, text: str, tables: list[str]) -> None:
    assert lasting.renames(command(text)) == tables


def test_columns_are_those_of_the_search_path_in_order(database: Database) -> None:
    run(database, 'CREATE TABLE "Odd" (b int, "A" int, gone int)', 'ALTER TABLE "Odd" DROP gone')
    run(database, "CREATE SCHEMA s", "CREATE TABLE s.t (a int)")
    assert database.columns('"Odd"') == ["b", "A"]
    assert database.columns("s.t") == ["a"]
    assert database.columns("t") == []
    run(database, "SET search_path = s")
    assert database.columns("t") == ["a"]


# --- bulk -----------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            TEXT | st.none(),
            st.floats(allow_nan=False) | st.none(),
            st.binary() | st.none(),
            st.datetimes() | st.none(),
            st.uuids() | st.none(),
            st.booleans() | st.none(),
        )
    )
)
def test_rows_arrive_as_they_were(lasting: Database, rows: list[tuple[Any, ...]]) -> None:
    lasting.query(
        """
        CREATE TEMP TABLE IF NOT EXISTS bulk (
          n serial, "An int" bigint, b text, c float8, d bytea, e timestamp, f uuid, g boolean
        )
        """
    )
    lasting.query("TRUNCATE bulk")
    lasting.insert("pg_temp.bulk", ["An int", "b", "c", "d", "e", "f", "g"], rows)
    assert lasting.query('SELECT "An int", b, c, d, e, f, g FROM bulk ORDER BY n') == rows


def test_a_refused_row_leaves_none_of_them(database: Database) -> None:
    run(database, "CREATE TABLE t (a int PRIMARY KEY)")
    with pytest.raises(Refused) as caught:
        database.insert("t", ["a"], [(1,), (2,), (1,)])
    assert caught.value.code == "23505"
    assert database.query("SELECT * FROM t") == []


# --- what is settled after a crash ----------------------------------------------------------------------------


@pytest.fixture
def items(other: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    other.execute("CREATE TABLE items AS SELECT i AS id, i % 7 AS kind FROM generate_series(1, 1000) AS i")
    return other


BUILD = "CREATE INDEX CONCURRENTLY items_kind ON items (kind)"
BUILDS = [
    (BUILD, "items_kind"),
    ("CREATE INDEX CONCURRENTLY IF NOT EXISTS items_kind ON public.items (kind)", "items_kind"),
    ("CREATE INDEX CONCURRENTLY ON items (kind)", "items_kind_idx"),
    ("CREATE UNIQUE INDEX CONCURRENTLY ON ONLY items USING btree (id)", "items_id_idx"),
    ('CREATE INDEX CONCURRENTLY "Items" ON "public".Items (kind) WHERE kind > 3', '"Items"'),
]


def waits_for_others(connection: psycopg.Connection[Any], text: str) -> Callable[[], int | None]:
    """Whether the statement, tagged, waits for other transactions: it is in its middle."""
    query = """
    SELECT pid FROM pg_stat_activity
    WHERE starts_with(query, %s) AND wait_event_type = 'Lock' AND wait_event = 'virtualxid'
    """

    def look() -> int | None:
        row = connection.execute(query, (f"/* 0001:1 */ {text}",)).fetchone()
        return row[0] if row else None

    return look


@pytest.mark.parametrize(("text", "index"), BUILDS)
def test_an_index_that_was_built_is_done(
    database: Database, items: psycopg.Connection[Any], text: str, index: str
) -> None:
    seen = database.evidence(command(text))
    assert database.settle(command(text), seen).outcome is Outcome.NOT_DONE
    run(database, text)
    assert indexes(items, "items") == {index: True}
    assert database.settle(command(text), seen).outcome is Outcome.DONE


@pytest.mark.parametrize(("text", "index"), BUILDS)
def test_an_index_whose_runner_and_backend_died_is_dropped_and_built_again(
    database: Database, items: psycopg.Connection[Any], postgres_url: str, text: str, index: str
) -> None:
    seen = database.evidence(command(text))
    waiting = waits_for_others(items, text)
    with (
        application_transaction(postgres_url, "UPDATE items SET kind = 0 WHERE id = 1"),
        killed_in_the_middle(postgres_url, text, until=waiting),
    ):
        terminate(items, eventually(waiting))
    assert indexes(items, "items") == {index: False}
    finding = database.settle(command(text), seen)
    assert finding.outcome is Outcome.NOT_DONE
    assert "dropped" in finding.reason
    assert indexes(items, "items") == {}
    run(database, text)
    assert indexes(items, "items") == {index: True}


def test_an_index_whose_runner_alone_died_is_built_by_its_backend(
    database: Database, items: psycopg.Connection[Any], postgres_url: str
) -> None:
    seen = database.evidence(command(BUILD))
    with application_transaction(postgres_url, "UPDATE items SET kind = 0 WHERE id = 1") as application:
        pid = application.info.backend_pid
        with killed_in_the_middle(postgres_url, BUILD, until=waits_for_others(items, BUILD)):
            activity = eventually(lambda: database.activity("0001:1"))
            assert activity.stage == f"waiting for writers before build (pid {pid})"
            assert activity.elapsed > 0
            assert database.settle(command(BUILD), seen).outcome is Outcome.UNKNOWN
            with pytest.raises(LockHeld, match="lock"), database.lock(0, print):
                pass
    with database.lock(30, print):
        assert database.activity("0001:1") is None
        assert database.settle(command(BUILD), seen).outcome is Outcome.DONE


def test_a_build_that_failed_is_cleared_away(database: Database, items: psycopg.Connection[Any]) -> None:
    text = "CREATE UNIQUE INDEX CONCURRENTLY items_kind ON items (kind)"
    seen = database.evidence(command(text))
    with pytest.raises(Refused):
        run(database, text)
    assert indexes(items, "items") == {"items_kind": False}
    assert database.settle(command(text), seen).outcome is Outcome.NOT_DONE
    assert indexes(items, "items") == {}


def test_a_build_outlasts_the_lock_timeout(
    database: Database, items: psycopg.Connection[Any], postgres_url: str
) -> None:
    with application_transaction(postgres_url, "UPDATE items SET kind = 0 WHERE id = 1") as application:
        build = command(BUILD, tag="0001:1", lock_timeout=0.1)
        with in_background(lambda: database.run(build)) as raised:
            eventually(waits_for_others(items, BUILD))
            time.sleep(0.3)
            application.rollback()
    assert raised == []
    assert indexes(items, "items") == {"items_kind": True}


def test_an_index_that_was_invalid_before_is_for_a_person(database: Database, items: psycopg.Connection[Any]) -> None:
    seen = database.evidence(command(BUILD))
    with pytest.raises(psycopg.errors.UniqueViolation):
        items.execute("CREATE UNIQUE INDEX CONCURRENTLY items_kind ON items (kind)")
    text = BUILD.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS")
    for build in (BUILD, text):
        with pytest.raises(Refused) as caught:
            database.evidence(command(build))
        assert "DROP INDEX CONCURRENTLY public.items_kind;" in caught.value.said
    [(oid,)] = database.query("SELECT 'items_kind'::regclass::oid::bigint")
    seen["indexes"][str(oid)] = ["items_kind", False, ""]
    finding = database.settle(command(BUILD), seen)
    assert finding.outcome is Outcome.UNKNOWN
    assert "DROP INDEX CONCURRENTLY public.items_kind;" in finding.reason
    assert indexes(items, "items") == {"items_kind": False}


def test_an_index_that_was_valid_before_is_left_alone(database: Database, items: psycopg.Connection[Any]) -> None:
    run(database, BUILD)
    seen = database.evidence(command(BUILD))
    assert database.settle(command(BUILD), seen).outcome is Outcome.NOT_DONE
    assert indexes(items, "items") == {"items_kind": True}


def test_several_new_indexes_are_not_guessed_about(database: Database, items: psycopg.Connection[Any]) -> None:
    text = "CREATE INDEX CONCURRENTLY ON items (kind)"
    seen = database.evidence(command(text))
    run(database, text, text)
    assert database.settle(command(text), seen).outcome is Outcome.UNKNOWN


def test_an_index_is_found_again_under_another_search_path(database: Database, items: psycopg.Connection[Any]) -> None:
    seen = database.evidence(command(BUILD))
    run(database, BUILD, "SET search_path = pg_catalog")
    assert database.settle(command(BUILD), seen).outcome is Outcome.DONE


def test_a_dropped_index_is_done_and_a_half_dropped_one_is_dropped_again(
    database: Database, items: psycopg.Connection[Any], postgres_url: str
) -> None:
    drop = "DROP INDEX CONCURRENTLY items_kind"
    run(database, BUILD)
    seen = database.evidence(command(drop))
    waiting = waits_for_others(items, drop)
    with (
        application_transaction(postgres_url, "UPDATE items SET kind = 0 WHERE id = 1"),
        killed_in_the_middle(postgres_url, drop, until=waiting),
    ):
        terminate(items, eventually(waiting))
    assert indexes(items, "items") == {"items_kind": False}
    assert database.settle(command(drop), seen).outcome is Outcome.NOT_DONE
    run(database, drop)
    assert database.settle(command(drop), seen).outcome is Outcome.DONE
    assert database.settle(command(drop), database.evidence(command(drop))).outcome is Outcome.NOT_DONE


@pytest.mark.parametrize(
    "text",
    [
        "REINDEX INDEX CONCURRENTLY items_kind",
        "REINDEX TABLE CONCURRENTLY items",
        "REINDEX (CONCURRENTLY) SCHEMA public",
    ],
)
def test_a_rebuild_that_died_leaves_no_twins(
    database: Database, items: psycopg.Connection[Any], postgres_url: str, text: str
) -> None:
    run(database, BUILD)
    seen = database.evidence(command(text))
    waiting = waits_for_others(items, text)
    with (
        application_transaction(postgres_url, "UPDATE items SET kind = 0 WHERE id = 1"),
        killed_in_the_middle(postgres_url, text, until=waiting),
    ):
        terminate(items, eventually(waiting))
    assert indexes(items, "items") == {"items_kind": True, "items_kind_ccnew": False}
    finding = database.settle(command(text), seen)
    assert finding.outcome is Outcome.NOT_DONE
    assert "public.items_kind_ccnew" in finding.reason
    assert indexes(items, "items") == {"items_kind": True}
    run(database, text)


def test_twins_of_other_tables_are_left_alone(database: Database, items: psycopg.Connection[Any]) -> None:
    text = "REINDEX TABLE CONCURRENTLY items"
    items.execute("CREATE TABLE others AS SELECT 1 AS a FROM generate_series(1, 2)")
    seen = database.evidence(command(text))
    with pytest.raises(psycopg.errors.UniqueViolation):
        items.execute("CREATE UNIQUE INDEX CONCURRENTLY others_a_ccnew ON others (a)")
    database.settle(command(text), seen)
    assert indexes(items, "others") == {"others_a_ccnew": False}


def test_a_half_detached_partition_is_detached_to_the_end(
    database: Database, items: psycopg.Connection[Any], postgres_url: str
) -> None:
    run(
        database,
        "CREATE TABLE p (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)",
    )
    detach = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"
    seen = database.evidence(command(detach))
    assert database.settle(command(detach), seen).outcome is Outcome.NOT_DONE
    waiting = waits_for_others(items, detach)
    with (
        application_transaction(postgres_url, "SELECT * FROM p"),
        killed_in_the_middle(postgres_url, detach, until=waiting),
    ):
        terminate(items, eventually(waiting))
    assert items.execute("SELECT inhdetachpending FROM pg_inherits").fetchall() == [(True,)]
    run(database, "SET search_path = pg_catalog")
    assert database.settle(command(detach), seen).outcome is Outcome.DONE
    assert items.execute("SELECT inhdetachpending FROM pg_inherits").fetchall() == []
    assert database.settle(command(detach), seen).outcome is Outcome.DONE


def test_databases_tablespaces_and_subscriptions_are_looked_up(database: Database, postgres: PostgresServer) -> None:
    place = postgres.data.parent / "place"
    place.mkdir()
    os.chown(place, postgres.data.stat().st_uid, postgres.data.stat().st_gid)
    subscription = "CREATE SUBSCRIPTION one CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)"
    for create, drop in (
        ("CREATE DATABASE Made", "DROP DATABASE made"),
        (f"CREATE TABLESPACE made LOCATION '{place}'", "DROP TABLESPACE IF EXISTS made"),
        (subscription, "DROP SUBSCRIPTION one"),
    ):
        absent = database.evidence(command(create))
        assert database.settle(command(create), absent).outcome is Outcome.NOT_DONE
        assert database.settle(command(drop), database.evidence(command(drop))).outcome is Outcome.NOT_DONE
        run(database, create)
        assert database.settle(command(create), absent).outcome is Outcome.DONE
        present = database.evidence(command(drop))
        assert database.settle(command(drop), present).outcome is Outcome.NOT_DONE
        assert database.settle(command(create), present).outcome is Outcome.NOT_DONE
        if create is subscription:
            run(database, "ALTER SUBSCRIPTION one SET (slot_name = NONE)")
            add = "ALTER SUBSCRIPTION one ADD PUBLICATION q WITH (refresh = false)"
            seen = database.evidence(command(add))
            assert database.settle(command(add), seen).outcome is Outcome.NOT_DONE
            run(database, add)
            assert database.settle(command(add), seen).outcome is Outcome.DONE
        run(database, drop)
        assert database.settle(command(drop), present).outcome is Outcome.DONE


def test_repeatable_statements_are_repeated_and_others_left_to_a_person(database: Database) -> None:
    for text in ("VACUUM", "REINDEX SCHEMA public", "CLUSTER", "ALTER SYSTEM RESET work_mem", "SET a.b = 1"):
        assert database.settle(command(text), database.evidence(command(text))).outcome is Outcome.NOT_DONE
        run(database, text)
    for text in ("COMMIT PREPARED 'x'", "INSERT INTO t VALUES (1)"):
        assert database.settle(command(text), {}).outcome is Outcome.UNKNOWN


# --- watching -------------------------------------------------------------------------------------------------


def test_a_long_statement_in_a_transaction_shows_its_progress(
    database: Database, items: psycopg.Connection[Any]
) -> None:
    items.execute("INSERT INTO items SELECT i, i % 7 FROM generate_series(1001, 300000) AS i")
    items.execute(
        """
        CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE
        AS $$ BEGIN IF n % 100 = 0 THEN PERFORM pg_sleep(0.005); END IF; RETURN n; END $$
        """
    )

    def work() -> None:
        with database.transaction():
            run(database, "CREATE INDEX slowly ON items (slow(id))")

    def scanning() -> Activity | None:
        activity = database.activity("")
        # Before the first row the server's counter says that all is done.
        return activity if activity and activity.share and activity.share < 1 else None

    with in_background(work) as raised:
        activity = eventually(scanning)
        items.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index")
    assert activity.stage == "building index: scanning table"
    assert type(raised[0]) is Refused
    assert database.activity("") is None


def test_a_statement_of_another_tag_is_not_taken_for_ours(database: Database) -> None:
    with in_background(lambda: database.run(command("SELECT pg_sleep(1)", tag="0001:1:*/"))):
        assert eventually(lambda: database.activity("0001:1:*/"))
        assert database.activity("0001:1:") is None
        assert database.activity("0002:1") is None


def test_watching_survives_the_loss_of_its_connection(database: Database, other: psycopg.Connection[Any]) -> None:
    assert database.holders() == []
    observers = """
    SELECT pid FROM pg_stat_activity
    WHERE starts_with(application_name, 'stepwell') AND datname = current_database() AND pid <> %s
    """
    [(working,)] = database.query("SELECT pg_backend_pid()")
    [(pid,)] = other.execute(observers, (working,)).fetchall()
    terminate(other, pid)
    assert database.activity("") is None
    assert database.holders() == []
    assert len(other.execute(observers, (working,)).fetchall()) == 1


def test_the_adapter_is_found_by_its_url(postgres_url: str, tmp_path: Path) -> None:
    database: Database = open_database("state", postgres_url, tmp_path)
    assert isinstance(database, PostgresDatabase)
    assert (database.name, database.engine, database.session_lock) == ("state", "postgres", True)


def test_a_script_that_sets_another_encoding_is_recorded_under_its_own_name(tmp_path: Path, postgres_url: str) -> None:
    scripts: dict[str, str | bytes] = {
        "state/0001_café": "SET client_encoding = 'LATIN1';\nCREATE TABLE a (id INT);\n",
        "state/0002_b": "CREATE TABLE b (id INT);\n",
    }
    project = projects.make(tmp_path, {"state": postgres_url}, scripts)
    assert "applied 2, skipped 0" in projects.done(project("up"))
    assert "applied 0, skipped 2" in projects.done(project("up"))
