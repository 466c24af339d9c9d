"""What PostgreSQL tells of itself. Without pg_monitor it keeps most of other users' sessions to itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stepwell.databases.health import Health, Size, Transaction, older, space_here

OLDEST = (12,)

SERVER = """
SELECT current_setting('server_version'),
       extract(epoch FROM clock_timestamp())::float8,
       pg_is_in_recovery(),
       current_setting('default_transaction_read_only') = 'on',
       (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'),
       (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
       current_user,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""
OFFSET = "SELECT extract(epoch FROM (now() AT TIME ZONE ?) - (now() AT TIME ZONE 'UTC'))::int"

# A prepared transaction has no session any more, and keeps its locks until somebody ends it.
TRANSACTIONS = """
SELECT who, seconds, (SELECT count(*)
                      FROM pg_stat_activity AS waiting
                      WHERE waiting.wait_event_type = 'Lock' AND opened.pid = ANY (pg_blocking_pids(waiting.pid)))
FROM (
  SELECT pid,
         concat(usename, '@', coalesce(host(client_addr), 'local'), ' (pid ', pid, ', ', state,
                ', ' || nullif(application_name, ''), ')') AS who,
         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
  FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
  UNION ALL
  SELECT 0,
         format('%s, the prepared transaction %L', owner, gid),
         extract(epoch FROM clock_timestamp() - prepared)::float8
  FROM pg_prepared_xacts
  WHERE database = current_database()
  ORDER BY seconds DESC
  LIMIT 10
) AS opened
ORDER BY seconds DESC
"""
REPLICAS = """
SELECT format('replica %s at %s is not streaming: %s', application_name, coalesce(host(client_addr), 'local'), state)
FROM pg_stat_replication
WHERE state NOT IN ('streaming', 'backup')
UNION ALL
SELECT format('replication slot %s is used by nobody and keeps %s of WAL on the disk', slot_name,
              pg_size_pretty(pg_wal_lsn_diff(
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                restart_lsn)))
FROM pg_replication_slots
WHERE NOT active AND restart_lsn IS NOT NULL
"""
# A partitioned table is as large as its partitions; one that was never analysed has no estimate (-1, before 14: 0).
SIZE = """
SELECT sum(pg_total_relation_size(relid)),
       (SELECT CASE WHEN min(reltuples) >= 0 THEN sum(reltuples) END FROM pg_class WHERE oid IN (
          SELECT relid FROM pg_partition_tree(to_regclass(?)) WHERE isleaf))
FROM (SELECT relid FROM pg_partition_tree(to_regclass(?))
      UNION SELECT oid FROM pg_class WHERE oid = to_regclass(?) AND relkind IN ('r', 'm', 'p')) AS parts
"""

SCRATCH = (
    "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY)",
    "INSERT INTO {table} (id) VALUES (1)",
    "ALTER TABLE {table} ADD COLUMN note TEXT",
    "CREATE INDEX ON {table} (note)",
    "DELETE FROM {table}",
)

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


def read(query: Query, host: str) -> Health:
    """The server's health, by one that is reached at `host`. Raises Refused."""
    version, clock, standby, read_only, zone, folder, user, sees = query(SERVER, ())[0]
    offset = query(OFFSET, (zone,))[0][0]
    found = query(TRANSACTIONS, ())
    transactions = tuple(Transaction(str(who), seconds or 0.0, blocks) for who, seconds, blocks in found)
    return Health(
        f"PostgreSQL {version.split()[0]}",
        clock,
        zone,
        offset,
        needs="12 or later" if older(version.split()[0], OLDEST) else "",
        read_only="it is a standby" if standby else "default_transaction_read_only is on" if read_only else "",
        space=space_here(folder, host) if folder else None,
        transactions=transactions if sees or transactions else None,
        replication=tuple(str(trouble) for (trouble,) in query(REPLICAS, ())),
        hidden=() if sees else (f"other users' sessions: GRANT pg_monitor TO {user}",),
    )


def size(query: Query, table: str) -> Size | None:
    """About how large a table is; None where there is none of this name."""
    bytes_, rows = query(SIZE, (table, table, table))[0]
    return None if bytes_ is None else Size(int(bytes_), None if rows is None else int(rows))
