"""A check of 10,000 keys over three stores: what it costs over the three GROUP BYs, sent at the same time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import table
from benchmarks.measure import Command, Cost, interleaved, run, send

ROUNDS = 5
ROWS = 1_000_000
KEYS = 10_000

FILL = {
    "postgres": (
        "CREATE TABLE items (id bigint PRIMARY KEY, version bigint NOT NULL)",
        f"INSERT INTO items SELECT n, n % {KEYS} FROM generate_series(1, {ROWS}) AS n",
        "ANALYZE items",
    ),
    "mysql": (
        "CREATE TABLE items (id bigint PRIMARY KEY, version bigint NOT NULL)",
        f"INSERT INTO items SELECT seq, seq % {KEYS} FROM seq_1_to_{ROWS}",
        "ANALYZE TABLE items",
    ),
    "clickhouse": (
        "CREATE TABLE items (id Int64, version Int64) ENGINE = MergeTree ORDER BY id",
        f"INSERT INTO items SELECT number, number % {KEYS} FROM numbers({ROWS})",
    ),
}
COUNTS = "SELECT version, count(*) AS items FROM items GROUP BY version"

FLOOR = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stepwell.databases import open_database

def counts(url):
    database = open_database("side", url, Path("/"))
    database.connect()
    found = database.query({COUNTS!r})
    database.close()
    return len(found)

with ThreadPoolExecutor() as pool:
    found = list(pool.map(counts, sys.argv[1:]))
assert found == [{KEYS}] * 3, found
"""


def main(folder: Path, databases: Mapping[str, Callable[[], str]]) -> None:
    """Print the table."""
    urls = {
        "postgres": databases["PostgreSQL"](),
        "mysql": databases["MariaDB"](),
        "clickhouse": f"chdb:///{folder / 'checks.chdb'}?database=main",
    }
    for name, url in urls.items():
        send(url, *FILL[name])
    project = make(folder / "checks", urls)
    checked = Command((sys.executable, "-m", "stepwell", "check"), project)
    grouped = Command((sys.executable, "-c", FLOOR, *urls.values()))
    run(checked)  # makes the ledger's tables
    costs = interleaved(
        {"floor: the GROUP BYs at once": lambda: run(grouped), "stepwell check": lambda: run(checked)}, ROUNDS
    )
    show(costs)


def make(folder: Path, urls: Mapping[str, str]) -> Path:
    """A project with the one check."""
    folder.mkdir()
    for name in urls:
        (folder / "migrations" / name).mkdir(parents=True)
    sections = (f'[databases.{name}]\nurl = "{url}"\n' for name, url in urls.items())
    (folder / "stepwell.toml").write_text("\n".join(sections))
    (folder / "checks").mkdir()
    text = "\n".join(f"-- database: {name}\n{COUNTS};\n" for name in urls)
    (folder / "checks" / "items.sql").write_text(f"-- expect: match on version\n\n{text}")
    return folder


def show(costs: Mapping[str, Cost]) -> None:
    """Print the costs, and their ratios to the first."""
    floor = next(iter(costs.values()))
    table.show(
        f"checks: counts of {KEYS:,} keys over {ROWS:,} rows in three stores (median of {ROUNDS}; x floor)",
        ["", "seconds", "time", "MB"],
        [
            (name, f"{cost.seconds:.2f}", table.ratio(cost.seconds / floor.seconds), f"{cost.memory / 1e6:.0f}")
            for name, cost in costs.items()
        ],
    )
