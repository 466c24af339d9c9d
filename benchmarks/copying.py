"""Rows from PostgreSQL and MariaDB into ClickHouse: what exactness costs over ClickHouse's own table functions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import table
from benchmarks.measure import Command, Cost, interleaved, run
from stepwell.databases import open_database

ROUNDS = 3
ROWS = 1_000_000

TABLES = {
    "PostgreSQL": (
        """
        CREATE TABLE rows_of (
          id bigint PRIMARY KEY, amount int NOT NULL, name text NOT NULL, at timestamp(6) NOT NULL,
          price numeric(20, 4))
        """,
        f"""
        INSERT INTO rows_of
        SELECT n, n % 1000, 'row number ' || n, timestamp '2024-01-01' + n * interval '1.000123 second', n / 100.0
        FROM generate_series(1, {ROWS}) AS n
        """,
    ),
    "MariaDB": (
        """
        CREATE TABLE rows_of (
          id bigint PRIMARY KEY, amount int NOT NULL, name text NOT NULL, at datetime(6) NOT NULL,
          price decimal(20, 4))
        """,
        f"""
        INSERT INTO rows_of
        SELECT seq, seq % 1000, CONCAT('row number ', seq), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND,
          seq / 100
        FROM seq_1_to_{ROWS}
        """,
    ),
}

TARGET = """
CREATE TABLE rows_of (id Int64, amount Int32, name String, at DateTime64(6, 'UTC'), price Nullable(Decimal(20, 4)))
ENGINE = MergeTree ORDER BY id
"""

COPY = """
import sys
from pathlib import Path
from stepwell.databases import open_database
from stepwell.jobs.copying import copy_rows

source = open_database("source", sys.argv[1], Path("/"))
target = open_database("target", sys.argv[2], Path("/"))
source.connect()
target.connect()
target.query("DROP TABLE IF EXISTS rows_of SYNC")
target.query(sys.argv[3])
%s
found = target.query("SELECT count(), uniqExact(id) FROM rows_of")
assert found == [(%d, %d)], found
target.close()
"""
"""A process of its own for each, so that its memory is its own."""

PUSHED = 'copy_rows(source, target, table="rows_of", columns=source.columns("rows_of"), {})'
STREAMED = """
from stepwell.databases.clickhouse import reach
from stepwell.databases.transfer import OutOfReach

def unreachable(*servers):
    raise OutOfReach("it is measured without")

reach.reached = unreachable
"""
WAYS = {
    "stepwell, fresh": PUSHED.format("fresh=True"),
    "stepwell, repeatable by key": PUSHED.format('key=["id"]'),
    "stepwell, through Python": STREAMED + PUSHED.format("fresh=True"),
}


def main(folder: Path, databases: Mapping[str, Callable[[], str]]) -> None:
    """Print a table for each source."""
    for name, new_database in databases.items():
        url = new_database()
        fill(url, TABLES[name])
        ways = {"floor: INSERT SELECT": f"target.query({floor(url)!r})", **WAYS}
        place = folder / f"copying-{name}"
        costs = interleaved({way: once(url, place, code) for way, code in ways.items()}, ROUNDS)
        show(name, costs)


def show(name: str, costs: Mapping[str, Cost]) -> None:
    """Print the costs, and their ratios to the first."""
    floor = next(iter(costs.values()))
    table.show(
        f"copying: {ROWS:,} rows, {name} to chDB, whole processes (median of {ROUNDS}; x floor)",
        ["", "seconds", "time", "MB", "memory"],
        [
            (
                way,
                f"{cost.seconds:.2f}",
                table.ratio(cost.seconds / floor.seconds),
                f"{cost.memory / 1e6:.0f}",
                table.ratio(cost.memory / floor.memory),
            )
            for way, cost in costs.items()
        ],
    )


def fill(url: str, statements: tuple[str, str]) -> None:
    """Make the table that is copied."""
    database = open_database("source", url, Path("/"))
    database.connect()
    for statement in statements:
        database.query(statement)
    database.close()


def once(url: str, place: Path, code: str) -> Callable[[], Cost]:
    """One copy into a new table of the folder's database."""
    target = f"chdb:///{place}?database=main"
    return lambda: run(Command((sys.executable, "-c", COPY % (code, ROWS, ROWS), url, target, TARGET)))


def floor(url: str) -> str:
    """The rows as ClickHouse reads them by itself, with nothing checked."""
    parts = urlsplit(url)
    function = "postgresql" if parts.scheme == "postgresql" else "mysql"
    address = f"'{parts.hostname}:{parts.port}', '{parts.path[1:]}', 'rows_of', '{parts.username}', '{parts.password}'"
    return f"INSERT INTO rows_of SELECT * FROM {function}({address})"
