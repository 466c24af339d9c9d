"""`?` placeholders in the form that a driver wants."""

from __future__ import annotations

from functools import lru_cache

from stepwell.databases.lexing import Kind, tokens


@lru_cache(maxsize=256)
def percent_style(text: str, engine: str) -> str:
    """`text` with `?` as `%s` and `%` doubled; a `?` in a string, identifier or comment is left alone."""
    parts = []
    for token in tokens(text, engine):
        if token.kind is Kind.MARK and token.text == "?":
            parts.append("%s")
        else:
            parts.append(token.text.replace("%", "%%"))
    return "".join(parts)
