r"""Checksums of rows that come out alike in every engine, each computed inside its own database.

A row becomes a text, by SQL of its engine: the text of each value as its form says (`Form`), joined by commas. What is
of any length stands behind its length, `5,apple`, and as its MD5 where it is longer than LONG bytes; NULL is `N`. So
different rows never have the same text, and a text has a bound. From there on the engines share one function: MD5.

    columns   what a table has, in terms that engines share
    digests   ranges of an integer key: how many rows each has, and the MD5 of their texts one behind the other
    buckets   rows in no order, in groups by the MD5 of their key: how many, and the sum of their texts' MD5s
    text      one value, readable, for rows that are fetched

Names that the statements give begin with stepwell_: a shorter one could be that of a column, which MySQL and ClickHouse
would then take instead.

The texts of equal values may differ (1e+20 and 1e20, or JSON with other spaces): who compares rows must fetch those
whose checksums differ and look at their values. The other way round they may not: values that differ have other texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Protocol, cast

from stepwell.databases.database import Database

LONG = 100
"""Bytes beyond which a text is represented by its MD5."""


class Family(Enum):
    """What a column's values are, whatever the engine calls it."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    TIME = "time"
    UUID = "uuid"
    TEXT = "text"
    PADDED = "padded text"
    BYTES = "bytes"
    JSON = "JSON"
    ARRAY = "array"
    ANY = "any value"
    """SQLite's columns: each value has a type of its own, and is read as what stands on the other side."""
    OTHER = "other"


class Form(Enum):
    """How two columns' values are spelled, so that the same value has the same text on both sides."""

    INTEGER = "digits; true is 1"
    DECIMAL = "digits, and as many behind the point as `scale` says; without a scale as few as it takes"
    FLOAT = "as few digits as tell it from all other doubles; -0 is 0"
    MOMENT = "2024-01-31 12:00:00.25 in UTC, no zeros at the end; a date is its midnight"
    DATE = "2024-01-31"
    TIME = "12:00:00.25, no zeros at the end"
    UUID = "32 hexadecimal digits"
    TEXT = "as it is, in UTF-8"
    PADDED = "without the spaces, or zero bytes, that a type pads with"
    BYTES = "hexadecimal digits"
    JSON = "as the database writes it"
    ARRAY = "a JSON array of strings"
    ANY = "a number as DECIMAL without a scale; a text as it is, behind `text ` where it could be mistaken for one"


BOUNDED = {
    Form.INTEGER: 20,
    Form.DECIMAL: 80,
    Form.FLOAT: 30,
    Form.MOMENT: 35,
    Form.DATE: 25,
    Form.TIME: 20,
}
"""Forms whose texts have no comma and at most this many bytes. All others stand behind their length."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A column. `type` is spelled as in its engine; `scale` is that of a decimal, None where it varies.

    `charset` is MySQL's; `element` the family of an array's elements.
    """

    name: str
    type: str
    family: Family
    nullable: bool = True
    scale: int | None = 0
    charset: str = ""
    element: Family | None = None


@dataclass(frozen=True, slots=True)
class Spelled:
    """A column as one side spells it in a form it shares with the other."""

    column: Typed
    form: Form
    scale: int | None = 0

    @property
    def bound(self) -> int:
        """The most bytes it takes in a row's text."""
        return BOUNDED.get(self.form, LONG + 12) + 1


class Checksums(Protocol):
    """An engine's SQL. Each of its modules `checksums` is one."""

    def prepare(self, database: Database) -> int:
        """Set the session up. Returns how many bytes of rows a digest may cover. Raises Refused."""

    def columns(self, database: Database, table: str) -> list[Typed]:
        """The columns of a table, spelled as in SQL; none where there is no such table."""

    def relation(self, database: Database, table: str) -> str:
        """What to select from, so that each row is there once."""

    def estimate(self, database: Database, table: str) -> int:
        """About how many rows a table has, from statistics; 0 where there are none."""

    def quote(self, name: str) -> str:
        """A column's name in SQL."""

    def text(self, spelled: Spelled) -> str:
        """SQL for the text of a column's value; NULL for NULL."""

    def row(self, columns: Sequence[Spelled]) -> str:
        """SQL for the text of a row."""

    def digests(self, row: str, key: str, found: str, ranges: Sequence[tuple[int, int]], most: int) -> str:
        """A SELECT: each range's place among them, how many rows it has, the MD5 of their texts in the order of `key`.

        `found` is SQL from FROM on. The ranges, from the first to the last key of each, follow one another and have one
        width, the last may have less; one without rows may be left out. Of more than `most` rows the count is over
        `most`, while its MD5 and whatever is said of the ranges behind it are worth nothing.
        """

    def position(self, row: str) -> str:
        """SQL for the MD5 of a key's text, as hexadecimal digits."""

    def bucket(self, position: str, digits: int) -> str:
        """SQL for the first `digits` of a position."""

    def buckets(self, row: str, bucket: str, found: str) -> str:
        """A SELECT: each bucket, how many rows it has, and the sum of their texts' MD5s modulo 2^64.

        An MD5 counts by its first 64 bits here; the sum may come unreduced.
        """


def of(database: Database) -> Checksums:
    """The SQL of a database's engine."""
    # Imported here, so that a project pays for the engines it uses only.
    return cast(Checksums, import_module(f"stepwell.databases.{database.engine}.checksums"))
