"""Comparing: what any two engines hold is found to differ exactly where it does, by an oracle that knows no engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checking
import dumping
from stepwell.checks import sorting
from stepwell.checks.run import Result

Row = tuple[str | None, Decimal | None, float | None, str | None]

ENGINES = ("postgres", "mysql", "sqlite", "clickhouse")
PAIRS = list(combinations_with_replacement(ENGINES, 2))

# A key and a text of each that another collation takes for the same, or sorts elsewhere.
WORDS = [
    "a",
    "A",
    "b",
    "B ",
    "B",
    "",
    "ä",
    "a\u0308",
    "ae",
    "ß",
    "ss",
    "z",
    "Z",
    "_",
    "é",
    "e",
    "日本",
    "😀",
    "\\",
    "'",
]
TABLES = {
    "postgres": "CREATE TABLE {} (k varchar(50), n numeric(20, 4), f double precision, s text)",
    "mysql": """
        CREATE TABLE {} (k varchar(50), n decimal(20, 4), f double, s longtext)
        CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci
    """,
    "sqlite": "CREATE TABLE {} (k TEXT COLLATE NOCASE, n NUMERIC, f REAL, s TEXT)",
    "clickhouse": """
        CREATE TABLE {} (k Nullable(String), n Nullable(Decimal(20, 4)), f Nullable(Float64), s Nullable(String))
        ENGINE = MergeTree ORDER BY tuple()
    """,
}
TEXTS: dict[str, Callable[[str], str]] = {
    "postgres": lambda digits: f"convert_from('\\x{digits}'::bytea, 'UTF8')",
    "mysql": lambda digits: f"CONVERT(X'{digits}' USING utf8mb4)",
    "sqlite": lambda digits: f"CAST(X'{digits}' AS TEXT)",
    "clickhouse": lambda digits: f"unhex('{digits}')",
}

values = st.tuples(
    st.none() | st.sampled_from([Decimal("1.5"), Decimal(-2), Decimal("0.0001"), Decimal("9007199254740993")]),
    st.none() | st.sampled_from([0.1, 1 / 3, -2.5, 1e300, 5e-324, 0.0]),
    st.none() | st.sampled_from(WORDS),
)
keyed = st.dictionaries(st.none() | st.sampled_from(WORDS), values, max_size=8)


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Rows with unique keys on both sides, often nearly the same."""
    one = draw(keyed)
    other = dict(one) if draw(st.booleans()) else draw(keyed)
    for key in draw(st.lists(st.sampled_from(list(one) or [None]), max_size=2)):
        other.pop(key, None)
        if draw(st.booleans()):
            other[key] = draw(values)
    return [(key, *row) for key, row in one.items()], [(key, *row) for key, row in other.items()]


def differing(one: list[Row], other: list[Row]) -> int:
    """By brute force, how many keys are not the same on both sides."""
    left, right = {row[0]: row for row in one}, {row[0]: row for row in other}
    return sum(left.get(key) != right.get(key) for key in left.keys() | right.keys())


@dataclass(frozen=True, slots=True)
class Bench:
    """Two databases with a table each, and a project whose checks compare them."""

    engines: dict[str, str]
    project: Any
    urls: dict[str, str]

    def check(self, name: str, one: Sequence[Row], other: Sequence[Row]) -> Result:
        for side, rows in (("one", one), ("other", other)):
            table = f"t_{side}"
            dumping.query(
                self.urls[side], f"TRUNCATE TABLE {table}" if self.engines[side] != "sqlite" else f"DELETE FROM {table}"
            )
            if rows:
                written = ", ".join(
                    f"({', '.join(literal(self.engines[side], value) for value in row)})" for row in rows
                )
                dumping.query(self.urls[side], f"INSERT INTO {table} (k, n, f, s) VALUES {written}")
        (outcome,) = self.project.check(name)
        assert outcome.result, outcome.error
        result: Result = outcome.result
        return result


def literal(engine: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return TEXTS[engine](value.encode().hex()) if value else "''"
    if isinstance(value, float):
        return f"{value!r}" if engine != "mysql" else f"{value!r}e0" if "e" not in repr(value) else repr(value)
    return f"{value:f}" if engine != "sqlite" else f"'{value:f}'"


CHECKS = {
    "by_key": """
        -- expect: match on k
        -- empty: accept

        -- database: one
        SELECT k, n, f, s FROM t_one
        -- database: other
        SELECT s, f, n, k FROM t_other
    """,
    "whole": """
        -- expect: equal
        -- empty: accept

        -- database: one
        SELECT n, s FROM t_one
        -- database: other
        SELECT n, s FROM t_other
    """,
}


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, home: Callable[[str], str]) -> Bench:
    engines = dict(zip(("one", "other"), request.param, strict=True))
    urls = {name: home(engine) for name, engine in engines.items()}
    for name, engine in engines.items():
        dumping.query(urls[name], f"DROP TABLE IF EXISTS t_{name}")
        dumping.query(urls[name], TABLES[engine].format(f"t_{name}"))
    return Bench(engines, checking.loaded(checking.make(tmp_path, urls, CHECKS)), urls)


