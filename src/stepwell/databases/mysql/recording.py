"""Recording what becomes of rows within MySQL and MariaDB.

The server refuses nothing that somebody else was quicker with: rows are always locked as they are kept, and the gaps
between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote
from stepwell.databases.recording import Kind, too_long
from stepwell.errors import Refused

KINDS = (
    (re.compile(r"(tiny|small|medium|big)?int|year"), Kind.PLAIN),
    (re.compile(r"(var)?binary|(tiny|medium|long)?blob|bit"), Kind.BYTES),
    (re.compile(r"float"), Kind.FLOAT),
)

TEXTS = {
    # Added to 0, or ZEROFILL would spell 7 as 007, which is no number in JSON.
    Kind.PLAIN: "CAST({at} + 0 AS CHAR)",
    Kind.BYTES: """CONCAT('{{"bytes": "', REPLACE(TO_BASE64({at}), CHAR(10), ''), '"}}')""",
    # A FLOAT is spelled with six digits, the same value as a DOUBLE with all.
    Kind.FLOAT: "JSON_QUOTE(CAST({at} + 0e0 AS CHAR))",
    Kind.TEXT: "JSON_QUOTE(CAST({at} AS CHAR))",
}
"""Each is NULL where it is longer than max_allowed_packet."""

MOST_ROWS = 500
"""Lines of a list: 32 kB each, old and new values together, with the smallest max_allowed_packet in use."""

TWO_ROWS = "1242"
"""The server's code for a subquery of two rows, where it may have one."""


def kinds(database: Database, table: str, columns: Sequence[str]) -> list[Kind]:
    declared = {str(row[0]).lower(): str(row[1]) for row in database.query(f"SHOW COLUMNS FROM {table}")}
    return [_kind(declared.get(unquote(column).lower(), "")) for column in columns]


def _kind(declared: str) -> Kind:
    word = re.split(r"\W", declared.lower(), maxsplit=1)[0]
    return next((kind for pattern, kind in KINDS if pattern.fullmatch(word)), Kind.TEXT)


def text(kind: Kind, at: str) -> str:
    return f"CONVERT(IF({at} IS NULL, 'null', {TEXTS[kind].format(at=at)}) USING utf8mb4) COLLATE utf8mb4_bin"


def differs(kind: Kind, one: str, other: str) -> str:
    return f"NOT {one} <=> {other}" if kind.as_it_is else f"NOT COALESCE({one} = {other}, FALSE)"


def joined(texts: Sequence[str]) -> str:
    return f"CONCAT({', '.join(texts)})"


def keep(
    database: Database, name: str, selected: str, table: str, where: str, parameters: Sequence[Any], lock: bool
) -> str:
    database.query(f"DROP TEMPORARY TABLE IF EXISTS {name}")
    database.query(f"CREATE TEMPORARY TABLE {name} AS SELECT {selected} FROM {table} WHERE 1 = 0")
    database.query(f"INSERT INTO {name} SELECT {selected} FROM {table} WHERE {where} FOR UPDATE", parameters)
    return name


def keep_reasons(database: Database, name: str, longest: int, reasons: Mapping[str, str]) -> None:
    database.query(f"DROP TEMPORARY TABLE IF EXISTS {name}")
    database.query(
        f"""
        CREATE TEMPORARY TABLE {name} (
          row_key VARCHAR({longest}) PRIMARY KEY,
          reason LONGTEXT NOT NULL
        )
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        """
    )
    database.insert(name, ["row_key", "reason"], list(reasons.items()))


def pack(database: Database, into: str, told: str, line: str, rows: str, parameters: Sequence[Any]) -> None:
    database.query("SET @stepwell_concat_max_len = @@group_concat_max_len, SESSION group_concat_max_len = 4294967295")
    try:
        # In parts, for a text ends at the server's max_allowed_packet: what would be cut off is refused, by the one
        # error that no sql_mode makes a warning.
        database.query(
            f"""
            INSERT INTO {into}
            SELECT
              {told},
              part,
              IF(LENGTH(changes) = whole, changes, (SELECT 'too long' UNION ALL SELECT 'for a packet')),
              row_count
            FROM (
              SELECT
                part,
                COUNT(*) AS row_count,
                CONCAT('[', GROUP_CONCAT(line SEPARATOR ',\n'), ']') AS changes,
                SUM(LENGTH(line)) + 2 * COUNT(*) AS whole
              FROM (SELECT (row_number() OVER () - 1) DIV {MOST_ROWS} AS part, {line} AS line FROM {rows}) AS changed
              GROUP BY part
            ) AS packed
            """,
            parameters,
        )
    except Refused as error:
        if error.code == TWO_ROWS:
            raise too_long() from error
        raise
    database.query("SET SESSION group_concat_max_len = @stepwell_concat_max_len")
