"""Columns as copying sees them, and what travels between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from stepwell.errors import NotExact, Refused

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


Ask = Callable[[int], Sequence[Sequence[Any]]]
"""Asks the database for values that the target's n-th column can't hold."""


def blame(table: str, pairs: Sequence[Pair], ask: Ask) -> NotExact | None:
    """Find the first column with a value that the target can't hold."""
    for place, pair in enumerate(pairs):
        try:
            found = ask(place)
        except Refused as error:
            if type(error) is not Refused:  # the connection, a lock, memory: no value is to blame
                raise
            return not_exact(table, pair, error.said)
        if found:
            return unfit(table, pair, found[0][0])
    return None


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
