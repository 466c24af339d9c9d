"""Whether two folders of scripts make the same database: both are applied, each to an empty one, and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from stepwell.databases import open_database, scratch
from stepwell.databases.definitions import definitions
from stepwell.errors import NotTheSame, StepwellError
from stepwell.schema import history, upgrade
from stepwell.schema.adopt.takeover import TOOLS
from stepwell.schema.plan import Options, Target
from stepwell.scripts import formats
from stepwell.scripts.origin import Origin


def refuse_difference(old: Origin, new: Path, on: str, variables: Mapping[str, str], must: bool) -> str:
    """Apply the scripts of both on the server that a URL names, in databases made for it and dropped afterwards.

    What came of it, in words. Unless it `must` be tried, old scripts that do not go through on an empty database are an
    answer too. Raises NotTheSame, and what `up` raises.
    """
    with scratch.two(on) as (one, other):
        try:
            before = _made(replace(old, url=one), variables)
        except StepwellError as error:
            if must:
                raise
            return f"not tried: {error.what} on an empty database"
        after = _made(Origin(new, old.database, old.engine, "native", url=other), variables)
    differences = [_worded(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]
    if found := [line for line in differences if line]:
        raise NotTheSame(old.database, found)
    return f"applied, both make the same database: {len(before)} object{'s' * (len(before) != 1)}"


def _made(origin: Origin, variables: Mapping[str, str]) -> dict[str, str]:
    """What a database is made of after all scripts."""
    database = open_database(origin.database, origin.url, Path())
    scripts = formats.load(origin)
    database.connect()
    try:
        target = Target(database, scripts, history.read(database, scripts))
        upgrade.up([target], Options(variables=variables), _silent, lambda *_: [], lambda *_: None)
        return definitions(database, without=tuple(_tables_of_tools()))
    finally:
        database.close()


def _silent(event: object) -> None:
    pass


def _tables_of_tools() -> Iterable[str]:
    """What Alembic writes while it runs its revisions is its own."""
    return (table for tool in TOOLS for table in tool.tables)


def _worded(name: str, before: str | None, after: str | None) -> str:
    if before == after:
        return ""
    if before is None or after is None:
        return f"{name}: only the {'converted' if before is None else 'old'} scripts make it"
    lines = zip(before.splitlines(), after.splitlines(), strict=False)
    was, now = next((pair for pair in lines if pair[0] != pair[1]), (before, after))
    return f"{name}: {was.strip()[:100]!r} became {now.strip()[:100]!r}"
