"""What a script's text is split into, and why it may not be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class PieceKind(Enum):
    STATEMENT = "statement"
    BETWEEN = "between"
    MARKER = "marker"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a script. All pieces joined are the script.

    A statement has no delimiter, and no white space or comments around it. `offset` counts characters from 0,
    `line` lines from 1.
    """

    kind: PieceKind
    text: str
    offset: int
    line: int


class Unsplittable(ValueError):
    """Where the statements of a text begin and end can't be told. `line` is where the trouble begins."""

    def __init__(self, text: str, offset: int, what: str, do: str) -> None:
        self.line = text.count("\n", 0, offset) + 1
        self.what, self.do = what, do
        super().__init__(f"line {self.line}: {what}")
