"""Placeholders: `?` as Stepwell writes them, `%s` as psycopg reads them.

PostgreSQL also has operators spelled with `?` (jsonb: `?`, `?|`, `?&`, `@?`). One is told from a placeholder
by what stands beside it: a value never follows a value, and only an operator is glued to `|`, `&` or `@`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from stepwell.databases.lexing import Kind, Token, tokens

_VALUES = (Kind.STRING, Kind.NUMBER)


@lru_cache(maxsize=128)
def for_psycopg(text: str) -> str:
    """`text` with `%s` for each `?` that stands for a value. Raises lexing.Unterminated."""
    items = list(tokens(text, "postgres"))
    significant = [token for token in items if not token.silent]
    places = {token.offset for at, token in enumerate(significant) if _is_placeholder(significant, at)}
    return "".join("%s" if token.offset in places else token.text.replace("%", "%%") for token in items)


def _is_placeholder(items: Sequence[Token], at: int) -> bool:
    if items[at].kind is not Kind.MARK or items[at].text != "?":
        return False
    before = items[at - 1] if at else None
    after = items[at + 1] if at + 1 < len(items) else None
    if before and (before.kind in (*_VALUES, Kind.QUOTED) or before.text in (")", "]")):
        return False
    if before and before.text in ("@", ".") and _touch(before, items[at]):
        return False
    if after and (after.kind in _VALUES or after.text in ("(", "?")):
        return False
    if after and after.text in ("|", "&") and _touch(items[at], after):
        # ?||'x' joins strings
        return [token.text for token in items[at + 1 : at + 3]] == ["|", "|"]
    return True


def _touch(left: Token, right: Token) -> bool:
    return left.offset + len(left.text) == right.offset
