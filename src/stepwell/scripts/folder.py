"""A folder of scripts: which files of it count for one database, and in which order."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stepwell.errors import BadScript, DuplicateVersion, NoScriptFolder, did_you_mean
from stepwell.scripts import front
from stepwell.scripts.script import Script, Sections
from stepwell.scripts.source import read

LONGEST_VERSION = 255

_SUFFIXES = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "clickhouse": "clickhouse",
}
_DIGITS = re.compile(r"([0-9]+)")

Rank = tuple[str | int, ...]
"""A prefix in a form that sorts: its text and its numbers in turn."""


@dataclass(frozen=True, slots=True)
class File:
    """A script file by its name. `engine` is '' for a file that all engines share."""

    path: Path
    version: str
    rank: Rank
    engine: str


def load(folder: Path, database: str, engine: str) -> list[Script]:
    """The scripts of a folder in their order; a file for this engine goes before one for all.

    Raises NoScriptFolder, BadScript, DuplicateVersion.
    """
    scripts = [_script(file, database, engine) for file in _chosen(_files(folder, database), engine)]
    _refuse_same_origin(scripts)
    return scripts


def _refuse_same_origin(scripts: list[Script]) -> None:
    """Two scripts that were one: what is applied of it could be either."""
    seen: dict[str, Script] = {}
    for script in scripts:
        if script.front.was and (other := seen.setdefault(script.front.was, script)) is not script:
            what = f"it was {script.front.was!r}, and so was {other.path}"
            raise BadScript(script.path, 1, what, "Take the line `was` away from the one that was not converted.")


def every(folder: Path, database: str, engine: str) -> list[Script]:
    """All scripts of a folder in their order, those for other engines too, each as one of its own engine.

    Raises NoScriptFolder, BadScript.
    """
    files = sorted(_files(folder, database), key=lambda file: file.rank)
    return [_script(file, database, file.engine or engine) for file in files]


def _files(folder: Path, database: str) -> list[File]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_script(entry))
    except (FileNotFoundError, NotADirectoryError):
        raise NoScriptFolder(folder, database) from None
    return [named(folder / name) for name in names]


def _is_script(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith((".", "_")) and entry.name.lower().endswith((".sql", ".py")) and not entry.is_dir()


def named(path: Path) -> File:
    """What a script's name says of it. Raises BadScript."""
    prefix, _, rest = path.stem.partition("_")
    name, _, suffix = rest.partition(".")
    if not name:
        raise BadScript(
            path,
            0,
            f"{path.name} is not named like a script",
            f"Name it like 0001_create_items{path.suffix}; a file that is none may begin with `_`.",
        )
    if suffix and suffix not in _SUFFIXES:
        raise BadScript(
            path,
            0,
            f"unknown engine {suffix!r} in the name {path.name}{did_you_mean(suffix, _SUFFIXES)}",
            f"Known are {', '.join(_SUFFIXES)}; a script for all engines has none, and no other dot.",
        )
    version = f"{prefix}_{name}"
    if len(version) > LONGEST_VERSION:
        what = f"the version has {len(version)} characters, but {LONGEST_VERSION} is the most"
        raise BadScript(path, 0, what, "Give the file a shorter name.")
    return File(path, version, rank(version), _SUFFIXES.get(suffix, ""))


def rank(version: str) -> Rank:
    """The place of a version among others, by its name."""
    # Text and digits take turns, so that what is compared is of one type.
    parts = enumerate(_DIGITS.split(version.partition("_")[0]))
    return tuple(int(part) if index % 2 else part for index, part in parts)


def one(path: Path, database: str, engine: str) -> Script:
    """The script of one file. Raises BadScript."""
    return _script(named(path), database, engine)


def _chosen(files: list[File], engine: str) -> list[File]:
    """One file for each version, in order."""
    ranks: dict[Rank, list[File]] = {}
    for file in files:
        ranks.setdefault(file.rank, []).append(file)
    return [_one(ranks[rank], engine) for rank in sorted(ranks)]


def _one(files: list[File], engine: str) -> File:
    """The file that counts among those of one rank."""
    first = files[0]
    for file in files:
        if file.version != first.version:
            raise DuplicateVersion(first.path, file.path)
    found = [file for file in files if file.engine == engine] or [file for file in files if not file.engine]
    if not found:
        raise BadScript(
            first.path,
            0,
            f"{first.version} is written for {first.engine} only, and this database is {engine}",
            f"Add {first.version}.{engine}{first.path.suffix}, or {first.version}{first.path.suffix} for all engines.",
        )
    if len(found) > 1:
        raise DuplicateVersion(found[0].path, found[1].path)
    return found[0]


def _script(file: File, database: str, engine: str) -> Script:
    text, checksum = read(file.path)
    is_python = file.path.suffix.lower() == ".py"
    matter = front.parse(text, file.path, "#" if is_python else "--")
    return Script(
        database,
        file.version,
        file.path,
        engine,
        checksum,
        matter,
        text,
        None if is_python else _cut,
    )


def _cut(script: Script) -> Sections:
    from stepwell.scripts import native  # a run with nothing to do needs no splitter

    return native.cut(script)
