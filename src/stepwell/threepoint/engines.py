"""Who writes a change in an engine's SQL, and what a check can ask that engine."""

from __future__ import annotations

from stepwell.databases.twins import Writer

USED = {
    "postgres": """
SELECT pg_describe_object(classid, objid, objsubid) AS used_by
FROM pg_depend
WHERE refclassid = 'pg_class'::regclass
  AND refobjid = '{table}'::regclass
  AND refobjsubid = (
    SELECT attnum FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = '{column}' AND NOT attisdropped
  )
  AND classid <> 'pg_attrdef'::regclass""",
    "mysql": """
SELECT table_name AS used_by
FROM information_schema.views
WHERE table_schema = DATABASE() AND view_definition LIKE '%`{table}`%' AND view_definition LIKE '%`{column}`%'
UNION ALL
SELECT trigger_name
FROM information_schema.triggers
WHERE event_object_table = '{table}'
  AND trigger_schema = DATABASE()
  AND action_statement REGEXP '(^|[^a-z0-9_]){column}([^a-z0-9_]|$)'
UNION ALL
SELECT index_name
FROM information_schema.statistics
WHERE table_name = '{table}' AND table_schema = DATABASE() AND column_name = '{column}'""",
    "sqlite": """
SELECT name AS used_by
FROM sqlite_master
WHERE type IN ('view', 'trigger', 'index')
  AND lower(sql) || ' ' GLOB '*[^a-z0-9_]{table}[^a-z0-9_]*'
  AND lower(sql) || ' ' GLOB '*[^a-z0-9_]{column}[^a-z0-9_]*'""",
    "clickhouse": """
SELECT name AS used_by
FROM system.tables
WHERE engine LIKE '%View'
  AND match(create_table_query, '\\\\b{table}\\\\b')
  AND match(create_table_query, '\\\\b{column}\\\\b')""",
}
"""What in a database uses a column: a SELECT for a check."""


def writer(engine: str) -> Writer:
    """The module that writes for an engine; imported here, for a project has few of them."""
    match engine:
        case "postgres":
            from stepwell.databases.postgres import twins as postgres

            return postgres
        case "mysql":
            from stepwell.databases.mysql import twins as mysql

            return mysql
        case "sqlite":
            from stepwell.databases.sqlite import twins as sqlite

            return sqlite
        case _:
            from stepwell.databases.clickhouse import twins as clickhouse

            return clickhouse
