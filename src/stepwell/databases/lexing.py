"""Cutting SQL text into tokens, by each engine's own quoting rules. Lossless: the tokens joined are the text.

One regular expression a dialect finds where the next token ends; only what nests (comments) or names its own end
(dollar quotes) is followed by hand. Nothing here knows grammar; `Reader` gives the little that adapters need of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache


class Kind(Enum):
    SPACE = "white space"
    COMMENT = "comment"
    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    MARK = "punctuation"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    offset: int

    @property
    def silent(self) -> bool:
        """Whether the server passes over it."""
        return self.kind is Kind.SPACE or (self.kind is Kind.COMMENT and not self.text.startswith(("/*!", "/*M!")))


class Unterminated(ValueError):
    """A string, quoted identifier or comment that is opened at `offset` and never closed."""

    def __init__(self, kind: Kind, offset: int) -> None:
        self.kind, self.offset = kind, offset
        super().__init__(f"{kind.value} opened at offset {offset} is never closed")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine quotes. `strings` and `identifiers` are the characters that open one."""

    strings: str = "'"
    identifiers: str = '"'
    brackets: bool = False
    backslash: str = ""
    line_comments: str = r"--[^\n]*"
    nested_comments: bool = False
    dollar_quotes: bool = False


DIALECTS: dict[str, Dialect] = {
    "postgres": Dialect(nested_comments=True, dollar_quotes=True),
    # `--` opens a comment only before white space or the end; `#` always does. /*! … */ is run by the server.
    "mysql": Dialect(
        strings="'\"", identifiers="`", backslash="'\"", line_comments=r"--(?=[\s\x00-\x1f]|\Z)[^\n]*|\#[^\n]*"
    ),
    "sqlite": Dialect(identifiers='"`', brackets=True),
    "clickhouse": Dialect(
        identifiers='"`',
        backslash="'\"`",
        line_comments=r"--[^\n]*|//[^\n]*|\#[ !][^\n]*",
        nested_comments=True,
        dollar_quotes=True,
    ),
}

_OPENING = {"SPACE": Kind.SPACE, "COMMENT": Kind.COMMENT, "WORD": Kind.WORD, "NUMBER": Kind.NUMBER}
_BLOCK = re.compile(r"/\*|\*/")


@cache
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    def quoted(mark: str, backslash: bool) -> str:
        inside = rf"[^{mark}\\]|\\.|{mark}{mark}" if backslash else rf"[^{mark}]|{mark}{mark}"
        # Possessive, so that an unclosed quote fails at once instead of trying every shorter ending.
        return rf"{mark}(?:{inside})*+{mark}"

    strings = [quoted(mark, mark in dialect.backslash) for mark in dialect.strings]
    if dialect == DIALECTS["postgres"]:
        strings.insert(0, "[eE]" + quoted("'", backslash=True))
        strings.append(r"[uUbBxXnN]&?" + quoted("'", backslash=False))
    names = [quoted(mark, mark in dialect.backslash) for mark in dialect.identifiers]
    if dialect.brackets:
        names.append(r"\[[^\]]*\]")
    dollar = r"(?P<DOLLAR>\$(?:[^\W\d]\w*)?\$)|" if dialect.dollar_quotes else ""
    return re.compile(
        rf"""(?P<SPACE>\s+)
        |(?P<COMMENT>{dialect.line_comments})
        |(?P<BLOCK>/\*)
        |{dollar}(?P<STRING>{"|".join(strings)})
        |(?P<QUOTED>{"|".join(names)})
        |(?P<WORD>[^\W\d][\w$]*)
        |(?P<NUMBER>\d[\w.]*)
        |(?P<MARK>.)""",
        re.VERBOSE | re.DOTALL,
    )


def tokens(text: str, engine: str, start: int = 0) -> Iterator[Token]:
    """Cut `text` from `start` on into tokens. Raises Unterminated."""
    dialect = DIALECTS[engine]
    match_at = _pattern(dialect).match
    openers = set(dialect.strings + dialect.identifiers + ("[" if dialect.brackets else ""))
    position, end = start, len(text)
    while position < end:
        match = match_at(text, position)
        assert match is not None  # the last alternative takes any character
        group, stop = match.lastgroup, match.end()
        assert group is not None
        if group == "BLOCK":
            stop, kind = _comment_end(text, position, dialect.nested_comments), Kind.COMMENT
        elif group == "DOLLAR":
            closing = text.find(match.group(), stop)
            if closing < 0:
                raise Unterminated(Kind.STRING, position)
            stop, kind = closing + len(match.group()), Kind.STRING
        else:
            kind = Kind[group]
            if kind is Kind.MARK and match.group() in openers:
                raise Unterminated(Kind.STRING if match.group() in dialect.strings else Kind.QUOTED, position)
        yield Token(kind, text[position:stop], position)
        position = stop


def _comment_end(text: str, start: int, nested: bool) -> int:
    depth, position = 0, start
    while mark := _BLOCK.search(text, position):
        position = mark.end()
        if mark.group() == "*/":
            depth -= 1
        elif nested or depth == 0:
            depth += 1
        if depth == 0:
            return position
    raise Unterminated(Kind.COMMENT, start)


def unquote(text: str) -> str:
    """The identifier that a word or quoted identifier stands for."""
    if len(text) >= 2 and text[0] in "\"`[":
        mark = text[-1]
        return text[1:-1].replace(mark * 2, mark)
    return text


class Reader:
    """Reads the significant tokens of one statement from left to right."""

    def __init__(self, text: str, engine: str) -> None:
        self.text = text
        self.items = [token for token in tokens(text, engine) if not token.silent]
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        """The text of a coming token, words in capitals; '' behind the end."""
        index = self.at + ahead
        if index >= len(self.items):
            return ""
        token = self.items[index]
        return token.text.upper() if token.kind is Kind.WORD else token.text

    def take(self, *words: str) -> bool:
        """Step over `words` if they come next, in this order."""
        if all(self.peek(index) == word for index, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def take_any(self, *words: str) -> str:
        """Step over the next token if it is one of `words`, and return it; else ''."""
        return self.next() if self.peek() in words else ""

    def next(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def skip_to(self, *words: str) -> str:
        """Step to the next of `words` outside parentheses and return it, '' if there is none. Stands before it."""
        depth = 0
        while self.at < len(self.items):
            word = self.peek()
            if depth == 0 and word in words:
                return word
            depth += (word == "(") - (word == ")")
            self.at += 1
        return ""

    @property
    def offset(self) -> int:
        """Where in the text the coming token begins."""
        return self.items[self.at].offset if self.at < len(self.items) else len(self.text)

    def name(self) -> tuple[str, ...]:
        """Step over a name such as `db`.table and return its parts, unquoted; empty when none comes."""
        parts: list[str] = []
        while self.at < len(self.items) and self.items[self.at].kind in (Kind.WORD, Kind.QUOTED):
            parts.append(unquote(self.items[self.at].text))
            self.at += 1
            if not self.take("."):
                break
        return tuple(parts)

    @property
    def done(self) -> bool:
        return self.at >= len(self.items)
