"""Cutting SQL text into tokens, by each engine's own quoting rules. Lossless: the tokens joined are the text.

One regular expression a dialect finds where the next token ends; only what nests (comments) or names its
own end (dollar quotes) is followed by hand. Nothing here knows grammar; `Reader` gives adapters the little
they need of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import NamedTuple


class Kind(Enum):
    SPACE = "white space"
    COMMENT = "comment"
    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    MARK = "punctuation"


class Token(NamedTuple):  # a tuple, for a seed script holds millions
    """A piece of SQL text. `silent`: the server passes over it (MySQL runs the inside of some comments)."""

    kind: Kind
    text: str
    offset: int
    silent: bool


class Unterminated(ValueError):
    """A string, quoted identifier or comment that is opened at `offset` and never closed."""

    def __init__(self, kind: Kind, offset: int) -> None:
        self.kind, self.offset = kind, offset
        super().__init__(f"{kind.value} opened at offset {offset} is never closed")


_PLAIN = {kind.name: kind for kind in (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.NUMBER)}
"""Tokens that end where the regular expression says."""

_ABOVE_ASCII = "\x80-\U0010ffff"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine cuts text.

    `strings` and `identifiers` are the characters that open one, each doubled inside to stand for itself;
    `backslash` those in which a backslash takes the next character along. `pairs` open and close with
    different characters and know no escape. `letters` may begin a word, besides A to Z and `_`.
    """

    strings: str = "'"
    identifiers: str = '"'
    backslash: str = ""
    pairs: tuple[tuple[str, str, Kind], ...] = ()
    letters: str = _ABOVE_ASCII
    space: str = r"[ \t\n\r\f\v]+"
    line_comments: str = r"--[^\n]*"
    nested_comments: bool = False
    executable_comments: bool = False
    dollar_quotes: bool = False
    escape_strings: bool = False


DIALECTS: dict[str, Dialect] = {
    "postgres": Dialect(line_comments=r"--[^\n\r]*", nested_comments=True, dollar_quotes=True, escape_strings=True),
    # `--` opens a comment only before white space, a control character or the end; `#` always does.
    "mysql": Dialect(
        strings="'\"",
        identifiers="`",
        backslash="'\"",
        letters="$" + _ABOVE_ASCII,
        line_comments=r"--(?=[\x00-\x20\x7f]|\Z)[^\n]*|\#[^\n]*",
        executable_comments=True,
    ),
    "sqlite": Dialect(identifiers='"`', pairs=(("[", "]", Kind.QUOTED),)),
    "clickhouse": Dialect(
        identifiers='"`',
        backslash="'\"`",
        # Typographic quotes count as quotes, and every kind of Unicode space as space.
        pairs=(("‘", "’", Kind.STRING), ("“", "”", Kind.QUOTED)),
        letters="$",
        space=r"[\s\u180e\u200b-\u200d\u2060\ufeff]+",
        line_comments=r"--[^\n]*|//[^\n]*|\#[ !][^\n]*",
        nested_comments=True,
        dollar_quotes=True,
    ),
}

_BLOCK = re.compile(r"/\*|\*/")
_LIGHT_MARKS = ",=.<>+*:@!?%&|^~[]{}"
_EXECUTABLE = ("/*!", "/*M!")


def _quoted(mark: str, backslash: bool) -> str:
    # An end that another quote follows is none, so an unclosed one has no shorter ending. Only single characters are
    # repeated possessively: of groups Python before 3.11.5 does it wrongly (gh-106052).
    if backslash:
        return rf"{mark}[^{mark}\\]*+(?:(?:\\.|{mark}{mark})[^{mark}\\]*+)*{mark}(?!{mark})"
    return rf"{mark}[^{mark}]*+(?:{mark}{mark}[^{mark}]*+)*{mark}(?!{mark})"


def _one_of(characters: str) -> str:
    """`[characters]`, written as `[^all others]` where it has what is above ASCII: `re` needs 7 ms for that range."""
    if _ABOVE_ASCII not in characters:
        return f"[{characters}]"
    inside = re.compile(f"[{characters.replace(_ABOVE_ASCII, '')}]")
    outside = [character for character in map(chr, range(128)) if not inside.match(character)]
    return f"[^{re.escape(''.join(outside))}]"


def _escape_string() -> str:
    # A string goes on, escapes included, in a quote on a later line with nothing but comments between.
    between = r"(?:[ \t\f\v]|--[^\n\r]*+)*[\n\r](?:\s|--[^\n\r]*+[\n\r])*"
    body = _quoted("'", backslash=True)
    return rf"[eE]{body}(?:{between}{body})*"


@dataclass(frozen=True, slots=True)
class _Rules:
    """A dialect made ready: `token` matches any one token, `run` many that mean nothing to a splitter."""

    dialect: Dialect
    token: re.Pattern[str]
    run: re.Pattern[str]
    openers: dict[str, Kind]


