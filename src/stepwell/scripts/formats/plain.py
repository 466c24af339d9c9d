"""Plain SQL files whose names begin with a number: `1.sql`, `002-items.sql`, `20240131_items.sql`.

The whole file is the way forth, and there is none back; comments mean nothing and there are no variables.
"""

from __future__ import annotations

import re

from stepwell.errors import BadScript
from stepwell.scripts.formats import files
from stepwell.scripts.formats.cutting import Part, statements
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections

NAME = re.compile(r"([0-9]+)(?![0-9]).*\.sql", re.IGNORECASE)


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of their numbers. Raises BadScript, DuplicateVersion."""
    found = []
    for path in files.names(origin):
        if path.suffix.lower() != ".sql":
            continue
        name = NAME.fullmatch(path.name)
        if name is None:
            raise BadScript(path, 0, f"{path.name} has no number to be ordered by", "Name it like 001_items.sql.")
        found.append((int(name.group(1)), path))
    files.refuse_twins(found)
    return [files.script(origin, path, path.stem, _cut) for _, path in sorted(found)]


def _cut(script: Script) -> Sections:
    return Sections(statements([Part(script.text, 1)], script.path, script.engine), None)
