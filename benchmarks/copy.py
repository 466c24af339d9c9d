"""The item copy of the bundled opik project: what a job costs that is exact in spite of kill -9."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import table
from benchmarks.measure import Command, Cost, interleaved, run
from stepwell import bundles

ROUNDS = 5
SCALE = 50.0

FILL = """
from stepwell.bundles.opik.data import generate
from stepwell.project import Project
from stepwell.schema.plan import Options

project = Project.load(".")
project.up(Options(to="analytics/0002"))
project.up(Options(to="state/0002"))
with project.targets() as targets:
    generate(*(target.database for target in targets), scale=float(%r))
project.up(Options(database="state"))
"""
"""A process of its own: chDB allows one process a folder, and one folder a process."""

RAW = """
import clickhouse_connect

client = clickhouse_connect.get_client(dsn="chdb:///%s?database=opik")
client.command('''
    INSERT INTO dataset_item_versions (
        id, workspace_id, dataset_id, dataset_version_id, dataset_item_id, source, trace_id, span_id,
        data, metadata, tags, item_created_at, item_created_by, item_last_updated_at, item_last_updated_by,
        created_by, last_updated_by)
    SELECT
        id, workspace_id, dataset_id, dataset_id, id, source, trace_id, span_id,
        data, metadata, tags, created_at, created_by, last_updated_at, last_updated_by,
        created_by, last_updated_by
    FROM dataset_items FINAL
''')
"""


def main(folder: Path) -> None:
    """Print the table."""
    measured(folder, FILL % SCALE, f"the items of opik at scale {SCALE:.0f}", ROUNDS)


def measured(folder: Path, fill: str, what: str, rounds: int) -> None:
    """Print the table for a project that a program fills."""
    filled = folder / "copy-filled"
    bundles.copy("opik", filled)
    _ = run(Command((sys.executable, "-c", fill), filled))
    job = ("-m", "stepwell", "job", "run", "copy-dataset-items")
    place = folder / "copy-run"
    ways = {
        "floor: one INSERT SELECT": over(filled, place, "-c", RAW % (place / "analytics")),
        "stepwell job run": over(filled, place, *job),
    }
    costs = interleaved(ways, rounds)
    floor = costs["floor: one INSERT SELECT"]
    table.show(
        f"copy: {what} (median of {rounds}; x floor)",
        ["", "seconds", "time", "MB", "memory"],
        [
            (
                name,
                f"{cost.seconds:.2f}",
                table.ratio(cost.seconds / floor.seconds),
                f"{cost.memory / 1e6:.0f}",
                table.ratio(cost.memory / floor.memory),
            )
            for name, cost in costs.items()
        ],
    )


def over(filled: Path, place: Path, *arguments: str) -> Callable[[], Cost]:
    """One run of a Python program over a copy of the filled project."""

    def once() -> Cost:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(filled, place, symlinks=True)
        return run(Command((sys.executable, *arguments), place))

    return once
