"""Splitting a script into statements, as the engine's own command-line client would.

One pass from left to right. Quotes and comments are the lexer's business, bodies of routines and inline data that
of the watchers; what is left here is where a statement begins and which delimiter ends it.
"""

from __future__ import annotations

import re
from enum import Enum

from stepwell.databases.lexing import Kind, Token, Unterminated, run_end, token_at
from stepwell.scripts.compound import OPENING, Compound
from stepwell.scripts.inline_data import data_end
from stepwell.scripts.pieces import Piece, PieceKind, Unsplittable
from stepwell.scripts.watchers import AtomicRoutine, Copy, Insert, Sight, Trigger, Watcher

_DELIMITER_LINE = re.compile(r"[ \t]+(\S+)[ \t\r]*(?:(?:--|#)[^\n]*)?(?=\n|\Z)")
# Inside a statement only an argument without letters tells the line from a column named `delimiter`.
_DELIMITER_INSIDE = re.compile(r"[ \t]+[^\w\s,()]+[ \t\r]*(?=\n|\Z)")
_DELIMITER_WORD = re.compile(r"^[ \t]*DELIMITER\b", re.IGNORECASE | re.MULTILINE)
_FORBIDDEN_IN_DELIMITER = re.compile(r"['\"`\\#]|--|/\*")
_FINAL_SEMICOLONS = re.compile(r"(?:\s*;)+\Z")


class State(Enum):
    BETWEEN = "no statement has begun"
    PLAIN = "in a statement that the next delimiter ends"
    WATCHED = "in a statement that may hold delimiters of its own"


def split(text: str, engine: str, marker: re.Pattern[str] | None = None) -> list[Piece]:
    """Split the text of a script. A comment that is alone on its line and matches `marker` is a piece of its own,
    and ends a statement as a delimiter does; inside parentheses or a body it is an ordinary comment.

    Raises Unsplittable.
    """
    splitter = _Splitter(text, engine, marker)
    try:
        splitter.run()
    except Unterminated as error:
        raise Unsplittable(
            text, error.offset, f"the {error.kind.value} that opens here is never closed", "Close it."
        ) from None
    return splitter.pieces


