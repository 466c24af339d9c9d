"""What the MySQL adapter promises, kept against a real MariaDB that is really killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from servers import mariadb as mariadb_server
from servers.mariadb import PASSWORD, MariadbServer
from stepwell.databases import url
from stepwell.databases.database import Activity, Command, Conduct, Outcome
from stepwell.databases.mysql import MysqlDatabase
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Denied,
    DiskFull,
    LockHeld,
    LockLost,
    LockTimeout,
    Refused,
    StatementTimeout,
    StepwellError,
)

T = TypeVar("T")

SLOW_ALTER = "ALTER TABLE big ADD COLUMN extra INT NOT NULL DEFAULT 7, ALGORITHM=COPY"
SLOW_ROWS = 600_000


def opened(address: str) -> MysqlDatabase:
    database = MysqlDatabase("state", url.parse(address))
    database.connect()
    return database


@pytest.fixture
def db(mysql_url: str) -> Iterator[MysqlDatabase]:
    database = opened(mysql_url)
    yield database
    database.close()


@pytest.fixture
def other(mysql_url: str) -> Iterator[MysqlDatabase]:
    """Another runner on the same database."""
    database = opened(mysql_url)
    yield database
    database.close()


def run(database: MysqlDatabase, *statements: str, **options: Any) -> None:
    for text in statements:
        database.run(Command(text=text, **options))


def connection_id(database: MysqlDatabase) -> int:
    return int(database.query("SELECT CONNECTION_ID()")[0][0])


def make_big(database: MysqlDatabase) -> None:
    """A table whose copying takes seconds."""
    run(
        database,
        f"CREATE TABLE big (id INT PRIMARY KEY, t VARCHAR(100)) SELECT seq AS id, REPEAT('x', 100) AS t "
        f"FROM seq_1_to_{SLOW_ROWS}",
    )


def eventually(look: Callable[[], T | None]) -> T:
    """What `look` sees as soon as it sees something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.01)
    raise AssertionError("it never happened")


class Background:
    """A statement at work in another thread, and what it raised."""

    def __init__(self, database: MysqlDatabase, text: str, **options: Any) -> None:
        self.error: StepwellError | None = None
        self._thread = threading.Thread(target=self._run, args=(database, Command(text=text, **options)))
        self._thread.start()

    def _run(self, database: MysqlDatabase, command: Command) -> None:
        try:
            database.run(command)
        except StepwellError as error:
            self.error = error

    def ended(self) -> StepwellError | None:
        self._thread.join()
        return self.error


# --- connecting ---------------------------------------------------------------------------------------------


def refused(address: str) -> CannotConnect:
    with pytest.raises(CannotConnect) as caught:
        opened(address)
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_a_wrong_password_is_named_and_never_shown(mysql_url: str) -> None:
    error = refused(mysql_url.replace(PASSWORD, "not-the-one"))
    assert "password" in error.do
    assert "not-the-one" not in str(error)


def test_an_unknown_database_comes_with_the_statement_that_makes_it(mariadb: MariadbServer) -> None:
    error = refused(mariadb.url("nowhere"))
    assert error.do == "Create it: CREATE DATABASE `nowhere` CHARACTER SET utf8mb4;"


def test_a_port_where_nobody_listens_is_named(mysql_url: str) -> None:
    parts = url.parse(mysql_url)
    error = refused(f"mysql://{parts.user}:{parts.password}@127.0.0.1:1/{parts.database}")
    assert "127.0.0.1:1" in error.said
    assert "Start the server" in error.do


def test_a_host_without_an_address_is_named(mysql_url: str) -> None:
    error = refused(mysql_url.replace("127.0.0.1", "no-such-host.invalid"))
    assert "no-such-host.invalid" in error.do


def test_a_user_without_rights_is_told_the_grant(mariadb: MariadbServer, mysql_url: str) -> None:
    mariadb.execute("CREATE OR REPLACE USER visitor@'%' IDENTIFIED BY 'v1sit'")
    parts = url.parse(mysql_url)
    error = refused(f"mysql://visitor:v1sit@127.0.0.1:{parts.port}/{parts.database}")
    assert f"GRANT ALL ON `{parts.database}`.* TO 'visitor'@'%'" in error.do


def test_a_password_outside_latin_1_works(mariadb: MariadbServer, mysql_url: str) -> None:
    mariadb.execute("CREATE OR REPLACE USER poet@'%' IDENTIFIED BY 'żółw 井'")
    mariadb.execute("GRANT ALL ON *.* TO poet@'%'")
    parts = url.parse(mysql_url)
    opened(f"mysql://poet:ż%C3%B3łw%20井@127.0.0.1:{parts.port}/{parts.database}").close()


