"""Recording what becomes of rows within PostgreSQL.

It locks no row for it, which would write each once more. Where somebody changes a row that was kept, the server refuses
the UPDATE of it in this snapshot (40001); the rows are locked for who tries again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.recording import Kind

KINDS = {
    "smallint": Kind.PLAIN,
    "integer": Kind.PLAIN,
    "bigint": Kind.PLAIN,
    "boolean": Kind.PLAIN,
    "bytea": Kind.BYTES,
}

TEXTS = {
    Kind.PLAIN: "{at}::text",
    Kind.BYTES: """'{{"bytes": "' || translate(encode({at}, 'base64'), chr(10), '') || '"}}'""",
    Kind.TEXT: "to_json({at}::text)::text",
}

TYPES = """
SELECT format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = to_regclass(?) AND attnum > 0
ORDER BY attnum
"""

# Its older compression takes longer than the rest of the statement; a server may be built without lz4.
COMPRESS = """
SELECT set_config(name, 'lz4', true)
FROM pg_settings
WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
"""


def kinds(database: Database, table: str, columns: Sequence[str]) -> list[Kind]:
    # A row without any: no value is needed to know a column's type.
    types = ", ".join(f"pg_typeof(t.{column})::text" for column in columns)
    found = database.query(f"SELECT {types} FROM (SELECT 1) AS one LEFT JOIN {table} AS t ON false")[0]
    return [KINDS.get(name, Kind.TEXT) for name in found]


def text(kind: Kind, at: str) -> str:
    return f"coalesce({TEXTS[kind].format(at=at)}, 'null')"


def differs(kind: Kind, one: str, other: str) -> str:
    return f"{one} IS DISTINCT FROM {other}"


def joined(texts: Sequence[str]) -> str:
    return " || ".join(texts)


def keep(
    database: Database, name: str, selected: str, table: str, where: str, parameters: Sequence[Any], lock: bool
) -> str:
    # Made once a connection and emptied by each commit, or the catalog would bloat. By the types: a script may change
    # them meanwhile.
    kept = f"{name}_{zlib.crc32(repr(database.query(TYPES, (table,))).encode()):08x}"
    database.query(
        f"""
        CREATE TEMPORARY TABLE IF NOT EXISTS {kept}
        ON COMMIT DELETE ROWS
        AS SELECT {selected} FROM {table} WHERE 1 = 0
        """
    )
    # Not its key, or a writer that refers to such a row by a foreign key would wait.
    locking = "FOR NO KEY UPDATE" if lock else ""
    database.query(f"INSERT INTO {kept} SELECT {selected} FROM {table} WHERE {where} {locking}", parameters)
    return kept


def keep_reasons(database: Database, name: str, longest: int, reasons: Mapping[str, str]) -> None:
    database.query(
        f"""
        CREATE TEMPORARY TABLE IF NOT EXISTS {name} (
          row_key VARCHAR({longest}) PRIMARY KEY,
          reason TEXT NOT NULL
        )
        ON COMMIT DELETE ROWS
        """
    )
    database.insert(name, ["row_key", "reason"], list(reasons.items()))


def pack(database: Database, into: str, told: str, line: str, rows: str, parameters: Sequence[Any]) -> None:
    database.query(COMPRESS)
    database.query(
        f"""
        INSERT INTO {into}
        SELECT {told}, 0, '[' || string_agg({line}, E',\n') || ']', count(*)
        FROM {rows}
        HAVING count(*) > 0
        """,
        parameters,
    )
