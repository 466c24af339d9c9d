"""golang-migrate: `000042_title.up.sql`, and `000042_title.down.sql` for the way back.

A version is a number; names are for people. The tool sends a file as a whole, or with `x-multi-statement` cut at every
`;`; here it is cut by the rules of the engine's SQL, which is what both mean. There are no variables.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from stepwell.errors import BadScript, DuplicateVersion
from stepwell.scripts.formats import files
from stepwell.scripts.formats.cutting import Part, statements
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections
from stepwell.scripts.source import read

NAME = re.compile(r"([0-9]+)_(.*)\.(up|down)\.([^.]+)")
_NEAR = re.compile(r".*\.(up|down)\..*|[0-9].*\.sql", re.IGNORECASE)
_LARGEST = 2**64 - 1


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of their numbers. Raises BadScript, DuplicateVersion."""
    found: dict[str, dict[int, Path]] = {"up": {}, "down": {}}
    for path in files.names(origin):
        name = NAME.fullmatch(path.name)
        if name is None:
            if _NEAR.fullmatch(path.name):
                what = f"{path.name} is not named as golang-migrate names migrations"
                raise BadScript(path, 0, what, "Name it like 000001_create_items.up.sql.")
            continue
        version, _, direction, ending = name.groups()
        if ending != "sql":
            what = f"a migration in .{ending}, which golang-migrate hands to the database as it is"
            raise BadScript(path, 0, what, "Stepwell reads .sql only. Write it in SQL.")
        if int(version) > _LARGEST:
            raise BadScript(path, 0, f"the version {version} is larger than 64 bits hold", "Give it a smaller number.")
        other = found[direction].setdefault(int(version), path)
        if other != path:
            raise DuplicateVersion(other, path)
    for number, path in found["down"].items():
        if number not in found["up"]:
            raise BadScript(path, 0, f"{path.name} is the way back of nothing", "Write its .up.sql, or delete it.")
    return [
        files.script(origin, path, path.name.removesuffix(".up.sql"), partial(_cut, found["down"].get(number)))
        for number, path in sorted(found["up"].items())
    ]


def _cut(down: Path | None, script: Script) -> Sections:
    return Sections(
        statements([Part(script.text, 1)], script.path, script.engine),
        None if down is None else statements([Part(read(down)[0], 1)], down, script.engine),
    )
