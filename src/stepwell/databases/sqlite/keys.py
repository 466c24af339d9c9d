"""A table's columns as a key in SQLite: what its pragmas tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stepwell.databases import keys
from stepwell.databases.keys import Column, KeyFacts, Part
from stepwell.databases.lexing import Reader, unquote

COLUMNS = """
SELECT lower(name), "notnull", pk, upper(type)
FROM pragma_table_xinfo({place})
WHERE hidden <> 1
"""
INDEXES = """
SELECT l.name, l."unique", lower(x.name), x."desc", l.origin
FROM pragma_index_list({place}) AS l, pragma_index_xinfo(l.name) AS x
WHERE NOT l.partial AND x."key"
ORDER BY l.seq, x.seqno
"""


def read(query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], table: str, columns: Sequence[str]) -> KeyFacts:
    """What the pragmas tell of these columns of a table; their names have no capitals here."""
    *schema, name = Reader(table, "sqlite").name()
    place = ", ".join("?" for _ in (name, *schema))
    found = query(COLUMNS.format(place=place), (name, *schema))
    parts = query(INDEXES.format(place=place), (name, *schema))
    primary = [column for column, _, number, _ in found if number]
    # An INTEGER PRIMARY KEY is the number of the row itself, which no index is needed for, and which is never NULL.
    integer = any(number and kind == "INTEGER" for _, _, number, kind in found)
    numbered = len(primary) == 1 and integer and not any(origin == "pk" for *_, origin in parts)
    indexes = [Part(index, bool(unique), column, bool(descending)) for index, unique, column, descending, _ in parts]
    return keys.facts(
        {column: unquote(column).lower() for column in columns},
        [Column(column, kind, not not_null and not (numbered and number)) for column, not_null, number, kind in found],
        keys.indexes([*([Part("", True, primary[0])] if numbered else []), *indexes]),
    )
