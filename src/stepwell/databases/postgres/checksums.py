"""PostgreSQL's checksums of rows (`databases/checksums.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.databases.checksums import BOUNDED, LONG, Family, Form, Spelled, Typed
from stepwell.databases.database import Database
from stepwell.databases.postgres.names import quote
from stepwell.errors import Refused

__all__ = [
    "bucket",
    "buckets",
    "columns",
    "digests",
    "estimate",
    "position",
    "prepare",
    "quote",
    "relation",
    "row",
    "text",
]

DIGEST = 8 << 20
"""Bytes of rows in one digest."""

WIDE = 40
"""Columns that one call of a function puts together."""

SETTINGS = """
SELECT
  set_config('DateStyle', 'ISO, YMD', false),
  set_config('IntervalStyle', 'postgres', false),
  set_config('extra_float_digits', '1', false),
  set_config('TimeZone', 'UTC', false),
  set_config('default_transaction_read_only', 'on', false),
  current_setting('server_encoding')
"""
COLUMNS = """
SELECT
  attname,
  format_type(atttypid, atttypmod),
  base.typname,
  NOT attnotnull AND NOT stated.typnotnull,
  CASE WHEN base.typname = 'numeric' AND mode >= 4 THEN (mode - 4) & 2047 END,
  base.typtype = 'e',
  CASE WHEN base.typcategory = 'A' THEN element.typname END
FROM pg_attribute
JOIN pg_type AS stated ON stated.oid = atttypid
JOIN pg_type AS base ON base.oid = coalesce(nullif(stated.typbasetype, 0), stated.oid)
LEFT JOIN pg_type AS element ON element.oid = base.typelem
CROSS JOIN LATERAL (SELECT CASE WHEN stated.typbasetype = 0 THEN atttypmod ELSE stated.typtypmod END) AS m (mode)
WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
# A partitioned table has no statistics of its own count before version 14.
ESTIMATE = """
SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint
FROM pg_partition_tree(to_regclass(?)) AS tree
JOIN pg_class ON pg_class.oid = tree.relid
WHERE tree.isleaf
"""
FAMILIES = {
    "int2": Family.INTEGER,
    "int4": Family.INTEGER,
    "int8": Family.INTEGER,
    "oid": Family.INTEGER,
    "numeric": Family.DECIMAL,
    "float4": Family.FLOAT,
    "float8": Family.FLOAT,
    "bool": Family.BOOLEAN,
    "date": Family.DATE,
    "timestamp": Family.MOMENT,
    "timestamptz": Family.MOMENT,
    "time": Family.TIME,
    "uuid": Family.UUID,
    "text": Family.TEXT,
    "varchar": Family.TEXT,
    "name": Family.TEXT,
    "citext": Family.TEXT,
    "bpchar": Family.PADDED,
    "bytea": Family.BYTES,
    "json": Family.JSON,
    "jsonb": Family.JSON,
}


def prepare(database: Database) -> int:
    """Make the session spell values the one way. Raises Refused for a database that is not in UTF-8."""
    encoding = database.query(SETTINGS)[0][-1]
    if encoding != "UTF8":
        raise Refused(f"the database's encoding is {encoding}; rows are compared by their text in UTF-8")
    return DIGEST


def columns(database: Database, table: str) -> list[Typed]:
    """The columns of a table, spelled as in SQL."""
    return [
        Typed(
            name,
            spelled,
            Family.ARRAY if element else Family.TEXT if enum else FAMILIES.get(base, Family.OTHER),
            nullable,
            scale if base == "numeric" else 0,
            element=FAMILIES.get(element, Family.OTHER) if element else None,
        )
        for name, spelled, base, nullable, scale, enum, element in database.query(COLUMNS, (table,))
    ]


def relation(database: Database, table: str) -> str:
    """The table itself."""
    return table


def estimate(database: Database, table: str) -> int:
    """By the statistics of the last ANALYZE."""
    return int(database.query(ESTIMATE, (table,))[0][0])


def text(spelled: Spelled) -> str:
    """SQL for the text of a column's value."""
    column, family = quote(spelled.column.name), spelled.column.family
    match spelled.form:
        case Form.INTEGER:
            return f"{column}::int::text" if family is Family.BOOLEAN else f"{column}::text"
        case Form.DECIMAL if spelled.scale is None:
            return f"trim_scale({column}::numeric)::text"
        case Form.DECIMAL if family is Family.INTEGER or spelled.scale != spelled.column.scale:
            return f"round({column}::numeric, {spelled.scale})::text"
        case Form.FLOAT:
            return f"replace(({column}::float8 + 0.0)::text, 'e+', 'e')"
        case Form.MOMENT if family is Family.DATE or spelled.column.type.endswith("with time zone"):
            return f"{column}::timestamp::text"  # in UTC: the session's zone
        case Form.UUID if family is Family.BYTES:
            return f"encode({column}, 'hex')"
        case Form.UUID:
            return f"lower(replace({column}::text, '-', ''))"
        case Form.PADDED:
            return f"rtrim({column}::text, ' ')"
        case Form.BYTES if family is not Family.BYTES:
            return f"encode(convert_to({column}::text, 'UTF8'), 'hex')"
        case Form.BYTES:
            return f"encode({column}, 'hex')"
        case Form.ARRAY:
            return f"array_to_json({column}::text[])::text"
    return f"{column}::text"


def row(columns: Sequence[Spelled]) -> str:
    """SQL for the text of a row."""
    # concat_ws is faster than a chain of ||, and leaves NULL out; but a function takes a hundred arguments at most.
    parts = [columns[start : start + WIDE] for start in range(0, len(columns), WIDE)]
    texts = [f"concat_ws(',', {', '.join(map(_framed, part))})" for part in parts]
    return texts[0] if len(texts) == 1 else f"concat_ws(',', {', '.join(texts)})"


def _framed(spelled: Spelled) -> str:
    value, nullable = text(spelled), spelled.column.nullable
    if spelled.form in BOUNDED:
        return f"coalesce({value}, 'N')" if nullable else value.removesuffix("::text")
    length = f"octet_length({value})"
    shown = f"coalesce({length}::text, 'N')" if nullable else length
    return f"{shown}, CASE WHEN {length} > {LONG} THEN md5({value}) ELSE {value} END"


def digests(row: str, key: str, found: str, ranges: Sequence[tuple[int, int]], most: int) -> str:
    """Range by range, each in the order of the key's index: groups would be sorted."""
    # Bounds that are written out let the planner see how few rows they are. It would not know those of a join.
    return "UNION ALL".join(
        f"""
        SELECT {place}, count(*), md5(string_agg(stepwell_row, ';'))
        FROM (
          SELECT {row} AS stepwell_row
          {found} AND {key} BETWEEN {low} AND {high}
          ORDER BY {key}
          LIMIT {most + 1}
        ) AS in_order
        """
        for place, (low, high) in enumerate(ranges)
    )


def position(row: str) -> str:
    """SQL for the MD5 of a key's text. Hexadecimal digits sort alike in "C" only, whatever the locale."""
    return f'md5({row}) COLLATE "C"'


def bucket(position: str, digits: int) -> str:
    """SQL for the first digits of a position."""
    return f"left({position}, {digits})"


def buckets(row: str, bucket: str, found: str) -> str:
    """Rows in groups by their bucket."""
    return f"""
        SELECT {bucket}, count(*), sum(('x' || left(md5({row}), 16))::bit(64)::bigint)
        {found}
        GROUP BY 1
    """
