"""What ClickHouse tells of itself, of all replicas where there is a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.databases.clickhouse.names import literal, parse, quote
from stepwell.databases.health import Health, Mutation, Size, Space, older
from stepwell.errors import ConnectionLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

OLDEST = (23, 3)

SERVER = """
SELECT version(), {clock}, timezone(), timeZoneOffset(now()), currentUser(),
       (SELECT value FROM system.settings WHERE name = 'readonly')
"""

# A table's newest copy of its rows goes to a disk of its own machine; what is left of the fullest machine counts.
SPACE = """
SELECT min(free), min(total), count()
FROM (
  SELECT sum(unreserved_space) AS free, sum(total_space) AS total
  FROM {disks}
  WHERE lower(type) = 'local'
  GROUP BY hostName()
)
"""
MUTATIONS = """
SELECT table, any(command), max(parts_to_do), max(toFloat64(dateDiff('second', create_time, now()))),
       max(latest_fail_reason), mutation_id
FROM {mutations}
WHERE NOT is_done AND database = {database}
GROUP BY table, mutation_id
ORDER BY 4 DESC
LIMIT 10
"""
REPLICAS = """
SELECT DISTINCT concat('table ', table, ' is read-only on ', hostName(), ': it has lost its Keeper')
FROM {replicas}
WHERE is_readonly AND database = {database}
ORDER BY 1
LIMIT 10
"""

SYSTEM = ("processes", "query_log", "parts", "tables", "columns", "mutations", "merges", "replicas", "disks")
"""The tables in which a statement is followed, settled, and held against the server's load."""

SCRATCH = (
    "CREATE TABLE {table} (id UInt8) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO {table} (id) VALUES (1)",
    "ALTER TABLE {table} ADD COLUMN note String",
    "ALTER TABLE {table} UPDATE note = 'seen' WHERE id = 1",
    "TRUNCATE TABLE {table}",
)


def read(database: ClickhouseDatabase) -> Health:
    """The server's health. Raises Refused."""
    version, clock, zone, offset, user, readonly = database.query(SERVER.format(clock=database.clock))[0]
    own = literal(database.database)
    denied = [table for table in SYSTEM if not _readable(database, table)]
    space: Space | None = None
    mutations: tuple[Mutation, ...] | None = None
    replication: tuple[str, ...] | None = None
    if "disks" not in denied:
        free, total, hosts = database.query(SPACE.format(disks=database.everywhere("disks")))[0]
        space = Space(int(free), int(total), "system.disks") if hosts else None
    if "mutations" not in denied:
        found = database.query(MUTATIONS.format(mutations=database.everywhere("mutations"), database=own))
        cluster = f" ON CLUSTER {quote(database.cluster)}" if database.cluster else ""
        kill = f"KILL MUTATION{cluster} WHERE database = {own} AND table = {{}} AND mutation_id = {{}};"
        mutations = tuple(
            Mutation(str(t), str(c), int(p), float(s), str(f), kill.format(literal(t), literal(number)))
            for t, c, p, s, f, number in found
        )
    if "replicas" not in denied:
        found = database.query(REPLICAS.format(replicas=database.everywhere("replicas"), database=own))
        replication = tuple(str(trouble) for (trouble,) in found)
    return Health(
        f"ClickHouse {version}",
        float(clock),
        str(zone),
        int(offset),
        needs="23.3 or later" if older(str(version), OLDEST) else "",
        read_only="" if str(readonly) == "0" else f"the setting readonly is {readonly} for {user}",
        space=space,
        replication=replication,
        mutations=mutations,
        hidden=tuple(f"system.{table}: GRANT SELECT ON system.{table} TO {user}" for table in denied),
    )


def _readable(database: ClickhouseDatabase, table: str) -> bool:
    try:
        database.query(f"SELECT 1 FROM {database.everywhere(table)} LIMIT 0")
    except ConnectionLost:
        raise
    except Refused as error:
        return error.code != "497"  # the log is no table before its first line is written
    return True


def size(database: ClickhouseDatabase, table: str) -> Size | None:
    """About how large a table is on this server; None where there is none of this name."""
    place = database.qualified(parse(table))
    found = database.query("SELECT total_bytes, total_rows FROM system.tables WHERE database = ? AND name = ?", place)
    if not found:
        return None
    size, rows = found[0]
    return Size(int(size or 0), None if rows is None else int(rows))
