"""The comments of a script, each kept with the statement that it stands above."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from stepwell.databases.lexing import Kind, Unterminated, tokens
from stepwell.scripts.pieces import Piece, PieceKind
from stepwell.scripts.script import Statement


def numbered(pieces: Iterable[Piece], chosen: Collection[Piece], engine: str) -> tuple[Statement, ...]:
    """The chosen pieces as statements, numbered from 1, with the comments around them."""
    found: list[Statement] = []
    above: list[str] = []
    wanted = {id(piece) for piece in chosen}
    for piece in pieces:
        if id(piece) in wanted:
            found.append(Statement(piece.text, piece.line, len(found) + 1, above=tuple(above)))
            above = []
        elif piece.kind is PieceKind.BETWEEN:
            above += comments(piece.text, engine)
    if found and above:
        last = found[-1]
        found[-1] = Statement(last.text, last.line, last.index, above=last.above, below=tuple(above))
    return tuple(found)


def comments(text: str, engine: str) -> Sequence[str]:
    """The comments in what stands between statements."""
    if not text.strip(" \t\r\n;"):
        return ()
    try:
        return [token.text.rstrip() for token in tokens(text, engine) if token.kind is Kind.COMMENT and token.silent]
    except Unterminated:
        return ()  # a DELIMITER line may hold what looks like the beginning of a string
