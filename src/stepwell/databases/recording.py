"""Recording what becomes of rows within the server that holds them, so that no value travels.

It keeps rows as they were in a temporary table, and what they are compared with is written by it as JSON texts that are
exact: equal texts are equal values, and the way back is lossless. Whole numbers and truth values are written as such,
bytes as {"bytes": BASE64}, all else as a string that the column reads as the same value.

PostgreSQL and MySQL can do it, each by its module `recording`. It needs one snapshot (`Database.transaction`), or a row
could come to fit a condition behind what was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from stepwell.databases.database import Database
from stepwell.errors import Refused


class Kind(Enum):
    """How a column's values are written."""

    PLAIN = "as the engine spells them"
    BYTES = "in Base64"
    FLOAT = "with all digits that the engine would leave out"
    TEXT = "as a string"

    @property
    def as_it_is(self) -> bool:
        """Whether a table that is made of such values holds just these. Of other kinds the texts are kept."""
        return self in (Kind.PLAIN, Kind.BYTES)


class Recorder(Protocol):
    """What an engine has that can record: a module with these."""

    def kinds(self, database: Database, table: str, columns: Sequence[str]) -> list[Kind]:
        """How the values of these columns, spelled as in SQL, are written. Reads no rows."""

    def text(self, kind: Kind, at: str) -> str:
        """SQL for the JSON text of a value; NULL for nothing but one that is too long to have a text (`too_long`)."""

    def differs(self, kind: Kind, one: str, other: str) -> str:
        """SQL for whether of two that were kept one is not the other; two that are too long to have a text may be."""

    def joined(self, texts: Sequence[str]) -> str:
        """SQL for texts one behind the other."""

    def keep(
        self, database: Database, name: str, selected: str, table: str, where: str, parameters: Sequence[Any],
        lock: bool,
    ) -> str:  # fmt: skip
        """Keep what is selected of the rows that a condition finds in a temporary table; its name, `name` or longer.

        With `lock` nobody changes these rows before the end of the transaction; without, the server may refuse later
        statements that somebody was quicker than.
        """

    def keep_reasons(self, database: Database, name: str, longest: int, reasons: Mapping[str, str]) -> None:
        """Keep reasons in a temporary table: `row_key`, of at most `longest` characters, and `reason`."""

    def pack(self, database: Database, into: str, told: str, line: str, rows: str, parameters: Sequence[Any]) -> None:
        """Make lines of rows, and write them as JSON lists of many lines each; nothing where there are no rows.

        `into` is a table and its columns, `told` SQL for the values of all but the last three: the number of a list,
        from 0 on, the list, and how many lines it has. `rows` is SQL from behind FROM. Raises Refused.
        """


def too_long() -> Refused:
    """Why values can't be recorded: MySQL has no text for them."""
    return Refused("values to be recorded are longer than the server's max_allowed_packet")


@dataclass(frozen=True, slots=True)
class Encoding:
    """SQL for the values of a table's columns as JSON texts; each column by its name as the caller spells it."""

    recorder: Recorder
    kinds: Mapping[str, Kind]

    def expression(self, column: str, at: str = "") -> str:
        """A column's value as JSON text. `at` is where the statement has it, if not under the column's own name."""
        return self.recorder.text(self.kinds[column], at or column)

    def kept(self, column: str) -> str:
        """What to keep of a column's value for a while: itself, or its text where a table might alter it."""
        return column if self.kinds[column].as_it_is else self.expression(column)

    def of_kept(self, column: str, at: str) -> str:
        """The JSON text of what was kept."""
        return self.expression(column, at) if self.kinds[column].as_it_is else at

    def differs(self, column: str, one: str, other: str) -> str:
        """Whether of two that were kept one is not the other."""
        return self.recorder.differs(self.kinds[column], one, other)

    def text(self, at: str) -> str:
        """A text, where the statement has it, as JSON."""
        return self.recorder.text(Kind.TEXT, at)

    def list(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The parts of a JSON list of texts."""
        return ("'['", *[part for text in texts for part in (text, "', '")][:-1], "']'")

    def joined(self, parts: Iterable[str]) -> str:
        """Texts one behind the other: expressions, and literals that hold no quote."""
        texts: list[str] = []
        for part in parts:  # a million rows feel every concatenation
            if texts and texts[-1][-1] == part[0] == "'":
                texts[-1] = texts[-1][:-1] + part[1:]
            else:
                texts.append(part)
        return self.recorder.joined(texts)

    def key(self, columns: Sequence[str], at: Sequence[str] = ()) -> str:
        """A row's key as a JSON list; `at` as for `expression`."""
        return self.joined(self.list(map(self.expression, columns, at or columns)))


def encoding(database: Database, table: str, columns: Sequence[str]) -> Encoding | None:
    """How a server writes these columns of a table; None where its engine can't, and their values must travel."""
    recorder = _recorder(database.engine)
    return (
        Encoding(recorder, dict(zip(columns, recorder.kinds(database, table, columns), strict=True)))
        if recorder
        else None
    )


def _recorder(engine: str) -> Recorder | None:
    # Imported here, so that a project pays for the engines it uses only.
    match engine:
        case "postgres":
            from stepwell.databases.postgres import recording as postgres

            return postgres
        case "mysql":
            from stepwell.databases.mysql import recording as mysql

            return mysql
        case _:
            return None
