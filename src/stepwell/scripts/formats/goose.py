"""goose: `00042_title.sql`, its parts told by comments: `-- +goose Up`, `Down`, `StatementBegin`, `NO TRANSACTION` …

A version is a number. goose ends a statement at a line that ends with `;` unless StatementBegin says otherwise; here
the engine's own rules say it, and a block between StatementBegin and StatementEnd stands for itself. Environment
variables are filled in between `ENVSUB ON` and `ENVSUB OFF`, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stepwell.errors import BadScript, did_you_mean
from stepwell.scripts.formats import files
from stepwell.scripts.formats.blank import comments, first_statement
from stepwell.scripts.formats.cutting import Part, pieces, statements
from stepwell.scripts.front import FrontMatter
from stepwell.scripts.origin import Origin
from stepwell.scripts.pieces import PieceKind
from stepwell.scripts.script import Script, Sections
from stepwell.scripts.variables import NoValue

NAME = re.compile(r"([0-9]+)_.*\.sql")
MARK = re.compile(r"^[ \t]*--[ \t]*\+goose\b[ \t]*(.*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_WORDS = ("Up", "Down", "StatementBegin", "StatementEnd", "NO TRANSACTION", "ENVSUB ON", "ENVSUB OFF")
_KNOWN = {word.upper(): word for word in _WORDS}

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?:(:?-)([^}]*))?\}|([A-Za-z_]\w*))")


class Run(NamedTuple):
    """A part of a file: all of a StatementBegin block, or what is between two marks. `filled`: ENVSUB is on."""

    part: Part
    block: bool
    filled: bool


@dataclass(slots=True)
class Reading:
    """What was read of a file so far. `block` is the line of the StatementBegin that is open, 0 for none."""

    path: Path
    runs: dict[str, list[Run]] = field(default_factory=dict)
    transaction: bool | None = None
    direction: str = ""
    block: int = 0
    filled: bool = False

    def mark(self, said: str, line: int) -> None:
        """Read one `-- +goose` line."""
        word = _KNOWN.get(" ".join(said.upper().split()))
        if word is None:
            what = f"unknown annotation {said!r}{did_you_mean(said, _WORDS)}"
            raise BadScript(self.path, line, what, f"goose has {', '.join(_WORDS)}.")
        if self.block and word != "StatementEnd":
            what = f"`{word}` inside the StatementBegin of line {self.block}"
            raise BadScript(self.path, line, what, "Write `-- +goose StatementEnd` before it.")
        match word:
            case "Up" | "Down":
                if word in self.runs or (word == "Down" and "Up" not in self.runs):
                    what = f"`{word}` in the wrong place"
                    raise BadScript(self.path, line, what, "Write Up first and then at most one Down.")
                self.direction, self.runs[word] = word, []
            case "StatementBegin" if not self.direction:
                raise BadScript(self.path, line, "StatementBegin before Up", "Write `-- +goose Up` before it.")
            case "StatementBegin":
                self.block = line
            case "StatementEnd" if not self.block:
                raise BadScript(self.path, line, "StatementEnd without StatementBegin", "Take it away.")
            case "StatementEnd":
                self.block = 0
            case "NO TRANSACTION":
                self.transaction = False
            case _:
                self.filled = word == "ENVSUB ON"


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of their numbers. Raises BadScript, DuplicateVersion."""
    found = []
    for path in files.names(origin):
        if path.suffix == ".go" and path.name[0].isdigit():
            raise BadScript(path, 0, "a migration in Go, which Stepwell can't run", "Write it in SQL or Python.")
        if path.suffix.lower() != ".sql":
            continue
        name = NAME.fullmatch(path.name)
        if name is None or int(name.group(1)) < 1:
            what = f"{path.name} is not named as goose names migrations"
            raise BadScript(path, 0, what, "Name it like 00001_create_items.sql, from 1 on.")
        found.append((int(name.group(1)), path))
    files.refuse_twins(found)
    return [_script(origin, path) for _, path in sorted(found)]


def _script(origin: Origin, path: Path) -> Script:
    readings = []

    def front(text: str) -> FrontMatter:
        readings.append(_read(text, path))
        return FrontMatter(transaction=readings[0].transaction)

    script = files.script(origin, path, path.stem, _cut, front)
    runs = [run for runs in readings[0].runs.values() for run in runs if run.filled]
    if not runs:
        return script
    texts = {one.text for one in statements((run.part for run in runs), path, origin.engine)}
    return replace(script, fill=partial(_fill, texts))


def _cut(script: Script) -> Sections:
    runs = _read(script.text, script.path).runs
    for run in (run for runs in runs.values() for run in runs if not run.block):
        _refuse_unfinished(run.part, script)
    up, down = ([run.part for run in runs.get(direction, ())] for direction in ("Up", "Down"))
    return Sections(
        statements(up, script.path, script.engine),
        statements(down, script.path, script.engine) if "Down" in runs else None,
        comments(_head(script.text)),
    )


def _refuse_unfinished(part: Part, script: Script) -> None:
    """goose wants a `;` behind every statement, else it would have to guess where one ends."""
    found = pieces(part, script.path, script.engine)
    last = max((i for i, piece in enumerate(found) if piece.kind is PieceKind.STATEMENT), default=-1)
    if last >= 0 and ";" not in "".join(piece.text for piece in found[last + 1 :]):
        do = "Write a `;` behind it, or put it between StatementBegin and StatementEnd."
        raise BadScript(script.path, found[last].line, "the statement that begins here is never ended", do)


def _fill(texts: Set[str], statement: str, _engine: str, variables: Mapping[str, str]) -> str:
    """Put the environment in where ENVSUB is on. Raises NoValue."""
    if statement not in texts:
        return statement

    def value(match: re.Match[str]) -> str:
        braced, operator, default, bare = match.groups()
        name = braced or bare
        found = variables.get(name)
        if found is None or (found == "" and operator == ":-"):
            if operator is None:
                raise NoValue(name, match.start())
            return str(default)
        return found

    return _VARIABLE.sub(value, statement)


def _head(text: str) -> str:
    """What stands above the blocks."""
    first = next((mark for mark in MARK.finditer(text) if mark.group(1).upper() in ("UP", "DOWN")), None)
    return text if first is None else text[: first.start()]


def _read(text: str, path: Path) -> Reading:
    reading = Reading(path)
    marks = list(MARK.finditer(text))
    if (stray := first_statement(_head(text))) is not None:
        line = text.count("\n", 0, stray) + 1
        raise BadScript(path, line, "statements that belong to no block", "Write a line `-- +goose Up` above them.")
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=False):  # no mark has no end
        line = text.count("\n", 0, mark.start()) + 1
        reading.mark(mark.group(1), line)
        if reading.direction:
            part = Part(text[mark.end() : end], line)
            if reading.filled and "$$" in part.text:
                do = "Write `-- +goose ENVSUB OFF` above it, and ENVSUB ON below it again."
                where = line + part.text.count("\n", 0, part.text.index("$$"))
                raise BadScript(path, where, "`$$` where goose fills in variables, which takes it apart", do)
            reading.runs[reading.direction].append(Run(part, reading.block > 0, reading.filled))
    if reading.block:
        what, do = "the StatementBegin of this line is never ended", "Write `-- +goose StatementEnd` behind it."
        raise BadScript(path, reading.block, what, do)
    if "Up" not in reading.runs:
        raise BadScript(path, 1, "no `-- +goose Up`", "Write that line above the statements.")
    return reading
