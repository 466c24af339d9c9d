"""Filling `${NAME}` in statements. `$${NAME}` stands for the text `${NAME}` itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stepwell.databases.lexing import Kind, Unterminated, tokens

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAMED = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_DOLLAR_QUOTE = re.compile(r"\$\w*\$")


class NoValue(KeyError):
    """Variable `name`, used at `offset` of a statement, has no value."""

    def __init__(self, name: str, offset: int) -> None:
        self.name, self.offset = name, offset
        super().__init__(name)


def fill(statement: str, engine: str, values: Mapping[str, str]) -> str:
    """Put the values in a statement, as they are, everywhere but in its comments. Raises NoValue."""
    if "${" not in statement:
        return statement
    parts, position = [], 0
    for start, end in _spans(statement, engine):
        for found in _VARIABLE.finditer(statement, start, end):
            escaped, name = found.groups()
            if not escaped and name not in values:
                raise NoValue(name, found.start())
            parts += [statement[position : found.start()], found.group()[1:] if escaped else values[name]]
            position = found.end()
    return "".join(parts) + statement[position:]


def escape(statement: str, engine: str) -> str:
    """A statement that `fill` makes this one of again, whatever it holds."""
    positions = [
        found.start() for start, end in _spans(statement, engine) for found in _NAMED.finditer(statement, start, end)
    ]
    for position in reversed(positions):
        statement = f"{statement[:position]}${statement[position:]}"
    return statement


def _spans(statement: str, engine: str) -> Iterator[tuple[int, int]]:
    """The parts of a statement where variables count: all but comments, and but the `$tag$` that opens a string."""
    start = 0
    try:
        for token in tokens(statement, engine):
            if token.kind is Kind.COMMENT and token.silent:
                yield start, token.offset
                start = token.offset + len(token.text)
            elif token.kind is Kind.STRING and (opening := _DOLLAR_QUOTE.match(token.text)):
                yield start, token.offset
                start = token.offset + opening.end()
    except Unterminated:
        pass  # inline data of ClickHouse has quotes by rules of its own
    yield start, len(statement)
