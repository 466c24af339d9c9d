"""A column and those that take its place, kept the same while an old and a new release both write.

Each engine writes it in its own way (`twins.py` of its folder): what a server puts into one side is on the other side
before its statement ends, where the engine has triggers.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from stepwell.databases.columns import Column
from stepwell.databases.lexing import Kind, tokens, unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """The `old` column of a table and the `new` ones beside it. `name` is what their triggers are named by.

    `forth` makes each new value of the old one, `back` the old one of the new; both name columns as SQL does.
    `exact_forth`: from the new side the old value can be told again; `exact_back`: from the old side the new one.
    """

    name: str
    table: str
    key: tuple[str, ...]
    old: Column
    new: tuple[Column, ...]
    forth: tuple[str, ...]
    back: str
    exact_forth: bool = True
    exact_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The three points in SQL. `expand` and `down` add the new side and take it away, `contract` drops the old one.

    `fill` is what an UPDATE sets in rows that `unfilled` finds; '' where rows need no job. `settle` are statements that
    do the same for the whole table by themselves. `turn` is what an engine without triggers needs before the contract,
    when no old server runs: the old side follows the new one. `different` finds rows whose sides do not belong
    together.
    """

    expand: str
    down: str
    contract: str
    different: str
    fill: str = ""
    unfilled: str = ""
    settle: str = ""
    turn: str = ""
    transaction: bool = True


class Writer(Protocol):
    """What each engine has: a module with these."""

    def write(self, twins: Twins) -> Written:
        """The three points in this engine's SQL. Raises Unfit."""

    def comparing(self, type_: str) -> str:
        """How a value of a type is written so that a comparison tells it from every other."""

    def converted(self, value: str, type_: str) -> str:
        """An expression that gives a value as another type."""

    def split(self, value: str, mark: str, count: int) -> list[str]:
        """Expressions for the parts of a text between marks, the last with all that is left."""

    def joined(self, values: Collection[str], mark: str) -> str:
        """An expression that puts parts together, those that are NULL left out; NULL when all are."""


class Unfit(Exception):
    """The engine can't keep these two the same: why, and what to do instead."""

    def __init__(self, why: str, do: str) -> None:
        self.why, self.do = why, do
        super().__init__(why)


def operand(expression: str) -> str:
    """An expression as a part of another one: in parentheses, unless it is a name alone."""
    return expression if re.fullmatch(r"[\w.]+", expression) else f"({expression})"


def placed(expression: str, engine: str, columns: Collection[str], row: str) -> str:
    """An expression with the columns it names taken from a row: `name` is `NEW.name`."""
    plain = {unquote(column).lower() for column in columns}
    found, before = [], ""
    for token in tokens(expression, engine):
        is_column = token.kind in (Kind.WORD, Kind.QUOTED) and unquote(token.text).lower() in plain and before != "."
        found.append(f"{row}.{token.text}" if is_column else token.text)
        before = token.text
    return "".join(found)
