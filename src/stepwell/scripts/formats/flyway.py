"""Flyway: `V1_2__title.sql` once, `U1_2__title.sql` for the way back, `R__title.sql` whenever its text has changed.

Versions compare number by number, so 1.10 comes after 1.9, and 1.0 is 1. Repeatable scripts come last, by their titles.
Placeholders are the project's variables. A `.conf` file beside a script, or `-- flyway:` lines in it, may say more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

from stepwell.errors import BadScript, DuplicateVersion, did_you_mean
from stepwell.scripts.formats import files
from stepwell.scripts.formats.cutting import Part, statements
from stepwell.scripts.front import NOTHING, FrontMatter
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections, verbatim
from stepwell.scripts.source import read
from stepwell.scripts.variables import NoValue

VERSIONED = re.compile(r"([VU])([0-9]+(?:[._][0-9]+)*)__(.*)\.sql")
REPEATABLE = re.compile(r"R__(.+)\.sql")
_BASELINE = re.compile(r"B[0-9][0-9._]*__.*\.sql")
_CALLBACK = re.compile(r"(before|after)([A-Z]\w*)(__.*)?\.sql|createSchema.*\.sql")
_PLACEHOLDER = re.compile(r"\$\{([^${}]+)\}")
_SETTING = re.compile(r"^--[ \t]*flyway:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_SETTINGS = ("executeInTransaction", "placeholderReplacement", "encoding")


def load(origin: Origin) -> list[Script]:
    """Versioned scripts in the order of their versions, then the repeatable ones. Raises BadScript."""
    forth: dict[tuple[int, ...], Path] = {}
    back: dict[tuple[int, ...], Path] = {}
    repeatable: dict[str, Path] = {}
    found = files.names(origin, deep=True)
    configured = {path for path in found if path.suffix == ".conf"}
    for path in found:
        if path.suffix == ".java" and re.match(r"[VUR].*__", path.name):
            raise BadScript(path, 0, "a migration in Java, which Stepwell can't run", "Write it in SQL or Python.")
        if path.suffix != ".sql":
            if path.suffix.lower() == ".sql":
                raise BadScript(path, 0, f"{path.name} ends otherwise than .sql", "Flyway passes it over. Rename it.")
            continue
        if name := VERSIONED.fullmatch(path.name):
            place = version(name.group(2))
            other = (forth if name.group(1) == "V" else back).setdefault(place, path)
        elif name := REPEATABLE.fullmatch(path.name):
            other = repeatable.setdefault(name.group(1).replace("_", " "), path)
        else:
            raise _misnamed(path)
        if other != path:
            raise DuplicateVersion(other, path)
    for place, path in back.items():
        if place not in forth:
            raise BadScript(path, 0, f"{path.name} is the way back of nothing", "Write its V file, or delete it.")
    once = [_script(origin, path, configured, back.get(place)) for place, path in sorted(forth.items())]
    again = [_script(origin, path, configured, None, "changed") for _, path in sorted(repeatable.items())]
    return [*once, *again]


def version(text: str) -> tuple[int, ...]:
    """A version in a form that sorts: its numbers, without the zeros that end it."""
    numbers = [int(number) for number in re.split(r"[._]", text)]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _misnamed(path: Path) -> BadScript:
    if _BASELINE.fullmatch(path.name):
        do = "Apply the V scripts instead, or run it by hand and record them: stepwell baseline DATABASE/VERSION"
        return BadScript(path, 0, "a baseline migration, which Stepwell does not know", do)
    if _CALLBACK.fullmatch(path.name):
        do = "Move what it does into a script, or into your deployment; then take the file away."
        return BadScript(path, 0, "a callback of Flyway, which Stepwell would not call", do)
    do = "Name it like V1_2__create_items.sql, U1_2__create_items.sql or R__items_view.sql, with two underscores."
    return BadScript(path, 0, f"{path.name} is not named as Flyway names migrations", do)


def _script(origin: Origin, path: Path, configured: Set[Path], back: Path | None, repeat: str = "") -> Script:
    script = files.script(origin, path, path.stem, partial(_cut, back))
    said = _settings(script, configured)
    front: FrontMatter = NOTHING
    if repeat or said.get("executeInTransaction") == "false":
        front = FrontMatter(repeat=repeat, transaction=False if said.get("executeInTransaction") == "false" else None)
    fills = said.get("placeholderReplacement") != "false"
    return replace(script, front=front, fill=partial(_fill, path.name) if fills else verbatim)


def _cut(back: Path | None, script: Script) -> Sections:
    return Sections(
        statements([Part(script.text, 1)], script.path, script.engine),
        None if back is None else statements([Part(read(back)[0], 1)], back, script.engine),
    )


def _fill(name: str, statement: str, _engine: str, variables: Mapping[str, str]) -> str:
    """Put placeholders in, in strings and comments too. Raises NoValue."""

    def value(match: re.Match[str]) -> str:
        wanted = match.group(1)
        if wanted == "flyway:filename":
            return name
        if wanted not in variables:
            raise NoValue(wanted, match.start())
        return variables[wanted]

    return _PLACEHOLDER.sub(value, statement)


def _settings(script: Script, configured: Set[Path]) -> dict[str, str]:
    """What a script's `.conf` file, if it is `configured` by one, and its `-- flyway:` lines say. Raises BadScript."""
    said: dict[str, str] = {}
    conf = script.path.with_name(f"{script.path.name}.conf") if configured else script.path
    if conf in configured:
        for number, line in enumerate(read(conf)[0].split("\n"), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                _set(said, line, conf, number)
    for found in _SETTING.finditer(script.text):
        _set(said, found.group(1), script.path, script.text.count("\n", 0, found.start()) + 1)
    return said


def _set(said: dict[str, str], line: str, path: Path, number: int) -> None:
    key, _, value = (part.strip() for part in line.partition("="))
    if key not in _SETTINGS:
        what = f"unknown setting {key!r}{did_you_mean(key, _SETTINGS)}"
        raise BadScript(path, number, what, f"Of Flyway's settings for a script Stepwell knows {', '.join(_SETTINGS)}.")
    allowed = ("UTF-8",) if key == "encoding" else ("true", "false")
    if value not in allowed:
        what = f"`{key}` can't be {value!r}{did_you_mean(value, allowed)}"
        raise BadScript(path, number, what, f"Write {' or '.join(allowed)}.")
    said[key] = value
