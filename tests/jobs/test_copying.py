"""Copying: what arrives is what was there, between any two engines, or the copy says what can't be, and stops.

Rows are put in and read back by the engines' own drivers, never by what is tested.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg
import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.databases.transfer import There
from stepwell.errors import BadRequest, NotExact, Refused, RowDiffers
from stepwell.jobs import runner
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.copying import copy_into, copy_rows
from stepwell.jobs.definition import Definition, Job, Keyset
from stepwell.jobs.sources import Condition, Range
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create

COLUMNS = ["id", "size", "price", "moment", "day", "words", "data", "weight", "flag", "document"]
TABLES = {
    "postgres": """
        CREATE TABLE {} (
          id bigint PRIMARY KEY, size numeric(20), price numeric(30, 10), moment timestamptz, day date, words text,
          data bytea, weight double precision, flag boolean, document jsonb)
    """,
    "mysql": """
        CREATE TABLE {} (
          id bigint PRIMARY KEY, size bigint unsigned, price decimal(30, 10), moment datetime(6), day date,
          words longtext, data longblob, weight double, flag boolean, document json)
    """,
    "sqlite": """
        CREATE TABLE {} (
          id INTEGER PRIMARY KEY, size TEXT, price TEXT, moment TEXT, day TEXT, words TEXT, data BLOB, weight REAL,
          flag BOOLEAN, document TEXT)
    """,
    "clickhouse": """
        CREATE TABLE {} (
          id Int64, size Nullable(UInt64), price Nullable(Decimal(30, 10)),
          moment Nullable(DateTime64(6, 'Europe/Berlin')), day Nullable(Date32), words Nullable(String),
          data Nullable(String), weight Nullable(Float64), flag Nullable(Bool), document Nullable(String))
        ENGINE = MergeTree ORDER BY id
    """,
}
READ = {
    "postgres": "id, size, price, moment, day, words, data, weight, flag, document::text",
    "mysql": "id, size, price, moment, day, words, data, weight, flag, document",
    "sqlite": "id, size, price, moment, day, words, data, weight, flag, document",
    "clickhouse": "id, size, price, toTimeZone(moment, 'UTC'), day, hex(words), hex(data), weight, flag, hex(document)",
}
ENGINES = sorted(TABLES)
Row = tuple[Any, ...]


# --- an engine as its own driver sees it ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """A database, and how to run a statement there and read its rows without Stepwell."""

    url: str
    run: Callable[[str], None]
    put: Callable[[str, Sequence[Row]], None]
    get: Callable[[str], list[Row]]

    @property
    def engine(self) -> str:
        scheme = urllib.parse.urlsplit(self.url).scheme
        return {"postgresql": "postgres", "chdb": "clickhouse"}.get(scheme, scheme)

    def open(self) -> Database:
        return opened(self.url)


def opened(url: str) -> Database:
    """Stepwell's own connection."""
    database = open_database("main", url, Path("/"))
    database.connect()
    return database


def postgres_side(url: str) -> Side:
    def put(table: str, rows: Sequence[Row]) -> None:
        marks = ", ".join(["%s"] * len(COLUMNS))
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})".encode(), rows)

    def get(text: str) -> list[Row]:
        with psycopg.connect(url) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.execute(text.encode()).fetchall()
            return [tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row) for row in rows]

    def run(text: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(text.encode())

    return Side(url, run, put, get)


def mysql_side(url: str) -> Side:
    parts = urllib.parse.urlsplit(url)

    @contextmanager
    def connected() -> Iterator[Any]:
        connection = pymysql.connect(
            host=parts.hostname,
            port=parts.port,
            user=parts.username,
            password=parts.password,
            database=parts.path[1:],
            charset="utf8mb4",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', sql_mode = ''")
            yield cursor

    def put(table: str, rows: Sequence[Row]) -> None:
        with connected() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(COLUMNS))})", rows)

    def get(text: str) -> list[Row]:
        with connected() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def run(text: str) -> None:
        with connected() as cursor:
            cursor.execute(text)

    return Side(url, run, put, get)


def sqlite_side(url: str) -> Side:
    path = "/" + url.removeprefix("sqlite:///").removeprefix("/")

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return str(value).rstrip("0") if value.microsecond else str(value)
        if isinstance(value, Decimal):
            return f"{value:f}"
        return str(value) if isinstance(value, date) or (isinstance(value, int) and value > 1) else value

    def put(table: str, rows: Sequence[Row]) -> None:
        with sqlite3.connect(path) as connection:
            marks = ", ".join(["?"] * len(COLUMNS))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(map(plain, row)) for row in rows])
        connection.close()

    def get(text: str) -> list[Row]:
        with sqlite3.connect(path) as connection:
            rows = connection.execute(text).fetchall()
        connection.close()
        return rows

    def run(text: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(text)
        connection.close()

    return Side(url, run, put, get)


def clickhouse_side(url: str) -> Side:
    parts = urllib.parse.urlsplit(url)

    @lru_cache
    def client() -> Any:
        return clickhouse_connect.get_client(
            host=parts.hostname, port=parts.port, database=parts.path[1:], autogenerate_session_id=False
        )

    def put(table: str, rows: Sequence[Row]) -> None:
        if rows:
            client().insert(table, [tuple(map(plain, row)) for row in rows])

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC)
        return value.encode() if isinstance(value, str) else value

    def get(text: str) -> list[Row]:
        rows = client().query(text).result_rows
        return [tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row) for row in rows]

    return Side(url, lambda text: client().command(text), put, get)


SIDES = {"postgres": postgres_side, "mysql": mysql_side, "sqlite": sqlite_side, "clickhouse": clickhouse_side}


