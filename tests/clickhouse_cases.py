"""ClickHouse databases for tests: opening one, a statement in doubt, and a look at rows that count() can't deceive."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepwell.databases import url
from stepwell.databases.clickhouse import ClickhouseDatabase
from stepwell.databases.database import Command, Finding, Outcome


def tag() -> str:
    """A tag that no other statement bears, with a quote in it."""
    return f"stepwell:0001_it's:up:1:{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def opened(address: str, **options: Any) -> Iterator[ClickhouseDatabase]:
    database = ClickhouseDatabase("analytics", url.parse(address), Path("/"), **options)
    database.connect()
    try:
        yield database
    finally:
        database.close()


def send(database: ClickhouseDatabase, *statements: str) -> None:
    for text in statements:
        database.query(text)


def content(database: ClickhouseDatabase, table: str) -> tuple[Any, ...]:
    """The rows of a table as one value: how many, and a hash over each of them."""
    return database.query(f"SELECT count(), sum(cityHash64(*)), groupBitXor(sipHash64(*)) FROM {table}")[0]


def catalog(database: ClickhouseDatabase) -> list[tuple[Any, ...]]:
    """The tables of the database, with their definitions."""
    return database.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = ? ORDER BY name", (database.database,)
    )


def settled(database: ClickhouseDatabase, command: Command, evidence: dict[str, Any], outcome: Outcome) -> Finding:
    """Settle, and hold the outcome against what is expected. After NOT_DONE the statement runs again, as it is."""
    finding = database.settle(command, evidence)
    assert finding.outcome is outcome, finding
    if outcome is Outcome.NOT_DONE:
        database.run(command, database.evidence(command))
    return finding
