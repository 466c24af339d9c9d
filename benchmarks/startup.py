"""`stepwell up` with nothing to do: what every deployment pays, however little there is to change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import table, tools
from benchmarks.measure import Command, Cost, interleaved, run
from benchmarks.tools import Tool

ROUNDS = 25
COUNTS = (7, 300)
BARE = Command((sys.executable, "-c", "pass"))
STARTS_ALLOWED = 5
"""The bar: the floor and this many bare starts of Python."""

FLOOR = "{connect}; connection.cursor().execute('SELECT version FROM schema_migrations')"


def measure(folder: Path, new_database: Callable[[], str], count: int, peers: dict[str, Tool]) -> dict[str, Cost]:
    """The median of each tool with `count` applied scripts, of the floor, and of a bare Python."""
    commands = {"bare": BARE}
    for name, tool in {"stepwell": tools.stepwell, **peers}.items():
        place = folder / name
        place.mkdir(parents=True)
        url = new_database()
        commands[name] = tool(place, url, count)
        if name == "stepwell":
            commands["floor"] = Command((sys.executable, "-c", FLOOR.format(connect=tools.connect(url))))
    # The first run of each applies the scripts, and the second leaves every byte of code compiled and cached.
    for command in [*commands.values(), *commands.values()]:
        _ = run(command)
    return interleaved({name: partial(run, command) for name, command in commands.items()}, ROUNDS)


def bar(costs: dict[str, Cost]) -> float:
    """Seconds that a run with nothing to do may take."""
    return costs["floor"].seconds + STARTS_ALLOWED * costs["bare"].seconds


def main(folder: Path, databases: dict[str, Callable[[], str]], peers: dict[str, Tool]) -> None:
    """Print the table."""
    columns: dict[str, dict[str, Cost]] = {}
    for engine, new_database in databases.items():
        for count in COUNTS:
            place = folder / f"startup-{engine}-{count}"
            columns[f"{engine} {count}"] = measure(place, new_database, count, peers)

    def ratios(name: str) -> list[str]:
        return [table.ratio(costs[name].seconds / costs["floor"].seconds) for costs in columns.values()]

    table.show(
        f"startup: nothing to do, 7 and 300 applied scripts (median of {ROUNDS}; x floor)",
        ["", *columns],
        [
            ("floor: one SELECT", *(table.milliseconds(c["floor"].seconds) for c in columns.values())),
            ("bare Python", *ratios("bare")),
            *((peer, *ratios(peer)) for peer in peers),
            ("stepwell", *ratios("stepwell")),
            ("bar: floor + 5 bare", *(table.ratio(bar(c) / c["floor"].seconds) for c in columns.values())),
        ],
    )
