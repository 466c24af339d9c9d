"""The tables in which a database remembers its own schema."""

from __future__ import annotations

from stepwell.databases.clickhouse.names import literal, parse

MIGRATIONS = """
CREATE TABLE IF NOT EXISTS {table}{cluster} (
  version String,
  checksum String DEFAULT '',
  applied_at DateTime64(6, 'UTC') DEFAULT now64(6),
  applied_by String DEFAULT '',
  duration Float64 DEFAULT 0 COMMENT 'seconds',
  statements UInt32 DEFAULT 0,
  tool String DEFAULT '',
  layout UInt16 DEFAULT 1
)
ENGINE = {engine}
ORDER BY version
"""

JOURNAL = """
CREATE TABLE IF NOT EXISTS {table}_journal{cluster} (
  seq UInt64,
  at DateTime64(6, 'UTC') DEFAULT now64(6),
  run String DEFAULT '',
  who String DEFAULT '',
  version String DEFAULT '',
  direction String DEFAULT '',
  position UInt32 DEFAULT 0,
  event String DEFAULT '',
  checksum String DEFAULT '',
  tag String DEFAULT '',
  evidence String DEFAULT '',
  note String DEFAULT ''
)
ENGINE = {engine}
ORDER BY seq
"""

# One path for all shards: every server of the cluster keeps the whole history.
REPLICATED = "Replicated{kind}('/stepwell/{{database}}/{name}', '{{shard}}-{{replica}}')"


def tables(table: str, cluster: str) -> list[str]:
    """The statements that create the tables; on a cluster, if one is named, on all its servers."""
    made = []
    *_, name = parse(table)
    for text, its_name, kind in (
        (MIGRATIONS, name, "ReplacingMergeTree"),
        (JOURNAL, f"{name}_journal", "MergeTree"),
    ):
        engine = REPLICATED.format(kind=kind, name=its_name) if cluster else kind
        place = f" ON CLUSTER {literal(cluster)}" if cluster else ""
        made.append(text.format(table=table, cluster=place, engine=engine).strip())
    return made
