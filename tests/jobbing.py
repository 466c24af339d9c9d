"""Projects with jobs for tests, and a small table for them on every relational engine."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dumping
import projects
from projects import ENVIRONMENT, Project, ended, variable

ENGINES = ("sqlite", "postgres", "mysql")

# n = id for every row; a job that adds 1,000,000 shows each row that it lost or took twice.
TABLE = """
CREATE TABLE item (
  id BIGINT NOT NULL PRIMARY KEY,
  n BIGINT NOT NULL,
  seen INT NOT NULL DEFAULT 0,
  by_writer BIGINT NOT NULL DEFAULT 0
)
"""
ADD = "UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE ${batch}"

# The process beats fast, so that a test need not wait half a minute for a lease to end.
QUICK = """
import sys
from stepwell.jobs import lease
lease.LEASE, lease.BEAT = {lease}, {beat}
from stepwell.cli import main
sys.exit(main())
"""


def add_job(*lines: str, where: str = "seen = 0", source: str = "keyset state.item by id") -> str:
    """The SQL job that adds to every row not seen yet; `lines` are more front matter."""
    head = [f"batches: {source}", *([f"where: {where}"] if where else []), *lines]
    return "\n".join([*(f"-- {line}" for line in head), ADD + ";", ""])


def make(
    folder: Path, urls: Mapping[str, str], jobs: Mapping[str, str], scripts: Mapping[str, str] | None = None
) -> Project:
    """A project's folder with jobs by file name; a name without an ending gets .sql."""
    project = projects.make(folder / "project", urls, scripts or {})
    write_jobs(project, jobs)
    return project


def write_jobs(project: Project, jobs: Mapping[str, str]) -> None:
    (project.folder / "jobs").mkdir(exist_ok=True)
    for name, text in jobs.items():
        path = project.folder / "jobs" / (name if Path(name).suffix else f"{name}.sql")
        path.write_text(textwrap.dedent(text).lstrip())


def fill(url: str, count: int, start: int = 1) -> None:
    """Make the table `item` if it is not there, and add rows with ids from `start` on."""
    if start == 1:
        dumping.query(url, TABLE)
    ids = range(start, start + count)
    for first in range(0, count, 1000):
        values = ", ".join(f"({key}, {key})" for key in ids[first : first + 1000])
        dumping.query(url, f"INSERT INTO item (id, n) VALUES {values}")


def rows(url: str, text: str) -> list[tuple[int, ...]]:
    """The rows of a SELECT of whole numbers."""
    return [tuple(map(int, line.split("\t"))) for line in dumping.query(url, text)]


def wrong_rows(url: str) -> list[tuple[int, ...]]:
    """The rows of `item` that the job did not take exactly once."""
    return rows(url, "SELECT id, n, seen FROM item WHERE NOT (n = id + 1000000 AND seen = 1)")


def shown(project: Project, name: str) -> dict[str, Any]:
    """`job show --json`."""
    end = project("job", "show", name, "--json")
    assert end.code == 0, end.text
    found: dict[str, Any] = json.loads(end.stdout)
    return found


def run(project: Project, name: str, code: int = 0) -> dict[str, Any]:
    """`job run --json` to its end."""
    end = project("job", "run", name, "--json")
    assert end.code == code, end.text
    found: dict[str, Any] = json.loads(end.stdout)
    return found


def start_quick(project: Project, *arguments: str, lease: float = 2.0, beat: float = 0.2) -> subprocess.Popen[str]:
    """Start `stepwell ARGUMENTS` with a short lease."""
    return subprocess.Popen(
        [sys.executable, "-c", QUICK.format(lease=lease, beat=beat), *arguments],
        cwd=project.folder,
        env=ENVIRONMENT | {variable(name): url for name, url in project.urls.items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(holds: Callable[[], bool], *running: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait until something holds; a process that ends before that fails the test with what it said."""
    deadline = time.monotonic() + seconds
    while not holds():
        gone = next((process for process in running if process.poll() is not None), None)
        if gone is not None or time.monotonic() > deadline:
            for process in running:
                process.kill()
            raise AssertionError("it never came so far:\n" + "\n".join(ended(process).text for process in running))
        time.sleep(0.05)
