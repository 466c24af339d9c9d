"""ClickHouse's checksums of rows (`databases/checksums.py`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepwell.databases.checksums import BOUNDED, LONG, Family, Form, Spelled, Typed
from stepwell.databases.clickhouse.names import parse
from stepwell.databases.clickhouse.names import quote as quoted

if TYPE_CHECKING:
    from stepwell.databases.clickhouse import ClickhouseDatabase

DIGEST = 4 << 20
"""Bytes of rows in one digest: those of all ranges of a statement are held at once."""

COLUMNS = """
SELECT name, type
FROM system.columns
WHERE database = ? AND table = ? AND default_kind <> 'EPHEMERAL'
ORDER BY position
"""
TABLE = "SELECT engine, total_rows FROM system.tables WHERE database = ? AND name = ?"

REPLACING = ("Replacing", "Collapsing", "Summing", "Aggregating", "Coalescing")
"""Engines of tables in which one row may be there several times until its parts are merged."""

FAMILIES = (
    ("Int", Family.INTEGER),
    ("UInt", Family.INTEGER),
    ("Decimal", Family.DECIMAL),
    ("Float", Family.FLOAT),
    ("BFloat", Family.FLOAT),
    ("Bool", Family.BOOLEAN),
    ("DateTime", Family.MOMENT),
    ("Date", Family.DATE),
    ("UUID", Family.UUID),
    ("String", Family.TEXT),
    ("Enum", Family.TEXT),
    ("FixedString", Family.PADDED),
    ("JSON", Family.JSON),
    ("Array", Family.ARRAY),
)
_WRAPPED = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)$")


def prepare(database: ClickhouseDatabase) -> int:
    """Nothing is set: what a value's text depends on is said in each statement."""
    return DIGEST


def columns(database: ClickhouseDatabase, table: str) -> list[Typed]:
    """The columns of a table, `name` or `database.name`."""
    return [_typed(*row) for row in database.query(COLUMNS, database.qualified(parse(table)))]


def _typed(name: str, spelled: str) -> Typed:
    bare = _bare(spelled)
    family = _family(bare)
    scale = int(bare.rstrip(")").rpartition(",")[2]) if family is Family.DECIMAL else 0
    element = _family(_bare(bare[6:-1])) if family is Family.ARRAY else None
    return Typed(name, bare, family, "Nullable(" in spelled.partition("Array(")[0], scale, element=element)


def _bare(spelled: str) -> str:
    while found := _WRAPPED.match(spelled):
        spelled = found[1]
    return spelled


def _family(bare: str) -> Family:
    return next((family for start, family in FAMILIES if bare.startswith(start)), Family.OTHER)


def relation(database: ClickhouseDatabase, table: str) -> str:
    """The table, read with FINAL where its engine replaces rows when it merges."""
    place = database.qualified(parse(table))
    engine = str(database.query(TABLE, place)[0][0])
    return f"{quoted(*place)}{' FINAL' if engine.removeprefix('Replicated').startswith(REPLACING) else ''}"


def estimate(database: ClickhouseDatabase, table: str) -> int:
    """As ClickHouse counts its parts; 0 for a view."""
    return int(database.query(TABLE, database.qualified(parse(table)))[0][1] or 0)


def quote(name: str) -> str:
    return quoted(name)


def text(spelled: Spelled) -> str:
    """SQL for the text of a column's value."""
    column, bare, family = quoted(spelled.column.name), spelled.column.type, spelled.column.family
    match spelled.form:
        case Form.INTEGER if family is Family.BOOLEAN:
            return f"toString(toUInt8({column}))"
        case Form.DECIMAL if spelled.scale is not None:
            return f"toDecimalString({column}, {spelled.scale})"
        case Form.FLOAT:
            return f"toString(toFloat64({column}) + 0)"
        case Form.MOMENT if family is Family.DATE:
            return f"concat(toString({column}), ' 00:00:00')"
        case Form.MOMENT if bare.startswith("DateTime64(") and not bare.startswith("DateTime64(0"):
            return f"trimRight(trimRight(toString(toTimeZone({column}, 'UTC')), '0'), '.')"
        case Form.MOMENT:
            return f"toString(toTimeZone({column}, 'UTC'))"
        case Form.UUID:
            return f"lower(replaceAll(toString({column}), '-', ''))"
        case Form.PADDED:
            return f"trimRight(trimRight(toString({column}), '\\0'), ' ')"
        case Form.BYTES:
            return f"lower(hex({column}))"
        case Form.JSON if family is Family.JSON:
            return f"toJSONString({column})"
        case Form.ARRAY:
            return f"toJSONString(arrayMap(e -> toString(e), {column}))"
    return f"toString({column})"


def row(columns: Sequence[Spelled]) -> str:
    """SQL for the text of a row."""
    return f"concatWithSeparator(',', {', '.join(map(_framed, columns))})"


def _framed(spelled: Spelled) -> str:
    value = text(spelled)
    if spelled.form not in BOUNDED:
        value = (
            f"concat(toString(length({value})), ',', if(length({value}) > {LONG}, lower(hex(MD5({value}))), {value}))"
        )
    return f"ifNull({value}, 'N')" if spelled.column.nullable else value


def digests(row: str, key: str, found: str, ranges: Sequence[tuple[int, int]], most: int) -> str:
    """All ranges in one pass, in one thread: several put rows out of order.

    Where the limit cuts rows off, one of the ranges before the cut has more than `most`.
    """
    low, high = ranges[0]
    # Keys of 64 bits may lie further apart than 64 bits can say, and of a number that large a literal is a float.
    return f"""
        SELECT stepwell_place, count(), lower(hex(MD5(arrayStringConcat(groupArray(stepwell_row), ';'))))
        FROM (
          SELECT
            intDiv(toInt128({key}) - toInt128('{low}'), toInt128('{high - low + 1}')) AS stepwell_place,
            {row} AS stepwell_row
          {found} AND {key} BETWEEN {low} AND {ranges[-1][1]}
          ORDER BY {key}
          LIMIT {most * len(ranges) + 1}
        )
        GROUP BY stepwell_place
        SETTINGS output_format_decimal_trailing_zeros = 0, max_threads = 1
    """


def position(row: str) -> str:
    """SQL for the MD5 of a key's text."""
    return f"lower(hex(MD5({row})))"


def bucket(position: str, digits: int) -> str:
    """SQL for the first digits of a position."""
    return f"substring({position}, 1, {digits})"


def buckets(row: str, bucket: str, found: str) -> str:
    """Rows in groups by their bucket."""
    return f"""
        SELECT {bucket} AS stepwell_bucket, count(), sum(reinterpretAsUInt64(reverse(substring(MD5({row}), 1, 8))))
        {found}
        GROUP BY stepwell_bucket
        SETTINGS output_format_decimal_trailing_zeros = 0
    """
