"""Each file in `golden` is split as the file of the same name beside it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.scripts.pieces import PieceKind, Unsplittable
from stepwell.scripts.splitter import split

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*/*.sql"))


def shown(text: str, engine: str) -> str:
    """The statements of a script, each under its line; or why there are none."""
    try:
        pieces = split(text, engine)
    except Unsplittable as error:
        return f"=== refused, line {error.line}: {error.what}\n"
    statements = [piece for piece in pieces if piece.kind is PieceKind.STATEMENT]
    return "".join(f"=== line {piece.line}\n{piece.text}\n" for piece in statements)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_splits_as_written_down(path: Path) -> None:
    assert shown(path.read_text(), path.parent.name) == path.with_suffix(".expected").read_text()


def test_every_engine_has_golden_files() -> None:
    assert {path.parent.name for path in FILES} == {"postgres", "mysql", "sqlite", "clickhouse"}
