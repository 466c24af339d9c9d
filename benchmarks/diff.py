"""`stepwell diff` of a million rows: what it costs over one aggregate checksum in each database, both at once.

By hand for another size: `python -m benchmarks.diff 10000000`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

from benchmarks import servers, table
from benchmarks.measure import Command, Cost, interleaved, run, send

ROUNDS = 3
ROWS = 1_000_000

FILL = {
    "PostgreSQL": (
        """
        CREATE TABLE {table} (
          id bigint PRIMARY KEY, amount int NOT NULL, name text NOT NULL, at timestamptz(6) NOT NULL,
          price numeric(20, 4))
        """,
        """
        INSERT INTO {table}
        SELECT n, n % 1000, 'row number ' || n, timestamptz '2024-01-01Z' + n * interval '1 second', n / 100.0
        FROM generate_series(1, {rows}) AS n
        """,
        "ANALYZE {table}",
    ),
    "MariaDB": (
        """
        CREATE TABLE {table} (
          id bigint PRIMARY KEY, amount int NOT NULL, name text NOT NULL, at datetime(6) NOT NULL,
          price decimal(20, 4))
        """,
        """
        INSERT INTO {table}
        SELECT seq, seq % 1000, CONCAT('row number ', seq), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND,
          seq / 100
        FROM seq_1_to_{rows}
        """,
        "ANALYZE TABLE {table}",
    ),
    "ClickHouse": (
        """
        CREATE TABLE {table} (
          id Int64, amount Int32, name String, at DateTime64(6, 'UTC'), price Nullable(Decimal(20, 4)))
        ENGINE = MergeTree ORDER BY id
        """,
        """
        INSERT INTO {table}
        SELECT number + 1, (number + 1) % 1000, concat('row number ', toString(number + 1)),
          toDateTime64('2024-01-01 00:00:00', 6, 'UTC') + number + 1, toDecimal64(number + 1, 4) / 100
        FROM numbers({rows})
        """,
    ),
}
ALTERED = "UPDATE ten SET name = 'altered' WHERE id % ({rows} / 10) = 7"
ALTERED_THERE = "ALTER TABLE ten UPDATE name = 'altered' WHERE id % ({rows} / 10) = 7 SETTINGS mutations_sync = 2"

AGGREGATES = {
    "PostgreSQL": """
        SELECT count(*), sum(('x' || left(md5(concat_ws(',', id, amount, name, at, price)), 16))::bit(64)::bigint)
        FROM same
    """,
    "MariaDB": """
        SELECT COUNT(*), SUM(CAST(CONV(LEFT(MD5(CONCAT_WS(',', id, amount, name, at, price)), 16), 16, 10) AS UNSIGNED))
        FROM same
    """,
    "ClickHouse": """
        SELECT count(),
          sum(reinterpretAsUInt64(substring(MD5(concatWithSeparator(',', id, amount, name, at, price)), 1, 8)))
        FROM same
    """,
}
"""The floor: what somebody would write by hand who wants a checksum that other engines could compute, too."""

CHEAPEST = {
    "PostgreSQL": "SELECT count(*), sum(hash_record_extended(same, 0)) FROM same",
    "MariaDB": "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', id, amount, name, at, price))) FROM same",
    "ClickHouse": "SELECT count(), sum(cityHash64(*)) FROM same",
}
"""The least that each can do: no other engine would come to the same."""

START = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stepwell.checks.diff.run import Request, run
from stepwell.databases import open_database

def open(name):
    return open_database(name, sys.argv[1] if name == "one" else sys.argv[2], Path("/"))
"""
AGGREGATE = (
    START
    + """
sides = [open("one"), open("other")]
for side in sides:
    side.connect()
with ThreadPoolExecutor() as pool:
    found = list(pool.map(lambda side, text: side.query(text), sides, sys.argv[3:5]))
assert {row[0][0] for row in found} == {int(sys.argv[5])}, found
for side in sides:
    side.close()
"""
)
DIFF = (
    START
    + """
summary = run(Request(left="one.same", right="other." + sys.argv[3], key={sys.argv[4]: sys.argv[4]}), open, id)
differing, rows = map(int, sys.argv[5:7])
assert (summary.left, summary.right, summary.differing) == (rows, rows, differing), summary
"""
)
"""A process of its own for each, so that its memory is its own."""


def main(folder: Path, databases: Mapping[str, Callable[[], str]], rows: int = ROWS) -> None:
    """Print a table for each two engines."""
    urls = {name: new_database() for name, new_database in databases.items()}
    urls["ClickHouse"] = f"chdb:///{folder / 'diff.chdb'}?database=main"
    for name, url in urls.items():
        fill(name, url, rows)
    for one, other in combinations(urls, 2):
        costs = interleaved(runs(one, other, urls, rows), ROUNDS)
        show(f"diff: {rows:,} rows, {one} and {other}, whole processes (median of {ROUNDS}; x floor)", costs)


def runs(one: str, other: str, urls: Mapping[str, str], rows: int) -> dict[str, Callable[[], Cost]]:
    """What is measured for two engines."""

    def once(code: str, *arguments: object) -> Callable[[], Cost]:
        command = Command((sys.executable, "-c", code, urls[one], urls[other], *map(str, arguments)))
        return lambda: run(command)

    return {
        "floor: one aggregate by MD5": once(AGGREGATE, AGGREGATES[one], AGGREGATES[other], rows),
        "each engine's cheapest hash": once(AGGREGATE, CHEAPEST[one], CHEAPEST[other], rows),
        "diff, integer key, the same": once(DIFF, "same", "id", 0, rows),
        "diff, integer key, 10 differ": once(DIFF, "ten", "id", 10, rows),
        "diff, text key, the same": once(DIFF, "same", "name", 0, rows),
    }


def fill(name: str, url: str, rows: int) -> None:
    """Make the tables: two alike, of which one is altered in ten rows."""
    altered = ALTERED_THERE if name == "ClickHouse" else ALTERED
    made = [statement.replace("{table}", table) for table in ("same", "ten") for statement in FILL[name]]
    send(url, *(statement.replace("{rows}", str(rows)) for statement in (*made, altered)))


def show(title: str, costs: Mapping[str, Cost]) -> None:
    """Print the costs, and their ratios to the first."""
    floor = next(iter(costs.values()))
    lines = [
        (name, f"{cost.seconds:.2f}", table.ratio(cost.seconds / floor.seconds), f"{cost.memory / 1e6:.0f}")
        for name, cost in costs.items()
    ]
    table.show(title, ["", "seconds", "time", "MB"], lines)


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="stepwell-bench-") as temporary,
        servers.running(Path(temporary)) as running,
    ):
        main(Path(temporary), running, int(sys.argv[1]) if sys.argv[1:] else ROWS)
