"""Text in front of the first mark of a file, where only comments may stand."""

from __future__ import annotations

import re

_BLANK = re.compile(r"(?:\s++|--[^\n]*+|/\*(?:(?!\*/).)*+\*/|\#[^\n]*+)*+", re.DOTALL)


def first_statement(text: str) -> int | None:
    """The offset of what is neither white space nor a comment; None where there is nothing else."""
    found = _BLANK.match(text)
    end = found.end() if found else 0
    return end if end < len(text) else None
