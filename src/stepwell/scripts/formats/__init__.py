"""The formats that scripts may be in: one module each, and how a folder's format is recognised.

Every module has `load`, which gives the scripts of an `Origin` in the order that the format's own tool keeps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from stepwell.errors import BadProject, NoScriptFolder, did_you_mean
from stepwell.scripts import folder
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script

FORMATS = ("native", "alembic", "dbmate", "flyway", "golang-migrate", "goose", "liquibase", "plain", "prisma")

_NAMES = (
    ("flyway", re.compile(r"[VU][0-9][0-9._]*__.*\.sql|R__.*\.sql")),
    ("golang-migrate", re.compile(r"[0-9]+_.*\.(up|down)\.sql")),
    ("liquibase", re.compile(r".*(changelog|master).*\.(xml|ya?ml|json)", re.IGNORECASE)),
    ("alembic", re.compile(r"alembic\.ini|env\.py|script\.py\.mako")),
    ("prisma", re.compile(r"migration_lock\.toml")),
)
_LINES = (
    ("liquibase", re.compile(rb"\A\s*--[ \t]*liquibase[ \t]+formatted[ \t]+sql", re.IGNORECASE)),
    ("dbmate", re.compile(rb"(?m)^--[ \t]*migrate[ \t]*:[ \t]*up\b")),
    ("goose", re.compile(rb"(?mi)^[ \t]*--[ \t]*\+goose\b")),
)
_LOOK = 4096
"""Bytes at the beginning of a file in which the line that tells its format is looked for."""


class Recognised(NamedTuple):
    """A format, and what it was told by; '' where stepwell.toml says it."""

    format: str
    why: str


def load(origin: Origin) -> list[Script]:
    """The scripts of a database in order. Raises BadProject, NoScriptFolder, BadScript, DuplicateVersion."""
    name = recognise(origin).format
    if name == "native":
        return folder.load(origin.path, origin.database, origin.engine)
    module = import_module(f"stepwell.scripts.formats.{name.replace('-', '_')}")
    scripts: list[Script] = module.load(origin)
    return scripts


def every(origin: Origin) -> list[Script]:
    """The same, and of a version that is written for several engines each, for readers that do not run them."""
    if recognise(origin).format == "native":
        return folder.every(origin.path, origin.database, origin.engine)
    return load(origin)


def recognise(origin: Origin) -> Recognised:
    """The format of a folder's scripts. Raises BadProject where it is not clear, or not known."""
    if origin.format:
        if origin.format not in FORMATS:
            raise BadProject(
                f"database {origin.database!r} has an unknown format {origin.format!r}"
                f"{did_you_mean(origin.format, FORMATS)}",
                do=f"Write one of {', '.join(FORMATS)}, or none.",
            )
        return Recognised(origin.format, "")
    signs = {sign.format: sign for sign in reversed(list(_signs(origin)))}
    if len(signs) > 1:
        raise BadProject(
            f"the scripts of database {origin.database!r} are in more than one format",
            where="\n".join(f"{sign.why}: {sign.format}" for sign in signs.values()),
            do=f"Say which is meant, below [databases.{origin.database}] in stepwell.toml, for example\n"
            f'format = "{next(iter(signs))}"',
        )
    return next(iter(signs.values()), Recognised("native", ""))


def _signs(origin: Origin) -> Iterator[Recognised]:
    """What files tell of a format, by their names and by the lines they begin with."""
    path = origin.path
    if path.is_file():
        yield Recognised("alembic" if path.suffix == ".ini" else "liquibase", str(path))
        return
    try:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        raise NoScriptFolder(path, origin.database) from None
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            inside = path / entry.name / "migration.sql"
            if inside.is_file():
                yield Recognised("prisma", f"{inside} is there")
        elif name := next((name for name, pattern in _NAMES if pattern.fullmatch(entry.name)), ""):
            yield Recognised(name, f"{path / entry.name} is named as it names files")
        elif entry.name.lower().endswith(".sql") and (sign := _begins(entry.path)):
            yield sign


def _begins(path: str) -> Recognised | None:
    try:
        # A project with nothing to do opens every file here, so without the layers of a file object.
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None  # reading it as a script will say what is wrong
    try:
        start = os.read(file, _LOOK).removeprefix(b"\xef\xbb\xbf")
    finally:
        os.close(file)
    if b"--" not in start:
        return None
    for name, pattern in _LINES:
        if found := pattern.search(start):
            said = found.group().strip()
            line = start.count(b"\n", 0, found.end() - len(said)) + 1
            return Recognised(name, f"{path}:{line} says `{said.decode(errors='replace')}`")
    return None
