"""300 new scripts of one statement each: what a fresh database, or a new colleague, pays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import startup, table, tools
from benchmarks.measure import Cost, interleaved, run
from benchmarks.tools import Tool

ROUNDS = 7
COUNT = 300


SURE = "a loop that survives kill -9"
"""MySQL's schema changes are no transactions, so that takes a journal; on PostgreSQL any loop does."""


def measure(folder: Path, new_database: Callable[[], str], every: dict[str, Tool]) -> dict[str, Cost]:
    """The median of each tool, every run against a new and empty database."""

    def fresh(name: str, tool: Tool) -> Callable[[], Cost]:
        def once() -> Cost:
            place = folder / f"{name}-{len(list(folder.iterdir()))}"
            place.mkdir()
            return run(tool(place, new_database(), COUNT))

        return once

    folder.mkdir(parents=True)
    return interleaved({name: fresh(name, tool) for name, tool in every.items()}, ROUNDS)


def main(folder: Path, databases: dict[str, Callable[[], str]], peers: dict[str, Tool]) -> None:
    """Print the table."""
    columns: dict[str, dict[str, Cost]] = {}
    bars: list[float | None] = []
    for engine, new_database in databases.items():
        every = {"loop": tools.loop, "stepwell": tools.stepwell, **peers}
        if engine == "MariaDB":
            every[SURE] = tools.journalled_loop
        costs = columns[engine] = measure(folder / f"apply-{engine}", new_database, every)
        idle = startup.measure(folder / f"apply-idle-{engine}", new_database, COUNT, {})
        dbmate = costs.get("dbmate")
        bars.append((dbmate.seconds + startup.bar(idle)) / costs["loop"].seconds if dbmate else None)

    def ratios(name: str) -> list[str]:
        return [
            table.ratio(costs[name].seconds / costs["loop"].seconds if name in costs else None)
            for costs in columns.values()
        ]

    table.show(
        f"apply: {COUNT} new scripts of one statement (median of {ROUNDS}; x floor)",
        ["", *columns],
        [
            ("floor: plain Python loop", *(table.milliseconds(c["loop"].seconds) for c in columns.values())),
            (SURE, *ratios(SURE)),
            *((peer, *ratios(peer)) for peer in peers),
            ("stepwell", *ratios("stepwell")),
            ("bar: dbmate + the bar of startup", *map(table.ratio, bars)),
        ],
    )
