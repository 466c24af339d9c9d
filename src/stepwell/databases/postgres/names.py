"""Names as PostgreSQL understands them: folded to lower case unless quoted, cut to 63 bytes."""

from __future__ import annotations

import re

from stepwell.databases.lexing import Reader, unquote

LONGEST = 63
"""Bytes of a name that PostgreSQL keeps."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def parts(reader: Reader) -> list[str]:
    """Step over a name and return its parts as the catalog holds them; empty when none comes."""
    start = reader.at
    reader.name()
    return [_folded(token.text) for token in reader.items[start : reader.at] if token.text != "."]


def bare(reader: Reader) -> str:
    """Step over a name and return its last part as the catalog holds it; '' when none comes."""
    return (parts(reader) or [""])[-1]


def spelled(reader: Reader) -> str:
    """Step over a name and return it, each part quoted unless it is plain; '' when none comes."""
    return ".".join(quoted(part) for part in parts(reader))


def quoted(name: str) -> str:
    """A name as people spell it: quoted unless it is plain. In a statement it may be a word of SQL; see `quote`."""
    return name if _PLAIN.fullmatch(name) else quote(name)


def quote(name: str) -> str:
    """A name in a statement, whatever word it is."""
    return '"' + name.replace('"', '""') + '"'


def _folded(text: str) -> str:
    # Only ASCII letters are folded, whatever the locale says; bytes.lower() does just that.
    name = unquote(text).encode() if text.startswith('"') else text.encode().lower()
    return name[:LONGEST].decode(errors="ignore")
