"""A table's columns as a key: its sorting key, the one index that finds rows. Nothing there is unique."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepwell.databases import keys
from stepwell.databases.clickhouse.names import parse
from stepwell.databases.keys import Column, KeyFacts, Part
from stepwell.databases.lexing import Kind, Token, tokens, unquote

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

# A Float32 is given back with other digits than it has, and of a DateTime64 only microseconds.
_UNFAITHFUL = re.compile(r"\b(Float32|BFloat16|DateTime64\([789])")
_NULLABLE = re.compile(r"(LowCardinality\()?Nullable\(")


def read(database: ClickhouseDatabase, table: str, columns: Sequence[str]) -> KeyFacts:
    """What the system tables tell of these columns of a table."""
    place = database.qualified(parse(table))
    found = database.query("SELECT name, type FROM system.columns WHERE database = ? AND table = ?", place)
    sorted_by = database.query("SELECT sorting_key FROM system.tables WHERE database = ? AND name = ?", place)
    return keys.facts(
        {column: unquote(column, "clickhouse") for column in columns},
        [Column(name, kind, bool(_NULLABLE.match(kind)), not _UNFAITHFUL.search(kind)) for name, kind in found],
        keys.indexes(Part("", False, column) for (text,) in sorted_by for column in _columns(str(text))),
    )


def _columns(sorting_key: str) -> list[str | None]:
    """The columns of a sorting key; None for an expression. One that runs backwards counts as an expression, too."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens(sorting_key, "clickhouse"):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            parts.append([])
        elif not token.silent:
            parts[-1].append(token)
    names = (Kind.WORD, Kind.QUOTED)
    return [
        unquote(part[0].text, "clickhouse") if len(part) == 1 and part[0].kind in names else None
        for part in parts
        if part
    ]
