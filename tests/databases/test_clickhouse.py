"""What the ClickHouse adapter promises of connecting, running, following and looking on.

Held against the engine itself: in this process (chDB), and behind HTTP, where it can be killed and cut off. Users,
ON CLUSTER and replication can't run there: for these a stub answers, or the SQL that would be sent is recorded.
"""

from __future__ import annotations

import datetime
import decimal
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_cases import opened, send, tag
from servers.clickhouse_front import ClickhouseFront
from stepwell.databases.clickhouse import ClickhouseDatabase, connection
from stepwell.databases.database import Command, Outcome
from stepwell.databases.url import Url
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    DiskFull,
    MemoryLimit,
    Refused,
    StatementTimeout,
    StepwellError,
)

TARGET = "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n"
SLOW = "INSERT INTO t SELECT number + sleepEachRow(0.25), 'slow' FROM numbers(12)"
"""Three seconds of work."""


@pytest.fixture(params=["clickhouse", "chdb"])
def db(request: pytest.FixtureRequest) -> Iterator[ClickhouseDatabase]:
    with opened(str(request.getfixturevalue(f"{request.param}_url"))) as database:
        yield database


@pytest.fixture
def server(clickhouse_url: str) -> Iterator[ClickhouseDatabase]:
    with opened(clickhouse_url) as database:
        yield database


@pytest.fixture(scope="module")
def lasting(clickhouse_front: ClickhouseFront) -> Iterator[ClickhouseDatabase]:
    """One for all examples of a property."""
    with opened(clickhouse_front.new_database()) as database:
        database.query("CREATE TABLE texts (id String, s String) ENGINE = MergeTree ORDER BY id")
        yield database


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    worker = threading.Thread(target=act)
    worker.start()
    yield
    worker.join()


def until(holds: Callable[[], object]) -> None:
    while not holds():
        time.sleep(0.05)


# --- query and insert -----------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"))


@given(values=st.lists(TEXT, min_size=1, max_size=4))
def test_a_parameter_arrives_as_it_is(lasting: ClickhouseDatabase, values: list[str]) -> None:
    marks = ", ".join("?" for _ in values)
    assert lasting.query(f"SELECT '100% ? %s', [{marks}]", values) == [("100% ? %s", values)]


def test_a_question_mark_in_a_string_a_name_or_a_comment_is_no_placeholder(db: ClickhouseDatabase) -> None:
    assert db.query("SELECT '?', ? AS `?` -- ?\n /* ? % */", (7,)) == [("?", 7)]
    assert db.query("SELECT 'a' LIKE '%', 5 % 3") == [(1, 2)]


@pytest.mark.parametrize(
    "text", ["-- one\nSELECT 1", "/* one */ (SELECT 1)", "WITH 1 AS x SELECT x", "FROM numbers(1, 1) SELECT *"]
)
def test_whatever_gives_rows_returns_them(db: ClickhouseDatabase, text: str) -> None:
    assert db.query(text) == [(1,)]


def test_a_statement_without_rows_returns_none(db: ClickhouseDatabase) -> None:
    assert db.query(TARGET) == []
    assert db.query("INSERT INTO t VALUES (1, 'x')") == []
    assert db.query("SELECT n FROM t WHERE n = 5") == []


def test_a_statement_may_be_a_megabyte_long(db: ClickhouseDatabase) -> None:
    long = "x" * 1_000_000
    assert db.query(f"SELECT length('{long}')") == [(1_000_000,)]
    send(db, TARGET)
    db.run(Command(text=f"INSERT INTO t SELECT 1, '{long}'", tag=tag()))
    assert db.query("SELECT length(s) FROM t") == [(1_000_000,)]


@given(value=TEXT)
def test_an_inserted_text_is_stored_as_it_is(lasting: ClickhouseDatabase, value: str) -> None:
    key = uuid.uuid4().hex
    lasting.insert("texts", ["s", "id"], [(value, key)])
    assert lasting.query("SELECT s FROM texts WHERE id = ?", (key,)) == [(value,)]