each_pair = pytest.mark.parametrize("bench", PAIRS, indirect=True, ids=lambda pair: "-".join(pair))
examples = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@each_pair
@examples
@given(tables=two_tables())
def test_rows_matched_by_key_differ_where_they_differ(bench: Bench, tables: tuple[list[Row], list[Row]]) -> None:
    one, other = tables
    result = bench.check("by-key", one, other)
    assert result.differing == differing(one, other)
    assert result.compared == len({row[0] for row in one} | {row[0] for row in other})
    assert result.holds == (result.differing == 0)


@each_pair
@examples
@given(one=st.lists(st.sampled_from(WORDS[:4]), max_size=5), other=st.lists(st.sampled_from(WORDS[:4]), max_size=5))
def test_equal_rows_are_the_same_rows_as_often(bench: Bench, one: list[str], other: list[str]) -> None:
    left, right = ([(None, Decimal(1), None, word) for word in words] for words in (one, other))
    result = bench.check("whole", left, right)
    assert result.holds == (Counter(one) == Counter(other))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=4)), max_size=200))
def test_rows_come_in_order_however_many_runs_they_take(rows: list[tuple[int, bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN", 4000)
        patch.setattr(sorting, "FAN", 3)
        patch.setattr(sorting, "BLOCK", 2)
        found = [row for _, row in sorting.in_order((row, row) for row in rows)]
    assert found == sorted(rows)


# --- values of types that only look different, or only look alike ----------------------------------------------

SAME = {
    "a uuid and its text": (
        ("postgres", "SELECT '550e8400-e29b-41d4-a716-446655440000'::uuid AS v"),
        ("mysql", "SELECT '550E8400-E29B-41D4-A716-446655440000' AS v"),
    ),
    "a uuid and its bytes": (
        ("postgres", "SELECT '550e8400-e29b-41d4-a716-446655440000'::uuid AS v"),
        ("sqlite", "SELECT x'550e8400e29b41d4a716446655440000' AS v"),
    ),
    "a ClickHouse uuid": (
        ("clickhouse", "SELECT toUUID('550e8400-e29b-41d4-a716-446655440000') AS v"),
        ("mysql", "SELECT '550e8400-e29b-41d4-a716-446655440000' AS v"),
    ),
    "true and 1": (("postgres", "SELECT true AS v"), ("mysql", "SELECT 1 AS v")),
    "a Bool and a boolean": (("clickhouse", "SELECT false AS v"), ("postgres", "SELECT false AS v")),
    "1.50 and 1.5": (("postgres", "SELECT 1.50::numeric(10, 2) AS v"), ("clickhouse", "SELECT toDecimal32(1.5, 4) AS v")),
    "a decimal that SQLite keeps as text": (("postgres", "SELECT 12.50 AS v"), ("sqlite", "SELECT '12.5' AS v")),
    "single floats": (("postgres", "SELECT 0.1::real AS v"), ("clickhouse", "SELECT toFloat32(0.1) AS v")),
    "not a number": (("postgres", "SELECT 'NaN'::float8 AS v"), ("clickhouse", "SELECT nan AS v")),
    "unsigned 64 bits": (
        ("mysql", "SELECT CAST(18446744073709551615 AS UNSIGNED) AS v"),
        ("clickhouse", "SELECT toUInt64(18446744073709551615) AS v"),
    ),
    "one instant in two zones": (
        ("postgres", "SELECT timestamptz '2024-03-01 02:00:00.123456+02' AS v"),
        ("clickhouse", "SELECT toDateTime64('2024-03-01 00:00:00.123456', 6, 'UTC') AS v"),
    ),
    "an instant in text": (
        ("sqlite", "SELECT '2024-03-01T01:00:00.5+01:00' AS v"),
        ("mysql", "SELECT TIMESTAMP '2024-03-01 00:00:00.500000' AS v"),
    ),
    "a DateTime with a zone": (
        ("clickhouse", "SELECT toDateTime('2024-07-01 12:00:00', 'Europe/Berlin') AS v"),
        ("postgres", "SELECT timestamptz '2024-07-01 10:00:00Z' AS v"),
    ),
    "a date and its midnight": (
        ("postgres", "SELECT date '1901-02-03' AS v"),
        ("clickhouse", "SELECT toDate32('1901-02-03') AS v"),
    ),
    "FixedString with its padding": (
        ("clickhouse", "SELECT toFixedString('ab', 5) AS v"),
        ("postgres", "SELECT 'ab'::text AS v"),
    ),
    "CHAR with its padding": (("postgres", "SELECT 'ab'::char(9) AS v"), ("mysql", "SELECT CAST('ab' AS CHAR(9)) AS v")),
    "JSON however it is written": (
        ("postgres", """SELECT '{"b": [1.0, null], "a": "ä\\n"}'::jsonb AS v"""),
        ("sqlite", """SELECT '{"a":"\\u00e4\\n", "b":[1,null]}' AS v"""),
    ),
    "an array and JSON": (
        ("clickhouse", "SELECT ['x', 'y'] AS v"),
        ("postgres", """SELECT '["x", "y"]'::json AS v"""),
    ),
    "bytes that are no text": (
        ("clickhouse", "SELECT unhex('ff00fe') AS v"),
        ("postgres", "SELECT '\\xff00fe'::bytea AS v"),
    ),
}  # fmt: skip
OTHER = {
    "composed and decomposed": (
        ("postgres", "SELECT 'é' AS v"),
        ("clickhouse", "SELECT concat('e', char(0xcc, 0x81)) AS v"),
    ),
    "capitals": (("mysql", "SELECT 'A' AS v"), ("clickhouse", "SELECT 'a' AS v")),
    "a space at the end": (("mysql", "SELECT CONCAT('a', ' ') AS v"), ("clickhouse", "SELECT 'a' AS v")),
    "NULL and nothing": (("postgres", "SELECT NULL::text AS v"), ("clickhouse", "SELECT '' AS v")),
    "NULL and zero": (("postgres", "SELECT NULL::int AS v"), ("mysql", "SELECT 0 AS v")),
    "nanoseconds": (
        ("clickhouse", "SELECT toDateTime64('2024-03-01 00:00:00.123456789', 9, 'UTC') AS v"),
        ("postgres", "SELECT timestamptz '2024-03-01 00:00:00.123456Z' AS v"),
    ),
    "bytes and the hexadecimal digits they look like": (
        ("clickhouse", "SELECT unhex('ff') AS v"),
        ("postgres", "SELECT 'ff' AS v"),
    ),
    "numbers past a double": (
        ("postgres", "SELECT 9007199254740993 AS v"),
        ("clickhouse", "SELECT toInt64(9007199254740992) AS v"),
    ),
    "long decimals": (
        ("postgres", "SELECT 0.12345678901234567890123456789012345678 AS v"),
        ("postgres", "SELECT 0.12345678901234567890123456789012345679 AS v"),
    ),
    "a text with a line end and one with a backslash": (
        ("postgres", """SELECT '["a\\nb"]'::json AS v"""),
        ("sqlite", """SELECT '["a\\\\nb"]' AS v"""),
    ),
    "an infinite date": (("postgres", "SELECT 'infinity'::date AS v"), ("mysql", "SELECT DATE '9999-12-31' AS v")),
}  # fmt: skip


@pytest.fixture
def compared(tmp_path: Path, home: Callable[[str], str]) -> Callable[[tuple[tuple[str, str], tuple[str, str]]], Result]:
    def compare(sides: tuple[tuple[str, str], tuple[str, str]]) -> Result:
        urls = {f"db{number}": home(engine) for number, (engine, _) in enumerate(sides)}
        ledger = {"ledger": f"sqlite:///{tmp_path}/ledger.db"}
        sections = "\n".join(f"-- database: db{number}\n{text}" for number, (_, text) in enumerate(sides))
        made = checking.make(tmp_path, ledger | urls, {"v": f"-- expect: equal\n{sections}\n"})
        # The servers' databases serve other tests, too, and may have a ledger of theirs.
        toml = made.folder / "stepwell.toml"
        toml.write_text(f'{toml.read_text()}\n[ledger]\ndatabase = "ledger"\n')
        (outcome,) = checking.loaded(made).check()
        assert outcome.result, outcome.error
        return outcome.result

    return compare


@pytest.mark.parametrize("name", SAME)
def test_the_same_value_in_two_types_is_the_same(name: str, compared: Callable[[Any], Result]) -> None:
    result = compared(SAME[name])
    assert result.holds, result.rows


@pytest.mark.parametrize("name", OTHER)
def test_another_value_is_never_taken_for_it(name: str, compared: Callable[[Any], Result]) -> None:
    assert not compared(OTHER[name]).holds
