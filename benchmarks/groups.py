"""A copy inside ClickHouse in groups: what it takes beside the one INSERT SELECT that nothing survives."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks import table
from benchmarks.copy import over
from benchmarks.measure import Command, interleaved, run

ROUNDS = 5
SIZES = (100_000, 1_000_000, 10_000_000)
DATASETS = 3000

TABLE = """
CREATE TABLE {name} (
    workspace_id String, dataset_id UUID, id UUID, source String, data String, tags Array(String),
    created_at DateTime64(6), created_by String
) ENGINE = MergeTree ORDER BY (workspace_id, dataset_id, id)
"""

# A tenth of the datasets has half of the rows.
ROWS = """
INSERT INTO items
WITH toUInt32({datasets} * pow(randCanonical(), 3)) AS dataset
SELECT
    concat('workspace-', toString(dataset % 40)),
    reinterpretAsUUID(sipHash128(dataset)),
    reinterpretAsUUID(sipHash128(number)),
    ['sdk', 'trace', 'manual'][number % 3 + 1],
    concat('{{"input": "', hex(sipHash128(number, 1)), ' what is the answer to question ', toString(number),
        '?", "output": "', hex(sipHash128(number, 2)), '"}}'),
    [],
    toDateTime64('2024-01-01 00:00:00', 6) + number,
    'admin'
FROM numbers({rows})
SETTINGS max_insert_threads = 1
"""

FILL = """
import clickhouse_connect

client = clickhouse_connect.get_client(dsn="chdb:///{place}")
client.command("CREATE DATABASE main ENGINE = Atomic")
client.database = "main"
for statement in {statements!r}:
    client.command(statement)
"""

RAW = """
import clickhouse_connect

client = clickhouse_connect.get_client(dsn="chdb:///{place}?database=main")
client.command("INSERT INTO copies SELECT * FROM items")
"""

PROJECT = """
[databases.state]
url = "sqlite:///state.db"

[databases.analytics]
url = "chdb:///analytics?database=main"
"""

JOB = """
-- Copy the items, dataset by dataset.
-- batches: groups analytics.items by workspace_id, dataset_id
-- where: missing from copies by id
-- size: 1000000
-- target: 2s
-- workers: 2
INSERT INTO copies SELECT * FROM items WHERE ${batch};
"""


def main(folder: Path) -> None:
    """Print the table."""
    for rows in SIZES:
        measured(folder, rows, ROUNDS)


def measured(folder: Path, rows: int, rounds: int) -> None:
    """Print the table for so many rows."""
    filled, place = folder / "groups-filled", folder / "groups-run"
    shutil.rmtree(filled, ignore_errors=True)
    (filled / "jobs").mkdir(parents=True)
    (filled / "stepwell.toml").write_text(PROJECT)
    (filled / "jobs" / "copy_items.sql").write_text(JOB.lstrip())
    statements = [
        *(TABLE.format(name=name) for name in ("items", "copies")),
        ROWS.format(datasets=DATASETS, rows=rows),
        "OPTIMIZE TABLE items FINAL",
    ]
    _ = run(Command((sys.executable, "-c", FILL.format(place=filled / "analytics", statements=statements)), filled))
    floor, job = "floor: one INSERT SELECT", "stepwell job run"
    costs = interleaved(
        {
            floor: over(filled, place, "-c", RAW.format(place=place / "analytics")),
            job: over(filled, place, "-m", "stepwell", "job", "run", "copy-items"),
        },
        rounds,
    )
    table.show(
        f"groups: a copy of {rows:,} rows inside ClickHouse (median of {rounds}; x floor)",
        ["", "seconds", "time", "MB", "memory", "a million rows"],
        [
            (
                name,
                f"{cost.seconds:.2f}",
                table.ratio(cost.seconds / costs[floor].seconds),
                f"{cost.memory / 1e6:.0f}",
                table.ratio(cost.memory / costs[floor].memory),
                f"{cost.seconds / rows * 1e6:.2f} s",
            )
            for name, cost in costs.items()
        ],
    )
