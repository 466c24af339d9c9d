"""Spans of time as a person writes them: 250ms, 30s, 5min, 2h."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}


def seconds(text: str) -> float | None:
    """The seconds that `text` means, where a number alone is seconds; None for what is no span of time."""
    found = _WRITTEN.fullmatch(text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None
