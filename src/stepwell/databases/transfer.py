"""Rows from one database into another, exactly: what each engine's module `transfer` has for it.

Between two engines a value travels as text, spelled by the server that has it: `1.5`, `2024-01-01 00:00:00.25` in
UTC, bytes as hexadecimal digits, an array as a JSON array of strings. The target makes a value of it, spells that
in its turn, and the two texts must be the same; an integer that stays one is compared as a number. So what a target
can't hold is found before it is written, whatever the reason: an overflow, a rounding, a zero date, padding, a
character its encoding lacks. Then NotExact is raised, naming column and value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import Any, Protocol, cast

from stepwell.databases.database import Database
from stepwell.errors import NotExact, Refused, RowDiffers, StepwellError

LONGEST = 60
"""Characters of a value that a message shows."""


class Kind(Enum):
    """What a column's values are, as far as two engines must agree on it. All else travels as plain text.

    An INTEGER has at most 64 bits. A FRACTION is a decimal or a time: zeros at the end of its fraction say nothing.
    """

    PLAIN = auto()
    INTEGER = auto()
    FRACTION = auto()
    FLOAT = auto()
    BYTES = auto()
    ARRAY = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `type` is spelled as in SQL, `family` is its first word as the catalog has it. `raw`: it can hold any bytes.
    """

    name: str
    type: str
    family: str
    kind: Kind = Kind.PLAIN
    nullable: bool = True
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A column, and the one that it is copied into."""

    source: Column
    target: Column

    @property
    def wire(self) -> Kind:
        """What travels: BYTES as hexadecimal digits, an ARRAY as a JSON array of strings, all else as it reads.

        An INTEGER may stay a number, and a FRACTION keep its zeros: between two of a kind nobody need spell them anew.
        """
        if Kind.BYTES in (self.source.kind, self.target.kind):
            return Kind.BYTES
        return self.source.kind if self.source.kind is self.target.kind else Kind.PLAIN

    @property
    def fits(self) -> bool:
        """Whether both sides can hold what travels: only some columns can hold bytes."""
        return self.wire is not Kind.BYTES or (self.source.raw and self.target.raw)


class There(Enum):
    """What becomes of a row whose key the target has already."""

    LEFT = "is left as it is, and not looked at"
    COMPARED = "must be the same, or the copy stops"
    REPLACED = "is made the same"


class Incoming(Protocol):
    """Rows on their way into a table, in a block, where the database has transactions within an open one."""

    def __enter__(self) -> Incoming: ...

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None: ...

    def land(self, lines: bytes) -> None:
        """Add those rows of whole tab-separated lines that are not there yet. Raises NotExact and RowDiffers."""

    def fetch(self, source: Database, select: str, found: str, parameters: Sequence[Any]) -> int | None:
        """Before the block: have the server read the rows from the source by itself, and add those not there yet.

        `select` gives their texts, `found` is its part from FROM on. Returns how many rows there were, None where it
        can't, and they must come through this process. Raises NotExact and RowDiffers.
        """


class Side(Protocol):
    """An engine's side of a copy. Each of its modules `transfer` is one."""

    IN_TRANSACTION: bool
    """Whether what `prepare` sets ends with the transaction, so that one must be open."""

    Landing: Callable[[Any, str, Sequence[Pair], Sequence[str], There], Incoming]
    """Of a database, a table, the columns, those of it by which rows are known that are there, and what of these."""

    def columns(self, database: Any, table: str) -> list[Column]:
        """The columns of a table, spelled as in SQL; none where there is no such table."""

    def quote(self, name: str) -> str:
        """A column's name in SQL."""

    def prepare(self, database: Any, into: str, pairs: Sequence[Pair], found: str, parameters: Sequence[Any]) -> None:
        """Get ready to be read: the rows from `found` on, which is SQL from FROM on.

        Raises NotExact where a column holds values whose text would not tell what they are.
        """

    def text(self, column: Column, wire: Kind, value: str) -> str:
        """SQL for the text of a value of this column, whatever the session's settings."""


def of(database: Database) -> Side:
    """The side of a database's engine."""
    # Imported here, so that a project pays for the engines it uses only.
    return cast(Side, import_module(f"stepwell.databases.{database.engine}.transfer"))


class OutOfReach(Exception):
    """A server can't fetch rows from another by itself, or they might not be the same; the message says why."""


Ask = Callable[[int], Sequence[Sequence[Any]]]
"""Asks the database for values that the target's n-th column can't hold."""


def blame(table: str, pairs: Sequence[Pair], ask: Ask, refused: Refused | None) -> StepwellError:
    """The error of the first column with a value that the target can't hold; without one, what was `refused`."""
    for place, pair in enumerate(pairs):
        try:
            found = ask(place)
        except Refused as error:
            if type(error) is not Refused:  # the connection, a lock, memory: no value is to blame
                raise
            return not_exact(table, pair, error.said)
        if found:
            return unfit(table, pair, found[0][0])
    assert refused is not None  # or the check would have found nothing
    return refused


def unfit(table: str, pair: Pair, value: str | None) -> NotExact:
    """The error for a value that the target's column can't hold."""
    return not_exact(table, pair, f"{_shown(value)} has no equal in a column of type {pair.target.type}")


def _shown(value: str | None) -> str:
    """A value as it is, spaces and all, but not endless."""
    if value is None:
        return "NULL"
    return repr(value if len(value) <= LONGEST else value[:LONGEST] + "…")


def not_exact(table: str, pair: Pair, said: str) -> NotExact:
    return NotExact(f"{table}.{pair.target.name}", f"{pair.source.type} to {pair.target.type}", said)


def row_differs(table: str, pairs: Sequence[Pair], key: Sequence[str], row: Sequence[Any]) -> RowDiffers:
    """The error for a row that is there and not the same: `row` has its key, then for each pair whether it differs."""
    named = " and ".join(f"{name} = {_shown(str(value))}" for name, value in zip(key, row, strict=False))
    differing = [pair.target.name for pair, differs in zip(pairs, row[len(key) :], strict=True) if differs]
    return RowDiffers(table, named, differing)


def require_text(table: str, pairs: Sequence[Pair], lines: bytes, nul: bool = True) -> None:
    """Raises NotExact where a value in tab-separated lines is not UTF-8, or has a NUL that may not be."""
    for line in lines.split(b"\n"):
        for pair, field in zip(pairs, line.split(b"\t"), strict=False):
            try:
                value = field.decode()
            except UnicodeDecodeError:
                raise not_exact(table, pair, f"{field[:LONGEST]!r} is not text in UTF-8") from None
            if not nul and r"\0" in value.replace(r"\\", ""):
                raise not_exact(table, pair, f"{_shown(value)} has the character NUL")