class _Splitter:
    """The text, how far it is read, and the statement that is open, if any: it reaches from `start` to `stop`."""

    def __init__(self, text: str, engine: str, marker: re.Pattern[str] | None) -> None:
        self.text, self.engine, self.marker = text, engine, marker
        self.pieces: list[Piece] = []
        self.position = self.taken = 0
        self.line = 1
        self.state = State.BETWEEN
        self.delimiter = ";"
        self.start = self.stop = 0
        self.parentheses: list[int] = []
        self.watcher: Watcher | None = None
        self.after_dot = False

    def run(self) -> None:
        while self.position < len(self.text):
            if not (self.state is State.PLAIN and self.delimiter == ";" and self.step_over_run()):
                self.step(token_at(self.text, self.engine, self.position))
        self.end_statement()
        self.take(len(self.text), PieceKind.BETWEEN)

    def step_over_run(self) -> bool:
        """Take all that can't end a plain statement in one go, if anything of that kind comes next."""
        stop = run_end(self.text, self.engine, self.position)
        if stop == self.position:
            return False
        if self.engine == "mysql" and _DELIMITER_WORD.search(self.text, self.position, stop):
            return False
        self.position = self.stop = stop
        return True

    def step(self, token: Token) -> None:
        """Read one token."""
        if token.silent:
            if token.kind is Kind.COMMENT and self.is_marker(token):
                self.end_statement()
                self.take(token.offset, PieceKind.BETWEEN)
                self.take(token.offset + len(token.text), PieceKind.MARKER)
            self.position += len(token.text)
        elif self.is_delimiter_line(token):
            self.read_delimiter(token)
        elif self.delimiter != ";":
            self.step_to_delimiter(token)
        elif token.text == ";" and self.ends_statement():
            self.end_statement()
            self.position += 1
        else:
            self.extend(token)

    def ends_statement(self) -> bool:
        if self.watcher is not None and self.watcher.opened is not None:
            return False
        # CREATE RULE of PostgreSQL holds a list of statements in parentheses.
        return not (self.engine == "postgres" and self.parentheses)

    def extend(self, token: Token) -> None:
        """Make a token part of the statement, or begin one with it."""
        if token.text == "\\" and self.engine == "postgres":
            raise Unsplittable(
                self.text,
                token.offset,
                "a command of psql, which no server understands",
                "Take it away, or write what it does in SQL.",
            )
        self.position = self.stop = token.offset + len(token.text)
        begins = self.state is State.BETWEEN
        if begins:
            self.start = token.offset
            self.watcher = _watcher(self.engine, token) if self.delimiter == ";" else None
            self.state = State.PLAIN if self.watcher is None else State.WATCHED
        if token.text == "(":
            self.parentheses.append(token.offset)
        elif token.text == ")" and self.parentheses:
            self.parentheses.pop()
        if not begins and self.watcher is not None:
            self.watch(token, self.watcher)
        self.after_dot = token.text == "."

    def watch(self, token: Token, watcher: Watcher) -> None:
        # What follows a dot is a name, whatever it spells.
        named = token.kind is Kind.WORD and not self.after_dot
        sight = watcher.see(token.text.upper() if named else token.text if token.kind is Kind.MARK else "", token)
        if sight is Sight.COPIED_ROWS:
            raise Unsplittable(
                self.text,
                self.start,
                "COPY … FROM STDIN: its rows are read by psql alone",
                "Write the rows as INSERT … VALUES, or load them with a Python script.",
            )
        if sight is Sight.INLINE_DATA:
            self.position = data_end(self.text, self.position, token.text)
            self.stop = self.start + len(self.text[self.start : self.position].rstrip())
        if sight is not Sight.UNCLEAR:
            self.watcher, self.state = None, State.PLAIN

    def step_to_delimiter(self, token: Token) -> None:
        """Read a token while DELIMITER is in force: it counts anywhere but in quotes and comments."""
        end = token.offset + len(token.text)
        found = -1
        if token.kind in (Kind.WORD, Kind.NUMBER, Kind.MARK):
            found = self.text.find(self.delimiter, token.offset, end + len(self.delimiter) - 1)
        if found == token.offset:
            self.end_statement()
            self.position = found + len(self.delimiter)
        elif found > 0:
            self.extend(token._replace(text=self.text[token.offset : found]))
        elif token.text == ";" and self.state is State.BETWEEN:
            self.position = end
        else:
            self.extend(token)

    def is_delimiter_line(self, token: Token) -> bool:
        if self.engine != "mysql" or token.kind is not Kind.WORD or token.text.upper() != "DELIMITER":
            return False
        if self.state is State.BETWEEN:
            return True
        end = token.offset + len(token.text)
        return self.alone_before(token.offset) and _DELIMITER_INSIDE.match(self.text, end) is not None

    def read_delimiter(self, token: Token) -> None:
        if self.state is not State.BETWEEN:
            raise Unsplittable(
                self.text,
                self.start,
                f"the statement that begins here is not ended by `{self.delimiter}` before the next DELIMITER line",
                f"Write `{self.delimiter}` behind it.",
            )
        line = _DELIMITER_LINE.match(self.text, token.offset + len(token.text))
        if line is None or _FORBIDDEN_IN_DELIMITER.search(line.group(1)):
            raise Unsplittable(
                self.text,
                token.offset,
                "a DELIMITER line without a delimiter that can be told from SQL",
                "Write it as `DELIMITER //`, alone on its line.",
            )
        self.delimiter = line.group(1)
        self.position = line.end()

    def is_marker(self, token: Token) -> bool:
        if self.marker is None or not self.marker.fullmatch(token.text.rstrip()):
            return False
        if self.parentheses or (self.watcher is not None and self.watcher.opened is not None):
            return False
        if self.state is not State.BETWEEN and self.delimiter != ";":
            return False
        return self.alone_before(token.offset)

    def alone_before(self, offset: int) -> bool:
        """Whether only blanks stand before `offset` on its line."""
        return not self.text[self.text.rfind("\n", 0, offset) + 1 : offset].strip()

    def end_statement(self) -> None:
        """Cut off the statement that is open, if any."""
        if self.state is State.BETWEEN:
            return
        if self.watcher is not None and self.watcher.opened is not None:
            raise Unsplittable(
                self.text, self.watcher.opened, "the body that opens here is never closed", "Write its END."
            )
        if self.engine == "postgres" and self.parentheses:
            raise Unsplittable(
                self.text, self.parentheses[0], "the parenthesis that opens here is never closed", "Close it."
            )
        if self.delimiter != ";":
            statement = self.text[self.start : self.stop]
            self.stop = self.start + len(_FINAL_SEMICOLONS.sub("", statement))
        self.take(self.start, PieceKind.BETWEEN)
        self.take(self.stop, PieceKind.STATEMENT)
        self.state, self.watcher, self.after_dot = State.BETWEEN, None, False
        self.parentheses.clear()

    def take(self, end: int, kind: PieceKind) -> None:
        """Make the text up to `end` a piece."""
        if end > self.taken:
            text = self.text[self.taken : end]
            self.pieces.append(Piece(kind, text, self.taken, self.line))
            self.line += text.count("\n")
            self.taken = end


def _watcher(engine: str, first: Token) -> Watcher | None:
    """Who watches the statement that begins with `first`; None when it can only be plain."""
    match engine, first.text.upper():
        case "postgres", "CREATE":
            return AtomicRoutine()
        case "postgres", "COPY":
            return Copy()
        case "sqlite", "CREATE":
            return Trigger()
        case "clickhouse", "INSERT":
            return Insert()
        case "mysql", word if word in OPENING:
            return Compound(first)
    return None
