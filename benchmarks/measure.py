"""Running commands and measuring them: the one clock of all benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parent.parent / "src"

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPATH": str(SOURCE),
}
"""What every command runs in. Byte code is kept, as in production."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line and the folder that it runs in."""

    arguments: tuple[str, ...]
    folder: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a command took: seconds from start to end, and its largest resident memory in bytes."""

    seconds: float
    memory: int


class Failed(Exception):
    """A command ended with an error; what it printed is the message."""


def run(command: Command) -> Cost:
    """Run a command to its end. Raises Failed."""
    with tempfile.TemporaryFile() as printed:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            cwd=command.folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
        # Not process.wait(): only wait4 tells the memory of this one child.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            printed.seek(0)
            said = printed.read().decode(errors="replace")[-2000:]
            raise Failed(f"{' '.join(command.arguments)} ended with {process.returncode}:\n{said}")
    return Cost(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


SEND = """
import sys
from pathlib import Path
from stepwell.databases import open_database

database = open_database("filled", sys.argv[1], Path("/"))
database.connect()
for statement in sys.argv[2:]:
    database.query(statement)
database.close()
"""


def send(url: str, *statements: str) -> None:
    """Send statements from a process of their own: a child's largest memory begins with what its parent has."""
    run(Command((sys.executable, "-c", SEND, url, *statements)))


def interleaved(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The median cost of each, all of them run once a round, so that what disturbs the machine disturbs all."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, once in runs.items():
            costs[name].append(once())
    return {
        name: Cost(median(cost.seconds for cost in each), round(median(cost.memory for cost in each)))
        for name, each in costs.items()
    }
