"""A statement, or a part of one, in a form that patterns can be written for.

The `shape` of a phrase is its text on one line: words in capitals, a blank between two tokens, comments left out,
every string as `'…'`, and names in quotes with `_` for each blank in them. A name in parts is one word: `APP.ORDERS`.
So a rule says `ADD CONSTRAINT (?P<name>\\S+) FOREIGN KEY`, and no quoting, comment or line end can deceive it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from itertools import islice

from stepwell.databases.lexing import Kind, Token, Unterminated, tokens, unquote

MOST_TOKENS = 5_000
"""What a statement has beyond these is rows; no rule looks at them."""

STRING = "'…'"
_BLANK = re.compile(r"\s")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class Phrase:
    """Tokens in a row. `offset` is where the first stands in the statement's text."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.offset = found[0].offset if found else 0

    @cached_property
    def shape(self) -> str:
        return self._shaped[0]

    @property
    def _starts(self) -> list[int]:
        """Where in the shape each token begins."""
        return self._shaped[1]

    @cached_property
    def _shaped(self) -> tuple[str, list[int]]:
        texts, starts = list[str](), list[int]()
        at, glued = 0, True
        for token in self.tokens:
            text = _shaped(token)
            if not (glued or text == "."):
                texts.append(" ")
                at += 1
            texts.append(text)
            starts.append(at)
            at += len(text)
            glued = text == "."
        return "".join(texts), starts

    def match(self, pattern: str) -> re.Match[str] | None:
        """Match from the beginning of the shape."""
        return _compiled(pattern).match(self.shape)

    def search(self, pattern: str) -> re.Match[str] | None:
        """Match anywhere in the shape."""
        return _compiled(pattern).search(self.shape)

    def all(self, pattern: str) -> Iterator[re.Match[str]]:
        return _compiled(pattern).finditer(self.shape)

    def written(self, match: re.Match[str], group: str | int = 0) -> str:
        """What was matched, as it is written in the script."""
        chosen = self._chosen(match, group)
        return "".join(
            (" " if index and token.offset > chosen[index - 1].offset + len(chosen[index - 1].text) else "")
            + token.text
            for index, token in enumerate(chosen)
        )

    def place(self, match: re.Match[str], group: str | int = 0) -> int:
        """Where in the statement's text the match begins."""
        chosen = self._chosen(match, group)
        return chosen[0].offset if chosen else self.offset

    def strings(self, match: re.Match[str], group: str | int = 0) -> list[Token]:
        """The strings in what was matched."""
        return [token for token in self._chosen(match, group) if token.kind is Kind.STRING]

    def _chosen(self, match: re.Match[str], group: str | int) -> list[Token]:
        start, stop = match.span(group)
        return self.tokens[bisect_left(self._starts, start) : bisect_left(self._starts, stop)]

    def parts(self, start: int = 0) -> list[Phrase]:
        """The tokens from `start` on, cut at the commas outside parentheses; they end where a parenthesis closes."""
        found: list[Phrase] = []
        depth, held = 0, list[Token]()
        for token in self.tokens[start:]:
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if depth < 0:
                break
            if depth == 0 and token.text == ",":
                found.append(Phrase(held))
                held = []
            else:
                held.append(token)
        return [phrase for phrase in [*found, Phrase(held)] if phrase.tokens]

    def inside(self) -> list[Phrase]:
        """The parts within the first parentheses."""
        start = next((index for index, token in enumerate(self.tokens) if token.text == "("), None)
        return [] if start is None else self.parts(start + 1)

    def behind(self, match: re.Match[str]) -> Phrase:
        """What follows a match."""
        return Phrase(self.tokens[bisect_left(self._starts, match.end()) :])

    def without_parentheses(self) -> Phrase:
        """What stands outside of all parentheses."""
        kept, depth = list[Token](), 0
        for token in self.tokens:
            depth -= token.text == ")"
            if depth == 0 and token.text not in ("(", ")"):
                kept.append(token)
            depth += token.text == "("
        return Phrase(kept)


def plain(text: str) -> str:
    """The text with a word NAME in the place of each variable `${NAME}`, for its value is not known here."""
    return _VARIABLE.sub(r"\1", text) if "${" in text else text


def read(text: str, engine: str) -> list[Token]:
    """The tokens of a statement that mean something to the server. What is never closed ends where it opens."""
    found: list[Token] = []
    with suppress(Unterminated):  # inline data of ClickHouse has quotes by rules of its own
        found.extend(islice((token for token in tokens(text, engine) if not token.silent), MOST_TOKENS))
    return found


def key(name: str) -> str:
    """A name from a shape, in a form to compare: without quotes, in capitals, without the schema."""
    return unquote(name.rpartition(".")[2]).upper()


def _shaped(token: Token) -> str:
    if token.kind is Kind.WORD:
        return token.text.upper()
    if token.kind is Kind.STRING:
        return STRING
    if token.kind is Kind.QUOTED:
        return _BLANK.sub("_", token.text)
    return "/*!*/" if token.kind is Kind.COMMENT else token.text
