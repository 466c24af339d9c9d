"""Stepwell's own format: front matter, statements, and below a line `-- down` the way back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from stepwell.databases.lexing import tokens
from stepwell.errors import BadScript
from stepwell.scripts.pieces import Piece, PieceKind, Unsplittable
from stepwell.scripts.script import Script, Sections, Statement
from stepwell.scripts.splitter import split

DOWN = re.compile(r"--[ \t]*down", re.IGNORECASE)


def cut(script: Script) -> Sections:
    """Find the statements of both directions. Raises BadScript."""
    try:
        pieces = split(script.text, script.engine, DOWN)
    except Unsplittable as error:
        raise BadScript(script.path, error.line, error.what, error.do) from None
    markers = [index for index, piece in enumerate(pieces) if piece.kind is PieceKind.MARKER]
    if len(markers) > 1:
        first, second = (pieces[index].line for index in markers[:2])
        what = f"a second `-- down`; the first is on line {first}"
        raise BadScript(script.path, second, what, "Take one of them away.")
    end = markers[0] if markers else len(pieces)
    up, down = _statements(script, pieces[:end]), _statements(script, pieces[end:])
    if not up:
        raise BadScript(script.path, 1, "the script has no statement", "Write one, or delete the file.")
    if markers and not down:
        do = "Delete the line, or write the way back below it."
        raise BadScript(script.path, pieces[end].line, "nothing stands below `-- down`", do)
    return Sections(up, down if markers else None)


def statements_of(text: str, path: Path, engine: str) -> list[str]:
    """The statements of a text that has no way back, such as a job's. Raises BadScript."""
    try:
        pieces = split(text, engine)
    except Unsplittable as error:
        raise BadScript(path, error.line, error.what, error.do) from None
    return [piece.text for piece in pieces if piece.kind is PieceKind.STATEMENT]


def _statements(script: Script, pieces: Sequence[Piece]) -> tuple[Statement, ...]:
    found = [piece for piece in pieces if piece.kind is PieceKind.STATEMENT]
    for piece in found:
        if words := _controls_transaction(piece.text, script.engine):
            raise BadScript(
                script.path,
                piece.line,
                f"`{words}` in a script: Stepwell begins and ends the transaction itself",
                "Take it away. With `-- transaction: false` at the top, each statement runs by itself.",
            )
    return tuple(Statement(piece.text, piece.line, index) for index, piece in enumerate(found, start=1))


def _controls_transaction(statement: str, engine: str) -> str:
    """The words of a statement that begins or ends a transaction; '' for any other."""
    words = _words(statement, engine, 6)
    match words:
        case ["BEGIN", "NOT", *_] if engine == "mysql":
            return ""
        case ["COMMIT" | "ROLLBACK", "PREPARED", *_] | ["ROLLBACK", "TO", *_] | ["ROLLBACK", _, "TO", *_]:
            return ""
        case ["BEGIN" | "COMMIT" | "ROLLBACK" as word, *_]:
            return word
        case ["END" | "ABORT" as word, *_] if engine in ("postgres", "sqlite"):
            return word
        case ["START" | "PREPARE" as word, "TRANSACTION", *_]:
            return f"{word} TRANSACTION"
        case ["SET", *rest] if engine == "mysql" and "AUTOCOMMIT" in rest:
            return "SET autocommit"
    return ""


def _words(statement: str, engine: str, count: int) -> list[str]:
    """The first words of a statement, in capitals."""
    significant = (token for token in tokens(statement, engine) if not token.silent)
    return [token.text.upper() for token in islice(significant, count)]
