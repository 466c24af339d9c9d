"""A keyset job over a million rows beside a writer: its cost over one UPDATE, and how long the writer waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import table
from benchmarks.measure import ENVIRONMENT, Command, run
from stepwell.databases import open_database

ROUNDS = 3
ROWS = 1_000_000

SERIES = {
    "PostgreSQL": f"SELECT n AS id, n % 1000 AS item FROM generate_series(1, {ROWS}) AS n",
    "MariaDB": f"SELECT seq AS id, seq % 1000 AS item FROM seq_1_to_{ROWS}",
}

FILL = (
    "DROP TABLE IF EXISTS orders",
    "DROP TABLE IF EXISTS price",
    "CREATE TABLE price (item int PRIMARY KEY, amount int NOT NULL)",
    "INSERT INTO price SELECT id, id * 3 FROM ({series}) AS n WHERE id < 1000",
    "INSERT INTO price VALUES (0, 0)",
    "CREATE TABLE orders (id bigint PRIMARY KEY, item int NOT NULL, note varchar(20) NOT NULL, total int)",
    "INSERT INTO orders (id, item, note) SELECT id, item, 'made' FROM ({series}) AS n",
)

UPDATE = "UPDATE orders SET total = (SELECT amount FROM price WHERE price.item = orders.item)"

ONCE = f"""
import sys
from pathlib import Path
from stepwell.databases import open_database

database = open_database("state", sys.argv[1], Path("/"))
database.connect()
database.query({UPDATE!r})
database.close()
"""

JOB = f"""-- Fill the total of every order.
-- batches: keyset state.orders by id
-- where: total IS NULL
{{more}}{UPDATE}
WHERE ${{{{batch}}}};
"""

WRITER = """
import sys, time
from pathlib import Path
from random import Random
from stepwell.databases import open_database
from stepwell.errors import LockTimeout

database = open_database("state", sys.argv[1], Path("/"))
database.connect()
random, next_at = Random(1), time.perf_counter()
print("ready", flush=True)
while True:
    next_at += 0.02
    time.sleep(max(0.0, next_at - time.perf_counter()))
    started = time.perf_counter()
    row = random.randint(1, %d)
    while True:
        try:
            database.query("UPDATE orders SET note = 'written' WHERE id = ?", (row,))
            break
        except LockTimeout:  # an application tries again, and its user waits
            pass
    print(time.perf_counter() - started, flush=True)
"""
"""50 updates a second, each timed from when it was sent, in a process of its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """One way through all rows: seconds, and those that each of the writer's updates took meanwhile."""

    seconds: float
    waits: tuple[float, ...] = ()


def main(folder: Path, databases: Mapping[str, Callable[[], str]]) -> None:
    """Print a table for each engine."""
    for engine, new_database in databases.items():
        url = new_database()
        place = folder / f"backfill-{engine}"
        ways: dict[str, Callable[[], Command]] = {
            "floor: one UPDATE": partial(Command, (sys.executable, "-c", ONCE, url)),
            "stepwell job run": partial(job, place, url, ""),
            "the same, changes recorded": partial(job, place, url, "-- records: total\n"),
        }
        alone: dict[str, list[Run]] = {way: [] for way in ways}
        beside: dict[str, list[Run]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, command in ways.items():
                alone[way].append(once(engine, url, command, beside_writer=False))
                beside[way].append(once(engine, url, command, beside_writer=True))
        show(engine, alone, beside)


def show(engine: str, alone: Mapping[str, list[Run]], beside: Mapping[str, list[Run]]) -> None:
    """Print the times without a writer, and the writer's waits beside each way."""
    floor = median(run.seconds for run in alone["floor: one UPDATE"])
    rows = []
    for way, runs in alone.items():
        seconds = median(run.seconds for run in runs)
        waits = [sorted(run.waits) for run in beside[way]]
        p99, longest = (median(each[int(share * (len(each) - 1))] for each in waits) for share in (0.99, 1.0))
        cells = (f"{seconds:.2f}", table.ratio(seconds / floor), table.milliseconds(p99), table.milliseconds(longest))
        rows.append((way, *cells))
    table.show(
        f"backfill: {ROWS:,} rows, {engine} (median of {ROUNDS}; x floor; a writer's waits)",
        ["", "seconds", "time", "p99", "longest"],
        rows,
    )


def once(engine: str, url: str, command: Callable[[], Command], *, beside_writer: bool) -> Run:
    """Make the rows anew and go through all of them."""
    database = open_database("state", url, Path("/"))
    database.connect()
    for statement in FILL:
        database.query(statement.format(series=SERIES[engine]))
    database.query("VACUUM ANALYZE orders" if engine == "PostgreSQL" else "ANALYZE TABLE orders")
    database.query("CHECKPOINT" if engine == "PostgreSQL" else "FLUSH TABLES")
    prepared = command()
    writer = None
    if beside_writer:
        writer = subprocess.Popen(
            (sys.executable, "-c", WRITER % ROWS, url), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
    cost = run(prepared)
    waits: tuple[float, ...] = ()
    if writer:
        writer.terminate()
        said, _ = writer.communicate()
        waits = tuple(float(line) for line in said.split("\n")[:-1])
    [(left,)] = database.query("SELECT count(*) FROM orders WHERE total IS NULL OR total <> item * 3")
    assert left == 0, f"{left} rows are wrong"
    database.close()
    return Run(cost.seconds, waits)


def job(place: Path, url: str, more: str) -> Command:
    """A run of the job, in a project that has not run it yet."""
    folder = place / str(time.monotonic_ns())
    (folder / "jobs").mkdir(parents=True)
    (folder / "migrations" / "state").mkdir(parents=True)
    (folder / "stepwell.toml").write_text(f'[databases.state]\nurl = "{url}"\n')
    (folder / "jobs" / f"fill_{folder.name}.sql").write_text(JOB.format(more=more))
    return Command((sys.executable, "-m", "stepwell", "job", "run", f"fill-{folder.name}"), folder)