def test_without_the_driver_the_package_to_install_is_named(mysql_url: str) -> None:
    script = f"""
import sys
sys.modules["pymysql"] = None
from stepwell.databases import url
from stepwell.databases.mysql import MysqlDatabase
MysqlDatabase("state", url.parse({mysql_url!r})).connect()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT)
    assert "CannotConnect" in ended.stderr
    assert 'pip install "stepwell[mysql]"' in ended.stderr


def test_importing_the_adapter_does_not_import_the_driver() -> None:
    script = "import sys; import stepwell.databases.mysql; assert 'pymysql' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, env=ENVIRONMENT)


def test_an_unknown_option_in_the_url_is_refused(mysql_url: str) -> None:
    assert "charset" in refused(mysql_url + "?charset=latin1").said


def test_tls_is_used_where_the_server_offers_it_and_its_authority_is_verified_where_one_is_named(
    tmp_path: Path,
) -> None:
    right, wrong = trustme.CA(), trustme.CA()
    for authority, name in ((right, "right.pem"), (wrong, "wrong.pem")):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    certificate = right.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    server = mariadb_server.start(tmp_path / "server")
    try:
        address = server.new_database()
        cipher = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
        with closing(opened(address)) as plain:
            assert plain.query(cipher) == [("Ssl_cipher", "")]
        with pytest.raises(CannotConnect):
            opened(f"{address}?ssl-ca={tmp_path / 'right.pem'}")
        server.settings += (f"--ssl-cert={tmp_path / 'server.pem'}", f"--ssl-key={tmp_path / 'server.pem'}")
        server.restart()
        for options in ("", f"?ssl-ca={tmp_path / 'right.pem'}"):
            with closing(opened(address + options)) as encrypted:
                assert encrypted.query(cipher)[0][1].startswith("TLS")
        with pytest.raises(CannotConnect):
            opened(f"{address}?ssl-ca={tmp_path / 'wrong.pem'}")
    finally:
        server.stop()


def test_every_verb_on_a_closed_database_says_so(mysql_url: str) -> None:
    database = opened(mysql_url)
    database.close()
    with pytest.raises(ConnectionLost):
        database.query("SELECT 1")
    assert database.holders() == []
    database.close()


# --- statements ---------------------------------------------------------------------------------------------


def test_question_marks_are_placeholders_only_outside_of_quotes(db: MysqlDatabase) -> None:
    rows = db.query("SELECT '?', `?`.c, ?, 5 % 3, '100%' /* ? */ FROM (SELECT 1 AS c) AS `?`", ("a'b%s",))
    assert rows == [("?", 1, "a'b%s", 2, "100%")]
    assert db.query("SELECT '?%s', 5 % 3") == [("?%s", 2)]


@given(value=st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**63), 2**63 - 1) | st.none())
def test_any_value_comes_back_as_it_was_sent(shared: MysqlDatabase, value: str | int | None) -> None:
    assert shared.query("SELECT ?", (value,)) == [(value,)]


def test_the_session_speaks_utf8mb4_and_utc(db: MysqlDatabase) -> None:
    assert db.query("SELECT @@character_set_client, @@time_zone, @@autocommit") == [("utf8mb4", "+00:00", 1)]
    assert db.query("SELECT '🐘'") == [("🐘",)]


def test_a_statement_with_several_results_is_read_to_its_end(db: MysqlDatabase) -> None:
    run(db, "CREATE PROCEDURE three() BEGIN SELECT 1; SELECT seq FROM seq_1_to_1000; SELECT 3; END")
    run(db, "CALL three()", tag="a tag")
    assert db.query("SELECT 4") == [(4,)]


def test_parameters_and_a_tag_go_together(db: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (a VARCHAR(20))")
    run(db, "INSERT INTO t VALUES (?)", parameters=("5 % of ?",), tag="100 % */ sure?")
    assert db.query("SELECT a FROM t") == [("5 % of ?",)]


def test_a_transaction_commits_as_one_and_leaves_nothing_after_an_error(
    db: MysqlDatabase, other: MysqlDatabase
) -> None:
    run(db, "CREATE TABLE t (id INT PRIMARY KEY)")
    with db.transaction():
        run(db, "INSERT INTO t VALUES (1)")
        assert other.query("SELECT * FROM t") == []
    with pytest.raises(Refused), db.transaction():
        run(db, "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (1)")
    assert db.query("SELECT * FROM t") == other.query("SELECT * FROM t") == [(1,)]


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "ORACLE"])
@pytest.mark.parametrize("compound", [True, False], ids=["one round trip", "as MySQL is sent it"])
def test_what_is_added_in_a_transaction_is_all_there_or_not_at_all_whatever_it_holds(
    db: MysqlDatabase, other: MysqlDatabase, mode: str, compound: bool
) -> None:
    db._connection.mariadb = compound  # the other way is sent to servers that are not installed here
    run(db, "CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR(100))", f"SET sql_mode = '{mode}'")
    texts = ["it's; -- %s %", "\\'; COMMIT; END", '"`?` /* \n', "END\0é"]
    add = "\nINSERT INTO t VALUES (?, ?)\n"
    with db.transaction():
        for number, text in enumerate(texts):
            db.add(add, (number, text))
        assert other.query("SELECT * FROM t") == []
    assert other.query("SELECT text FROM t ORDER BY id") == [(text,) for text in texts]
    with pytest.raises(Refused), db.transaction():
        db.add(add, (10, ""))
        db.add(add, (0, ""))
    assert not db.in_transaction
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.add(add, (11, ""))
        assert db.query("SELECT count(*) FROM t") == [(len(texts) + 1,)]
        raise ZeroDivisionError
    assert db.query("SELECT count(*) FROM t") == other.query("SELECT count(*) FROM t") == [(len(texts),)]


def test_what_a_script_begins_by_itself_never_keeps_our_records_from_being_committed(
    db: MysqlDatabase, other: MysqlDatabase
) -> None:
    run(db, "CREATE TABLE t (id INT)")
    for begins in ("START TRANSACTION", "SET autocommit = 0", "BEGIN WORK", "LOCK TABLES t READ"):
        assert db.conduct(Command(text=begins)) is Conduct.REPEATABLE
        run(db, begins)
        db.query("INSERT INTO t VALUES (1)")
        assert other.query("SELECT COUNT(*) FROM t") == [(1,)], begins
        db.query("DELETE FROM t")


def test_bulk_rows_arrive_exactly_even_through_small_packets(mariadb: MariadbServer, mysql_url: str) -> None:
    mariadb.execute("SET GLOBAL max_allowed_packet = 8192")
    try:
        db = opened(mysql_url)
        run(db, "CREATE TABLE `odd name` (id INT PRIMARY KEY, `a``b` TEXT)")
        rows = [(number, f"100% ? '{'é' * (number % 700)}") for number in range(3000)]
        db.insert("`odd name`", ["id", "a`b"], rows)
        assert db.query("SELECT * FROM `odd name` ORDER BY id") == rows
        db.insert("`odd name`", ["id"], [])
        db.close()
    finally:
        mariadb.execute("SET GLOBAL max_allowed_packet = DEFAULT")


def test_columns_come_in_order_and_are_none_without_the_table(db: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (b INT, a INT)")
    assert db.columns("t") == ["b", "a"]
    assert db.columns("absent") == db.columns("nowhere.t") == []
    assert db.columns(f"{db.query('SELECT DATABASE()')[0][0]}.t") == ["b", "a"]


def test_the_tracking_tables_take_a_row_that_names_only_its_version(db: MysqlDatabase) -> None:
    for _ in range(2):
        for statement in db.tracking_tables():
            db.query(statement)
    assert db.columns("schema_migrations") == [
        *("version", "checksum", "applied_at", "applied_by", "duration", "statements", "tool", "layout")
    ]
    assert db.columns("schema_migrations_journal") == [
        *("seq", "at", "run", "who", "version", "direction", "position", "event", "checksum", "tag"),
        *("evidence", "note"),
    ]
    for version in ("0001_a", "0001_A", "0001_á"):  # three versions, not one
        db.query("INSERT INTO schema_migrations (version) VALUES (?)", (version,))
    db.query("INSERT INTO schema_migrations_journal (seq) VALUES (1)")
    assert (
        db.query("SELECT checksum, applied_by, duration, statements, tool, layout FROM schema_migrations")
        == [("", "", 0.0, 0, "", 1)] * 3
    )


# --- errors -------------------------------------------------------------------------------------------------


def failure(database: MysqlDatabase, text: str, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        database.run(Command(text=text, **options))
    return caught.value


def test_a_syntax_error_points_at_its_place(db: MysqlDatabase) -> None:
    text = "SELECT 1,\n  2 FROMM\n  t"
    error = failure(db, text, tag="tagged")
    assert (type(error), error.code) == (Refused, "1064")
    assert error.position is not None
    assert text[error.position :].startswith("t")


def test_an_error_carries_the_servers_code_and_words(db: MysqlDatabase) -> None:
    error = failure(db, "SELECT * FROM absent")
    assert (error.code, type(error)) == ("1146", Refused)
    assert "doesn't exist" in error.said
    assert db.query("SELECT 1") == [(1,)]


def test_a_full_table_is_a_full_disk(db: MysqlDatabase) -> None:
    run(db, "SET max_heap_table_size = 16384", "CREATE TABLE full (a CHAR(200)) ENGINE=MEMORY")
    assert isinstance(failure(db, "INSERT INTO full SELECT seq FROM seq_1_to_100000"), DiskFull)


def test_a_statement_that_takes_too_long_is_ended_by_the_server(db: MysqlDatabase) -> None:
    make_big(db)
    assert isinstance(failure(db, SLOW_ALTER, timeout=0.2), StatementTimeout)
    run(db, "SELECT SLEEP(0.3)")  # the limit was for one statement


def test_a_missing_privilege_is_denied(mariadb: MariadbServer, mysql_url: str) -> None:
    parts = url.parse(mysql_url)
    mariadb.execute("CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'r3ad'")
    mariadb.execute(f"GRANT SELECT ON `{parts.database}`.* TO reader@'%'")
    reader = opened(f"mysql://reader:r3ad@127.0.0.1:{parts.port}/{parts.database}")
    assert isinstance(failure(reader, "CREATE TABLE t (id INT)"), Denied)
    reader.close()


def test_a_lock_timeout_names_who_is_in_the_way(db: MysqlDatabase, other: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1)")
    holder = f"connection {connection_id(other)} stepwell@127.0.0.1: sleeping, in transaction for "
    for text, blocking in (
        ("ALTER TABLE t ADD COLUMN c INT", "SELECT * FROM t"),  # a metadata lock
        ("UPDATE t SET n = 3", "UPDATE t SET n = 2"),  # a row's lock
    ):
        with other.transaction():
            other.query(blocking)
            blocked = Background(db, text, lock_timeout=1)
            assert any(line.startswith(holder) for line in eventually(db.holders)), text
            assert isinstance(blocked.ended(), LockTimeout)
    assert db.holders() == []


def test_the_metadata_lock_plugin_names_a_holder_without_a_transaction(
    mariadb: MariadbServer, db: MysqlDatabase, other: MysqlDatabase
) -> None:
    run(db, "CREATE TABLE t (id INT)", "CREATE TABLE quiet (id INT)")
    mariadb.execute("INSTALL SONAME 'metadata_lock_info'")
    try:
        other.query("LOCK TABLES t READ")
        blocked = Background(db, "ALTER TABLE t ADD COLUMN c INT", lock_timeout=1)
        assert [line.partition(":")[0] for line in eventually(db.holders)] == [
            f"connection {connection_id(other)} stepwell@127.0.0.1"
        ]
        assert isinstance(blocked.ended(), LockTimeout)
    finally:
        other.query("UNLOCK TABLES")
        mariadb.execute("UNINSTALL SONAME 'metadata_lock_info'")


def test_a_deadlock_is_a_lock_timeout(db: MysqlDatabase, other: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    errors: list[StepwellError | None] = []
    with ExitStack() as stack:
        for database in (db, other):
            stack.enter_context(database.transaction())
        run(db, "UPDATE t SET n = 1 WHERE id = 1")
        run(other, "UPDATE t SET n = 1 WHERE id = 2")
        waiting = Background(db, "UPDATE t SET n = 1 WHERE id = 2")
        eventually(db.holders)
        errors.append(Background(other, "UPDATE t SET n = 1 WHERE id = 1").ended())
        errors.append(waiting.ended())
    assert sorted(type(error).__name__ for error in errors) == ["LockTimeout", "NoneType"]


# --- the session --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "variable"),
    [
        ("SET sql_mode = 'ANSI', @mine = 1, SESSION sort_buffer_size = 65536", "@@sql_mode, @@sort_buffer_size"),
        ("/*!40101 SET @OLD_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", "@@sql_mode"),
        ("SET NAMES latin1", "@@character_set_client, @@character_set_results, @@collation_connection"),
        ("SET @@session.foreign_key_checks = 0, time_zone = '+05:00'", "@@foreign_key_checks, @@time_zone"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "@@tx_isolation"),
        ("SET lock_wait_timeout = 77", "@@lock_wait_timeout"),
        ("SET timestamp = 1000000000", "NOW() < '2020-01-01'"),
        ("USE information_schema", "DATABASE()"),
    ],
)
def test_reset_undoes_what_a_script_set(db: MysqlDatabase, statement: str, variable: str) -> None:
    before = db.query(f"SELECT {variable}")
    assert db.conduct(Command(text=statement)) is Conduct.SESSION
    run(db, statement)
    assert db.query(f"SELECT {variable}") != before
    db.reset()
    assert db.query(f"SELECT {variable}") == before


def test_reset_takes_temporary_tables_away_and_keeps_the_lock(db: MysqlDatabase) -> None:
    command = Command(text="CREATE TEMPORARY TABLE t (id INT)")
    with db.lock(0, print):
        assert db.conduct(command) is Conduct.SESSION
        db.run(command)
        db.reset()
        assert db.columns("t") == []
        db.assert_locked()


# --- the migration lock -------------------------------------------------------------------------------------


def test_the_lock_is_for_one_at_a_time_and_names_its_holder(db: MysqlDatabase, other: MysqlDatabase) -> None:
    heard: list[str] = []
    with other.lock(0, heard.append):
        other.assert_locked()
        with pytest.raises(LockHeld) as caught, db.lock(0.3, heard.append):
            pass
        with pytest.raises(LockLost):
            db.assert_locked()
    holder = f"connection {connection_id(other)} stepwell@127.0.0.1: sleeping"
    assert caught.value.said.startswith(f"held by {holder}")
    assert [line.startswith(holder) for line in heard] == [True]
    with db.lock(0, heard.append):
        db.assert_locked()


def test_the_lock_goes_to_who_waits_for_it(db: MysqlDatabase, other: MysqlDatabase) -> None:
    with ExitStack() as stack:
        stack.enter_context(other.lock(0, print))
        threading.Timer(0.3, stack.close).start()
        with db.lock(60, lambda _: None):
            db.assert_locked()


def test_each_database_has_a_lock_of_its_own(mariadb: MariadbServer) -> None:
    names = ["a" * 60 + "_one", "a" * 60 + "_two"]
    for name in names:
        mariadb.execute(f"CREATE OR REPLACE DATABASE {name}")
    one, two = (opened(mariadb.url(name)) for name in names)
    with one.lock(0, print), two.lock(0, print):
        one.assert_locked()
        two.assert_locked()
    one.close()
    two.close()


def test_a_killed_connection_has_lost_the_lock(mariadb: MariadbServer, db: MysqlDatabase) -> None:
    with db.lock(0, print):
        mariadb.execute(f"KILL {connection_id(db)}")
        with pytest.raises(LockLost):
            db.assert_locked()
    db.connect()
    with db.lock(5, print):
        db.assert_locked()


# --- how a statement behaves --------------------------------------------------------------------------------

CONDUCTS: dict[Conduct, list[str]] = {
    Conduct.TRANSACTIONAL: [
        "INSERT INTO inno VALUES (1)",
        "insert ignore into `inno` (id) select 1",
        "REPLACE INTO inno VALUES (1)",
        "/*!40000 INSERT INTO inno VALUES (1) */",
        "UPDATE inno SET id = 2",
        "UPDATE inno AS a JOIN (SELECT id FROM mine) b ON a.id = b.id SET a.id = 3",
        "DELETE FROM inno",
        "DELETE a FROM inno AS a JOIN inno AS b USING (id) WHERE a.id > 1",
        "DELETE FROM a USING inno AS a WHERE a.id = 1",
        "WITH few AS (SELECT 1 AS id) SELECT * FROM few",
        "LOAD DATA INFILE '/x' INTO TABLE inno",
        "INSERT INTO made_later VALUES (1)",
        "UPDATE inno JOIN tmp ON inno.id = tmp.id SET inno.id = 1",
        "(SELECT 1) UNION (SELECT 2)",
        "DO 1",
        "SET STATEMENT max_statement_time = 5 FOR DELETE FROM inno",
        "SELECT 'INTO @x'",
        "EXPLAIN SELECT 1",
    ],
    Conduct.SESSION: [
        "SET @a = 1",
        "/*!40101 SET NAMES utf8mb4 */",
        "USE mysql",
        "CREATE TEMPORARY TABLE x (id INT)",
        "CREATE OR REPLACE TEMPORARY TABLE x (id INT)",
        "DROP TEMPORARY TABLE IF EXISTS x",
        "INSERT INTO tmp VALUES (1)",
        "UPDATE tmp SET id = 1",
        "SELECT MAX(id) INTO @top FROM inno",
        "SELECT @top := 1",
        "SELECT GET_LOCK('x', 1)",
        "PREPARE p FROM 'SELECT 1'",
        "DEALLOCATE PREPARE p",
    ],
    Conduct.VISIBLE: [
        "CREATE TABLE x (id INT)",
        "CREATE TABLE x AS SELECT 1 AS id",
        "ALTER TABLE inno ADD COLUMN c INT",
        "/* hello */ DROP TABLE inno",
        "CREATE UNIQUE INDEX i ON inno (id)",
        "DROP INDEX i ON inno",
        "RENAME TABLE inno TO x",
        "TRUNCATE inno",
        "CREATE DEFINER=`root`@`localhost` TRIGGER g BEFORE INSERT ON inno FOR EACH ROW SET NEW.id = 1",
        "/*!50003 CREATE*/ /*!50020 DEFINER=`a`@`%`*/ /*!50003 PROCEDURE p() SELECT 1 */",
        "CREATE USER 'someone'@'%' IDENTIFIED BY 'x'",
        "REVOKE SELECT ON *.* FROM someone@'%'",
        "CREATE OR REPLACE TABLE inno (id INT)",
        "DROP DATABASE x",
    ],
    Conduct.REPEATABLE: [
        "GRANT SELECT ON *.* TO someone@'%'",
        "ANALYZE TABLE inno",
        "OPTIMIZE TABLE inno",
        "FLUSH PRIVILEGES",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "CREATE OR REPLACE DEFINER=root@localhost SQL SECURITY INVOKER VIEW v AS SELECT 1",
        "CREATE OR REPLACE PROCEDURE p() SELECT 1",
        "ALTER VIEW v AS SELECT 2",
        "SET GLOBAL max_connections = 100",
        "SET @@global.max_connections = 100",
        "SET PASSWORD FOR someone = 'x'",
        "COMMIT",
        "ALTER USER someone IDENTIFIED BY 'y'",
        "INSTALL PLUGIN IF NOT EXISTS x SONAME 'x.so'",
        "DROP SERVER IF EXISTS s",
    ],
    Conduct.OPAQUE: [
        "INSERT INTO mine VALUES (1)",
        "UPDATE inno JOIN mine ON inno.id = mine.id SET mine.id = 1",
        "DELETE FROM v",
        "CALL p()",
        "EXECUTE p",
        "EXECUTE IMMEDIATE 'DROP TABLE inno'",
        "BEGIN NOT ATOMIC INSERT INTO inno VALUES (1); END",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "ANALYZE UPDATE inno SET id = 1",
        "ALTER TABLE inno DISCARD TABLESPACE",
        "SOMETHING NEW",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'x')",
        "INSERT INTO inno VALUES ('unclosed",
        "",
    ],
}


def test_each_statement_is_known_for_what_a_crash_would_leave(db: MysqlDatabase) -> None:
    run(db, "CREATE TABLE inno (id INT)", "CREATE TABLE mine (id INT) ENGINE=MyISAM")
    run(db, "CREATE VIEW v AS SELECT * FROM mine", "CREATE TEMPORARY TABLE tmp (id INT)")
    wrong = [
        (text, expected.name, conduct.name)
        for expected, statements in CONDUCTS.items()
        for text in statements
        if (conduct := db.conduct(Command(text=text))) is not expected
    ]
    assert wrong == []


def test_rows_of_a_temporary_table_that_is_not_made_yet_belong_to_the_session(db: MysqlDatabase) -> None:
    assert db.conduct(Command(text="CREATE TEMPORARY TABLE soon (id INT)")) is Conduct.SESSION
    assert db.conduct(Command(text="INSERT INTO soon VALUES (1)")) is Conduct.SESSION


def test_a_large_insert_is_understood_by_its_head(db: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (a INT, b TEXT)")
    rows = ", ".join(f"({number}, 'it''s')" for number in range(50_000))
    assert db.conduct(Command(text=f"INSERT INTO t VALUES {rows}")) is Conduct.TRANSACTIONAL


@pytest.mark.parametrize(
    ("text", "creates", "renames"),
    [
        ("CREATE TABLE IF NOT EXISTS `items` (id INT)", "items", []),
        ("CREATE TABLE app.items LIKE other", "app.items", []),
        ("CREATE TABLE `odd name` (id INT)", "`odd name`", []),
        ("CREATE TEMPORARY TABLE items (id INT)", None, []),
        ("CREATE VIEW items AS SELECT 1", None, []),
        ("RENAME TABLE items TO items_old, items_new TO items", None, ["items", "items_new"]),
        ("ALTER TABLE items_new ADD COLUMN c INT, RENAME TO items", None, ["items_new"]),
        ("ALTER TABLE items RENAME COLUMN a TO b", None, []),
        ("ALTER TABLE items RENAME INDEX a TO b, RENAME KEY c TO d", None, []),
        ("RENAME USER a TO b", None, []),
    ],
)
def test_made_and_renamed_tables_are_told(text: str, creates: str | None, renames: list[str]) -> None:
    database = MysqlDatabase("state", url.parse("mysql://u@h/d"))
    assert database.creates(Command(text=text)) == creates
    assert database.renames(Command(text=text)) == renames


# --- what became of a statement -----------------------------------------------------------------------------

SCHEMA = [
    "CREATE TABLE parent (id INT AUTO_INCREMENT PRIMARY KEY, n INT, KEY by_n (n))",
    "INSERT INTO parent (n) VALUES (1), (2)",
    "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES parent (id))",
    "CREATE TABLE loose (id INT, a VARCHAR(10))",
    "INSERT INTO loose VALUES (1, 'x')",
    "CREATE TABLE parts (id INT) PARTITION BY RANGE (id)"
    " (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
    "INSERT INTO parts VALUES (1), (11)",
    "CREATE TABLE single (id INT)",
    "CREATE VIEW v AS SELECT id FROM parent",
    "CREATE TRIGGER trigger_a BEFORE INSERT ON loose FOR EACH ROW SET NEW.a = 'y'",
    "CREATE PROCEDURE procedure_a() SELECT 1",
    "CREATE FUNCTION function_a() RETURNS INT RETURN 1",
    "CREATE EVENT event_a ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
    "CREATE SEQUENCE sequence_a",
    "CREATE OR REPLACE DATABASE other_a",
    "DROP DATABASE IF EXISTS other_b",
    "CREATE OR REPLACE USER user_a@'%' IDENTIFIED BY 'x'",
    "GRANT SELECT ON *.* TO user_a@'%'",
    "DROP USER IF EXISTS user_b@'%', user_c@'%'",
    "CREATE OR REPLACE ROLE role_a",
    "DROP ROLE IF EXISTS role_b",
]

CHANGES = [
    "CREATE TABLE fresh (id INT)",
    "CREATE TABLE IF NOT EXISTS fresh (id INT)",
    "CREATE TABLE fresh AS SELECT * FROM loose",
    "CREATE TABLE other_a.fresh LIKE loose",
    "CREATE OR REPLACE TABLE loose (id INT, a VARCHAR(10))",
    "DROP TABLE loose",
    "DROP TABLE child, parent",
    "DROP TABLE IF EXISTS child, absent",
    "ALTER TABLE parent ADD COLUMN c INT, AUTO_INCREMENT = 50",
    "ALTER TABLE parent DROP COLUMN n",
    "ALTER TABLE parent RENAME COLUMN n TO m",
    "ALTER TABLE parent COMMENT = 'AUTO_INCREMENT=7'",
    "ALTER TABLE parent RENAME TO mother",
    "ALTER TABLE parent ADD COLUMN c INT, RENAME mother",
    "ALTER TABLE loose ENGINE=MyISAM",
    "ALTER TABLE child ADD CONSTRAINT positive CHECK (id > 0)",
    "ALTER TABLE parts DROP PARTITION p1",
    "ALTER TABLE parts TRUNCATE PARTITION p1",
    "ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE single",
    "CREATE INDEX by_a ON loose (a)",
    "CREATE INDEX IF NOT EXISTS by_a ON loose (a)",
    "DROP INDEX by_n ON parent",
    "RENAME TABLE loose TO lost",
    "RENAME TABLE parent TO mother, child TO daughter",
    "RENAME TABLE loose TO x, single TO loose, x TO single",
    "RENAME TABLE single TO other_a.single2",
    "RENAME TABLE v TO w",
    "TRUNCATE TABLE loose",
    "TRUNCATE parts",
    "CREATE VIEW w AS SELECT 1 AS one",
    "DROP VIEW v",
    "CREATE TRIGGER trigger_b AFTER INSERT ON loose FOR EACH ROW SET @x = 1",
    "DROP TRIGGER trigger_a",
    "CREATE PROCEDURE procedure_b() BEGIN DROP TABLE parent; END",
    "DROP PROCEDURE procedure_a",
    "CREATE FUNCTION function_b() RETURNS INT RETURN 1",
    "DROP FUNCTION IF EXISTS function_a",
    "CREATE EVENT event_b ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
    "ALTER EVENT event_a RENAME TO event_b",
    "DROP EVENT event_a",
    "CREATE SEQUENCE sequence_b",
    "ALTER SEQUENCE sequence_a INCREMENT BY 5",
    "DROP SEQUENCE sequence_a",
    "CREATE DATABASE other_b",
    "DROP DATABASE other_a",
    "CREATE USER user_b@'%' IDENTIFIED BY 'x'",
    "RENAME USER user_a@'%' TO user_b@'%'",
    "REVOKE SELECT ON *.* FROM user_a@'%'",
    "DROP USER user_a@'%'",
    "CREATE ROLE role_b",
    "DROP ROLE role_a",
]


def settle(database: MysqlDatabase, text: str, evidence: dict[str, Any]) -> Outcome:
    return database.settle(Command(text=text), json.loads(json.dumps(evidence))).outcome


@pytest.mark.parametrize("text", CHANGES)
def test_the_schema_tells_whether_a_change_was_made(db: MysqlDatabase, text: str) -> None:
    run(db, *SCHEMA)
    assert db.conduct(Command(text=text)) is Conduct.VISIBLE
    evidence = db.evidence(Command(text=text))
    assert settle(db, text, evidence) is Outcome.NOT_DONE
    run(db, "INSERT INTO parent (n) VALUES (3)")  # the application goes on
    assert settle(db, text, evidence) is Outcome.NOT_DONE
    run(db, text)
    assert settle(db, text, evidence) is Outcome.DONE


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE parent (id INT)",
        "CREATE VIEW v AS SELECT 2",
        "DROP TABLE absent",
        "ALTER TABLE absent ADD COLUMN c INT",
        "RENAME TABLE loose TO parent",
        "RENAME TABLE absent TO x",
        "DROP TABLE parent",  # child refers to it
        "TRUNCATE parent",
        "TRUNCATE absent",
    ],
)
def test_a_statement_that_the_server_refuses_is_not_done(db: MysqlDatabase, text: str) -> None:
    run(db, *SCHEMA)
    evidence = db.evidence(Command(text=text))
    failure(db, text)
    assert settle(db, text, evidence) is Outcome.NOT_DONE
    failure(db, text)


@pytest.mark.parametrize(
    "text",
    ["ALTER TABLE loose FORCE", "ANALYZE TABLE loose", "CREATE OR REPLACE VIEW v AS SELECT 3 AS three"],
)
def test_what_is_harmless_twice_is_run_again(db: MysqlDatabase, text: str) -> None:
    run(db, *SCHEMA)
    evidence = db.evidence(Command(text=text))
    run(db, text)
    assert settle(db, text, evidence) is Outcome.NOT_DONE
    run(db, text)


def test_nothing_tells_what_became_of_an_opaque_statement(db: MysqlDatabase) -> None:
    assert settle(db, "CALL p()", db.evidence(Command(text="CALL p()"))) is Outcome.UNKNOWN


def test_without_evidence_nothing_is_claimed(db: MysqlDatabase) -> None:
    assert settle(db, "CREATE TABLE t (id INT)", {}) is Outcome.UNKNOWN


def test_contradictions_are_told_and_not_decided(db: MysqlDatabase) -> None:
    run(db, *SCHEMA)
    for text, meanwhile in (
        ("DROP TABLE loose", "ALTER TABLE loose ADD COLUMN surprise INT"),
        ("ALTER TABLE single ADD COLUMN c INT", "DROP TABLE single"),
        ("RENAME TABLE child TO kid", "DROP TABLE child"),
    ):
        evidence = db.evidence(Command(text=text))
        run(db, meanwhile)
        finding = db.settle(Command(text=text), evidence)
        assert finding.outcome is Outcome.UNKNOWN
        assert text.split()[2] in finding.reason


def test_tables_too_alike_to_tell_a_swap_are_left_to_a_person(db: MysqlDatabase) -> None:
    for name in ("one", "two"):
        run(db, f"CREATE TABLE {name} (id INT) ENGINE=MyISAM")
    text = "RENAME TABLE one TO x, two TO one, x TO two"
    evidence = db.evidence(Command(text=text))
    run(db, text)
    finding = db.settle(Command(text=text), evidence)
    assert finding.outcome is Outcome.UNKNOWN
    assert "too alike" in finding.reason


def test_a_drop_done_in_part_is_finished(db: MysqlDatabase) -> None:
    run(db, *SCHEMA)
    text = "DROP TABLE child, loose, parent"
    evidence = db.evidence(Command(text=text))
    run(db, "DROP TABLE child")
    assert settle(db, text, evidence) is Outcome.DONE
    assert (db.columns("loose"), db.columns("parent"), db.columns("single")) == ([], [], ["id"])


def test_a_drop_whose_rest_is_refused_says_what_stands_in_the_way(db: MysqlDatabase) -> None:
    run(db, *SCHEMA, "CREATE TABLE niece (id INT, FOREIGN KEY (id) REFERENCES parent (id))")
    text = "DROP TABLE child, parent"
    evidence = db.evidence(Command(text=text))
    failure(db, text)
    finding = db.settle(Command(text=text), evidence)
    assert finding.outcome is Outcome.UNKNOWN
    assert "DROP TABLE `parent`, was refused: Cannot delete or update a parent row" in finding.reason
    run(db, "DROP TABLE niece")
    assert settle(db, text, evidence) is Outcome.DONE


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    present=st.sets(NAMES, min_size=1),
    pairs=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=5),
    share=st.floats(0, 1),
)
def test_a_rename_done_in_part_is_finished_wherever_it_stopped(
    shared: MysqlDatabase, present: set[str], pairs: list[tuple[str, str]], share: float
) -> None:
    """The oracle is a dictionary of names; all tables look alike, so that only their identity tells them apart."""
    expected = {name: name for name in present}
    for old, new in pairs:
        if old not in expected or new in expected:
            return  # the server refuses this one
        expected[new] = expected.pop(old)
    shared.query("DROP TABLE IF EXISTS a, b, c, d")
    for name in present:
        shared.query(f"CREATE TABLE {name} (content CHAR(1))")
        shared.query(f"INSERT INTO {name} VALUES (?)", (name,))
    text = "RENAME TABLE " + ", ".join(f"{old} TO {new}" for old, new in pairs)
    evidence = shared.evidence(Command(text=text))
    begun = round(share * len(pairs))
    for old, new in pairs[:begun]:
        shared.query(f"RENAME TABLE {old} TO {new}")
    outcome = settle(shared, text, evidence)
    if outcome is Outcome.NOT_DONE:
        shared.query(text)
    elif outcome is Outcome.UNKNOWN:
        pytest.fail("undecided")
    tables = {name for (name,) in shared.query("SHOW TABLES")}
    assert {name: shared.query(f"SELECT content FROM {name}")[0][0] for name in tables} == expected


@pytest.fixture(scope="module")
def shared(mariadb: MariadbServer) -> Iterator[MysqlDatabase]:
    """One database for all examples of a property."""
    database = opened(mariadb.new_database())
    yield database
    database.close()


# --- death --------------------------------------------------------------------------------------------------


def test_a_connection_killed_in_a_transaction_leaves_nothing(mariadb: MariadbServer, db: MysqlDatabase) -> None:
    run(db, "CREATE TABLE t (id INT)")
    with pytest.raises(ConnectionLost), db.transaction():
        run(db, "INSERT INTO t VALUES (1)")
        mariadb.execute(f"KILL {connection_id(db)}")
        run(db, "INSERT INTO t VALUES (2)")
    with pytest.raises(ConnectionLost):
        db.query("SELECT 1")
    db.connect()
    assert db.query("SELECT * FROM t") == []


def test_a_connection_killed_in_an_alter_leaves_the_table_as_it_was(mariadb: MariadbServer, db: MysqlDatabase) -> None:
    make_big(db)
    command = Command(text=SLOW_ALTER, tag="stepwell:0001:up:1:kill")
    evidence = db.evidence(command)
    number = connection_id(db)
    altering = Background(db, command.text, tag=command.tag)
    eventually(lambda: db.activity(command.tag))
    mariadb.execute(f"KILL {number}")
    assert isinstance(altering.ended(), ConnectionLost)
    db.connect()
    eventually(lambda: db.activity(command.tag) is None)
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE
    db.run(command)
    assert db.settle(command, evidence).outcome is Outcome.DONE


def test_progress_is_seen_from_outside(db: MysqlDatabase, other: MysqlDatabase) -> None:
    make_big(db)
    altering = Background(db, SLOW_ALTER, tag="stepwell:0001:up:1:seen")

    def progressing() -> Activity | None:
        seen = other.activity("stepwell:0001:up:1:seen")
        return seen if seen and seen.share else None

    seen = eventually(progressing)
    assert seen.stage
    assert 0 < (seen.share or 0) <= 1
    own = db.activity("")  # without a tag: what this connection is doing
    assert own is None or own.elapsed >= seen.elapsed
    assert other.activity("stepwell:0001:up:1") is None
    assert altering.ended() is None
    eventually(lambda: other.activity("stepwell:0001:up:1:seen") is None)
    eventually(lambda: db.activity("") is None)


CLIENT = """
import json, sys
from stepwell.databases import url
from stepwell.databases.database import Command
from stepwell.databases.mysql import MysqlDatabase
address, text, tag = sys.argv[1:]
database = MysqlDatabase("state", url.parse(address))
database.connect()
command = Command(text=text, tag=tag)
with database.lock(0, print):
    print(json.dumps(database.evidence(command)), flush=True)
    database.run(command)
