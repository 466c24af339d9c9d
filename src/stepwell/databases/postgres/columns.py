"""A table's columns in PostgreSQL."""

from __future__ import annotations

from stepwell.databases.columns import Column, Table
from stepwell.databases.database import Database

TABLE = """
SELECT oid::bigint, oid::regclass::text, relkind
FROM pg_class
WHERE oid = to_regclass(?)
"""
# A collation that is not deterministic, and a type without an operator =, take different values for equal or for none.
COLUMNS = """
SELECT a.attnum,
       a.attname,
       quote_ident(a.attname),
       format_type(a.atttypid, a.atttypmod)
         || CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END,
       NOT a.attnotnull,
       coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
       a.attgenerated <> '' OR a.attidentity <> '',
       CASE
         WHEN NOT coalesce(c.collisdeterministic, true) THEN '{} COLLATE "C"'
         WHEN t.typname IN ('citext', 'json', 'xml', 'point', 'numeric') THEN '{}::text'
         ELSE '{}'
       END
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = ?::bigint AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# Whatever the server itself would have to drop together with the column.
USES = """
SELECT d.refobjsubid,
       CASE
         WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
         ELSE 'view ' || r.ev_class::regclass
       END,
       i.indexrelid IS NOT NULL AND NOT i.indisunique
FROM pg_depend d
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
WHERE d.refclassid = 'pg_class'::regclass
  AND d.refobjid = ?::bigint
  AND d.refobjsubid > 0
  AND d.classid <> 'pg_attrdef'::regclass
UNION
SELECT k, pg_describe_object('pg_constraint'::regclass, c.oid, 0), false
FROM pg_constraint c, unnest(c.confkey) AS k
WHERE c.confrelid = ?::bigint
UNION
SELECT k, 'the partition key', false
FROM pg_partitioned_table p, unnest(p.partattrs::int2[]) AS k
WHERE p.partrelid = ?::bigint AND k > 0
ORDER BY 1, 2
"""
KEY = """
SELECT quote_ident(a.attname)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = ?::bigint AND i.indisprimary
ORDER BY k.place
"""
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = ?::bigint AND NOT tgisinternal ORDER BY tgname"


def read(database: Database, table: str) -> Table | None:
    """What the catalog tells of a table."""
    found = database.query(TABLE, (table,))
    if not found:
        return None
    oid, _, kind = found[0]
    uses = database.query(USES, (oid, oid, oid))
    columns = {}
    for number, plain, name, type_, nullable, default, made, compare in database.query(COLUMNS, (oid,)):
        columns[plain] = Column(
            name=name,
            type=type_,
            nullable=nullable,
            default=default,
            compare=compare,
            used_by=(
                *(["its own definition: the server generates its values"] if made else []),
                *(what for place, what, plain_index in uses if place == number and not plain_index),
            ),
            indexes=tuple(what for place, what, plain_index in uses if place == number and plain_index),
        )
    key = tuple(name for (name,) in database.query(KEY, (oid,)))
    triggers = tuple(name for (name,) in database.query(TRIGGERS, (oid,)))
    return Table(table, columns, key, triggers, "" if kind in ("r", "p") else "it is no table")
