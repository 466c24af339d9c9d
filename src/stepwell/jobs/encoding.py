"""Values of a table's columns as JSON texts that are exact: equal texts are equal values, and the way back is lossless.

PostgreSQL and MySQL write them themselves, so that a batch's values need not travel: whole numbers and truth values as
such, bytes as {"bytes": BASE64}, all else as a string that the column reads as the same value. What SQLite and
ClickHouse hand over is written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote
from stepwell.jobs.sources import plain, rich

IN_SQL = ("postgres", "mysql")
"""The engines that write values as JSON texts themselves."""


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
    # Added to 0, or ZEROFILL would spell 7 as 007, which is no number in JSON.
    Kind.PLAIN: "CAST({column} + 0 AS CHAR)",
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
        return self.engine in IN_SQL

    def expression(self, column: str, at: str = "") -> str:
        """SQL for a column's value: as JSON text where the engine writes it, else as it is.

        `at` is where the statement has the value, if not under the column's own name. MySQL gives NULL for a text
        that is longer than its max_allowed_packet; any other value has a text.
        """
        at = at or column
        if self.engine == "postgres":
            return f"coalesce({POSTGRES[self.kinds[column]].format(column=at)}, 'null')"
        if self.engine == "mysql":
            text = MYSQL[self.kinds[column]].format(column=at)
            return f"CONVERT(IF({at} IS NULL, 'null', {text}) USING utf8mb4) COLLATE utf8mb4_bin"
        return at

    def kept(self, column: str) -> str:
        """SQL for what to keep of a column's value for a while: itself, or its text where a table might alter it."""
        return column if self._as_it_is(column) else self.expression(column)

    def of_kept(self, column: str, at: str) -> str:
        """SQL for the JSON text of what was kept."""
        return self.expression(column, at) if self._as_it_is(column) else at

    def differs(self, column: str, one: str, other: str) -> str:
        """SQL for whether of two that were kept one is not the other; two that are too long to have a text may be."""
        if self.engine == "postgres":
            return f"{one} IS DISTINCT FROM {other}"
        return f"NOT {one} <=> {other}" if self._as_it_is(column) else f"NOT COALESCE({one} = {other}, FALSE)"

    def _as_it_is(self, column: str) -> bool:
        return self.kinds[column] in (Kind.PLAIN, Kind.BYTES)

    def spelled(self, value: Any) -> Any:
        """A key's value as a person writes it: ClickHouse hands over a FixedString as bytes, and takes it as text."""
        if self.engine != "clickhouse" or not isinstance(value, bytes):
            return value
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value

    def list(self, texts: Iterable[str]) -> tuple[str, ...]:
        """SQL for the parts of a JSON list of texts, where the engine writes it."""
        return ("'['", *[part for text in texts for part in (text, "', '")][:-1], "']'")

    def joined(self, parts: Iterable[str]) -> str:
        """SQL for texts one behind the other: expressions, and literals that hold no quote."""
        texts: list[str] = []
        for part in parts:  # a million rows feel every concatenation
            if texts and texts[-1][-1] == part[0] == "'":
                texts[-1] = texts[-1][:-1] + part[1:]
            else:
                texts.append(part)
        return f"CONCAT({', '.join(texts)})" if self.engine == "mysql" else " || ".join(texts)

    def key(self, columns: Sequence[str], at: Sequence[str] = ()) -> str:
        """SQL for a row's key as a JSON list, where the engine writes it; `at` as for `expression`."""
        return self.joined(self.list(map(self.expression, columns, at or columns)))

    def text(self, at: str) -> str:
        """SQL for a text, where the statement has it, as JSON."""
        return Encoding(self.engine, {at: Kind.TEXT}).expression(at)


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


def _mysql_kind(declared: str) -> Kind:
    word = re.split(r"\W", declared.lower(), maxsplit=1)[0]
    return next((kind for pattern, kind in MYSQL_KINDS if pattern.fullmatch(word)), Kind.TEXT)


def dump_value(value: Any) -> str:
    """A value that a driver handed over as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def load_value(text: str) -> Any:
    """What a statement's parameter must be to give a column the value of this text."""
    return rich(json.loads(text))