@cache
def _rules(engine: str) -> _Rules:
    dialect = DIALECTS[engine]
    above = _ABOVE_ASCII if _ABOVE_ASCII in dialect.letters else ""
    strings = [_quoted(mark, mark in dialect.backslash) for mark in dialect.strings]
    names = [_quoted(mark, mark in dialect.backslash) for mark in dialect.identifiers]
    for opening, closing, kind in dialect.pairs:
        pair = rf"{re.escape(opening)}[^{re.escape(closing)}]*+{re.escape(closing)}"
        (strings if kind is Kind.STRING else names).append(pair)
    if dialect.escape_strings:
        strings = [_escape_string(), *strings, r"(?:[bBxXnN]|[uU]&)" + _quoted("'", backslash=False)]
    # In the order they are tried. A dollar quote, like a comment, is only opened here.
    kinds = {
        "SPACE": dialect.space,
        "COMMENT": dialect.line_comments,
        "BLOCK": r"/\*",
        "DOLLAR": rf"\$(?:{_one_of(f'A-Za-z_{above}')}{_one_of(f'A-Za-z0-9_{above}')}*)?\$"
        if dialect.dollar_quotes
        else r"(?!)",
        "STRING": "|".join(strings),
        "QUOTED": "|".join(names),
        "WORD": f"{_one_of(f'A-Za-z_{dialect.letters}')}{_one_of(f'A-Za-z0-9_${dialect.letters}')}*",
        "NUMBER": f"[0-9]{_one_of(f'A-Za-z0-9_.{above}')}*",
        "MARK": ".",
    }
    token = "|".join(f"(?P<{name}>{pattern})" for name, pattern in kinds.items())
    openers = dict.fromkeys(dialect.strings, Kind.STRING) | dict.fromkeys(dialect.identifiers, Kind.QUOTED)
    openers |= {opening: kind for opening, _, kind in dialect.pairs}
    light = [kinds["STRING"], kinds["QUOTED"], r"(?!\$)" + kinds["WORD"], kinds["NUMBER"]]
    light += ["-(?!-)", "/(?![*/])"] + [re.escape(mark) for mark in _LIGHT_MARKS if mark not in openers]
    one = "|".join(light)
    # White space belongs to a run only before a further token; a row of values is taken whole, or not at all: what a
    # lookahead found is not tried in another way. A run has an end, for each token of it is remembered until then.
    row = rf"\((?=(?P<row>(?:{dialect.space}|{one})*))(?P=row)\)"
    run = rf"(?:(?:{dialect.space})?(?:{one}|{row})){{0,1000}}"
    return _Rules(dialect, re.compile(token, re.DOTALL), re.compile(run, re.DOTALL), openers)


def token_at(text: str, engine: str, position: int) -> Token:
    """The token that begins at `position`, which is not the end. Raises Unterminated."""
    rules = _rules(engine)
    match = rules.token.match(text, position)
    assert match is not None and match.lastgroup is not None  # the last alternative takes any character
    group, stop, silent = match.lastgroup, match.end(), False
    if plain := _PLAIN.get(group):
        return Token(plain, match.group(), position, False)
    if group == "SPACE":
        kind, silent = Kind.SPACE, True
    elif group == "COMMENT":
        kind, silent = Kind.COMMENT, True
    elif group == "BLOCK":
        kind = Kind.COMMENT
        silent = not (rules.dialect.executable_comments and text.startswith(_EXECUTABLE, position))
        if silent:
            stop = _comment_end(text, position, rules.dialect.nested_comments)
        else:
            stop = _executable_end(text, position, engine)
    elif group == "DOLLAR":
        kind = Kind.STRING
        closing = text.find(match.group(), stop)
        if closing < 0:
            raise Unterminated(kind, position)
        stop = closing + len(match.group())
    else:
        kind = Kind.MARK
        if opened := rules.openers.get(match.group()):
            raise Unterminated(opened, position)
    return Token(kind, text[position:stop], position, silent)


def tokens(text: str, engine: str, start: int = 0) -> Iterator[Token]:
    """Cut `text` from `start` on into tokens. Raises Unterminated."""
    position = start
    while position < len(text):
        token = token_at(text, engine, position)
        yield token
        position += len(token.text)


def run_end(text: str, engine: str, position: int) -> int:
    """Step over words, strings, numbers and the like in one go; return where the last of them ends.

    Comments, `;`, single parentheses and whatever is rare are left to `token_at`.
    """
    match = _rules(engine).run.match(text, position)
    assert match is not None  # it may match nothing at all
    return match.end()


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


def _executable_end(text: str, start: int, engine: str) -> int:
    """Its inside is SQL, so a `*/` in a string there, or in a comment, does not close it."""
    position = text.index("!", start) + 1
    while position < len(text):
        if text.startswith("*/", position):
            return position + 2
        if text.startswith("/*", position):
            position = _comment_end(text, position, nested=False)
        else:
            position += len(token_at(text, engine, position).text)
    raise Unterminated(Kind.COMMENT, start)


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}


def unquote(text: str, engine: str = "") -> str:
    """The identifier that a word or quoted identifier stands for. In ClickHouse, a backslash escapes in one."""
    if len(text) < 2 or text[0] not in '"`[':
        return text
    mark, inside = text[-1], text[1:-1]
    if engine != "clickhouse" or "\\" not in inside:
        return inside.replace(mark * 2, mark)
    return re.sub(rf"\\(.)|{mark}{mark}", lambda m: _ESCAPES.get(m[1], m[1]) if m[1] else mark, inside, flags=re.DOTALL)


class Reader:
    """Reads the significant tokens of one statement from left to right."""

    def __init__(self, text: str, engine: str) -> None:
        self.text, self.engine = text, engine
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
        """Step to the next of `words` outside parentheses and return it; '' if none comes."""
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
            parts.append(unquote(self.items[self.at].text, self.engine))
            self.at += 1
            if not self.take("."):
                break
        return tuple(parts)

    @property
    def done(self) -> bool:
        return self.at >= len(self.items)
