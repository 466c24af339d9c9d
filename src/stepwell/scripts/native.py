"""Stepwell's own format: front matter, statements, and below a line `-- down` the way back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from stepwell.databases.lexing import tokens
from stepwell.errors import BadScript
from stepwell.scripts.comments import numbered
from stepwell.scripts.pieces import Piece, PieceKind, Unsplittable
from stepwell.scripts.script import Script, Sections, Statement
from stepwell.scripts.splitter import split

_FOREIGN = re.compile(
    r"^[ \t]*--[ \t]*(?:(migrate[ \t]*:[ \t]*(?:up|down)\b)|(\+goose)|(changeset[ \t]+\S+:\S))",
    re.IGNORECASE | re.MULTILINE,
)
_TOOLS = ("dbmate", "goose", "liquibase")


def cut(script: Script) -> Sections:
    """Find the statements of both directions. Raises BadScript."""
    _refuse_foreign(script)
    return sections(script.text, script.path, script.engine, "down")


def sections(text: str, path: Path, engine: str, word: str) -> Sections:
    """The statements of a text, and those of its way back, which a line `-- WORD` begins. Raises BadScript.

    `-- WORD: nothing` is a way back in which nothing is to be done.
    """
    try:
        pieces = split(text, engine, re.compile(rf"--[ \t]*{word}([ \t]*:[ \t]*nothing)?", re.IGNORECASE))
    except Unsplittable as error:
        raise BadScript(path, error.line, error.what, error.do) from None
    markers = [index for index, piece in enumerate(pieces) if piece.kind is PieceKind.MARKER]
    if len(markers) > 1:
        first, second = (pieces[index].line for index in markers[:2])
        what = f"a second `-- {word}`; the first is on line {first}"
        raise BadScript(path, second, what, "Take one of them away.")
    end = markers[0] if markers else len(pieces)
    up, down = _statements(pieces[:end], path, engine), _statements(pieces[end:], path, engine)
    if not up:
        raise BadScript(path, 1, "the script has no statement", "Write one, or delete the file.")
    nothing = bool(markers) and ":" in pieces[end].text
    if markers and not down and not nothing:
        do = f"Delete the line, or write the way back below it; if nothing is to be done: `-- {word}: nothing`."
        raise BadScript(path, pieces[end].line, f"nothing stands below `-- {word}`", do)
    if nothing and down:
        what = f"a statement below `-- {word}: nothing`"
        raise BadScript(path, down[0].line, what, f"Write `-- {word}`, or take the statement away.")
    return Sections(up, down if markers else None)


def _refuse_foreign(script: Script) -> None:
    """A line by which another tool tells two directions apart: read as a comment, both would be run."""
    if found := _FOREIGN.search(script.text):
        line = script.text.count("\n", 0, found.start()) + 1
        tool = next(tool for tool, group in zip(_TOOLS, found.groups(), strict=True) if group)
        what = f"`{found.group().strip()}` is a line of {tool}'s format, and this folder is read as Stepwell's own"
        do = f'Say so below [databases.{script.database}] in stepwell.toml: format = "{tool}". Or take the line away.'
        raise BadScript(script.path, line, what, do)


def _statements(pieces: Sequence[Piece], path: Path, engine: str) -> tuple[Statement, ...]:
    found = [piece for piece in pieces if piece.kind is PieceKind.STATEMENT]
    for piece in found:
        if words := controls_transaction(piece.text, engine):
            raise BadScript(
                path,
                piece.line,
                f"`{words}` in a script: Stepwell begins and ends the transaction itself",
                "Take it away. With `-- transaction: false` at the top, each statement of a script runs by itself.",
            )
    return numbered(pieces, found, engine)


def controls_transaction(statement: str, engine: str) -> str:
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