"""
SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {"PYTHONPATH": str(SOURCE)}


def test_a_client_killed_in_an_alter_keeps_the_lock_until_the_server_has_ended_it(
    db: MysqlDatabase, mysql_url: str
) -> None:
    make_big(db)
    tag = "stepwell:0001:up:1:orphan"
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, mysql_url, SLOW_ALTER, tag],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert client.stdout is not None
    evidence = json.loads(client.stdout.readline())
    eventually(lambda: db.activity(tag))
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()

    assert db.activity(tag) is not None  # the server goes on without it
    with pytest.raises(LockHeld) as caught, db.lock(0, print):
        pass
    assert "ALTER TABLE big" in caught.value.said
    with db.lock(60, lambda _: None):
        assert db.activity(tag) is None
        assert db.settle(Command(text=SLOW_ALTER), evidence).outcome is Outcome.DONE
    assert db.columns("big") == ["id", "t", "extra"]


def test_a_server_that_dies_in_a_statement_is_settled_after_its_return(
    mariadb: MariadbServer, db: MysqlDatabase
) -> None:
    make_big(db)
    for text, survives in (
        (SLOW_ALTER, "ALTER TABLE big ADD COLUMN quick INT"),
        ("CREATE TABLE copy AS SELECT * FROM big", "CREATE TABLE t (id INT)"),
    ):
        command = Command(text=text, tag=f"stepwell:{text[:12]}")
        evidence = db.evidence(command)
        working = Background(db, text, tag=command.tag)
        eventually(partial(db.activity, command.tag))
        mariadb.kill()
        assert isinstance(working.ended(), ConnectionLost)
        assert db.activity(command.tag) is None  # unreachable: an answer, not an error
        mariadb.restart()
        db.connect()
        assert db.settle(command, evidence).outcome is Outcome.NOT_DONE
        db.run(command)
        assert db.settle(command, evidence).outcome is Outcome.DONE
        run(db, survives)


def test_the_watcher_outlives_a_restart_of_the_server(mariadb: MariadbServer, mysql_url: str) -> None:
    db = opened(mysql_url)
    assert db.activity("nothing") is None
    mariadb.restart()
    assert db.holders() == []
    db.connect()
    sleeping = Background(db, "SELECT SLEEP(1)", tag="stepwell:after")
    eventually(lambda: db.activity("stepwell:after"))
    assert sleeping.ended() is None
    db.close()
