"""ClickHouse's side of a copy: its columns, their values as text, and rows coming in.

Rows come in by one INSERT … SELECT, be it from a stage that holds texts or straight from the other server. It converts
each text and turns the value into text again: where the two differ, it fails instead of writing anything else.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from stepwell.databases.clickhouse import checksums, reach
from stepwell.databases.clickhouse.names import literal, parse
from stepwell.databases.clickhouse.names import quote as quoted
from stepwell.databases.database import Command, Database
from stepwell.databases.transfer import Column, Kind, OutOfReach, Pair, There, blame, not_exact, row_differs
from stepwell.errors import BadRequest, Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse import ClickhouseDatabase

LOG = logging.getLogger("stepwell")

IN_TRANSACTION = False

POLL = 0.2
"""Seconds between two looks at a statement of an earlier copy."""

STAGED = 32 << 20
"""Bytes of lines that are drawn from a stage at once: a part for each, and the fewer parts, the fewer merges."""

STAGE_DAYS = 7
"""Days after which a stage can't be in use any more."""

COLUMNS = "SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position"

WRAPPED = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)$")
RAW = ("String", "FixedString")
INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
FRACTIONS = ("Decimal", "DateTime", "DateTime64")
FLOATS = ("Float32", "Float64", "BFloat16")
KINDS = {
    "Array": Kind.ARRAY,
    **dict.fromkeys(INTEGERS, Kind.INTEGER),
    **dict.fromkeys(FRACTIONS, Kind.FRACTION),
    **dict.fromkeys(FLOATS, Kind.FLOAT),
}
OPAQUE = frozenset(
    {"AggregateFunction", "Dynamic", "JSON", "Map", "Nested", "Object", "SimpleAggregateFunction", "Tuple", "Variant"}
)
"""Types whose text, read again, may be another value. They are read as JSON and never written."""

SETTINGS = {
    "insert_null_as_default": 0,
    "precise_float_parsing": 1,
    "output_format_decimal_trailing_zeros": 0,
}
STRINGS = "Array(Nullable(String))"


def columns(database: ClickhouseDatabase, table: str) -> list[Column]:
    """The columns of a table, `name` or `database.name`."""
    return [_column(*row) for row in database.query(COLUMNS, database.qualified(parse(table)))]


def _column(name: str, spelled: str) -> Column:
    bare = _bare(spelled)
    family = bare.partition("(")[0]
    kind = KINDS.get(family, Kind.PLAIN)
    return Column(name, bare, family, kind, "Nullable(" in spelled.partition("Array(")[0], family in RAW)


def _bare(spelled: str) -> str:
    while found := WRAPPED.match(spelled):
        spelled = found[1]
    return spelled


def quote(name: str) -> str:
    return quoted(name)


def prepare(
    database: ClickhouseDatabase, into: str, pairs: Sequence[Pair], found: str, parameters: Sequence[Any]
) -> None:
    """Nothing: what a statement needs is said in its own settings."""


def text(column: Column, wire: Kind, value: str) -> str:
    """SQL for the text of a value of this column."""
    return f"lower(hex({value}))" if wire is Kind.BYTES else _text(column.type, value)


def _text(spelled: str, value: str, depth: int = 0) -> str:
    bare = _bare(spelled)
    match bare.partition("(")[0]:
        case "Array":
            element = f"e{depth}"
            inside = _text(bare[6:-1], element, depth + 1)
            return f"toJSONString(arrayMap({element} -> {inside}, {value}))"
        case "Bool":
            return f"toString(toUInt8({value}))"
        case "Float32" | "Float64" | "BFloat16":
            return f"toString(toFloat64({value}))"
        case "DateTime":
            return f"toString(toTimeZone({value}, 'UTC'))"
        case "DateTime64" if not bare.startswith("DateTime64(0"):
            return f"trimRight(trimRight(toString(toTimeZone({value}, 'UTC')), '0'), '.')"
        case "DateTime64":
            return f"toString(toTimeZone({value}, 'UTC'))"
        case family if family in OPAQUE:
            return f"toJSONString({value})"
    return f"toString({value})"


