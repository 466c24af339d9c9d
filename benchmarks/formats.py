"""`stepwell up` with nothing to do over 500 files of each format: recognised, read, sorted, compared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import table, tools
from benchmarks.measure import Command, Cost, interleaved, run

FILES = 500
ROUNDS = 11
READ = "cursor = connection.cursor(); cursor.execute('SELECT version FROM schema_migrations'); cursor.fetchall()"
FACTOR, ALLOWED = 1.3, 0.1
"""The bar: this many times the floor, and so many seconds."""

CREATE = "CREATE TABLE item_{n} (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL);\n"
DROP = "DROP TABLE item_{n};\n"
FORMATS: dict[str, dict[str, str]] = {
    "native": {"{n:04}_item.sql": f"{CREATE}-- down\n{DROP}"},
    "plain": {"{n:04}.sql": CREATE},
    "flyway": {"V{n}__item.sql": CREATE, "U{n}__item.sql": DROP},
    "golang-migrate": {"{n:06}_item.up.sql": CREATE, "{n:06}_item.down.sql": DROP},
    "dbmate": {"{n:014}_item.sql": f"-- migrate:up\n{CREATE}-- migrate:down\n{DROP}"},
    "goose": {"{n:05}_item.sql": f"-- +goose Up\n{CREATE}-- +goose Down\n{DROP}"},
    "prisma": {"{n:014}_item/migration.sql": CREATE},
    "liquibase": {"{n:04}.sql": f"--liquibase formatted sql\n--changeset ann:{{n}}\n{CREATE}--rollback {DROP}"},
}
"""The files of each migration, by their names; `{n}` is its number."""


def files(form: str) -> Iterator[tuple[str, str]]:
    for number in range(1, FILES + 1):
        for name, text in FORMATS[form].items():
            yield name.format(n=number), text.format(n=number)


def prepare(folder: Path, url: str, form: str) -> Command:
    """A project with these files, applied, and the command that finds nothing to do."""
    for name, text in files(form):
        path = folder / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    said = 'format = "plain"\n' if form == "plain" else ""
    (folder / "stepwell.toml").write_text(f'[databases.state]\nurl = "{url}"\nscripts = "migrations"\n{said}')
    run(Command((sys.executable, "-m", "stepwell", "baseline", f"state/{_last(form)}"), folder))
    return Command((sys.executable, "-m", "stepwell", "up"), folder)


def _last(form: str) -> str:
    name = next(iter(FORMATS[form])).format(n=FILES).removesuffix("/migration.sql")
    return f"{name}::{FILES}::ann" if form == "liquibase" else name.removesuffix(".sql").removesuffix(".up")


def measure(folder: Path, new_database: Callable[[], str]) -> dict[str, Cost]:
    """The median of each format, and of the floor."""
    commands = {}
    for form in FORMATS:
        url = new_database()
        commands[form] = prepare(folder / form, url, form)
    commands["floor"] = Command((sys.executable, "-c", f"{tools.connect(url)}; {READ}"))
    for command in commands.values():
        _ = run(command)
    return interleaved({name: partial(run, command) for name, command in commands.items()}, ROUNDS)


def main(folder: Path, databases: dict[str, Callable[[], str]]) -> None:
    """Print the table."""
    columns = {engine: measure(folder / f"formats-{engine}", new) for engine, new in databases.items()}
    bars = {engine: costs["floor"].seconds * FACTOR + ALLOWED for engine, costs in columns.items()}
    table.show(
        f"formats: {FILES} files, nothing to do (median of {ROUNDS}; bar {FACTOR} x floor + {ALLOWED * 1000:.0f} ms)",
        ["", *columns, *("x bar" for _ in columns)],
        [
            ("floor", *(table.milliseconds(costs["floor"].seconds) for costs in columns.values()), *("" for _ in bars)),
            ("bar", *(table.milliseconds(bar) for bar in bars.values()), *(table.ratio(1) for _ in bars)),
            *(
                (
                    form,
                    *(table.milliseconds(costs[form].seconds) for costs in columns.values()),
                    *(table.ratio(costs[form].seconds / bars[engine]) for engine, costs in columns.items()),
                )
                for form in FORMATS
            ),
        ],
    )
