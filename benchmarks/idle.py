"""An idle `stepwell work`: what a service costs that has nothing to do, because its ten jobs are complete.

    python -m benchmarks.idle [SECONDS]

Read from /proc once the service has started: processor time over the given seconds (60 by default), and the resident
memory at their begin and end. The bar: under 0.5 % of a core, and no growth.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import servers, table
from benchmarks.measure import ENVIRONMENT, Command, run

JOBS = 10
SETTLED = 10.0
"""Seconds until the service has looked at each of its jobs once."""

JOB = """\
-- Fill a, which is full.
-- batches: keyset state.item by id
-- where: a IS NULL
UPDATE item SET a = id WHERE ${batch};
"""
CREATE = "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, a INT);"


def project(folder: Path, url: str) -> Path:
    """A project whose jobs are all complete."""
    (folder / "migrations" / "state").mkdir(parents=True)
    (folder / "jobs").mkdir()
    (folder / "stepwell.toml").write_text(f'[databases.state]\nurl = "{url}"\n')
    (folder / "migrations" / "state" / "0001_item.sql").write_text(CREATE)
    for number in range(JOBS):
        (folder / "jobs" / f"job_{number}.sql").write_text(JOB)
    run(Command((sys.executable, "-m", "stepwell", "up", "--wait"), folder))
    return folder


def spent(process: int) -> tuple[float, int]:
    """Seconds of processor time by now, and resident bytes."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def measure(folder: Path, seconds: float) -> tuple[float, int, int]:
    """The share of a core, and the resident bytes at the begin and the end."""
    process = subprocess.Popen(
        (sys.executable, "-m", "stepwell", "work"),
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(SETTLED)
        before, first = spent(process.pid)
        time.sleep(seconds)
        after, last = spent(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    return (after - before) / seconds, first, last


def main(seconds: float) -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as temporary:
        folder = Path(temporary)
        with servers.running(folder / "servers") as databases:
            for engine, new_database in databases.items():
                share, first, last = measure(project(folder / engine, new_database()), seconds)
                rows.append((engine, f"{share:.2%}", *(f"{memory / 1e6:.1f} MB" for memory in (first, last))))
    table.show(
        f"idle: `stepwell work` over {JOBS} complete jobs for {seconds:.0f} s (bar: 0.5 % of a core)",
        ["", "processor", "memory at first", "at last"],
        rows,
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
