"""Differences of two tables are found exactly where they are, on any two engines, by an oracle that knows no engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checking
import dumping
from stepwell.checks.diff import hashes, ranges, rows
from stepwell.checks.diff.run import Begun, Request, Summary
from stepwell.checks.diff.side import Side
from stepwell.errors import NotComparable

Row = tuple[Any, ...]

ENGINES = ("postgres", "mysql", "sqlite", "clickhouse")
PAIRS = list(combinations_with_replacement(ENGINES, 2))

TABLES = {
    "postgres": """
        CREATE TABLE {t} (n bigint, w varchar(200), d numeric(20, 4), f double precision, s text, at timestamptz, b boolean,
          x bytea);
        CREATE INDEX ON {t} (n)
    """,
    "mysql": """
        CREATE TABLE {t} (n bigint, w varchar(200), d decimal(20, 4), f double, s longtext, at datetime(6), b tinyint(1),
          x varbinary(20), KEY (n)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci
    """,
    "sqlite": """
        CREATE TABLE {t} (n INTEGER, w TEXT COLLATE NOCASE, d NUMERIC, f REAL, s TEXT, at TEXT, b INTEGER, x BLOB);
        CREATE INDEX {t}_n ON {t} (n)
    """,
    "clickhouse": """
        CREATE TABLE {t} (n Nullable(Int64), w LowCardinality(Nullable(String)), d Nullable(Decimal(20, 4)),
          f Nullable(Float64), s Nullable(String), at Nullable(DateTime64(6, 'Europe/Berlin')), b Nullable(Bool),
          x Nullable(String))
        ENGINE = MergeTree ORDER BY n SETTINGS allow_nullable_key = 1
    """,
}
COLUMNS = ("n", "w", "d", "f", "s", "at", "b", "x")

# Another collation takes some of these for the same, or sorts them elsewhere; some are past what is hashed by itself.
WORDS = [
    "a",
    "A",
    "b",
    "B ",
    "B",
    "",
    "ä",
    "a\u0308",
    "ß",
    "ss",
    "_",
    "é",
    "日本",
    "😀",
    "\\",
    "'",
    "N",
    "1,a",
    "x" * 100,
]
LONG = ["y" * 101, "y" * 100 + "z", "ä" * 51]
EMPTY: Row = (None,) * 6

values = st.tuples(
    st.none() | st.sampled_from([Decimal("1.5"), Decimal(-2), Decimal("0.0001"), Decimal("9007199254740993")]),
    st.none() | st.sampled_from([0.1, 1 / 3, -2.5, 1e300, 5e-324, 0.0, 1e15, 123456789.0]),
    st.none() | st.sampled_from(WORDS + LONG),
    st.none() | st.sampled_from([datetime(2024, 3, 31, 2, 30), datetime(1999, 12, 31, 23, 59, 59, 100)]),
    st.none() | st.booleans(),
    st.none() | st.sampled_from([b"", b"\0", b"\xff\xfe", b"N"]),
)  # fmt: skip
keys = st.tuples(
    st.none() | st.sampled_from([0, 1, 2, 5, -3, 40, 41, 10**12, -(2**63), 2**63 - 1]),
    st.none() | st.sampled_from(WORDS),
)


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Rows whose keys may be NULL or repeated, often nearly the same on both sides."""
    some = st.lists(st.tuples(keys, values).map(lambda row: row[0] + row[1]), max_size=10)
    one = draw(some)
    other = list(one) if draw(st.integers(0, 3)) else draw(some)
    for row in draw(st.lists(st.sampled_from(one or [(None, None, *EMPTY)]), max_size=3)):
        if row in other and draw(st.booleans()):
            other.remove(row)
        if draw(st.booleans()):
            other.append((*row[:2], *draw(values)))
    return one, other


def expected(one: Sequence[Row], other: Sequence[Row], key: Sequence[int]) -> set[tuple[str, Row]]:
    """By brute force: the kind of difference and the key."""
    found = set()
    sides: list[dict[Row, Counter[Row]]] = [{}, {}]
    for side, table in zip(sides, (one, other), strict=True):
        for row in table:
            side.setdefault(tuple(row[place] for place in key), Counter())[row] += 1
    for name in sides[0].keys() | sides[1].keys():
        left, right = (side.get(name, Counter()) for side in sides)
        if left != right:
            counts = (left.total(), right.total())
            kinds = {(1, 0): "missing", (0, 1): "extra", (1, 1): "changed"}
            found.add((kinds.get(counts, "repeated"), name))
    return found


def spelled(key: Row) -> Row:
    return tuple(None if value is None else str(value) for value in key)


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison told and how it came out."""

    summary: Summary
    begun: Begun
    differences: list[rows.Difference]

    @property
    def kinds(self) -> list[tuple[str, Row]]:
        return [(one.kind, one.key) for one in self.differences]


@dataclass(frozen=True, slots=True)
class Bench:
    """Two databases with a table t each, and a project that compares them."""

    engines: dict[str, str]
    project: Any
    urls: dict[str, str]

    def fill(self, *tables: Sequence[Row]) -> None:
        for name, table in zip(self.urls, tables, strict=True):
            engine = self.engines[name]
            self.send(name, "DELETE FROM {t}" if engine in ("sqlite", "mysql") else "TRUNCATE TABLE {t}")
            if table:
                written = ", ".join(f"({', '.join(literal(engine, value) for value in row)})" for row in table)
                self.send(name, f"INSERT INTO {{t}} ({', '.join(COLUMNS)}) VALUES {written}")

    def send(self, name: str, *statements: str) -> None:
        """Statements to one side's database, whose table they call {t}."""
        for statement in statements:
            dumping.query(self.urls[name], statement.replace("{t}", f"t_{name}"))

    def diff(self, key: str = "n", **asked: Any) -> Found:
        told: list[Any] = []
        names = {name: name for name in key.split(",")}
        request = Request(left="one.t_one", right="other.t_other", key=names, **asked)
        summary = self.project.diff(request, told.append)
        return Found(summary, told[0], [event for event in told if isinstance(event, rows.Difference)])


def literal(engine: str, value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper() if engine in ("postgres", "clickhouse") else str(int(value))
        case bytes():
            digits = value.hex()
            return {"postgres": f"'\\x{digits}'::bytea", "clickhouse": f"unhex('{digits}')"}.get(engine, f"x'{digits}'")
        case str():
            digits = value.encode().hex()
            return {
                "postgres": f"convert_from('\\x{digits}'::bytea, 'UTF8')",
                "mysql": f"CONVERT(X'{digits}' USING utf8mb4)",
                "sqlite": f"CAST(X'{digits}' AS TEXT)",
                "clickhouse": f"unhex('{digits}')",
            }[engine]
        case datetime():
            text = value.isoformat(" ", "microseconds")
            return {"postgres": f"'{text}Z'", "clickhouse": f"toDateTime64('{text}', 6, 'UTC')"}.get(
                engine, f"'{text}'"
            )
        case float():
            return repr(value) if engine != "mysql" or "e" in repr(value) else f"{value!r}e0"
        case Decimal():
            return f"'{value:f}'" if engine == "sqlite" else f"{value:f}"
    return str(value) if engine != "clickhouse" else f"toInt64('{value}')"


def made(engines: Sequence[str], folder: Path, home: Callable[[str], str]) -> Bench:
    sides = dict(zip(("one", "other"), engines, strict=True))
    urls = {name: home(engine) for name, engine in sides.items()}
    bench = Bench(sides, checking.loaded(checking.make(folder, urls, {})), urls)
    for name in urls:
        bench.send(name, "DROP TABLE IF EXISTS {t}")
    return bench


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, home: Callable[[str], str]) -> Bench:
    bench = made(request.param, tmp_path, home)
    for name, engine in bench.engines.items():
        bench.send(name, *TABLES[engine].split(";"))
    return bench


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few rows, so that a few rows are many segments."""
    monkeypatch.setattr(ranges, "ROWS", 4)
    monkeypatch.setattr(ranges, "FEW", 2)
    monkeypatch.setattr(ranges, "PARTS", 3)
    monkeypatch.setattr(Side, "most", 3)
    monkeypatch.setattr(hashes, "DIGITS", 1)
    monkeypatch.setattr(hashes, "PASS", 3)


each_pair = pytest.mark.parametrize("bench", PAIRS, indirect=True, ids=lambda pair: "-".join(pair))
on = pytest.mark.parametrize
KEYS = {"n": (0,), "w": (1,), "n,w": (0, 1)}


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.function_scoped_fixture])


@each_pair
@examples(5)
@given(tables=two_tables(), key=st.sampled_from(list(KEYS)))
def test_what_differs_is_what_brute_force_finds(
    bench: Bench, small: None, tables: tuple[list[Row], list[Row]], key: str
) -> None:
    agree(bench, tables, key)


@pytest.mark.soak
@each_pair
@examples(200)
@given(tables=two_tables(), key=st.sampled_from(list(KEYS)))
def test_it_is_so_for_many_more_tables(
    bench: Bench, small: None, tables: tuple[list[Row], list[Row]], key: str
) -> None:
    agree(bench, tables, key)


@each_pair
def test_the_least_and_the_greatest_key_there_are_lie_in_one_table(bench: Bench) -> None:
    ends = [(key, None, *EMPTY) for key in (-(2**63), 0, 2**63 - 1)]
    bench.fill(ends, [ends[0], *ends[2:]])
    found = bench.diff()
    assert found.kinds == [("missing", ("0",))]
    assert (found.summary.left, found.summary.right) == (3, 2)


def agree(bench: Bench, tables: tuple[list[Row], list[Row]], key: str) -> None:
    bench.fill(*tables)
    found = bench.diff(key)
    wanted = {(kind, spelled(name)) for kind, name in expected(*tables, KEYS[key])}
    assert sorted(found.kinds, key=repr) == sorted(wanted, key=repr)
    assert (found.summary.left, found.summary.right) == (len(tables[0]), len(tables[1]))
    assert found.begun.way == ("ranges" if key == "n" else "buckets")


# --- columns of types that only look different, or only look alike --------------------------------------------

UUID = "550e8400-e29b-41d4-a716-446655440000"
Column = tuple[str, str, str]
"""An engine, a type, the SQL of a value."""

SAME: dict[str, tuple[Column, Column]] = {
    "a uuid and its text": (("postgres", "uuid", f"'{UUID}'"), ("mysql", "char(36)", f"'{UUID.upper()}'")),
    "a uuid and its bytes": (("postgres", "uuid", f"'{UUID}'"), ("mysql", "binary(16)", f"x'{UUID.replace('-', '')}'")),
    "MariaDB's uuid": (("mysql", "uuid", f"'{UUID}'"), ("clickhouse", "UUID", f"'{UUID}'")),
    "a uuid in SQLite": (("postgres", "uuid", f"'{UUID}'"), ("sqlite", "TEXT", f"'{UUID}'")),
    "true and 1": (("postgres", "boolean", "true"), ("mysql", "tinyint(1)", "1")),
    "Bool and UInt8": (("clickhouse", "Bool", "true"), ("clickhouse", "UInt8", "1")),
    "1.50 and 1.5": (("postgres", "numeric(10, 2)", "-1.50"), ("clickhouse", "Decimal(38, 10)", "toDecimal128('-1.5', 10)")),
    "a decimal of any scale": (("postgres", "numeric", "100.000"), ("mysql", "decimal(65, 0)", "100")),
    "an integer and a decimal": (("mysql", "bigint unsigned", "18446744073709551615"), ("postgres", "numeric(30, 3)", "18446744073709551615")),
    "a decimal that SQLite keeps as text": (("postgres", "numeric(10, 2)", "12.50"), ("sqlite", "TEXT", "'12.5'")),
    "single floats": (("postgres", "real", "0.1"), ("mysql", "float", "0.1")),
    "a single and ClickHouse's": (("mysql", "float", "0.1"), ("clickhouse", "Float32", "0.1")),
    "large floats": (("postgres", "float8", "'1e20'"), ("clickhouse", "Float64", "1e20")),
    "not a number": (("postgres", "float8", "'NaN'"), ("clickhouse", "Float64", "nan")),
    "infinite": (("postgres", "float8", "'-Infinity'"), ("clickhouse", "Float64", "-inf")),
    "zeros": (("postgres", "float8", "'-0'"), ("clickhouse", "Float64", "0")),
    "unsigned 64 bits": (("mysql", "bigint unsigned", "18446744073709551615"), ("clickhouse", "UInt64", "toUInt64('18446744073709551615')")),
    "an instant in two zones": (("postgres", "timestamptz", "'2024-03-01 02:00:00.123456+02'"), ("clickhouse", "DateTime64(9, 'Asia/Tokyo')", "toDateTime64('2024-03-01 00:00:00.123456', 9, 'UTC')")),
    "seconds and microseconds": (("mysql", "datetime", "'2024-03-01 00:00:00'"), ("postgres", "timestamp", "'2024-03-01 00:00:00'")),
    "an instant in text": (("sqlite", "TEXT", "'2024-03-01T01:00:00.5+01:00'"), ("mysql", "datetime(6)", "'2024-03-01 00:00:00.5'")),
    "a date and its midnight": (("postgres", "date", "'1901-02-03'"), ("mysql", "datetime(3)", "'1901-02-03'")),
    "dates": (("mysql", "date", "'1901-02-03'"), ("clickhouse", "Date32", "toDate32('1901-02-03')")),
    "times of day": (("mysql", "time(3)", "'01:02:03.5'"), ("postgres", "time", "'01:02:03.5'")),
    "FixedString and text": (("clickhouse", "FixedString(5)", "'ab'"), ("postgres", "text", "'ab'")),
    "CHAR and text": (("postgres", "char(9)", "'ab'"), ("clickhouse", "String", "'ab'")),
    "CHAR in both": (("postgres", "char(9)", "'ab'"), ("mysql", "char(20)", "'ab'")),
    "an enum and its text": (("mysql", "enum('a', 'ü')", "'ü'"), ("clickhouse", "Enum8('a' = 1, 'ü' = 2)", "'ü'")),
    "another character set": (("mysql", "varchar(9) CHARACTER SET latin1", "'é'"), ("postgres", "text", "'é'")),
    "bytes that are no text": (("clickhouse", "String", "unhex('ff00fe')"), ("postgres", "bytea", "'\\xff00fe'")),
    "long texts": (("mysql", "longtext", "REPEAT('ü', 5000)"), ("postgres", "text", "repeat('ü', 5000)")),
    "JSON however it is written": (("postgres", "jsonb", """'{"b": [1.0, null], "a": "ä"}'"""), ("mysql", "json", """'{"a":"\\\\u00e4", "b":[1,null]}'""")),
    "arrays": (("postgres", "text[]", "ARRAY['x', 'y\"z']"), ("clickhouse", "Array(String)", "['x', 'y\"z']")),
    "NULL in both": (("postgres", "text", "NULL"), ("clickhouse", "Nullable(String)", "NULL")),
}  # fmt: skip
OTHER: dict[str, tuple[Column, Column]] = {
    "composed and decomposed": (("postgres", "text", "'é'"), ("clickhouse", "String", "concat('e', char(0xcc, 0x81))")),
    "capitals": (("mysql", "varchar(9)", "'A'"), ("clickhouse", "String", "'a'")),
    "a space at the end": (("mysql", "varchar(9)", "'a '"), ("postgres", "text", "'a'")),
    "NULL and nothing": (("postgres", "text", "NULL"), ("clickhouse", "String", "''")),
    "NULL and the letter it is written with": (("postgres", "text", "NULL"), ("mysql", "text", "'N'")),
    "NULL and that letter in SQLite": (("postgres", "int", "NULL"), ("sqlite", "NUMERIC", "'N'")),
    "NULL and zero": (("postgres", "int", "NULL"), ("mysql", "int", "0")),
    "nanoseconds": (("clickhouse", "DateTime64(9, 'UTC')", "toDateTime64('2024-03-01 00:00:00.123456789', 9, 'UTC')"), ("postgres", "timestamptz", "'2024-03-01 00:00:00.123456Z'")),
    "numbers past a double": (("postgres", "bigint", "9007199254740993"), ("clickhouse", "Int64", "9007199254740992")),
    "neighbouring doubles": (("postgres", "float8", "0.1"), ("clickhouse", "Float64", "0.10000000000000002")),
    "a single and a double": (("postgres", "real", "0.1"), ("clickhouse", "Float64", "0.1")),
    "long decimals": (("postgres", "numeric", "0.12345678901234567890123456789012345678"), ("postgres", "numeric", "0.12345678901234567890123456789012345679")),
    "decimals wider than MySQL's": (("mysql", "decimal(65, 0)", "9" * 65), ("mysql", "decimal(40, 30)", "9")),
    "a zero date": (("mysql", "datetime", "'0000-00-00 00:00:00'"), ("clickhouse", "DateTime('UTC')", "toDateTime(0)")),
    "BINARY and what it is filled up from": (("mysql", "binary(3)", "'a'"), ("postgres", "bytea", "'\\x61'")),
    "long texts that differ at the end": (("mysql", "longtext", "CONCAT(REPEAT('a', 5000), 'b')"), ("postgres", "text", "repeat('a', 5000) || 'c'")),
    "JSON strings and numbers": (("postgres", "jsonb", "'[1]'"), ("mysql", "json", """'["1"]'""")),
    "bytes and the text of their digits": (("clickhouse", "String", "unhex('ff')"), ("postgres", "text", "'ff'")),
    "an infinite date": (("postgres", "date", "'infinity'"), ("mysql", "date", "'9999-12-31'")),
}  # fmt: skip
REFUSED: dict[str, tuple[Column, Column, str]] = {
    "a float and a decimal": (("mysql", "double", "1"), ("postgres", "numeric(9, 2)", "1"), "rounding"),
    "a text and a number": (("postgres", "text", "'7'"), ("clickhouse", "Int64", "7"), "'7', '07'"),
    "an interval": (("postgres", "interval", "'1 day'"), ("mysql", "text", "'1 day'"), "no text that both"),
    "arrays of floats": (("postgres", "float8[]", "'{1}'"), ("clickhouse", "Array(Float64)", "[1]"), "arrays are compared if"),
    "a map": (("clickhouse", "Map(String, String)", "map()"), ("postgres", "jsonb", "'{}'"), "no text that both"),
}  # fmt: skip


@pytest.fixture
def columns(request: pytest.FixtureRequest, tmp_path: Path, home: Callable[[str], str]) -> Bench:
    """Two tables of one row, whose column v has a type and a value each."""
    sides = request.param[:2]
    bench = made([engine for engine, _, _ in sides], tmp_path, home)
    for name, (engine, kind, value) in zip(bench.urls, sides, strict=True):
        end = "ENGINE = MergeTree ORDER BY id" if engine == "clickhouse" else ""
        relaxed = "SET STATEMENT sql_mode = '' FOR " if engine == "mysql" else ""
        number = "Int32" if engine == "clickhouse" else "int PRIMARY KEY"
        create = f"CREATE TABLE {{t}} (id {number}, v {kind}) {end}"
        bench.send(name, create, f"{relaxed}INSERT INTO {{t}} VALUES (1, {value})")
    return bench


@on("columns", SAME.values(), ids=SAME, indirect=True)
def test_the_same_value_in_two_types_is_the_same(columns: Bench) -> None:
    assert columns.diff("id").differences == []
    assert columns.diff("id", columns={"v": "v"}).summary.left == 1


def test_columns_may_be_called_by_words_of_sql(tmp_path: Path, home: Callable[[str], str]) -> None:
    bench = made(("postgres", "postgres"), tmp_path, home)
    for name, value in zip(bench.urls, "ab", strict=True):
        create = 'CREATE TABLE {t} ("user" int PRIMARY KEY, "order" text)'
        bench.send(name, create, f"INSERT INTO {{t}} VALUES (1, '{value}')")
    (difference,) = bench.diff("user").differences
    assert [change.column for change in difference.changes] == ["order"]


@on("columns", OTHER.values(), ids=OTHER, indirect=True)
def test_another_value_is_never_taken_for_it(columns: Bench) -> None:
    (difference,) = columns.diff("id").differences
    assert (difference.kind, difference.key) == ("changed", ("1",))
    assert [change.column for change in difference.changes] == ["v"]


@on("columns", REFUSED.values(), ids=REFUSED, indirect=True)
def test_what_has_no_exact_answer_is_refused_with_the_reason(columns: Bench, request: pytest.FixtureRequest) -> None:
    reason = request.node.callspec.params["columns"][2]
    with pytest.raises(NotComparable) as refused:
        columns.diff("id")
    assert reason in str(refused.value)
    assert columns.diff("id", columns={"id": "id"}).summary.differing == 0