@pytest.fixture
def new_side(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Side]:
    """Makes an empty database of an engine."""
    numbers = iter(range(100))

    def make(engine: str) -> Side:
        if engine == "sqlite":
            return sqlite_side(f"sqlite:////{tmp_path / f'{next(numbers)}.db'}".replace("/////", "////"))
        server = request.getfixturevalue({"mysql": "mariadb", "clickhouse": "clickhouse_front"}.get(engine, engine))
        return SIDES[engine](server.new_database())

    return make


# --- rows as no one would write them --------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["", r"\N", "NULL", "\t\n\r\\", "\b\f\v\a", "'\"`", "a ", " ", "😀 é ü", r"\0", r"\t", "{x:String} %s ?"]
)
MOMENTS = st.datetimes(datetime(1901, 1, 1), datetime(2299, 12, 31)) | st.sampled_from(
    [datetime(2024, 3, 31, 2, 30), datetime(2024, 10, 27, 2, 30), datetime(1969, 12, 31, 23, 59, 59, 1)]
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.1 + 0.2, 1e22, 1e-7, 2.0**53, 5e-324])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        nullable(st.integers(0, 2**64 - 1)),
        nullable(st.decimals(-(10**19), 10**19, places=10, allow_nan=False, allow_infinity=False)),
        nullable(MOMENTS),
        nullable(st.dates(date(1900, 1, 1), date(2299, 12, 31))),
        nullable(TEXTS),
        nullable(st.binary()),
        nullable(FLOATS),
        nullable(st.booleans()),
        nullable(DOCUMENTS.map(json.dumps)),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[0],
)


def seen(row: Row) -> Row:
    """A row as any driver returns it, in the same Python values."""
    ident, size, price, moment, day, words, data, weight, flag, document = row
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return (
        ident,
        None if size is None else int(size),
        None if price is None else Decimal(price).normalize(),
        moment,
        date.fromisoformat(day) if isinstance(day, str) else day,
        words.decode() if isinstance(words, bytes) else words,
        data,
        weight,
        None if flag is None else bool(flag),
        json.loads(document) if isinstance(document, (str, bytes)) else None,
    )


def rows_in(side: Side, table: str) -> list[Row]:
    rows = side.get(f"SELECT {READ[side.engine]} FROM {table}")
    if side.engine == "clickhouse":  # its driver guesses whether a String is text
        rows = [tuple(bytes.fromhex(v) if isinstance(v, str) else v for v in row) for row in rows]
    return sorted(map(seen, rows), key=lambda row: row[0])


