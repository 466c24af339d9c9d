"""A table's columns as a key: what information_schema tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stepwell.databases import keys
from stepwell.databases.keys import Column, KeyFacts, Part
from stepwell.databases.lexing import Reader, unquote
from stepwell.databases.mysql.connection import Connection
from stepwell.databases.mysql.definitions import TRANSACTIONAL_ENGINES
from stepwell.databases.mysql.names import ENGINE

# ENUM and SET sort by number and compare as text; a FLOAT is given back with fewer digits than it has.
COLUMNS = """
SELECT LOWER(column_name), column_type, is_nullable = 'YES', data_type NOT IN ('enum', 'set', 'bit', 'float')
FROM information_schema.columns
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?
"""
# Of a column of which only the beginning is in the index, it does not tell the order.
INDEXES = """
SELECT index_name, non_unique = 0, IF(sub_part IS NULL, LOWER(column_name), NULL), collation = 'D'
FROM information_schema.statistics
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND index_type = 'BTREE'
ORDER BY index_name, seq_in_index
"""
STORAGE = "SELECT engine FROM information_schema.tables WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?"


def read(connection: Connection, table: str, columns: Sequence[str]) -> KeyFacts:
    """What the catalog tells of these columns of a table; their names have no capitals there."""
    *schema, name = Reader(table, ENGINE).name() or (table,)
    place = (schema[-1] if schema else None, name)
    kept_by = [str(engine) for (engine,) in connection.query(STORAGE, place) if engine]
    facts = keys.facts(
        {column: unquote(column).lower() for column in columns},
        [
            Column(str(column), str(kind), bool(nullable), bool(faithful))
            for column, kind, nullable, faithful in connection.query(COLUMNS, place)
        ],
        keys.indexes(
            Part(str(index), bool(unique), column, bool(descending))
            for index, unique, column, descending in connection.query(INDEXES, place)
        ),
    )
    return replace(facts, kept_by=next((one for one in kept_by if one.lower() not in TRANSACTIONAL_ENGINES), ""))
