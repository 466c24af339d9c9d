"""Watching a statement that may hold semicolons of its own: in the body of a routine, in inline data.

A watcher sees the significant tokens of one statement from the second on, and says after each whether there is
anything left to watch for. While `opened` tells where a body opened, a `;` belongs to the statement.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from stepwell.databases.lexing import Token
from stepwell.scripts.inline_data import FORMATS


class Sight(Enum):
    UNCLEAR = "a body or data may follow, or a body is open"
    PLAIN = "the next delimiter ends the statement"
    INLINE_DATA = "rows follow, in the format just named"
    COPIED_ROWS = "rows follow that are no part of the statement"


class Watcher(Protocol):
    @property
    def opened(self) -> int | None:
        """The offset where the body that is open opened."""

    def see(self, word: str, token: Token) -> Sight:
        """Take the next token. `word` is its text, words in capitals; '' for a quoted or dotted name, or a literal."""


class AtomicRoutine:
    """PostgreSQL: CREATE [OR REPLACE] FUNCTION | PROCEDURE … BEGIN ATOMIC statement; … END."""

    class State(Enum):
        CREATE = "which kind of thing is created?"
        HEADER = "waiting for BEGIN"
        BEGIN = "is it BEGIN ATOMIC?"
        AT_START = "a statement of the body, or its END, comes next"
        WITHIN = "in a statement of the body"

    def __init__(self) -> None:
        self.opened: int | None = None
        self.state = self.State.CREATE

    def see(self, word: str, token: Token) -> Sight:
        states = self.State
        match self.state:
            case states.CREATE:
                if word in ("FUNCTION", "PROCEDURE"):
                    self.state = states.HEADER
                elif word not in ("OR", "REPLACE"):
                    return Sight.PLAIN
            case states.HEADER:
                if word == "BEGIN":
                    self.state = states.BEGIN
            case states.BEGIN:
                if word == "ATOMIC":
                    self.opened, self.state = token.offset, states.AT_START
                else:
                    self.state = states.HEADER
            case states.AT_START if word == "END":
                self.opened = None
                return Sight.PLAIN
            case _:
                self.state = states.AT_START if word == ";" else states.WITHIN
        return Sight.UNCLEAR


class Copy:
    """PostgreSQL: COPY … FROM STDIN."""

    def __init__(self) -> None:
        self.opened: int | None = None
        self.before = ""

    def see(self, word: str, token: Token) -> Sight:
        if self.before == "FROM" and word == "STDIN":
            return Sight.COPIED_ROWS
        self.before = word
        return Sight.UNCLEAR


class Trigger:
    """SQLite: CREATE [TEMP] TRIGGER … BEGIN statement; … END."""

    class State(Enum):
        CREATE = "is it a trigger?"
        AT_START = "a statement of the body, or its END, comes next"
        WITHIN = "in the header, or in a statement of the body"
        END = "does a `;` make this END the last one?"

    def __init__(self) -> None:
        self.opened: int | None = None
        self.begun: int | None = None
        self.state = self.State.CREATE

    def see(self, word: str, token: Token) -> Sight:
        states = self.State
        match self.state:
            case states.CREATE:
                if word == "TRIGGER":
                    self.opened, self.state = token.offset, states.WITHIN
                elif word not in ("TEMP", "TEMPORARY"):
                    return Sight.PLAIN
            case states.AT_START if word == "END":
                self.begun, self.opened, self.state = self.opened, None, states.END
            case states.END:
                self.opened, self.state = self.begun, states.WITHIN
            case _:
                self.state = states.AT_START if word == ";" else states.WITHIN
        return Sight.UNCLEAR


class Insert:
    """ClickHouse: INSERT … FORMAT name, with the rows behind it."""

    def __init__(self) -> None:
        self.opened: int | None = None
        self.depth = 0
        self.before = ""

    def see(self, word: str, token: Token) -> Sight:
        self.depth += (word == "(") - (word == ")")
        if self.before == "FORMAT" and FORMATS.fullmatch(word):
            return Sight.INLINE_DATA
        self.before = word if self.depth == 0 else ""
        return Sight.PLAIN if self.before == "VALUES" else Sight.UNCLEAR