class Tables:
    """Pairs of equal tables on two sides, new ones each time, for a property that is tried often."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source, self.target = source, target
        self.number = 0

    def new(self) -> str:
        self.number += 1
        for side in (self.source, self.target):
            side.run(TABLES[side.engine].format(f"t{self.number}"))
        return f"t{self.number}"


# --- what is copied is what arrives ---------------------------------------------------------------------------

DIRECTIONS = [(source, target) for source in ENGINES for target in ENGINES]


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_every_row_arrives_as_it_was(new_side: Callable[[str], Side], source: str, target: str) -> None:
    sides = Tables(new_side(source), new_side(target))
    start, end = sides.source.open(), sides.target.open()

    @given(ROWS)
    @settings(max_examples=7, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def arrives(rows: list[Row]) -> None:
        table = sides.new()
        sides.source.put(table, rows)
        assert rows_in(sides.source, table) == sorted(map(seen, rows), key=lambda row: row[0])
        # Once more: what has arrived is seen to be the same.
        for _ in range(2):
            copied = copy_rows(start, end, table=table, columns=COLUMNS, key=["id"], there=There.COMPARED)
            assert copied == len(rows)
            assert rows_in(sides.target, table) == rows_in(sides.source, table)

    arrives()
    start.close()
    end.close()


def test_rows_that_come_through_this_process_arrive_as_they_were(
    new_side: Callable[[str], Side], caplog: pytest.LogCaptureFixture
) -> None:
    sides = Tables(new_side("postgres"), new_side("clickhouse"))
    start, end = opened(sides.source.url + "?sslmode=prefer"), sides.target.open()

    @given(ROWS)
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def arrives(rows: list[Row]) -> None:
        table = sides.new()
        sides.source.put(table, rows)
        assert copy_rows(start, end, table=table, columns=COLUMNS, key=["id"]) == len(rows)
        assert rows_in(sides.target, table) == rows_in(sides.source, table)

    with caplog.at_level("INFO", "stepwell"):
        arrives()
    assert "through this process: its URL has" in caplog.text
    start.close()
    end.close()


def test_rows_of_a_server_come_straight(new_side: Callable[[str], Side], caplog: pytest.LogCaptureFixture) -> None:
    for engine in ("postgres", "mysql"):
        sides = Tables(new_side(engine), new_side("clickhouse"))
        table = sides.new()
        start, end = sides.source.open(), sides.target.open()
        with caplog.at_level("INFO", "stepwell"):
            copy_rows(start, end, table=table, columns=COLUMNS, key=["id"])
        start.close()
        end.close()
    assert "through this process" not in caplog.text


def test_chdb_gives_and_takes_rows_like_a_server(new_side: Callable[[str], Side], chdb_url: str) -> None:
    first, second, row = new_side("postgres"), new_side("sqlite"), (1, 2**64 - 1, Decimal("1.5"), *[None] * 3, b"\xff")
    for side in (first, second):
        side.run(TABLES[side.engine].format("t"))
    first.put("t", [(*row, 0.1, True, '"x"')])
    start, middle, end = first.open(), opened(chdb_url), second.open()
    middle.query(TABLES["clickhouse"].format("t"))
    copy_rows(start, middle, table="t", columns=COLUMNS, key=["id"])
    copy_rows(middle, end, table="t", columns=COLUMNS, key=["id"])
    for database in (start, middle, end):
        database.close()
    assert rows_in(second, "t") == rows_in(first, "t")


ARRAYS = st.lists(nullable(st.integers(-(2**63), 2**63 - 1)), max_size=4), st.lists(nullable(TEXTS), max_size=4)


def test_arrays_arrive_with_their_nulls_there_and_back(new_side: Callable[[str], Side]) -> None:
    first, middle = new_side("postgres"), new_side("clickhouse")
    start, end = first.open(), middle.open()
    columns = ["id", "numbers", "words"]
    last = new_side("postgres")
    back = last.open()

    @given(st.lists(st.tuples(*ARRAYS), min_size=1, max_size=10), st.integers(0, 10**9))
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def arrives(rows: list[Row], number: int) -> None:
        for side in (first, last):
            side.run("DROP TABLE IF EXISTS t")
            side.run("CREATE TABLE t (id int PRIMARY KEY, numbers bigint[], words text[])")
        middle.run("DROP TABLE IF EXISTS t")
        middle.run(
            "CREATE TABLE t (id Int32, numbers Array(Nullable(Int64)), words Array(Nullable(String)))"
            "ENGINE = MergeTree ORDER BY id"
        )
        with psycopg.connect(first.url) as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", [(n, *row) for n, row in enumerate(rows)])
        copy_rows(start, end, table="t", columns=columns, key=["id"])
        copy_rows(end, back, table="t", columns=columns, key=["id"])
        hexed = middle.get("SELECT numbers, arrayMap(w -> hex(w), words) FROM t ORDER BY id")
        assert hexed == [(ns, [w if w is None else w.encode().hex().upper() for w in ws]) for ns, ws in rows]
        assert last.get("SELECT numbers, words FROM t ORDER BY id") == rows

    arrives()
    for database in (start, end, back):
        database.close()


SESSIONS = {
    "postgres": [
        "ALTER ROLE CURRENT_USER IN DATABASE {} SET DateStyle = 'German'",
        "ALTER ROLE CURRENT_USER IN DATABASE {} SET TimeZone = 'America/New_York'",
        "ALTER ROLE CURRENT_USER IN DATABASE {} SET extra_float_digits = -5",
        "ALTER ROLE CURRENT_USER IN DATABASE {} SET bytea_output = 'escape'",
    ],
    "mysql": [
        "SET GLOBAL time_zone = '-05:00'",
        "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'",
    ],
}


@pytest.mark.parametrize("engine", SESSIONS)
def test_what_arrives_does_not_depend_on_the_settings_of_sessions(
    new_side: Callable[[str], Side], engine: str, request: pytest.FixtureRequest
) -> None:
    sides = Tables(new_side(engine), new_side("clickhouse"))
    table = sides.new()
    row = (1, None, None, datetime(2024, 3, 10, 2, 30, 0, 250000), date(2024, 2, 1), "a'\\ \n", b"\xff\0", 0.1 + 0.2)
    sides.source.put(table, [(*row, None, None)])
    before = rows_in(sides.source, table)
    kept = sides.source.get("SELECT @@GLOBAL.time_zone, @@GLOBAL.sql_mode")[0] if engine == "mysql" else ()
    if engine == "mysql":
        sides.source.run("CREATE TABLE stamps (id int PRIMARY KEY, at timestamp(6) NULL)")
        sides.source.run("INSERT INTO stamps VALUES (1, '2024-03-10 02:30:00.25'), (2, '2024-11-03 05:30:00')")
        sides.target.run("CREATE TABLE stamps (id Int32, at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY id")
    try:
        for statement in SESSIONS[engine]:
            sides.source.run(statement.format(urllib.parse.urlsplit(sides.source.url).path[1:]))
        start, end = sides.source.open(), sides.target.open()
        copy_rows(start, end, table=table, columns=COLUMNS, key=["id"])
        assert rows_in(sides.target, table) == before
        if engine == "mysql":
            copy_rows(start, end, table="stamps", columns=["id", "at"], key=["id"])
            moments = [datetime(2024, 3, 10, 2, 30, 0, 250000), datetime(2024, 11, 3, 5, 30)]
            assert sides.target.get("SELECT at FROM stamps ORDER BY id") == [(moment,) for moment in moments]
        start.close()
        end.close()
    finally:
        if engine == "mysql":
            sides.source.run(f"SET GLOBAL time_zone = '{kept[0]}'")
            sides.source.run(f"SET GLOBAL sql_mode = '{kept[1]}'")


# --- what the target can't hold is refused, and named ---------------------------------------------------------

REFUSED = [
    ("postgres", "text", "NULL", "clickhouse", "String"),
    ("postgres", "int", "256", "clickhouse", "UInt8"),
    ("postgres", "int", "-1", "clickhouse", "UInt64"),
    ("postgres", "int", "2", "clickhouse", "Bool"),
    ("postgres", "numeric", "1.005", "clickhouse", "Decimal(10, 2)"),
    ("postgres", "numeric", "1e80", "clickhouse", "Decimal(76, 0)"),
    ("postgres", "numeric", "'NaN'", "clickhouse", "Decimal(10, 2)"),
    ("postgres", "timestamp", "'infinity'", "clickhouse", "DateTime64(6, 'UTC')"),
    ("postgres", "timestamptz", "'-infinity'", "clickhouse", "DateTime64(6, 'UTC')"),
    ("postgres", "timestamp", "'0044-03-15 BC'", "clickhouse", "DateTime64(6, 'UTC')"),
    ("postgres", "timestamp", "'2024-01-01 00:00:00.123456'", "clickhouse", "DateTime64(3, 'UTC')"),
    ("postgres", "timestamp", "'2024-01-01 00:00:00.5'", "clickhouse", "DateTime('UTC')"),
    ("postgres", "timestamp", "'2200-01-01'", "clickhouse", "DateTime('UTC')"),
    ("postgres", "date", "'infinity'", "clickhouse", "Date32"),
    ("postgres", "date", "'2200-01-01'", "clickhouse", "Date"),
    ("postgres", "float8", "0.1", "clickhouse", "Float32"),
    ("postgres", "text", "'c'", "clickhouse", "Enum8('a' = 1, 'b' = 2)"),
    ("postgres", "text", "'abcd'", "clickhouse", "FixedString(3)"),
    ("postgres", "text", "'{}'", "clickhouse", "Map(String, String)"),
    ("postgres", "int[]", "NULL", "clickhouse", "Array(Int32)"),
    ("postgres", "int[]", "'{1,NULL}'", "clickhouse", "Array(Int32)"),
    ("postgres", "int[]", "'{1,300}'", "clickhouse", "Array(UInt8)"),
    ("postgres", "int[]", "'{{1,2},{3,4}}'", "clickhouse", "Array(Int32)"),
    ("postgres", "bytea", "'\\xff'", "mysql", "longtext"),
    ("postgres", "text", "'😀'", "mysql", "varchar(10) CHARACTER SET latin1"),
    ("postgres", "text", "'a '", "mysql", "char(5)"),
    ("postgres", "text", "'abc'", "mysql", "varchar(2)"),
    ("postgres", "numeric", "1.005", "mysql", "decimal(10, 2)"),
    ("postgres", "numeric", "1.5", "mysql", "int"),
    ("postgres", "timestamp", "'2024-01-01 00:00:00.5'", "mysql", "datetime"),
    ("postgres", "timestamp", "'infinity'", "mysql", "datetime(6)"),
    ("postgres", "float8", "'NaN'", "mysql", "double"),
    ("postgres", "text", "NULL", "mysql", "timestamp NOT NULL"),
    ("postgres", "text", "NULL", "sqlite", "TEXT NOT NULL"),
    ("postgres", "numeric", "12345678901234567890.5", "sqlite", "NUMERIC"),
    ("postgres", "float8", "'NaN'", "sqlite", "REAL"),
    ("mysql", "bigint unsigned", "18446744073709551615", "clickhouse", "Int64"),
    ("mysql", "bigint unsigned", "18446744073709551615", "postgres", "bigint"),
    ("mysql", "bigint unsigned", "18446744073709551615", "sqlite", "INTEGER"),
    ("mysql", "date", "'0000-00-00'", "clickhouse", "Date"),
    ("mysql", "datetime", "'0000-00-00'", "clickhouse", "DateTime64(6, 'UTC')"),
    ("mysql", "timestamp NULL", "'0000-00-00'", "clickhouse", "DateTime('UTC')"),
    ("mysql", "date", "'0000-00-00'", "postgres", "date"),
    ("mysql", "date", "'2024-02-00'", "clickhouse", "Date32"),
    ("clickhouse", "String", "unhex('ff')", "postgres", "text"),
    ("clickhouse", "String", "unhex('ff')", "mysql", "longtext"),
    ("clickhouse", "String", "unhex('ff')", "sqlite", "TEXT"),
    ("clickhouse", "String", "unhex('003132')", "postgres", "text"),
    ("clickhouse", "UInt64", "18446744073709551615", "postgres", "bigint"),
    ("clickhouse", "Float64", "nan", "mysql", "double"),
    ("clickhouse", "DateTime64(6)", "'2024-01-01 00:00:00.000001'", "postgres", "timestamp(3)"),
    ("clickhouse", "String", "'abc'", "postgres", "varchar(2)"),
    ("clickhouse", "String", "'a '", "postgres", "char(2)"),
    ("clickhouse", "String", "'[1'", "postgres", "jsonb"),
    ("sqlite", "TEXT", "x'ff'", "postgres", "text"),
    ("sqlite", "BLOB", "'text'", "clickhouse", "String"),
    ("sqlite", "INTEGER", "'many'", "clickhouse", "Int64"),
]


@pytest.mark.parametrize(("source", "kept", "value", "target", "wanted"), REFUSED)
def test_what_the_target_can_not_hold_is_refused_and_named(
    new_side: Callable[[str], Side], source: str, kept: str, value: str, target: str, wanted: str
) -> None:
    theirs, ours = new_side(source), new_side(target)
    memory = {"clickhouse": " ENGINE = MergeTree ORDER BY id"}
    theirs.run(f"CREATE TABLE t (id int PRIMARY KEY, odd {kept}){memory.get(source, '')}")
    ours.run(f"CREATE TABLE t (id int PRIMARY KEY, odd {wanted}){memory.get(target, '')}")
    theirs.run(f"INSERT INTO t (id, odd) VALUES (1, {value})")
    start, end = theirs.open(), ours.open()
    with pytest.raises(NotExact) as raised:
        copy_rows(start, end, table="t", columns=["id", "odd"], key=["id"])
    start.close()
    end.close()
    assert raised.value.column == "t.odd"
    assert ours.get("SELECT id FROM t") == []


# --- values that many a copy gets wrong -----------------------------------------------------------------------

ARRIVES = [
    (
        "postgres",
        "uuid",
        "'6CF1F4B2-AAAA-4000-8000-000000000001'",
        "clickhouse",
        "UUID",
        "toString(odd)",
        "6cf1f4b2-aaaa-4000-8000-000000000001",
    ),
    ("postgres", "char(5)", "'ab'", "clickhouse", "String", "odd", "ab"),
    ("postgres", "time", "'24:00:00'", "clickhouse", "String", "odd", "24:00:00"),
    (
        "postgres",
        "interval",
        "'1 year -2 days 3.5 seconds'",
        "clickhouse",
        "String",
        "odd",
        "1 year -2 days +00:00:03.5",
    ),
    ("postgres", "timestamp", "'infinity'", "clickhouse", "String", "odd", "infinity"),
    ("postgres", "float8", "'NaN'", "clickhouse", "Float64", "toString(odd)", "nan"),
    ("postgres", "float8", "'-Infinity'", "clickhouse", "Float64", "toString(odd)", "-inf"),
    ("postgres", "float4", "0.1", "clickhouse", "Float64", "toString(odd)", "0.10000000149011612"),
    ("postgres", "float4", "0.1", "clickhouse", "Float32", "toString(odd)", "0.1"),
    (
        "postgres",
        "numeric",
        "-9999999999999999999999999999999999999999.5",
        "clickhouse",
        "Decimal(76, 2)",
        "toString(odd)",
        "-9999999999999999999999999999999999999999.5",
    ),
    (
        "postgres",
        "jsonb",
        '\'{"a": 1.10, "b": "\\u00e9\\t"}\'',
        "clickhouse",
        "String",
        "odd",
        '{"a": 1.10, "b": "é\\t"}',
    ),
    ("postgres", "bytea", "'\\x00ff'", "clickhouse", "FixedString(2)", "hex(odd)", "00FF"),
    ("postgres", "boolean", "true", "mysql", "tinyint(1)", "odd", 1),
    (
        "postgres",
        "timestamptz",
        "'2024-03-31 02:30:00+02'",
        "mysql",
        "timestamp NULL",
        "CAST(odd AS CHAR)",
        "2024-03-31 00:30:00",
    ),
    ("mysql", "int zerofill", "42", "clickhouse", "UInt32", "toString(odd)", "42"),
    ("mysql", "bigint unsigned", "18446744073709551615", "clickhouse", "UInt64", "odd", 18446744073709551615),
    (
        "mysql",
        "datetime(6)",
        "'2024-01-01 00:00:00.25'",
        "clickhouse",
        "DateTime64(2, 'UTC')",
        "toString(odd)",
        "2024-01-01 00:00:00.25",
    ),
    ("mysql", "decimal(9, 4)", "-1.5", "clickhouse", "Decimal(6, 1)", "toString(odd)", "-1.5"),
    ("mysql", "bit(9)", "b'100000001'", "clickhouse", "UInt16", "toString(odd)", "257"),
    ("mysql", "enum('a', 'b')", "'b'", "clickhouse", "Enum8('a' = 1, 'b' = 2)", "toString(odd)", "b"),
    ("mysql", "set('a', 'b')", "'a,b'", "clickhouse", "String", "odd", "a,b"),
    ("mysql", "time(6)", "'-838:59:59.5'", "clickhouse", "String", "odd", "-838:59:59.5"),
    ("mysql", "year", "2024", "clickhouse", "UInt16", "toString(odd)", "2024"),
    ("mysql", "float", "0.1", "clickhouse", "Float32", "toString(odd)", "0.1"),
    ("mysql", "varchar(9) CHARACTER SET latin1", "'é'", "clickhouse", "String", "odd", "é"),
    ("mysql", "date", "'0000-00-00'", "clickhouse", "String", "odd", "0000-00-00"),
    ("mysql", "date", "'0000-00-00'", "mysql", "date", "CAST(odd AS CHAR)", "0000-00-00"),
    (
        "mysql",
        "decimal(65, 30)",
        "-0.000000000000000000000000000001",
        "postgres",
        "numeric",
        "odd::text",
        "-0.000000000000000000000000000001",
    ),
    (
        "clickhouse",
        "UInt256",
        "toUInt256('115792089237316195423570985008687907853')",
        "postgres",
        "numeric",
        "odd::text",
        "115792089237316195423570985008687907853",
    ),
    ("clickhouse", "UInt64", "18446744073709551615", "clickhouse", "UInt64", "odd", 18446744073709551615),
    (
        "clickhouse",
        "DateTime64(3, 'UTC')",
        "1710054000.5",
        "mysql",
        "datetime(6)",
        "odd + 0",
        Decimal("20240310070000.5"),
    ),
    ("clickhouse", "LowCardinality(Nullable(String))", "'x'", "postgres", "text", "odd", "x"),
    (
        "clickhouse",
        "DateTime('America/New_York')",
        "1710054000",
        "postgres",
        "timestamp",
        "odd::text",
        "2024-03-10 07:00:00",
    ),
    ("clickhouse", "Enum8('a' = 1)", "'a'", "mysql", "varchar(1)", "odd", "a"),
    ("clickhouse", "Map(String, UInt64)", "map('k', 1)", "postgres", "jsonb", "odd::text", '{"k": 1}'),
    ("clickhouse", "FixedString(2)", "unhex('00ff')", "postgres", "bytea", "encode(odd, 'hex')", "00ff"),
    ("clickhouse", "Array(String)", "['a', 'b']", "mysql", "longtext", "odd", '["a","b"]'),
    ("sqlite", "TEXT", "'1.50'", "clickhouse", "Decimal(10, 2)", "toString(odd)", "1.5"),
    ("sqlite", "REAL", "1e20", "postgres", "double precision", "odd::text", "1e+20"),
]
"""Source, its type, a value; target, its type, SQL that looks at the value there, and what it sees."""


@pytest.mark.parametrize(("source", "kept", "value", "target", "wanted", "look", "expected"), ARRIVES)
def test_a_value_arrives_as_it_was(
    new_side: Callable[[str], Side],
    source: str,
    kept: str,
    value: str,
    target: str,
    wanted: str,
    look: str,
    expected: str | int,
) -> None:
    theirs, ours = new_side(source), new_side(target)
    stored = {"clickhouse": " ENGINE = MergeTree ORDER BY id"}
    theirs.run(f"CREATE TABLE t (id int PRIMARY KEY, odd {kept}){stored.get(source, '')}")
    ours.run(f"CREATE TABLE t (id int PRIMARY KEY, odd {wanted}){stored.get(target, '')}")
    theirs.run(f"INSERT INTO t (id, odd) VALUES (1, {value})")
    start, end = theirs.open(), ours.open()
    for _ in range(2):  # once more: it is seen to be the same
        assert copy_rows(start, end, table="t", columns=["id", "odd"], key=["id"], there=There.COMPARED) == 1
    start.close()
    end.close()
    assert ours.get(f"SELECT {look} FROM t") == [(expected,)]


# --- a copy can be repeated -----------------------------------------------------------------------------------

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
ROW_COUNT = 300_000
COPY = """
import sys
from pathlib import Path
from stepwell.databases import open_database
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.copying import copy_rows

