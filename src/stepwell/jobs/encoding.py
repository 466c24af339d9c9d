"""Values of a table's columns as JSON texts that are exact: equal texts are equal values, and the way back is lossless.

PostgreSQL and MySQL write them themselves, so that a batch's values need not travel: whole numbers and truth values as
such, bytes as {"bytes": BASE64}, all else as a string that the column reads as the same value. What SQLite and
ClickHouse hand over is written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote
from stepwell.jobs.sources import plain, rich


class Kind(Enum):
    """How a column's values are written."""

    PLAIN = "as the engine spells them"
    BYTES = "in Base64"
    FLOAT = "with all digits that the engine would leave out"
    TEXT = "as a string"


POSTGRES_KINDS = {
    "smallint": Kind.PLAIN,
    "integer": Kind.PLAIN,
    "bigint": Kind.PLAIN,
    "boolean": Kind.PLAIN,
    "bytea": Kind.BYTES,
}

MYSQL_KINDS = (
    (re.compile(r"(tiny|small|medium|big)?int|year"), Kind.PLAIN),
    (re.compile(r"(var)?binary|(tiny|medium|long)?blob|bit"), Kind.BYTES),
    (re.compile(r"float"), Kind.FLOAT),
)

POSTGRES = {
    Kind.PLAIN: "{column}::text",
    Kind.BYTES: """'{{"bytes": "' || translate(encode({column}, 'base64'), chr(10), '') || '"}}'""",
    Kind.TEXT: "to_json({column}::text)::text",
}

MYSQL = {
    Kind.PLAIN: "CAST({column} AS CHAR)",
    Kind.BYTES: """CONCAT('{{"bytes": "', REPLACE(TO_BASE64({column}), CHAR(10), ''), '"}}')""",
    # A FLOAT is spelled with six digits, the same value as a DOUBLE with all.
    Kind.FLOAT: "JSON_QUOTE(CAST({column} + 0e0 AS CHAR))",
    Kind.TEXT: "JSON_QUOTE(CAST({column} AS CHAR))",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the columns of one table are written, each by its name as the job spells it."""

    engine: str
    kinds: Mapping[str, Kind]

    @property
    def in_sql(self) -> bool:
        """Whether the engine writes the texts."""
        return self.engine in ("postgres", "mysql")

    def expression(self, column: str) -> str:
        """SQL for a column's value: as JSON text where the engine writes it, else as it is."""
        if self.engine == "postgres":
            return f"coalesce({POSTGRES[self.kinds[column]].format(column=column)}, 'null')"
        if self.engine == "mysql":
            text = MYSQL[self.kinds[column]].format(column=column)
            return f"CONVERT(COALESCE({text}, 'null') USING utf8mb4) COLLATE utf8mb4_bin"
        return column

    def spelled(self, value: Any) -> Any:
        """A key's value as a person writes it: ClickHouse hands over a FixedString as bytes, and takes it as text."""
        if self.engine != "clickhouse" or not isinstance(value, bytes):
            return value
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value

    def key(self, columns: Sequence[str]) -> str:
        """SQL for a row's key as JSON text, where the engine writes it."""
        values = [self.expression(column) for column in columns]
        if self.engine == "postgres":
            return "'[' || " + " || ', ' || ".join(values) + " || ']'"
        return "CONCAT('[', " + ", ', ', ".join(values) + ", ']')"

    def row(self, columns: Sequence[str]) -> str:
        """SQL for the values of columns as one JSON text by their names, where the engine writes it."""
        parts = [f"{_literal(json.dumps(column) + ': ')}, {self.expression(column)}" for column in columns]
        text = ", ', ', ".join(parts)
        return f"CONCAT('{{', {text}, '}}')" if self.engine == "mysql" else f"concat('{{', {text}, '}}')"


def encoding_of(database: Database, table: str, columns: Sequence[str]) -> Encoding:
    """How these columns of a table are written."""
    if database.engine == "postgres":
        # A row without any: no value is needed to know a column's type.
        types = ", ".join(f"pg_typeof(t.{column})::text" for column in columns)
        found = database.query(f"SELECT {types} FROM (SELECT 1) AS one LEFT JOIN {table} AS t ON false")[0]
        kinds = [POSTGRES_KINDS.get(name, Kind.TEXT) for name in found]
        return Encoding("postgres", dict(zip(columns, kinds, strict=True)))
    if database.engine == "mysql":
        known = {str(row[0]).lower(): _mysql_kind(str(row[1])) for row in database.query(f"SHOW COLUMNS FROM {table}")}
        return Encoding("mysql", {column: known.get(unquote(column).lower(), Kind.TEXT) for column in columns})
    return Encoding(database.engine, {})


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _mysql_kind(declared: str) -> Kind:
    word = re.split(r"\W", declared.lower(), maxsplit=1)[0]
    return next((kind for pattern, kind in MYSQL_KINDS if pattern.fullmatch(word)), Kind.TEXT)


def dump_value(value: Any) -> str:
    """A value that a driver handed over as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def load_value(text: str) -> Any:
    """What a statement's parameter must be to give a column the value of this text."""
    return rich(json.loads(text))