def _value(pair: Pair, spelled: str, came: str, depth: int = 0) -> str:
    """SQL for the value of a text in a type, NULL where it has none or where `came` is NULL."""
    bare = _bare(spelled)
    match bare.partition("(")[0]:
        case "Array":
            element = f"e{depth}"
            inside = _value(pair, bare[6:-1], element, depth + 1)
            if "Nullable(" not in bare[6:].partition("Array(")[0]:
                inside = f"assumeNotNull({inside})"
            return f"arrayMap({element} -> {inside}, JSONExtract(ifNull({came}, '[]'), '{STRINGS}'))"
        case "String":
            return f"unhex({came})" if pair.wire is Kind.BYTES else came
        case "FixedString":
            whole = f"unhex({came})" if pair.wire is Kind.BYTES else came
            return f"CAST(if(length({whole}) <= {bare[12:-1]}, {whole}, NULL) AS Nullable({bare}))"
        case "Enum8" | "Enum16":
            return f"CAST({came} AS Nullable({bare}))"
        case "Float32" | "BFloat16":
            return f"CAST(accurateCastOrNull({came}, 'Float64') AS Nullable({bare}))"
        case "DateTime":
            return f"CAST(toDateTimeOrNull({came}, 'UTC') AS Nullable({bare}))"
        case "DateTime64":
            scale = bare[11:].rstrip(")").partition(",")[0]
            return f"CAST(toDateTime64OrNull({came}, {scale}, 'UTC') AS Nullable({bare}))"
    return f"accurateCastOrNull({came}, {literal(bare)})"


def _bad(pair: Pair, came: str, value: str) -> str:
    """SQL that is true where the target would not give back the text that came."""
    target = pair.target
    again = text(target, pair.wire, value)
    if target.family == "String":
        same = "1"
    elif target.kind is Kind.ARRAY:
        ours, theirs = (f"JSONExtract(ifNull({json}, ''), '{STRINGS}')" for json in (again, came))
        same = f"JSONType(ifNull({came}, '')) = 'Array' AND {ours} = {theirs}"
    elif pair.wire is Kind.INTEGER:
        same = f"{value} = {came}"
    elif pair.wire is Kind.FLOAT:
        same = f"{again} = toString(accurateCastOrNull({came}, 'Float64'))"
    elif target.kind is Kind.FRACTION:
        same = f"{again} = if(position({came}, '.') > 0, trimRight(trimRight({came}, '0'), '.'), {came})"
    else:
        same = f"{again} = {came}"
    differs = f"isNotNull({came}) AND NOT ifNull({same}, 0)"
    return f"({differs})" if target.nullable else f"(isNull({came}) OR ({differs}))"


def _differ(pair: Pair, one: str, other: str) -> str:
    """SQL that is true where two values of the target's column are not the same."""
    one, other = text(pair.target, Kind.PLAIN, one), text(pair.target, Kind.PLAIN, other)
    return f"NOT ifNull({one} = {other}, isNull({one}) AND isNull({other}))"


