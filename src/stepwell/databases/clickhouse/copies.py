"""A copy of a ClickHouse database on its own server: tables made anew, their parts attached, which copies no byte."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from stepwell.databases import copies
from stepwell.databases import url as urls
from stepwell.databases.clickhouse import lock
from stepwell.databases.clickhouse.names import quote
from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote

PLACE = "SELECT toString(serverUUID())"
TABLES = """
SELECT name, engine
FROM system.tables
WHERE database = ? AND NOT is_temporary AND name NOT LIKE '.inner%' AND NOT startsWith(name, ?)
ORDER BY name
"""
PARTITIONS = """
SELECT DISTINCT partition_id
FROM system.parts
WHERE database = ? AND table = ? AND active
ORDER BY partition_id
"""


def place(database: Database) -> str:
    return f"{database.query(PLACE)[0]} {database.home()}"


def copy(original: Database, url: str, name: str, root: Path) -> tuple[str, str]:
    source = unquote(original.home())
    tables = original.query(TABLES, (source, lock.PREFIX))
    for table, engine in tables:
        if "MergeTree" not in engine or engine.startswith("Replicated"):
            # A view would go on writing into the original; a replica's path is taken.
            raise copies.Unfit(f"table {table} is of engine {engine}, which can't be copied beside itself")
    original.query(f"CREATE DATABASE {quote(name)} ENGINE = Atomic")
    for table, _ in tables:
        new, old = f"{quote(name)}.{quote(table)}", f"{quote(source)}.{quote(table)}"
        original.query(f"CREATE TABLE {new} AS {old}")
        for (partition,) in original.query(PARTITIONS, (source, table)):
            original.query(f"ALTER TABLE {new} ATTACH PARTITION ID '{partition}' FROM {old}")
    return _at(url, name), "by ATTACH PARTITION FROM, sharing the parts"


def drop(original: Database, name: str, root: Path) -> None:
    original.query(f"DROP DATABASE IF EXISTS {quote(name)}")


def _at(url: str, name: str) -> str:
    if urls.parse(url).scheme != "chdb":
        return copies.at(url, name)
    folder, _, options = url.partition("?")
    return f"{folder}?{urlencode({**dict(parse_qsl(options)), 'database': name})}"
