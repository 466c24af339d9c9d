"""Values that differ, beside each other, so that a person sees where."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def apart(texts: Sequence[str]) -> list[str]:
    """Texts that differ, so that a person sees it: those that only look alike are written out."""
    alike = {unicodedata.normalize("NFKC", text).strip() for text in texts}
    return [ascii(text) for text in texts] if len(alike) < len(set(texts)) else list(texts)


def row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells in columns of these widths: the first two say what differs, the others are its sides."""
    fitted = zip(_fitted(cells, widths), widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in fitted).rstrip()


def _fitted(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The cells cut to their widths; where they only differ further on, from there."""
    cut = [text if len(text) <= width else text[: width - 1] + "…" for text, width in zip(line, widths, strict=True)]
    sides, shown = line[2:], cut[2:]
    if len(set(shown)) < len(set(sides)):
        start = max(0, _parting(sides) - 8)
        tails = [f"…{text[start:]}" for text in sides]
        ends = [t if len(t) <= width else t[: width - 1] + "…" for t, width in zip(tails, widths[2:], strict=True)]
        return [*cut[:2], *ends]
    return cut


def _parting(texts: Sequence[str]) -> int:
    """How many characters all texts have in common at their beginnings."""
    count = 0
    while len({text[: count + 1] for text in texts}) == 1 and count < min(map(len, texts)):
        count += 1
    return count
