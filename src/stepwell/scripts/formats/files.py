"""Finding the files of a folder, and reading them, as every format needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from stepwell.errors import BadScript, DuplicateVersion, NoScriptFolder
from stepwell.scripts.folder import LONGEST_VERSION
from stepwell.scripts.front import NOTHING, FrontMatter
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Fill, Script, Sections, verbatim
from stepwell.scripts.source import read


def names(origin: Origin, deep: bool = False) -> list[Path]:
    """All files of the folder but hidden ones, sorted; with `deep`, those of the folders in it too."""
    found: list[Path] = []
    waiting = [origin.path]
    for folder in waiting:
        try:
            # What the folder says of its entries is enough: no file is asked for.
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        found.append(folder / entry.name)
                    elif deep and not entry.is_symlink():
                        waiting.append(folder / entry.name)
        except (FileNotFoundError, NotADirectoryError):
            raise NoScriptFolder(origin.path, origin.database) from None
    return sorted(found)


def script(
    origin: Origin,
    path: Path,
    version: str,
    cut: Callable[[Script], Sections],
    front: Callable[[str], FrontMatter] = lambda text: NOTHING,
    fill: Fill = verbatim,
    late: bool = False,
) -> Script:
    """The script of one file. Raises BadScript."""
    if len(version) > LONGEST_VERSION:
        what = f"the version has {len(version)} characters, but {LONGEST_VERSION} is the most"
        raise BadScript(path, 0, what, "Give the file a shorter name.")
    text, checksum = read(path)
    return Script(origin.database, version, path, origin.engine, checksum, front(text), text, cut, fill=fill, late=late)


def refuse_twins(found: Iterable[tuple[object, Path]]) -> None:
    """Two files that claim one place in the order. Raises DuplicateVersion."""
    seen: dict[object, Path] = {}
    for place, path in found:
        other = seen.setdefault(place, path)
        if other != path:
            raise DuplicateVersion(other, path)
