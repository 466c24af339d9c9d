"""What the ClickHouse front promises to the tests that stand on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from hypothesis import given
from hypothesis import strategies as st

from servers.clickhouse_front import ClickhouseFront, start
from stepwell.databases.url import parse

SLOW = "SELECT count() FROM numbers(1e13) WHERE NOT ignore(sin(number))"


def connect(url: str, **options: Any) -> Client:
    where = parse(url)
    options = {"autogenerate_session_id": False} | options
    return clickhouse_connect.get_client(host=where.host, port=where.port, database=where.database, **options)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.02)


@pytest.fixture
def client(clickhouse_url: str) -> Client:
    return connect(clickhouse_url)


@pytest.fixture
def table(client: Client) -> str:
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    return "t"


@pytest.fixture
def own_front(tmp_path: Path) -> Iterator[ClickhouseFront]:
    """A front that a test may kill."""
    front = start(tmp_path / "front")
    yield front
    front.stop()


# --- queries ----------------------------------------------------------------------------------------------


def test_a_client_starts_and_pings(client: Client) -> None:
    assert client.ping()
    assert client.query("SELECT version()").result_rows == [(client.server_version,)]


def test_a_new_database_is_atomic_and_empty(client: Client) -> None:
    engine = client.query("SELECT engine FROM system.databases WHERE name = currentDatabase()")
    assert engine.result_rows == [("Atomic",)]
    assert client.query("SHOW TABLES").result_rows == []


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_blocks_of_rows_arrive_under_every_compression(
    clickhouse_url: str, table: str, compression: str | bool
) -> None:
    rows = [[number, f"row {number}\n\n;"] for number in range(150_000)]
    client = connect(clickhouse_url, compress=compression)
    summary = client.insert(table, rows, ["a", "b"])
    assert summary.written_rows == len(rows)
    assert client.query("SELECT count(), sum(a), uniqExact(b) FROM t").result_rows == [
        (len(rows), sum(range(len(rows))), len(rows))
    ]


def test_inserted_rows_are_kept_to_the_byte(client: Client, table: str) -> None:
    @given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.text()), min_size=1, max_size=50))
    def kept(rows: list[tuple[int, str]]) -> None:
        client.command("TRUNCATE TABLE t")
        client.insert(table, rows, ["a", "b"])
        assert Counter(map(tuple, client.query("SELECT a, b FROM t").result_rows)) == Counter(rows)

    kept()


def test_parameters_are_kept_to_the_byte(client: Client) -> None:
    @given(st.text(), st.lists(st.text(), max_size=5))
    def kept(text: str, texts: list[str]) -> None:
        found = client.query("SELECT {a:String}, {b:Array(String)}", parameters={"a": text, "b": texts})
        assert found.result_rows == [(text, texts)]

    kept()


def test_parameters_too_long_for_a_url_arrive_as_a_form(client: Client) -> None:
    texts = [f"text {number}" for number in range(10_000)]
    assert client.query("SELECT {b:Array(String)}", parameters={"b": texts}).result_rows == [(texts,)]


def test_rows_in_the_text_of_a_statement_arrive_whole(client: Client, table: str) -> None:
    rows = ", ".join(f"({number}, 'x;\n\n--%s{{y}}\\'')" for number in range(40_000))
    client.command(f"INSERT INTO t (a, b) VALUES {rows}")
    assert client.query("SELECT b, count() FROM t GROUP BY b").result_rows == [("x;\n\n--%s{y}'", 40_000)]


def test_settings_end_with_their_query(client: Client, table: str) -> None:
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 3, "readonly": 1}) == 3
    client.command("DROP TABLE t")


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code", "name", "status"),
    [
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE", 404),
        ("SELEC 1", 62, "SYNTAX_ERROR", 400),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR", 400),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", 500),
    ],
)
def test_an_error_has_its_code_its_name_and_its_status(
    clickhouse_front: ClickhouseFront, client: Client, statement: str, code: int, name: str, status: int
) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.command(statement)
    assert (refused.value.code, refused.value.name) == (code, name)
    with pytest.raises(urllib.error.HTTPError) as answered:
        clickhouse_front.query(statement)
    assert answered.value.status == status
    assert answered.value.headers["X-ClickHouse-Exception-Code"] == str(code)


def test_a_semicolon_at_the_end_or_in_a_string_is_no_second_statement(client: Client) -> None:
    assert client.command("SELECT 'a;b' ; -- c;\n") == "a;b"


def test_a_database_that_does_not_exist_is_refused(clickhouse_url: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        connect(clickhouse_url + "_not")
    assert refused.value.code == 81


# --- following a query ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"log_comment": "a comment"}])
def test_the_query_log_names_a_query_by_its_comment_or_else_by_its_id(client: Client, given: dict[str, str]) -> None:
    query_id = str(uuid.uuid4())
    client.command(f"SELECT '{query_id}'", settings={"query_id": query_id, **given})
    client.command("SYSTEM FLUSH LOGS query_log")
    logged = client.query(
        "SELECT type, log_comment FROM system.query_log WHERE query = {q:String} ORDER BY type",
        parameters={"q": f"SELECT '{query_id}'"},
    )
    comment = given.get("log_comment", query_id)
    assert logged.result_rows == [("QueryStart", comment), ("QueryFinish", comment)]


def test_the_part_log_knows_new_parts(client: Client, table: str) -> None:
    client.command("INSERT INTO t SELECT number, '' FROM numbers(7)")
    client.command("SYSTEM FLUSH LOGS part_log")
    logged = client.query(
        "SELECT event_type, rows FROM system.part_log WHERE database = currentDatabase() AND table = 't'"
    )
    assert logged.result_rows == [("NewPart", 7)]


def running(client: Client, comment: str) -> bool:
    found = client.query(
        "SELECT 1 FROM system.processes WHERE Settings['log_comment'] = {c:String}", parameters={"c": comment}
    )
    return bool(found.result_rows)


def test_another_client_sees_and_kills_a_running_query(clickhouse_url: str, client: Client) -> None:
    comment = str(uuid.uuid4())
    codes: list[int | None] = []

    def victim() -> None:
        with pytest.raises(DatabaseError) as killed:
            connect(clickhouse_url).command(SLOW, settings={"query_id": comment})
        codes.append(killed.value.code)

    thread = threading.Thread(target=victim)
    thread.start()
    eventually(lambda: running(client, comment))
    client.command("KILL QUERY WHERE Settings['log_comment'] = {c:String} SYNC", parameters={"c": comment})
    thread.join()
    assert codes == [394]
    assert not running(client, comment)


def test_a_client_that_goes_away_leaves_its_query_running(clickhouse_url: str, client: Client) -> None:
    comment = str(uuid.uuid4())
    impatient = connect(clickhouse_url, send_receive_timeout=1)
    with pytest.raises(OperationalError, match="Read timed out"):
        impatient.command(SLOW, settings={"query_id": comment})
    assert running(client, comment)
    client.command("KILL QUERY WHERE Settings['log_comment'] = {c:String} SYNC", parameters={"c": comment})


def test_a_session_serves_one_query_at_a_time(clickhouse_url: str, client: Client) -> None:
    comment = str(uuid.uuid4())
    impatient = connect(clickhouse_url, autogenerate_session_id=True, send_receive_timeout=1)
    with pytest.raises(OperationalError, match="Read timed out"):
        impatient.command(SLOW, settings={"query_id": comment})
    with pytest.raises(DatabaseError) as locked:
        impatient.command("SELECT 1")
    assert locked.value.code == 373
    client.command("KILL QUERY WHERE Settings['log_comment'] = {c:String} SYNC", parameters={"c": comment})

    def free() -> bool:
        try:
            return bool(impatient.command("SELECT 1") == 1)
        except DatabaseError:
            return False

    eventually(free)


# --- faults -----------------------------------------------------------------------------------------------


def test_a_lost_answer_is_an_error_for_the_client_while_the_query_runs_to_its_end(
    clickhouse_front: ClickhouseFront, client: Client, table: str
) -> None:
    clickhouse_front.lose_answer("FROM numbers(4)")
    with pytest.raises(OperationalError, match="Connection aborted"):
        client.command("INSERT INTO t SELECT number, '' FROM numbers(4) WHERE sleepEachRow(0.25) = 0")
    eventually(lambda: client.command("SELECT count() FROM t") == 4)


def test_a_query_that_ends_before_its_connection_is_lost_gets_no_answer_either(
    clickhouse_front: ClickhouseFront, client: Client, table: str
) -> None:
    clickhouse_front.lose_answer("numbers(5)", after=0.5)
    with pytest.raises(OperationalError, match="Connection aborted"):
        client.command("INSERT INTO t SELECT number, '' FROM numbers(5)")
    assert client.command("SELECT count() FROM t") == 5


def test_a_held_answer_outlasts_the_patience_of_the_client(
    clickhouse_front: ClickhouseFront, clickhouse_url: str, client: Client, table: str
) -> None:
    clickhouse_front.hold_answer("numbers(6)", seconds=2)
    impatient = connect(clickhouse_url, send_receive_timeout=1)
    with pytest.raises(OperationalError, match="Read timed out"):
        impatient.command("INSERT INTO t SELECT number, '' FROM numbers(6)")
    assert client.command("SELECT count() FROM t") == 6


def test_a_fault_meets_only_the_next_query_that_contains_its_text(
    clickhouse_front: ClickhouseFront, client: Client
) -> None:
    clickhouse_front.lose_answer("'unlucky'")
    assert client.command("SELECT 'lucky'") == "lucky"
    # The client sends a SELECT again by itself when its connection is lost.
    assert client.command("SELECT 'unlucky'") == "unlucky"


# --- life and death ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [ClickhouseFront.kill, ClickhouseFront.stop])
def test_it_comes_back_with_its_data_on_its_port(
    own_front: ClickhouseFront, end: Callable[[ClickhouseFront], None]
) -> None:
    url = own_front.new_database()
    client = connect(url)
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [[number] for number in range(1000)], ["a"])
    end(own_front)
    with pytest.raises(OperationalError, match="refused"):
        client.command("SELECT 1")
    own_front.restart()
    assert client.command("SELECT count() FROM t") == 1000


def test_a_query_in_flight_is_lost_when_the_server_is_killed(own_front: ClickhouseFront) -> None:
    client = connect(own_front.new_database())
    killer = threading.Timer(0.5, own_front.kill)
    killer.start()
    with pytest.raises(OperationalError, match="Connection aborted"):
        client.command("CREATE TABLE t ENGINE = Memory AS " + SLOW)
    killer.join()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from servers.clickhouse_front import start;"
        "print(start(Path(sys.argv[1])).process.pid, flush=True); os._exit(0)"
    )
    started = subprocess.check_output(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    eventually(lambda: not Path(f"/proc/{int(started)}").exists())