class Landing:
    """Rows on their way into a table, from a stage in memory or from any other `origin` with columns of text.

    Where rows may be there already, the key tells. `FROM` an origin is read twice then: once for the keys that it has.
    """

    def __init__(
        self, database: ClickhouseDatabase, table: str, pairs: Sequence[Pair], key: Sequence[str], there: There
    ) -> None:
        self._database, self._pairs, self._key, self._there = database, pairs, key, there
        self._home, name = database.qualified(parse(table))
        self._name, self._table = table, quoted(self._home, name)
        self._texts = [f"c{place}" for place in range(len(pairs))]
        self._stage, self._staged = "", 0
        self._tag = "stepwell copy"
        self._require_writable(table)

    def _require_writable(self, table: str) -> None:
        for pair in self._pairs:
            if pair.target.family in OPAQUE:
                raise not_exact(table, pair, f"a text read as {pair.target.family} may not be the same value again")
        if self._there is There.REPLACED and not checksums.relation(self._database, table).endswith(" FINAL"):
            raise BadRequest(
                f"ClickHouse does not replace rows of {table}",
                "Copy into a table with ENGINE = ReplacingMergeTree, or without replace: rows that differ are named.",
            )

    def _follow(self, rows: str) -> None:
        """Wait for the end of what an earlier copy of these rows has at work: a server goes on when its client dies."""
        self._tag = f"stepwell copy {sha256(f'{self._table} {rows}'.encode()).hexdigest()[:32]}"
        told = False
        while self._database.query(
            f"""
            SELECT 1 FROM {self._database.everywhere("processes")}
            WHERE startsWith(Settings['log_comment'], {literal(self._tag)}) LIMIT 1
            """
        ):
            if not told:
                LOG.info(
                    "an earlier copy of the same rows into %s is still at work there; waiting for its end", self._name
                )
            told = True
            time.sleep(POLL)

    def fetch(self, source: Database, select: str, found: str, parameters: Sequence[Any]) -> int | None:
        """Add those rows of another server that are not there yet, which the source counts meanwhile."""
        self._follow(f"{source.name} {select} {parameters!r}")
        try:
            with reach.reached(source, self._database) as query, ThreadPoolExecutor(1) as beside:
                count = beside.submit(source.query, f"SELECT count(*) {found}", parameters)
                self._draw(query(select, parameters))
                return int(count.result()[0][0])
        except OutOfReach as reason:
            LOG.info("rows of %s come to %s through this process: %s", source.name, self._database.name, reason)
            return None

    def __enter__(self) -> Landing:
        self._drop_old_stages()
        # A text read as a number may wrap: 128 bits hold whatever integer comes, signed or not.
        types = ["Int128" if pair.wire is Kind.INTEGER else "String" for pair in self._pairs]
        fields = ", ".join(f"{name} Nullable({type_})" for name, type_ in zip(self._texts, types, strict=True))
        stage = quoted(self._home, f"stepwell_copy_{uuid.uuid4().hex}")
        self._database.query(f"CREATE TABLE {stage} ({fields}) ENGINE = Memory")
        self._stage = stage
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None and self._staged:
                self._draw(self._stage)
        finally:
            with suppress(Refused):  # a later copy drops it
                self._database.query(f"DROP TABLE IF EXISTS {self._stage} SYNC")

    def _drop_old_stages(self) -> None:
        """Drop what copies left whose process was killed."""
        old = self._database.query(
            f"""
            SELECT name FROM system.tables
            WHERE database = {literal(self._home)}
              AND match(name, '^stepwell_copy_[0-9a-f]{{32}}$')
              AND metadata_modification_time < now() - INTERVAL {STAGE_DAYS} DAY
            """
        )
        for (name,) in old:
            self._database.query(f"DROP TABLE IF EXISTS {quoted(self._home, str(name))} SYNC")

    def land(self, lines: bytes) -> None:
        """Add those rows of whole lines that are not there yet, at the end at the latest.

        Raises NotExact and RowDiffers.
        """
        self._database.load(self._stage, self._texts, lines)
        self._staged += len(lines)
        if self._staged >= STAGED:
            self._draw(self._stage)
            self._database.query(f"TRUNCATE TABLE {self._stage}")
            self._staged = 0

    def _draw(self, origin: str) -> None:
        """Add those rows of an origin that are not there yet, in one statement. Raises NotExact and RowDiffers."""
        command = Command(text=self._insert(origin, self._finds_some(origin)), tag=f"{self._tag} {uuid.uuid4()}")
        try:
            self._database.send(command.text, command)
        except Refused as error:
            if type(error) is not Refused or not self._readable(origin):
                raise
            raise blame(self._name, self._pairs, lambda place: self._unfit(origin, place), error) from None

    def _readable(self, origin: str) -> bool:
        try:
            self._database.query(f"SELECT 1 FROM {origin} LIMIT 1")
        except Refused:
            return False
        return True

    def _unfit(self, origin: str, place: int) -> list[tuple[Any, ...]]:
        pair, came = self._pairs[place], f"c{place}"
        bad = _bad(pair, came, _value(pair, pair.target.type, came))
        return self._database.query(f"SELECT toString({came}) FROM {origin} WHERE {bad} LIMIT 1 {_settings()}")

    def _finds_some(self, origin: str) -> bool:
        """Whether there may be rows that are to be left out. Raises RowDiffers where they are not the same."""
        # A table that replaces rows does so with those that come last.
        if not self._key or self._there is There.REPLACED:
            return False
        if not self._database.query(f"SELECT 1 FROM {self._table} LIMIT 1"):
            return False
        if self._there is There.LEFT:
            return True
        if not self._database.query(f"SELECT 1 {self._those_there(origin)} LIMIT 1 {_settings()}"):
            return False
        self._require_same(origin)
        return True

    def _those_there(self, origin: str, table: str = "") -> str:
        """SQL from FROM on for the table's rows whose keys the origin has."""
        theirs = ", ".join(map(quoted, self._key))
        ours = ", ".join(f"assumeNotNull({self._value_of(name)})" for name in self._key)
        return f"FROM {table or self._table} WHERE ({theirs}) IN (SELECT {ours} FROM {origin})"

    def _value_of(self, name: str) -> str:
        """SQL for what comes into a column of the target."""
        [(place, pair)] = [(place, pair) for place, pair in enumerate(self._pairs) if pair.target.name == name]
        return _value(pair, pair.target.type, f"c{place}")

    def _require_same(self, origin: str) -> None:
        """Raises RowDiffers."""
        names = [pair.target.name for pair in self._pairs]
        mine = ", ".join(f"{quoted(name)} AS t{place}" for place, name in enumerate(names))
        come = ", ".join(f"{self._value_of(name)} AS v{place}" for place, name in enumerate(names))
        same_key = " AND ".join(f"t{names.index(name)} = assumeNotNull(v{names.index(name)})" for name in self._key)
        differ = [_differ(pair, f"t{place}", f"v{place}") for place, pair in enumerate(self._pairs)]
        shown = ", ".join([*(f"toString(t{names.index(name)})" for name in self._key), *differ])
        rows = self._database.query(
            f"""
            SELECT {shown}
            FROM (SELECT {mine} {self._those_there(origin, checksums.relation(self._database, self._name))}) AS t
            INNER JOIN (SELECT {come} FROM {origin}) AS s ON {same_key}
            WHERE {" OR ".join(differ)}
            LIMIT 1
            {_settings()}
            """
        )
        for row in rows:
            raise row_differs(self._name, self._pairs, self._key, row)

    def _insert(self, origin: str, some_are_there: bool) -> str:
        names = ", ".join(quoted(pair.target.name) for pair in self._pairs)
        values = [_value(pair, pair.target.type, f"c{place}") for place, pair in enumerate(self._pairs)]
        fields = ",\n  ".join(f"c{place}, {value} AS v{place}" for place, value in enumerate(values))
        conditions = [
            f"NOT throwIf({_bad(pair, f'c{place}', f'v{place}')}, 'not exact: c{place}')"
            for place, pair in enumerate(self._pairs)
        ]
        if some_are_there:
            place_of = {pair.target.name: place for place, pair in enumerate(self._pairs)}
            theirs = ", ".join(map(quoted, self._key))
            known = ", ".join(f"assumeNotNull(v{place_of[name]})" for name in self._key)
            conditions.append(f"({known}) NOT IN (\n  SELECT {theirs} {self._those_there(origin)}\n)")
        results = ", ".join(
            f"v{place}" if pair.target.nullable or pair.target.kind is Kind.ARRAY else f"assumeNotNull(v{place})"
            for place, pair in enumerate(self._pairs)
        )
        where = "\n  AND ".join(conditions)
        return f"""INSERT INTO {self._table} ({names})
SELECT {results}
FROM (
  SELECT
  {fields}
  FROM {origin}
)
WHERE {where}
{_settings()}"""


def _settings() -> str:
    return "SETTINGS " + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
