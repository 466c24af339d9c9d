"""Text in front of the first mark of a file, where only comments may stand."""

from __future__ import annotations

import re

_COMMENT = r"--[^\n]*+|/\*.*?\*/|\#[^\n]*+"
_BLANK = re.compile(rf"(?:\s++|{_COMMENT})*", re.DOTALL)
_EACH = re.compile(_COMMENT, re.DOTALL)
_OF_A_TOOL = re.compile(r"--[ \t]*\+goose\b", re.IGNORECASE)


def first_statement(text: str) -> int | None:
    """The offset of what is neither white space nor a comment; None where there is nothing else."""
    found = _BLANK.match(text)
    end = found.end() if found else 0
    return end if end < len(text) else None


def comments(text: str) -> tuple[str, ...]:
    """The comments of a text that holds nothing else, but for those that mean something to a tool."""
    return tuple(one.rstrip() for one in _EACH.findall(text) if not _OF_A_TOOL.match(one))
