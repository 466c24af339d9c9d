"""A table's columns as a key: what pg_attribute and pg_index tell."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.databases import keys
from stepwell.databases.keys import Column, KeyFacts, Part
from stepwell.databases.lexing import Reader
from stepwell.databases.postgres.names import bare
from stepwell.databases.postgres.visible import Query

# A real is given back as the shortest text that means it, which as a double precision is another number.
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, atttypid <> 'real'::regtype
FROM pg_attribute
WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped
"""
# Partial and invalid indexes don't find all rows, and other operator classes or collations have another order.
INDEXES = """
SELECT i.indexrelid::text,
       i.indisunique,
       CASE WHEN o.opcdefault AND k.collating = a.attcollation THEN a.attname END,
       (k.option & 1)::boolean
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
CROSS JOIN LATERAL
  unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[])
  WITH ORDINALITY AS k (number, class, collating, option, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
LEFT JOIN pg_opclass o ON o.oid = k.class
WHERE i.indrelid = to_regclass(?) AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
ORDER BY i.indexrelid, k.place
"""


def read(query: Query, table: str, columns: Sequence[str]) -> KeyFacts:
    """What the catalog tells of these columns of a table."""
    return keys.facts(
        {column: bare(Reader(column, "postgres")) for column in columns},
        [Column(*row) for row in query(COLUMNS, (table,))],
        keys.indexes(Part(*row) for row in query(INDEXES, (table,))),
    )
