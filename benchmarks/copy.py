"""The item copy of the bundled opik project: what an INSERT costs that is exact in spite of kill -9."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import table
from benchmarks.measure import Command, Cost, interleaved, run
from stepwell import bundles
from stepwell.project import Project

ROUNDS = 5
SCALE = 50.0
COPY = "migrations/analytics/0003_copy_dataset_items.sql"
TARGET = "dataset_item_versions"

FILL = """
from stepwell.bundles.opik.data import generate
from stepwell.project import Project
from stepwell.schema.upgrade import Options

project = Project.load(".")
project.up(Options(to="analytics/0002"))
project.up(Options(to="state/0002"))
with project.targets() as targets:
    databases = {target.database.name: target.database for target in targets}
    generate(databases["state"], databases["analytics"], scale=float(%r))
project.up(Options(database="state"))
"""
"""A process of its own: chDB allows one process a folder, and one folder a process."""

RAW = """
import pathlib
import clickhouse_connect

client = clickhouse_connect.get_client(dsn="chdb:///%s?database=opik")
client.command(pathlib.Path("copy.sql").read_text(), settings={"min_insert_block_size_bytes": "50000000"})
"""


def main(folder: Path) -> None:
    """Print the table."""
    filled = folder / "copy-filled"
    bundles.copy("opik", filled)
    _ = run(Command((sys.executable, "-c", FILL % SCALE), filled))
    text = (filled / COPY).read_text()
    ways = {
        "key, as bundled": text,
        "swap": text.replace(front_line(text, "key"), "-- writers: none"),
        "restart": into_new_table(text),
    }
    runs = {"raw": lambda: raw(filled, folder / "copy-raw")}
    runs |= {name: way(filled, folder / "copy-up", variant) for name, variant in ways.items()}
    costs = interleaved(runs, ROUNDS)
    floor = costs["raw"]
    table.show(
        f"copy: the items of opik at scale {SCALE:.0f} (median of {ROUNDS}; x floor)",
        ["", "seconds", "time", "MB", "memory"],
        [
            (
                "floor: one INSERT SELECT" if name == "raw" else f"stepwell up, {name}",
                f"{cost.seconds:.2f}",
                table.ratio(cost.seconds / floor.seconds),
                f"{cost.memory / 1e6:.0f}",
                table.ratio(cost.memory / floor.memory),
            )
            for name, cost in costs.items()
        ],
    )


def way(filled: Path, place: Path, text: str) -> Callable[[], Cost]:
    """One `stepwell up` over a copy of the filled project, with this text as the script that is left."""

    def once() -> Cost:
        copied(filled, place)
        (place / COPY).write_text(text)
        return run(Command((sys.executable, "-m", "stepwell", "up"), place))

    return once


def raw(filled: Path, place: Path) -> Cost:
    """The same INSERT SELECT, sent by nothing but the driver."""
    copied(filled, place)
    project = Project.load(place)
    script = project.scripts("analytics")[-1]
    insert = script.statements("up", project.variables)[-1]
    (place / "copy.sql").write_text(insert.text)
    return run(Command((sys.executable, "-c", RAW % (place / "analytics")), place))


def copied(filled: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(filled, place, symlinks=True)


def front_line(text: str, key: str) -> str:
    """A line of a script's front matter."""
    found = re.search(rf"^-- {key}: .*$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"the script says no {key!r}")
    return found.group()


def into_new_table(text: str) -> str:
    """The script, with the rows going into a table that it makes itself."""
    up = text.replace(f"INSERT INTO {TARGET} (", f"CREATE TABLE copied AS {TARGET};\n\nINSERT INTO copied (")
    return up.replace(front_line(text, "key"), "-- writers: none")