source, target = (open_database(name, url, Path("/")) for name, url in zip("st", sys.argv[1:3]))
source.connect()
target.connect()
print("begun", flush=True)
copy_rows(source, target, table="t", columns=["id", "words"], key=["id"])
"""
FILL = {
    "postgres": "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, {}) AS n",
    "mysql": "INSERT INTO t SELECT seq, CONCAT('row ', seq) FROM seq_1_to_{}",
    "clickhouse": "INSERT INTO t SELECT number + 1, concat('row ', toString(number + 1)) FROM numbers({})",
}
CRASHES = [
    ("postgres", "clickhouse", ""),
    ("postgres", "clickhouse", "?sslmode=prefer"),
    ("clickhouse", "postgres", ""),
    pytest.param("mysql", "clickhouse", "", marks=pytest.mark.soak),
    pytest.param("postgres", "mysql", "", marks=pytest.mark.soak),
    pytest.param("postgres", "sqlite", "", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("source", "target", "option"), CRASHES)
def test_killed_in_the_middle_and_repeated_it_leaves_each_row_once(
    new_side: Callable[[str], Side], source: str, target: str, option: str
) -> None:
    theirs, ours = new_side(source), new_side(target)
    for side in (theirs, ours):
        stored = " ENGINE = MergeTree ORDER BY id" if side.engine == "clickhouse" else ""
        kind = "String" if side.engine == "clickhouse" else "text"
        side.run(f"CREATE TABLE t (id bigint PRIMARY KEY, words {kind}){stored}")
    theirs.run(FILL[source].format(ROW_COUNT))
    command = [sys.executable, "-c", COPY, theirs.url + option, ours.url]
    chance = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(chance.uniform(0.05, 1.0))
        process.kill()
        process.wait()
        process.stdout.close()
    subprocess.run(command, check=True, env=ENVIRONMENT)
    assert ours.get("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t") == [
        (ROW_COUNT, ROW_COUNT, 1, ROW_COUNT)
    ]
    assert (
        ours.get(
            "SELECT id FROM t WHERE words <> concat('row ', id)"
            if target != "sqlite"
            else "SELECT id FROM t WHERE words <> 'row ' || id"
        )
        == []
    )


@pytest.mark.parametrize("target", ENGINES)
def test_rows_that_are_there_are_left_as_they_are(new_side: Callable[[str], Side], target: str) -> None:
    theirs, ours = new_side("postgres"), new_side(target)
    for side in (theirs, ours):
        side.run(TABLES[side.engine].format("t"))
    blank: Row = (None,) * (len(COLUMNS) - 1)
    theirs.put("t", [(1, 1, *blank[1:]), (2, 2, *blank[1:]), (3, 3, *blank[1:])])
    ours.put("t", [(2, 20, *blank[1:])])
    start, end = theirs.open(), ours.open()
    condition = Condition("id > ? AND words IS NULL", (1,))
    assert copy_rows(start, end, table="t", columns=["id", "size"], condition=condition, key=["id"]) == 2
    start.close()
    end.close()
    assert [row[:2] for row in rows_in(ours, "t")] == [(2, 20), (3, 3)]


def test_columns_and_tables_may_have_other_names(new_side: Callable[[str], Side]) -> None:
    theirs, ours = new_side("mysql"), new_side("clickhouse")
    theirs.run("CREATE TABLE `old names` (`the id` int PRIMARY KEY, `order` varchar(10))")
    theirs.run("INSERT INTO `old names` VALUES (1, 'x')")
    ours.run(
        "CREATE TABLE `new names` (`key id` Int32, `select` Nullable(String)) ENGINE = MergeTree ORDER BY `key id`"
    )
    start, end = theirs.open(), ours.open()
    names = {"the id": "key id", "order": "select"}
    copy_rows(start, end, table="`old names`", columns=names, into="`new names`", key=["key id"])
    start.close()
    end.close()
    assert ours.get("SELECT * FROM `new names`") == [(1, "x")]


def test_columns_may_be_called_by_words_of_sql(new_side: Callable[[str], Side]) -> None:
    theirs, ours = new_side("postgres"), new_side("postgres")
    for side in (theirs, ours):
        side.run('CREATE TABLE t ("user" int PRIMARY KEY, "order" text)')
    theirs.run("INSERT INTO t VALUES (1, 'x')")
    start, end = theirs.open(), ours.open()
    assert copy_rows(start, end, table="t", columns=["user", "order"], key=["user"]) == 1
    start.close()
    end.close()
    assert ours.get("SELECT * FROM t") == [(1, "x")]


def test_without_a_key_clickhouse_takes_fresh_copies_only(new_side: Callable[[str], Side]) -> None:
    theirs, ours = new_side("postgres"), new_side("clickhouse")
    for side in (theirs, ours):
        side.run(TABLES[side.engine].format("t"))
    theirs.put("t", [(1, *[None] * (len(COLUMNS) - 1))])
    start, end = theirs.open(), ours.open()
    with pytest.raises(BadRequest):
        copy_rows(start, end, table="t", columns=COLUMNS)
    assert copy_rows(start, end, table="t", columns=COLUMNS, fresh=True) == 1
    start.close()
    end.close()


def test_what_the_open_transaction_has_written_is_copied_too(new_side: Callable[[str], Side]) -> None:
    for engine in ("postgres", "mysql"):
        theirs, ours = new_side(engine), new_side("clickhouse")
        for side in (theirs, ours):
            side.run(TABLES[side.engine].format("t"))
        start, end = theirs.open(), ours.open()
        with start.transaction():
            start.query("INSERT INTO t (id) VALUES (7)")
            assert copy_into(start, end, table="t", columns=["id"], key=["id"]) == 1
        start.close()
        end.close()
        assert ours.get("SELECT id FROM t") == [(7,)]


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_the_password_is_told_to_nobody(
    new_side: Callable[[str], Side], engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = new_side(engine), new_side("clickhouse")
    password = str(urllib.parse.urlsplit(theirs.url).password)
    theirs.run("CREATE TABLE t (id int PRIMARY KEY, odd int)")
    theirs.run("INSERT INTO t VALUES (1, 300)")
    ours.run("CREATE TABLE t (id Int32, odd UInt8) ENGINE = MergeTree ORDER BY id")
    start, end = theirs.open(), ours.open()
    with caplog.at_level("DEBUG"), pytest.raises(NotExact) as unfit:
        copy_rows(start, end, table="t", columns=["id", "odd"], key=["id"])
    with caplog.at_level("DEBUG"), pytest.raises(Refused) as refused:
        copy_rows(start, end, table="t", columns=["id", "odd"], key=["id"], condition=Condition("no_such_column = 1"))
    start.close()
    end.close()
    time.sleep(1)
    told = [
        str(unfit.value),
        str(refused.value),
        caplog.text,
        *map(str, ours.get("SELECT query FROM system.query_log")),
    ]
    assert [text for text in told if password in text] == []


class Move(Job):
    """Copy the items."""

    batches = Keyset("state", "items", key="id", where="moved = 0", size=2)

    def migrate(self, batch: Batch) -> None:
        batch.copy(to="analytics", table="items_of", columns={"id": "item", "name": "name"})
        batch.execute("UPDATE items SET moved = 1 WHERE ${batch}")


def test_a_batch_of_a_job_copies_its_rows(new_side: Callable[[str], Side]) -> None:
    sides = {"state": new_side("postgres"), "analytics": new_side("clickhouse")}
    sides["state"].run("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, moved int NOT NULL DEFAULT 0)")
    sides["state"].run("INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    sides["analytics"].run("CREATE TABLE items_of (item Int32, name String) ENGINE = MergeTree ORDER BY item")
    connections = Connections(lambda name: open_database(name, sides[name].url, Path("/")))
    move = Move()
    definition = Definition("move", Path("move.py"), 1, "", move.batches, move.migrate)
    for scope in (Range(None, (2,)), Range(None, (2,)), Range((2,), None)):
        batch = Batch(definition, scope, connections, 1)
        with batch.transactions("state"):
            batch.hold()
            move.migrate(batch)
    connections.close()
    assert sides["analytics"].get("SELECT item, name FROM items_of ORDER BY item") == [(1, "a"), (2, "b"), (3, "c")]
    assert sides["state"].get("SELECT count(*) FROM items WHERE moved = 0") == [(0,)]


BLANK: Row = (None,) * (len(COLUMNS) - 2)
MOVED = [(1, 10, *BLANK), (2, 20, *BLANK), (3, 30, *BLANK)]
"""Rows to copy: all columns but the last, by which the source tells which rows are left."""


def a_job(sides: dict[str, Side], source: Keyset, migrate: Callable[[Batch], None]) -> Callable[[], runner.Outcome]:
    """Runs a job to its end, with its ledger in the database `state`."""
    definition = Definition("move", Path("move.py"), 1, "", source, migrate)
    site = runner.Site(lambda name: open_database(name, sides[name].url, Path("/")), "state", {})
    ledger = site.open("state")
    ledger.connect()
    create(ledger)
    Ledger(ledger).register([definition.name])
    ledger.close()
    return lambda: runner.run(definition, site)


def mover(sides: dict[str, Side], replace: bool) -> Callable[[], runner.Outcome]:
    """Runs a job that copies table t from `state` to `target`, where the third row is there by another value."""

    def migrate(batch: Batch) -> None:
        batch.copy(to="target", table="t", columns=COLUMNS[:-1], replace=replace)
        batch.execute("UPDATE t SET document = '{}' WHERE ${batch}")

    return a_job(sides, Keyset("state", "t", key="id", where="document IS NULL"), migrate)


@pytest.fixture
def died_in_between(new_side: Callable[[str], Side]) -> Callable[[str, str], dict[str, Side]]:
    """Two tables after a copy that died before its commit: a row is there, and one that a writer changed since."""

    def make(engine: str, target: str) -> dict[str, Side]:
        sides = {"state": new_side(engine), "target": new_side(target)}
        for side in sides.values():
            replacing = ("MergeTree", "ReplacingMergeTree") if side is sides["target"] else ("", "")
            side.run(TABLES[side.engine].format("t").replace(*replacing))
        sides["state"].put("t", MOVED)
        sides["target"].put("t", [MOVED[0], (3, 99, *BLANK)])
        return sides

    return make


MOVES = [("postgres", target) for target in ENGINES] + [("mysql", "clickhouse"), ("sqlite", "postgres")]


@pytest.mark.parametrize(("engine", "target"), MOVES)
def test_a_row_that_a_dead_copy_left_with_other_values_is_named_and_never_taken_for_copied(
    died_in_between: Callable[[str, str], dict[str, Side]], engine: str, target: str
) -> None:
    sides = died_in_between(engine, target)
    outcome = mover(sides, replace=False)()
    assert (outcome.rows_done, outcome.failed) == (2, 1)
    [(said,)] = sides["state"].get("SELECT error FROM stepwell_failure")
    assert "t has other values where id = '3': size" in said
    assert [row[0] for row in sides["state"].get("SELECT id FROM t WHERE document IS NULL")] == [3]
    assert [row[:2] for row in rows_in(sides["target"], "t")] == [(1, 10), (2, 20), (3, 99)]


@pytest.mark.parametrize(("engine", "target"), MOVES)
def test_such_a_row_is_replaced_where_the_job_says_that_it_may(
    died_in_between: Callable[[str, str], dict[str, Side]], engine: str, target: str
) -> None:
    sides = died_in_between(engine, target)
    outcome = mover(sides, replace=True)()
    assert (outcome.state, outcome.rows_done, outcome.failed) == ("complete", 3, 0)
    if target == "clickhouse":
        sides["target"].run("OPTIMIZE TABLE t FINAL")
    assert [row[:2] for row in rows_in(sides["target"], "t")] == [(1, 10), (2, 20), (3, 30)]


def test_clickhouse_replaces_rows_only_where_its_table_does(new_side: Callable[[str], Side]) -> None:
    sides = {"state": new_side("postgres"), "target": new_side("clickhouse")}
    for side in sides.values():
        side.run(TABLES[side.engine].format("t"))
    sides["state"].put("t", MOVED)
    assert mover(sides, replace=True)().failed == 3
    for (said,) in sides["state"].get("SELECT error FROM stepwell_failure"):
        assert "ClickHouse does not replace rows of t" in said


ONE = {
    "size": 7,
    "price": Decimal("1.5"),
    "moment": datetime(2024, 3, 10, 7, 0, 0, 250_000),
    "day": date(2024, 3, 10),
    "words": "a",
    "data": b"\x00a",
    "weight": 0.1,
    "flag": True,
    "document": '{"a": 1}',
}
OTHER = {
    "size": 8,
    "price": Decimal("1.50001"),
    "moment": datetime(2024, 3, 10, 7, 0, 0, 250_001),
    "day": date(2024, 3, 11),
    "words": "A ",
    "data": b"\x00A",
    "weight": 0.1 + 2**-56,
    "flag": False,
    "document": '{"a": 2}',
}


@pytest.mark.parametrize("target", ENGINES)
def test_the_least_difference_in_any_column_is_seen(new_side: Callable[[str], Side], target: str) -> None:
    sides = Tables(new_side("postgres"), new_side(target))
    start, end = sides.source.open(), sides.target.open()
    for column in COLUMNS[1:]:
        for other in (OTHER[column], None):
            table = sides.new()
            sides.source.put(table, [(1, *ONE.values())])
            sides.target.put(table, [(1, *(ONE | {column: other}).values())])
            with pytest.raises(RowDiffers, match=rf"where id = '1': {column}\n"):
                copy_rows(start, end, table=table, columns=COLUMNS, key=["id"], there=There.COMPARED)
    start.close()
    end.close()


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_what_writers_do_beside_a_copy_is_not_taken_for_copied(new_side: Callable[[str], Side], engine: str) -> None:
    sides = {"state": new_side(engine), "analytics": new_side("clickhouse")}
    state, analytics = sides["state"], sides["analytics"]
    state.run("CREATE TABLE items (id int PRIMARY KEY, name varchar(20) NOT NULL, moved int NOT NULL DEFAULT 0)")
    state.run("INSERT INTO items (id, name) VALUES (10, 'a'), (20, 'b'), (30, 'c')")
    analytics.run("CREATE TABLE items_of (item Int32, name String) ENGINE = MergeTree ORDER BY item")
    writers: list[threading.Thread] = []
    written = threading.Event()

    def write(statement: str) -> None:
        state.run(statement)
        written.set()

    def migrate(batch: Batch) -> None:
        assert batch.query("SELECT count(*) FROM items") != [(0,)]  # what a transaction has read may be what it sees
        batch.copy(to="analytics", table="items_of", columns={"id": "item", "name": "name"})
        if not writers:
            for statement in (
                "INSERT INTO items (id, name) VALUES (15, 'came beside it')",
                "UPDATE items SET name = 'changed beside it' WHERE id = 20 AND moved = 0",
            ):
                writers.append(threading.Thread(target=write, args=(statement,)))
                writers[-1].start()
            written.wait(1)  # MySQL keeps both waiting, PostgreSQL the second one
        batch.execute("UPDATE items SET moved = 1 WHERE ${batch}")

    run = a_job(sides, Keyset("state", "items", key="id", where="moved = 0"), migrate)
    assert run().state == "complete"
    for writer in writers:
        writer.join()
    # MySQL may let the new row in behind the end of the job.
    assert run().state == "complete"
    rows = state.get("SELECT id, name FROM items ORDER BY id")
    assert rows == [(10, "a"), (15, "came beside it"), (20, "b"), (30, "c")]
    assert analytics.get("SELECT item, name FROM items_of ORDER BY item") == rows
