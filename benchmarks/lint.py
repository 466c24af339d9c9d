"""`stepwell lint` over 400 files: what a commit, or a pipeline, waits for."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks import table
from benchmarks.measure import Command, interleaved, run

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import ordinary

ROUNDS = 9
URLS = {
    "postgres": "postgresql://localhost/app",
    "mysql": "mysql://localhost/app",
    "sqlite": "sqlite:///app.db",
    "clickhouse": "clickhouse://localhost/app",
}


def main(folder: Path) -> None:
    """Print the table."""
    place = folder / "lint"
    place.mkdir()
    config = ""
    for engine, url in URLS.items():
        scripts = place / "migrations" / engine
        scripts.mkdir(parents=True)
        for name, text in ordinary.migrations(engine).items():
            (scripts / name).write_text(text)
        config += f'[databases.{engine}]\nurl = "{url}"\n'
    (place / "stepwell.toml").write_text(config)
    lint = (sys.executable, "-m", "stepwell", "lint", "--project", str(place))
    commands = {
        "bare Python": Command((sys.executable, "-c", "pass")),
        "import sqlglot": Command((sys.executable, "-c", "import sqlglot")),
        "one file": Command((*lint, str(place / "migrations" / "mysql" / "0001_create.sql"))),
        "400 files": Command(lint),
    }
    costs = interleaved({name: partial(run, command) for name, command in commands.items()}, ROUNDS)
    table.show(
        f"lint: 400 ordinary scripts of four engines (median of {ROUNDS}; bar: 3 s)",
        ["", "time"],
        [(name, table.milliseconds(cost.seconds)) for name, cost in costs.items()],
    )
