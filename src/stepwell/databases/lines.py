r"""Rows as tab-separated lines, the one form that every engine can read and write in bulk.

It is what PostgreSQL's COPY and ClickHouse's TabSeparated share: values of text, a tab between two, `\n` behind the
last, `\N` for NULL, and a backslash before what would be mistaken (`\t`, `\n`, `\\`). So between these two no value
passes through Python at all.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

CHUNK = 8 << 20
"""Bytes of lines that are held at a time, roughly."""

NULL = r"\N"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_WRITTEN = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": r"\0"}
_SPECIAL = re.compile(r"[\\\t\n\r\0]")


def encode(rows: Iterable[Sequence[Any]]) -> Generator[bytes, None, None]:
    """Rows as lines, in chunks. Bytes are written as hexadecimal digits, floats as short as tells them apart."""
    held: list[str] = []
    size = 0
    for row in rows:
        line = "\t".join(map(_field, row))
        held.append(line)
        size += len(line)
        if size >= CHUNK:
            yield _joined(held)
            held, size = [], 0
    if held:
        yield _joined(held)


def decode(lines: bytes, errors: str = "strict") -> list[list[str | None]]:
    """The rows of whole lines. Raises UnicodeDecodeError, unless `errors` says how to decode in spite of them."""
    return [[_value(field) for field in line.split("\t")] for line in lines.decode(errors=errors).split("\n")[:-1]]


def chunks(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """Blocks cut anywhere, as chunks of whole lines. A block may be a single line: what is done for one is little."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) >= CHUNK and (end := held.rfind(b"\n", len(held) - len(block)) + 1):
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


def _joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def spelled(value: Any) -> str:
    """A value as the text that stands for it between two databases."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _field(value: Any) -> str:
    if value is None:
        return NULL
    text = spelled(value)
    return _SPECIAL.sub(lambda found: _WRITTEN[found[0]], text) if _SPECIAL.search(text) else text


def _value(field: str) -> str | None:
    if "\\" not in field:
        return field
    return None if field == NULL else _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), field)
