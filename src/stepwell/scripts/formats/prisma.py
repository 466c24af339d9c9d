"""Prisma Migrate: a folder `20240131120000_title` for each migration, with a `migration.sql` in it.

Prisma has no way back of its own; where a folder also holds a `down.sql`, as its manual proposes, that is taken.
Folders come in the order of their names. There are no variables.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from stepwell.errors import BadScript, NoScriptFolder
from stepwell.scripts.formats import files
from stepwell.scripts.formats.cutting import Part, statements
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections
from stepwell.scripts.source import read

FILE = "migration.sql"


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of their folders. Raises BadScript."""
    if not origin.path.is_dir():
        raise NoScriptFolder(origin.path, origin.database)
    scripts = []
    for folder in sorted(path for path in origin.path.iterdir() if path.is_dir() and not path.name.startswith(".")):
        path = folder / FILE
        if not path.is_file():
            raise BadScript(folder, 0, f"the folder has no {FILE}", "Write it, or delete the folder.")
        down = folder / "down.sql"
        cut = partial(_cut, down if down.is_file() else None)
        scripts.append(files.script(origin, path, folder.name, cut, late=True))
    return scripts


def _cut(down: Path | None, script: Script) -> Sections:
    return Sections(
        statements([Part(script.text, 1)], script.path, script.engine),
        None if down is None else statements([Part(read(down)[0], 1)], down, script.engine),
    )