VALUES: dict[str, tuple[object, str | None]] = {
    "Nullable(Int64)": (None, None),
    "UInt64": (2**64 - 1, "18446744073709551615"),
    "Int256": (-(2**200), str(-(2**200))),
    "Bool": (True, "true"),
    "Float64": (0.1, "0.1"),
    "Decimal(38, 10)": (decimal.Decimal("12345678901234567890.0123456789"), "12345678901234567890.0123456789"),
    "Date": (datetime.date(2024, 2, 29), "2024-02-29"),
    "DateTime('UTC')": (datetime.datetime(2024, 2, 29, 23, 59, 59, tzinfo=datetime.UTC), "2024-02-29 23:59:59"),
    "DateTime64(6, 'UTC')": (
        datetime.datetime(2024, 2, 29, 1, 2, 3, 456789, datetime.timezone(datetime.timedelta(hours=2))),
        "2024-02-28 23:02:03.456789",
    ),
    "DateTime64(9, 'UTC')": ("2024-02-29 01:02:03.123456789", "2024-02-29 01:02:03.123456789"),
    "UUID": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "FixedString(4)": ("ab", "ab"),
    "LowCardinality(String)": ("it's \\ \n \" ;", "it's \\ \n \" ;"),
    "String": ("😀\0𝄞".encode(), "😀\0𝄞"),
    "Array(Nullable(String))": (["a'b", None, "\n"], "['a\\'b',NULL,'\\n']"),
    "Map(String, Array(UInt8))": ({'a"b': [1, 2], "": []}, "{'a\"b':[1,2],'':[]}"),
    "Tuple(UInt8, String)": ([1, "x"], "(1,'x')"),
    "Enum8('a' = 1, 'b' = 2)": ("b", "b"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_an_inserted_value_is_stored_exactly(db: ClickhouseDatabase, kind: str) -> None:
    value, stored = VALUES[kind]
    send(db, f"CREATE TABLE v (id UInt8, v {kind}) ENGINE = MergeTree ORDER BY id")
    db.insert("v", ["id", "v"], [(1, value), (2, value)])
    assert db.query("SELECT toString(v) FROM v") == [(stored,), (stored,)]


def test_an_insert_whose_answer_is_lost_is_not_sent_twice(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront
) -> None:
    send(server, TARGET)
    clickhouse_front.lose_answer("INSERT INTO `t`", after=0)
    with pytest.raises(ConnectionLost):
        server.insert("t", ["n", "s"], [(number, "x") for number in range(1000)])
    until(lambda: server.query("SELECT count() FROM t") != [(0,)])
    assert server.query("SELECT count(), uniqExact(n) FROM t") == [(1000, 1000)]


def test_columns_come_in_their_order_and_none_for_no_table(db: ClickhouseDatabase) -> None:
    send(db, "CREATE TABLE `a.b``c` (z UInt8, a UInt8) ENGINE = Memory")
    for name in ("`a.b``c`", f"{db.database}.`a.b``c`"):
        assert db.columns(name) == ["z", "a"]
    send(db, r"CREATE TABLE `a\\b\`c` (z UInt8, a UInt8) ENGINE = Memory")
    for name in (r"`a\\b\`c`", r"`a\\b``c`", rf"{db.database}.`a\\b``c`"):
        assert db.columns(name) == ["z", "a"]
    assert db.columns("nowhere") == []


# --- settings and sessions ------------------------------------------------------------------------------------


def test_a_set_holds_for_the_statements_behind_it_until_reset(db: ClickhouseDatabase) -> None:
    send(db, TARGET)
    look = "INSERT INTO t SELECT getSetting('max_block_size'), getSetting('log_comment')"
    for text in ("SET max_block_size = 123 -- odd", look):
        db.run(Command(text=text))
    db.reset()
    db.run(Command(text=look))
    first, second = db.query("SELECT n FROM t ORDER BY n = 123 DESC")
    assert first == (123,) != second


@pytest.mark.parametrize("text", ["USE elsewhere", "SET ROLE admin", "CREATE TEMPORARY TABLE x (a UInt8)"])
def test_what_would_last_as_long_as_a_session_is_refused(db: ClickhouseDatabase, text: str) -> None:
    with pytest.raises(Refused, match="session"):
        db.run(Command(text=text))


def test_limits_of_one_statement_do_not_stay_for_the_next(db: ClickhouseDatabase) -> None:
    send(db, TARGET)
    db.run(Command(text="INSERT INTO t VALUES (1, 'x')", timeout=0.5))
    db.run(Command(text="INSERT INTO t SELECT sleepEachRow(0.3), 'x' FROM numbers(3)"))


def test_placeholders_of_a_command_are_filled_in(db: ClickhouseDatabase) -> None:
    send(db, TARGET)
    db.run(Command(text="INSERT INTO t VALUES (?, ?)", parameters=(5, "100% it's ?"), tag=tag()))
    assert db.query("SELECT * FROM t") == [(5, "100% it's ?")]


# --- following ------------------------------------------------------------------------------------------------


def sent(server: ClickhouseDatabase, command: Command) -> int:
    """How often the server was asked to run this."""
    server.query("SYSTEM FLUSH LOGS query_log")
    return int(
        server.query("SELECT countIf(type = 'QueryStart') FROM system.query_log WHERE log_comment = ?", (command.tag,))[
            0
        ][0]
    )


def test_a_read_timeout_is_not_a_failure(clickhouse_url: str) -> None:
    with opened(f"{clickhouse_url}?read_timeout=1") as server:
        send(server, TARGET)
        command = Command(text=SLOW, tag=tag())
        server.run(command, server.evidence(command))
        assert server.query("SELECT count(), uniqExact(n) FROM t") == [(12, 12)]
        assert sent(server, command) == 1


def test_a_dropped_connection_is_not_a_failure(server: ClickhouseDatabase, clickhouse_front: ClickhouseFront) -> None:
    send(server, TARGET)
    command = Command(text=SLOW, tag=tag())
    clickhouse_front.lose_answer("INSERT INTO t", after=0.5)
    server.run(command, server.evidence(command))
    assert server.query("SELECT count(), uniqExact(n) FROM t") == [(12, 12)]
    assert sent(server, command) == 1


@pytest.mark.parametrize("late", [0.0, 0.7], ids=["at once", "begun after the connection was lost"])
def test_a_followed_statement_that_fails_tells_the_server_s_reason(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront, late: float
) -> None:
    send(server, TARGET)
    command = Command(
        text="INSERT INTO t SELECT sleep(1) + length(groupArray(number)), '' FROM numbers(50000000)", tag=tag()
    )
    server.run(Command(text="SET max_memory_usage = 50000000"))
    clickhouse_front.lose_answer("groupArray", after=0, late=late)
    with pytest.raises(MemoryLimit) as caught:
        server.run(command)
    assert caught.value.code == "241"
    assert sent(server, command) == 1


def test_a_followed_statement_whose_server_is_killed_is_lost_and_settled_later(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE", 1.0)
    send(server, TARGET, "INSERT INTO t VALUES (777, 'old')")
    command = Command(text=SLOW.replace("INTO t", "INTO t (n, s)"), key=("n",), tag=tag())
    evidence = server.evidence(command)

    def kill() -> None:
        until(lambda: server.activity(command.tag))
        clickhouse_front.kill()

    try:
        with meanwhile(kill), pytest.raises(ConnectionLost):
            server.run(command, evidence)
        with pytest.raises(ConnectionLost):
            server.settle(command, evidence)
    finally:
        clickhouse_front.restart()
    assert server.settle(command, evidence).outcome is Outcome.NOT_DONE
    server.run(command, server.evidence(command))
    assert server.query("SELECT count(), uniqExact(n) FROM t") == [(13, 13)]


def test_a_server_restarted_in_the_midst_does_not_know_the_end(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront
) -> None:
    send(server, TARGET)
    command = Command(text=SLOW, tag=tag())
    evidence = server.evidence(command)

    def restart() -> None:
        until(lambda: server.activity(command.tag))
        clickhouse_front.kill()
        clickhouse_front.restart()

    with meanwhile(restart), pytest.raises(ConnectionLost):
        server.run(command, evidence)
    rows = server.query("SELECT count() FROM t")[0][0]
    assert server.settle(command, evidence).outcome is (Outcome.UNKNOWN if rows else Outcome.NOT_DONE)


def test_without_a_readable_log_a_lost_statement_is_left_to_be_settled(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "everywhere", lambda name: f"system.{name}".replace("query_log", "no_such_log"))
    send(server, TARGET)
    command = Command(text=SLOW, own=frozenset({f"{server.database}.t"}), tag=tag())
    evidence = server.evidence(command)
    clickhouse_front.lose_answer("INSERT INTO t", after=0.5)
    with pytest.raises(ConnectionLost):
        server.run(command, evidence)
    assert server.settle(command, evidence).outcome is Outcome.NOT_DONE
    server.run(command, server.evidence(command))
    assert server.query("SELECT count(), uniqExact(n) FROM t") == [(12, 12)]


def test_progress_is_seen_from_another_thread(db: ClickhouseDatabase) -> None:
    send(db, TARGET)
    command = Command(text=SLOW, tag=tag())
    with meanwhile(lambda: db.run(command)):
        until(lambda: db.activity(command.tag))
        activity = db.activity(command.tag)
        assert activity is not None
        assert activity.rows is not None and 0 < activity.rows <= 12
        assert activity.total == 12 and activity.share is not None and 0 < activity.share <= 1
    assert db.activity(command.tag) is None
    assert db.activity("") is None


# --- errors ---------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, type[Refused], str]] = {
    "57": ("CREATE TABLE t (a UInt8) ENGINE = Memory", Refused, "already exists"),
    "60": ("INSERT INTO nowhere VALUES (1)", Refused, "nowhere"),
    "81": ("CREATE TABLE nowhere.t (a UInt8) ENGINE = Memory", Refused, "nowhere"),
    "159": (
        "INSERT INTO t SELECT number, 'x' FROM numbers(10000000000) WHERE cityHash64(number) = 1",
        StatementTimeout,
        "imeout",
    ),
    "160": ("INSERT INTO t SELECT sleepEachRow(0.2), 'x' FROM numbers(50)", StatementTimeout, "SLOW"),
    "241": ("INSERT INTO t SELECT length(groupArray(number)), '' FROM numbers(50000000)", MemoryLimit, "memory"),
    "243": ("INSERT INTO full VALUES (1)", DiskFull, "pace"),
}


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_the_server_is_told_by_its_kind(db: ClickhouseDatabase, code: str) -> None:
    text, kind, words = ERRORS[code]
    send(db, TARGET)
    settings = "min_free_disk_bytes_to_perform_insert = 1000000000000000"
    send(db, f"CREATE TABLE full (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS {settings}")
    db.run(Command(text="SET max_memory_usage = 50000000"))
    with pytest.raises(Refused) as caught:
        db.run(Command(text=text, tag=tag(), timeout=0.5 if code == "159" else None))
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert words in caught.value.said
    assert not re.search(r"version|http|Received", caught.value.said)
    assert "\n" not in caught.value.said


def test_a_killed_statement_is_refused_with_its_code(server: ClickhouseDatabase) -> None:
    send(server, TARGET)
    command = Command(text=SLOW, tag=tag())

    def kill() -> None:
        until(lambda: server.activity(command.tag))
        server.query("KILL QUERY WHERE Settings['log_comment'] = ? SYNC", (command.tag,))

    with meanwhile(kill), pytest.raises(Refused) as caught:
        server.run(command)
    assert caught.value.code == "394"


WRONG = {
    "a plain one": ("ALTER TABLE t\n  ADD COLUMN b UInt8,\n  ADDD COLUMN 'ä😀' c", "ADDD"),
    "behind letters of several bytes": ("INSERT INTO t SELECT 1, 'ä😀'\nFROMM numbers(1)", "numbers"),
    "in a marked condition": ("DELETE FROM t\nWHERE n = 1 ANDD s = ''", "ANDD"),
    "in a clone's INSERT": ("INSERT INTO t (n, s)\nSELECT 1, 'x'\nFROMM numbers(1)", "numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_syntax_error_points_into_the_statement_as_it_is_written(db: ClickhouseDatabase, case: str) -> None:
    text, word = WRONG[case]
    send(db, TARGET)
    command = Command(text=text, tag=tag(), sole_writer=True)
    evidence = db.evidence(command)
    with pytest.raises(Refused) as caught:
        db.run(command, evidence)
    assert caught.value.code == "62"
    assert caught.value.position is not None
    assert text.count("\n", 0, caught.value.position) == text.count("\n", 0, text.index(word))
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE


# --- connecting -----------------------------------------------------------------------------------------------


def cannot_connect(address: str, **options: Any) -> str:
    with pytest.raises(CannotConnect) as caught, opened(address, **options):
        raise AssertionError("it did connect")
    return str(caught.value)


def test_a_server_that_does_not_answer_is_told_with_its_port() -> None:
    told = cannot_connect("clickhouse://someone:se%2Fcret@127.0.0.1:1/product")
    assert "127.0.0.1:1" in told and "not the native port 9000" in told
    assert "cret" not in told


def test_a_database_that_is_not_there_is_told_with_the_statement_that_makes_it(
    clickhouse_front: ClickhouseFront,
) -> None:
    assert "CREATE DATABASE `no``where`" in cannot_connect(f"clickhouse://127.0.0.1:{clickhouse_front.port}/no%60where")


def test_a_refused_password_is_told_and_not_shown() -> None:
    """No server with users can run here: a stub answers as one does."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            text = b"Code: 516. DB::Exception: someone: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"
            self.send_response(403)
            self.send_header("X-ClickHouse-Exception-Code", "516")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as stub, meanwhile(lambda: stub.serve_forever(0.05)):
        told = cannot_connect(f"clickhouse://someone:hunter2@127.0.0.1:{stub.server_port}/product")
        stub.shutdown()
    assert "someone" in told and "password" in told
    assert "hunter2" not in told


def holding(folder: Path, *program: str) -> subprocess.Popen[str]:
    """Another process that has a chDB folder open; it says so in its first line and goes on until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join(program), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_a_chdb_folder_that_another_program_has_open_is_told_with_its_name(chdb_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "main.chdb"
    process = holding(
        folder, "import chdb, sys", "c = chdb.connect(sys.argv[1])", "print('open', flush=True)", "sys.stdin.read()"
    )
    told = cannot_connect(chdb_url)
    process.communicate("")
    assert "one process a folder" in told and str(folder) in told
    with opened(chdb_url) as db:
        assert db.query("SELECT 1") == [(1,)]


def test_a_second_stepwell_waits_for_a_chdb_folder(
    chdb_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "main.chdb"
    process = holding(
        folder,
        "import sys, pathlib",
        "from stepwell.databases import url",
        "from stepwell.databases.clickhouse import ClickhouseDatabase",
        "db = ClickhouseDatabase('a', url.parse(f'chdb:///{sys.argv[1]}?database=main'), pathlib.Path('/'))",
        "db.connect()",
        "print('open', flush=True)",
        "sys.stdin.read()",
        "db.query('CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a')",
        "db.close()",
    )

    def end() -> None:
        until(lambda: "waiting for the chDB folder" in caplog.text)
        process.communicate("")

    with meanwhile(end), opened(chdb_url) as db:
        assert db.columns("t") == ["a"]
    assert f"process {process.pid}" in caplog.text


def test_several_connections_of_one_process_share_a_chdb_folder(chdb_url: str) -> None:
    with opened(chdb_url) as db, opened(chdb_url.replace("database=main", "database=other")) as other:
        send(db, TARGET)
        assert other.columns("main.t") == ["n", "s"]
        with db.lock(0, print):
            db.assert_locked()


def test_closing_never_raises(clickhouse_url: str) -> None:
    database = ClickhouseDatabase("analytics", Url("clickhouse", "clickhouse"), Path("/"))
    database.close()
    with opened(clickhouse_url) as server:
        server.close()


def test_there_are_no_transactions(server: ClickhouseDatabase) -> None:
    with pytest.raises(StepwellError, match="refused"), server.transaction():
        pass


# --- clusters -------------------------------------------------------------------------------------------------


class Recorder:
    """A client that only remembers what it is asked to send; it stands for a cluster, which can't run here."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.settings: list[dict[str, str]] = []

    def command(self, text: str, parameters: object = None, settings: dict[str, str] | None = None) -> None:
        self.sent.append(" ".join(text.split()))
        self.settings.append(settings or {})

    def query(self, text: str, parameters: object = None, settings: dict[str, str] | None = None) -> Any:
        self.command(text, parameters, settings)

        class Nothing:
            result_rows: tuple[()] = ()

        return Nothing


@pytest.fixture
def cluster() -> ClickhouseDatabase:
    database = ClickhouseDatabase(
        "analytics", Url("clickhouse", "clickhouse", database="product"), Path("/"), cluster="main"
    )
    database._client = Recorder()
    return database


def test_definitions_are_sent_to_the_whole_cluster(cluster: ClickhouseDatabase) -> None:
    for text in (
        "ALTER TABLE t ADD COLUMN a UInt8",
        "CREATE TABLE t ON CLUSTER other (a UInt8) ENGINE = Memory",
        "RENAME TABLE a TO b, c TO d",
        "ALTER TABLE t DELETE WHERE a = 1 OR b",
        "INSERT INTO t VALUES (1)",
    ):
        cluster.run(Command(text=text, tag="mark"))
    assert cluster._client.sent == [
        "ALTER TABLE t ON CLUSTER 'main' ADD COLUMN a UInt8",
        "CREATE TABLE t ON CLUSTER other (a UInt8) ENGINE = Memory",
        "RENAME TABLE a TO b, c TO d ON CLUSTER 'main'",
        "ALTER TABLE t ON CLUSTER 'main' DELETE WHERE ('mark' != '') AND (a = 1 OR b)",
        "INSERT INTO t VALUES (1)",
    ]
    waits = {"alter_sync": "2", "mutations_sync": "2", "distributed_ddl_task_timeout": "-1"}
    assert all(waits.items() <= each.items() for each in cluster._client.settings)


def test_running_statements_are_looked_for_on_all_replicas(cluster: ClickhouseDatabase) -> None:
    assert cluster.activity("mark") is None
    (sent,) = cluster._client.sent
    assert "FROM clusterAllReplicas('main', system.processes)" in sent
    assert "query_id = 'mark' OR startsWith(Settings['log_comment'], 'mark')" in sent


def test_tracking_tables_of_a_cluster_are_replicated_on_one_path_for_all_shards(
    cluster: ClickhouseDatabase, server: ClickhouseDatabase
) -> None:
    for text, name, kind in zip(
        cluster.tracking_tables(),
        ("schema_migrations", "schema_migrations_journal"),
        ("ReplicatedReplacingMergeTree", "ReplicatedMergeTree"),
        strict=True,
    ):
        assert text.startswith(f"CREATE TABLE IF NOT EXISTS {name} ON CLUSTER 'main' (")
        assert f"ENGINE = {kind}('/stepwell/{{database}}/{name}', '{{shard}}-{{replica}}')" in text
        assert "ON CLUSTER main" in str(server.query("SELECT formatQuerySingleLine(?)", (text,))[0][0])


def test_tracking_tables_are_made_once_and_again_without_harm(db: ClickhouseDatabase) -> None:
    for _ in range(2):
        send(db, *db.tracking_tables())
    db.query("INSERT INTO schema_migrations (version) VALUES ('0001_by_hand')")
    assert db.query("SELECT version, layout FROM schema_migrations") == [("0001_by_hand", 1)]
    assert db.columns(f"{db.home()}.schema_migrations_journal")[0] == "seq"
