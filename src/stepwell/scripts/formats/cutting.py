"""From the parts of a file to statements. Whatever a tool splits at, the engine's own rules say where one ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stepwell.databases.lexing import Kind, Unterminated, token_at, tokens
from stepwell.errors import BadScript
from stepwell.scripts.pieces import Piece, PieceKind, Unsplittable
from stepwell.scripts.script import Statement

# A run with nothing to do reads files and cuts none: what cuts is imported where it does.


class Part(NamedTuple):
    """A part of a file that no statement reaches out of. `line` is the line of the file that it begins on."""

    text: str
    line: int


def statements(parts: Iterable[Part], path: Path, engine: str) -> tuple[Statement, ...]:
    """The statements of these parts, numbered through. Raises BadScript.

    One transaction around all of them is taken off: Stepwell makes it itself. Any other is refused.
    """
    from stepwell.scripts.comments import numbered
    from stepwell.scripts.native import controls_transaction

    everything = [piece for part in parts for piece in pieces(part, path, engine)]
    found = [piece for piece in everything if piece.kind is PieceKind.STATEMENT]
    controls = [(piece, words) for piece in found if (words := controls_transaction(piece.text, engine))]
    if _wraps_all(found, controls):
        found, controls = found[1:-1], []
    for piece, words in controls:
        raise BadScript(
            path,
            piece.line,
            f"`{words}` in a script: Stepwell begins and ends the transaction itself",
            "Take it away; only one transaction around the whole script may stay.",
        )
    return numbered(everything, found, engine)


def pieces(part: Part, path: Path, engine: str) -> list[Piece]:
    """All of a part, statements and what is between, with the lines of the file. Raises BadScript."""
    from stepwell.scripts.splitter import split

    try:
        found = split(part.text, engine)
    except Unsplittable as error:
        raise BadScript(path, part.line + error.line - 1, error.what, error.do) from None
    return [Piece(piece.kind, piece.text, piece.offset, part.line + piece.line - 1) for piece in found]


def _wraps_all(found: Sequence[Piece], controls: Sequence[tuple[Piece, str]]) -> bool:
    """Whether the first statement begins a transaction, the last commits it, and none between touches it."""
    if len(controls) != 2 or controls[0][0] is not found[0] or controls[1][0] is not found[-1]:
        return False
    first, last = (" ".join(piece.text.upper().split()) for piece, _ in controls)
    return first in _BEGIN and last in _COMMIT


_BEGIN = ("BEGIN", "BEGIN TRANSACTION", "BEGIN WORK", "START TRANSACTION")
_COMMIT = ("COMMIT", "COMMIT TRANSACTION", "COMMIT WORK", "END", "END TRANSACTION")


def cut_at(part: Part, engine: str, delimiter: str, alone: bool, path: Path) -> list[Part]:
    """A part cut wherever `delimiter` stands outside of quotes and comments; with `alone`, on a line of its own.

    Raises BadScript for a delimiter that this engine's SQL would take for the beginning of a comment or a string.
    """
    try:
        opens = token_at(delimiter, engine, 0).kind in (Kind.COMMENT, Kind.STRING, Kind.QUOTED, Kind.SPACE)
    except Unterminated:
        opens = True
    if opens:
        what = f"the delimiter {delimiter!r} begins a comment, a name or a string in the SQL of {engine}"
        raise BadScript(path, part.line, what, "Use another, such as `;`.")
    cut, start, position = [], 0, 0
    text, size = part.text, len(delimiter)
    try:
        for token in tokens(text, engine):
            if token.offset < position or token.kind not in (Kind.WORD, Kind.NUMBER, Kind.MARK):
                continue
            end = token.offset + len(token.text)
            at = text.lower().find(delimiter.lower(), token.offset, end + size - 1) if token.text else -1
            if at < 0 or (alone and not _alone(text, at, at + size)):
                continue
            cut.append(Part(text[start:at], part.line + text.count("\n", 0, start)))
            start = position = at + size
    except Unterminated as error:
        line = part.line + text.count("\n", 0, error.offset)
        raise BadScript(path, line, f"the {error.kind.value} that opens here is never closed", "Close it.") from None
    return [*cut, Part(text[start:], part.line + text.count("\n", 0, start))]


def _alone(text: str, start: int, end: int) -> bool:
    line_end = text.find("\n", end)
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return not before.strip() and not text[end : len(text) if line_end < 0 else line_end].strip()
