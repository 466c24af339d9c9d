"""The checksums of rows in MySQL and MariaDB (`databases/checksums.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.databases.checksums import BOUNDED, LONG, Family, Form, Spelled, Typed
from stepwell.databases.database import Database
from stepwell.databases.lexing import Reader
from stepwell.databases.mysql.names import as_sql
from stepwell.databases.mysql.names import quoted as quote

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
"""Bytes of rows in one digest, if the server's packets are that large."""

# PAD_CHAR_TO_FULL_LENGTH and ANSI would change what values and quotes are. A sort may hold a SELECT's rows for hours.
SETTINGS = """
SET
  SESSION sql_mode = '',
  SESSION time_zone = '+00:00',
  SESSION group_concat_max_len = @@max_allowed_packet,
  SESSION net_write_timeout = 3600
"""
COLUMNS = """
SELECT COLUMN_NAME, COLUMN_TYPE, LOWER(DATA_TYPE), IS_NULLABLE = 'YES', NUMERIC_SCALE, CHARACTER_SET_NAME
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?
ORDER BY ORDINAL_POSITION
"""
ESTIMATE = """
SELECT COALESCE(TABLE_ROWS, 0)
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?
"""
FAMILIES = (
    (Family.INTEGER, ("tinyint", "smallint", "mediumint", "int", "bigint", "bit", "year")),
    (Family.DECIMAL, ("decimal",)),
    (Family.FLOAT, ("float", "double")),
    (Family.DATE, ("date",)),
    (Family.MOMENT, ("datetime", "timestamp")),
    (Family.TIME, ("time",)),
    (Family.UUID, ("uuid",)),
    (Family.TEXT, ("varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")),
    (Family.PADDED, ("char",)),
    (Family.BYTES, ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")),
    (Family.JSON, ("json",)),
)
FAMILY = {name: family for family, names in FAMILIES for name in names}
PLAIN = ("utf8mb4", "ascii", "")


def prepare(database: Database) -> int:
    """Make the session spell values the one way; a digest must fit into a packet."""
    database.query(SETTINGS)
    database.query("SET SESSION TRANSACTION READ ONLY")
    return min(DIGEST, int(database.query("SELECT @@max_allowed_packet")[0][0]))


def columns(database: Database, table: str) -> list[Typed]:
    """The columns of a table, spelled as in SQL."""
    return [
        Typed(
            name,
            spelled,
            FAMILY.get(kind, Family.OTHER),
            bool(nullable),
            int(scale) if kind == "decimal" else 0,
            charset or "",
        )
        for name, spelled, kind, nullable, scale, charset in database.query(COLUMNS, _place(table))
    ]


def relation(database: Database, table: str) -> str:
    """The table itself."""
    return as_sql(table)


def estimate(database: Database, table: str) -> int:
    """By InnoDB's statistics."""
    found = database.query(ESTIMATE, _place(table))
    return int(found[0][0]) if found else 0


def _place(table: str) -> tuple[str | None, str]:
    *schema, name = Reader(table, "mysql").name()
    return (schema[0] if schema else None, name)


def text(spelled: Spelled) -> str:
    """SQL for the text of a column's value."""
    value = _value(spelled)
    return f"CAST({value} AS CHAR)" if spelled.form in BOUNDED else value


def _value(spelled: Spelled) -> str:
    """SQL for what becomes that text by itself where it is part of a longer one: CAST would copy it once more."""
    column, kind, family = quote(spelled.column.name), spelled.column.type, spelled.column.family
    match spelled.form:
        case Form.INTEGER if "zerofill" in kind or kind.startswith("bit"):
            return f"{column} + 0"
        case Form.DECIMAL if spelled.scale is None:
            return _trimmed(f"{column} + 0") if spelled.column.scale else f"{column} + 0"
        case Form.DECIMAL if family is Family.INTEGER or spelled.scale != spelled.column.scale or "zerofill" in kind:
            return f"CAST({column} AS DECIMAL(65, {spelled.scale}))"
        case Form.FLOAT:
            return f"{column} + 0e0"  # FLOAT would be written with six digits
        case Form.MOMENT if family is Family.DATE:
            return f"CONCAT({column}, ' 00:00:00')"
        case Form.MOMENT | Form.TIME if "(" in kind:
            return _trimmed(column)
        case Form.UUID if family is Family.BYTES:
            return f"LOWER(HEX({column}))"
        case Form.UUID:
            return f"LOWER(REPLACE({_characters(spelled.column)}, '-', ''))"
        case Form.PADDED:
            return f"TRIM(TRAILING ' ' FROM {_characters(spelled.column)})"
        case Form.BYTES if family is Family.BYTES:
            return f"LOWER(HEX({column}))"
        case Form.BYTES:
            return f"LOWER(HEX(CONVERT({column} USING utf8mb4)))"
        case Form.TEXT | Form.JSON:
            return _characters(spelled.column)
        case Form.ARRAY | Form.ANY:
            return f"CAST({column} AS CHAR)"
    return column


def _characters(column: Typed) -> str:
    """The column's text in the character set of the connection."""
    name = quote(column.name)
    if column.type in ("json", "uuid") or column.type.startswith(("enum", "set")):
        return f"CONVERT({name} USING utf8mb4)"
    return name if column.charset in PLAIN else f"CONVERT({name} USING utf8mb4)"


def _trimmed(number: str) -> str:
    """Without the zeros, and the point, that end a fraction."""
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {number}))"


def row(columns: Sequence[Spelled]) -> str:
    """SQL for the text of a row."""
    return f"CONCAT_WS(',', {', '.join(map(_framed, columns))})"  # it leaves NULL out


def _framed(spelled: Spelled) -> str:
    value, nullable = _value(spelled), spelled.column.nullable
    if spelled.form in BOUNDED:
        return f"IFNULL({value}, 'N')" if nullable else value
    length = f"LENGTH({value})"
    shown = f"IFNULL({length}, 'N')" if nullable else length
    return f"{shown}, IF({length} > {LONG}, MD5({value}), {value})"


def digests(row: str, key: str, found: str, ranges: Sequence[tuple[int, int]], most: int) -> str:
    """Range by range, each in the order of the key's index: groups would be sorted."""
    return "UNION ALL".join(
        f"""
        SELECT {place}, COUNT(*), MD5(GROUP_CONCAT({row} ORDER BY {key} SEPARATOR ';'))
        {found} AND {key} BETWEEN {low} AND {high}
        """
        for place, (low, high) in enumerate(ranges)
    )


def position(row: str) -> str:
    """SQL for the MD5 of a key's text."""
    return f"MD5({row})"


def bucket(position: str, digits: int) -> str:
    """SQL for the first digits of a position."""
    return f"LEFT({position}, {digits})"


def buckets(row: str, bucket: str, found: str) -> str:
    """Rows in groups by their bucket."""
    return f"""
        SELECT {bucket} AS stepwell_bucket, COUNT(*), SUM(CAST(CONV(LEFT(MD5({row}), 16), 16, 10) AS UNSIGNED))
        {found}
        GROUP BY stepwell_bucket
    """
