"""What a database is made of, as its own catalog spells it: one text for each object, to be compared with another's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.databases.database import Database

SYSTEM = "('pg_catalog', 'information_schema', 'pg_toast')"
"""PostgreSQL's own schemas; what is in them is no migration's work."""

POSTGRES = {
    "relation": f"""
SELECT oid::regclass, relkind, relpersistence, reloptions, relrowsecurity, relacl, pg_get_partkeydef(oid),
       pg_get_expr(relpartbound, oid), obj_description(oid, 'pg_class')
FROM pg_class
WHERE relkind IN ('r', 'p', 'S', 'f', 'c') AND relnamespace::regnamespace::text NOT IN {SYSTEM}
""",
    "column": f"""
SELECT format('%s.%I', oid::regclass, attname), row_number() OVER (PARTITION BY oid ORDER BY attnum),
       format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attgenerated,
       attcollation::regcollation, attstorage, col_description(oid, attnum)
FROM pg_attribute
JOIN pg_class ON oid = attrelid
LEFT JOIN (SELECT adrelid, adnum, adbin FROM pg_attrdef) AS defaults ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'f', 'c')
  AND relnamespace::regnamespace::text NOT IN {SYSTEM}
""",
    "index": f"""
SELECT oid::regclass, pg_get_indexdef(oid), indisvalid, indisclustered, indisreplident
FROM pg_index
JOIN pg_class ON oid = indexrelid
WHERE relnamespace::regnamespace::text NOT IN {SYSTEM}
""",
    "constraint": f"""
SELECT format('%s.%I', conrelid::regclass, conname), pg_get_constraintdef(oid), convalidated
FROM pg_constraint
WHERE connamespace::regnamespace::text NOT IN {SYSTEM}
""",
    "view": f"""
SELECT oid::regclass, relkind, relispopulated, pg_get_viewdef(oid)
FROM pg_class
WHERE relkind IN ('v', 'm') AND relnamespace::regnamespace::text NOT IN {SYSTEM}
""",
    "routine": f"""
SELECT oid::regprocedure, pg_get_functiondef(oid)
FROM pg_proc
WHERE prokind IN ('f', 'p') AND pronamespace::regnamespace::text NOT IN {SYSTEM}
  AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
""",
    "trigger": """
SELECT format('%s.%I', tgrelid::regclass, tgname), tgenabled, pg_get_triggerdef(oid)
FROM pg_trigger
WHERE NOT tgisinternal
""",
    "policy": """
SELECT format('%s.%I', polrelid::regclass, polname), polcmd, polpermissive, polroles::regrole[],
       pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
FROM pg_policy
""",
    "type": f"""
SELECT oid::regtype, typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault,
       (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = pg_type.oid)
FROM pg_type
WHERE typtype IN ('e', 'd', 'r') AND typnamespace::regnamespace::text NOT IN {SYSTEM}
  AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'e')
""",
    "schema": f"SELECT nspname, nspacl FROM pg_namespace WHERE nspname NOT IN {SYSTEM} AND nspname NOT LIKE 'pg\\_%'",
    "extension": "SELECT extname, extversion FROM pg_extension",
}
MYSQL = {
    "TABLE": """
SELECT table_name
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
""",
    "VIEW": "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()",
    "PROCEDURE": """
SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE'
""",
    "FUNCTION": """
SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION'
""",
    "TRIGGER": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    "EVENT": "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE()",
}
DEFINITION = {"TABLE": 1, "VIEW": 1, "PROCEDURE": 2, "FUNCTION": 2, "TRIGGER": 2, "EVENT": 3}
"""In which column SHOW CREATE gives the definition of a kind of object."""

CLICKHOUSE = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"

_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TRACKING = re.compile(r"\b(schema_migrations|stepwell_\w+)")


def definitions(database: Database, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Every object by its kind and name, and its definition. Reads the catalog alone.

    Left out are Stepwell's own tables, the tables of `without` with all that is on them, the name of the database
    itself, and what the server counts or draws by lot (AUTO_INCREMENT, UUIDs). Raises Refused.
    """
    passed_over = re.compile(rf"\b(?:{'|'.join(map(re.escape, without)) or '(?!)'})(?:_\w+)?\b")
    return {
        name: text
        for name, text in _READERS[database.engine](database)
        if not _TRACKING.search(name) and not passed_over.search(name)
    }


def _postgres(database: Database) -> Iterator[tuple[str, str]]:
    for kind, text in POSTGRES.items():
        for name, *rest in database.query(text):
            yield f"{kind} {name}", "\n".join(str(value) for value in rest)


def _mysql(database: Database) -> Iterator[tuple[str, str]]:
    (own,) = database.query("SELECT DATABASE()")[0]
    for kind, text in MYSQL.items():
        for (name,) in database.query(text):
            row = database.query(f"SHOW CREATE {kind} `{str(name).replace('`', '``')}`")[0]
            definition = str(row[DEFINITION[kind]]).replace(f"`{own}`.", "")
            yield f"{kind.lower()} {name}", _COUNTER.sub("", definition)


def _clickhouse(database: Database) -> Iterator[tuple[str, str]]:
    (own,) = database.query("SELECT currentDatabase()")[0]
    for name, text in database.query(CLICKHOUSE):
        yield f"table {_UUID.sub('…', str(name))}", _UUID.sub("…", str(text)).replace(f"{own}.", "")


def _sqlite(database: Database) -> Iterator[tuple[str, str]]:
    for kind, name, text in database.query(SQLITE):
        yield f"{kind} {name}", str(text)


_READERS = {"postgres": _postgres, "mysql": _mysql, "clickhouse": _clickhouse, "sqlite": _sqlite}
