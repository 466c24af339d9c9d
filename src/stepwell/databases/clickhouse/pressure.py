"""How hard ClickHouse is at work, in one round trip.

Parts are counted as the server counts them when it begins to slow inserts down: the active parts of one partition, of
`parts_to_delay_insert`, which a table may have of its own. Merges are counted against the threads there are for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stepwell.databases.clickhouse.names import literal
from stepwell.databases.pressure import Signal

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

SIGNALS = (
    ("parts per partition", "share"),
    ("merges", "share"),
    ("memory", "share"),
    ("replica lag", "s"),
    ("replication queue", "parts"),
)


def read(database: ClickhouseDatabase, ask: Callable[[str], Sequence[Sequence[Any]]]) -> list[Signal]:
    """Signals of the database's tables on all replicas, and of the server that we speak to."""
    values = ask(_text(database))[0]
    return [
        Signal(name, float(value), unit)
        for (name, unit), value in zip(SIGNALS, values, strict=True)
        if value is not None
    ]


def _text(database: ClickhouseDatabase) -> str:
    # Of system.replicas only columns that are read without asking Keeper.
    return f"""
    WITH
      (SELECT toFloat64(value) FROM system.merge_tree_settings WHERE name = 'parts_to_delay_insert') AS delay,
      (SELECT toFloat64(value) FROM system.server_settings WHERE name = 'background_pool_size') AS pool,
      (
        SELECT toFloat64(value)
        FROM system.server_settings
        WHERE name = 'background_merges_mutations_concurrency_ratio'
      ) AS ratio,
      (SELECT toFloat64(value) FROM system.server_settings WHERE name = 'max_server_memory_usage') AS memory
    SELECT
      (
        SELECT max(parts / coalesce(toFloat64OrNull(own), delay))
        FROM (
          SELECT table, count() AS parts
          FROM {database.everywhere("parts")}
          WHERE active AND database = {literal(database.database)}
          GROUP BY hostName(), table, partition_id
        ) AS counted
        LEFT JOIN (
          SELECT name, extract(engine_full, 'parts_to_delay_insert = (\\\\d+)') AS own
          FROM system.tables
          WHERE database = {literal(database.database)}
        ) AS tables ON tables.name = counted.table
      ),
      (SELECT count() FROM system.merges) / nullIf(pool * ratio, 0),
      (SELECT value FROM system.metrics WHERE metric = 'MemoryTracking') / nullIf(memory, 0),
      (
        SELECT if(count() = 0, NULL, max(absolute_delay))
        FROM {database.everywhere("replicas")}
        WHERE database = {literal(database.database)}
      ),
      (
        SELECT if(count() = 0, NULL, max(queue_size))
        FROM {database.everywhere("replicas")}
        WHERE database = {literal(database.database)}
      )
    """
