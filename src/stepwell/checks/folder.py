"""The folder of checks: SQL files, and Python files with a function `check`. What is wrong in one is said at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from stepwell import durations
from stepwell.checks.definition import Check, Side, Tolerance
from stepwell.databases.lexing import Reader
from stepwell.errors import BadCheck, BadScript, MissingVariable, did_you_mean
from stepwell.scripts import source
from stepwell.scripts.pieces import Piece, PieceKind, Unsplittable
from stepwell.scripts.splitter import split
from stepwell.scripts.variables import NoValue, fill

KEYS = ("expect", "tolerance", "requires", "timeout", "empty")

EXPECTATIONS = ("no rows", "zero", "equal", "match on KEY", "unchanged since SNAPSHOT")

READS = ("SELECT", "WITH", "VALUES", "TABLE", "(", "FROM")
"""What a statement that only reads begins with."""

_SECTION = re.compile(r"--[ \t]*database[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_LINE = re.compile(r"(?:--|#)\s*([a-z][a-z-]*)[ \t]*:(?!//)\s*(.*?)\s*$")
_TOLERANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")
_EXPECT = re.compile(r"(no rows|zero|equal)|match on (.+)|unchanged since (\S+)", re.IGNORECASE)


def load(folder: Path, engines: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, Check]:
    """All checks of a folder, by name. `engines` are those of the project's databases.

    Raises BadCheck, MissingVariable.
    """
    found: dict[str, Check] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith((".", "_")) or path.suffix not in (".py", ".sql"):
            continue
        try:
            text, _ = source.read(path)
        except BadScript as error:
            raise BadCheck(path, error.line, error.what, error.do) from None
        check = _Sql(path, text, engines, variables).read() if path.suffix == ".sql" else _python(path, text)
        if other := found.get(check.name):
            raise BadCheck(path, 0, f"{other.path.name} is the check {check.name} already", "Rename one of the two.")
        found[check.name] = check
    return found


def _name(path: Path) -> str:
    return path.stem.replace("_", "-")


@dataclass(slots=True)
class _Head:
    """What the first comment lines say."""

    path: Path
    said: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    about: list[str] = field(default_factory=list)

    def read(self, text: str) -> None:
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.startswith(("--", "#")):
                continue
            found = _LINE.match(line)
            if found is None:
                self.about.append(line.lstrip("-# ").rstrip())
                continue
            key, written = found.groups()
            if key not in KEYS:
                what = f"unknown key {key!r}{did_you_mean(key, KEYS)}"
                do = f"The keys are {', '.join(KEYS)}. An ordinary comment begins with a capital letter."
                raise BadCheck(self.path, number, what, do)
            if key in self.said:
                raise BadCheck(self.path, number, f"`{key}` is said a second time", "Keep one of the two lines.")
            self.said[key], self.lines[key] = self._value(key, written, number), number

    def _value(self, key: str, written: str, line: int) -> Any:
        def wrong(do: str) -> BadCheck:
            return BadCheck(self.path, line, f"`{key}` can't be {written!r}", do)

        match key:
            case "expect":
                if not (found := _EXPECT.fullmatch(written)):
                    raise wrong(f"Write one of: {'; '.join(EXPECTATIONS)}.")
                return found.groups()
            case "tolerance":
                if not (found := _TOLERANCE.fullmatch(written)):
                    raise wrong("Write a number such as 5, or a percentage such as 0.1 %.")
                amount = Decimal(found[1])
                return Tolerance(amount / 100, relative=True) if found[2] else Tolerance(amount)
            case "timeout":
                if not (span := durations.seconds(written)):
                    raise wrong("Write it as 250 ms, 60 s, 5 min or 2 h.")
                return span
            case "empty":
                if written != "accept":
                    raise wrong("Write `accept`, or take the line away.")
                return True
        names = tuple(name.strip() for name in written.split(","))
        if not all(names):
            raise wrong("Write references separated by commas: state/0042, job/items-total.")
        return names

    def common(self) -> dict[str, Any]:
        """What every check has, as fields of `Check`."""
        said = {key: self.said[key] for key in ("requires", "timeout", "tolerance") if key in self.said}
        return said | {"accepts_empty": self.said.get("empty", False)}


@dataclass(slots=True)
class _Sql:
    """An SQL file on its way to being a check."""

    path: Path
    text: str
    engines: Mapping[str, str]
    variables: Mapping[str, str]

    def wrong(self, line: int, what: str, do: str) -> BadCheck:
        return BadCheck(self.path, line, what, do)

    def read(self) -> Check:
        sections = list(_SECTION.finditer(self.text))
        top = self.text[: sections[0].start()] if sections else self.text
        head = _Head(self.path)
        head.read(top)
        if "expect" not in head.said:
            raise self.wrong(1, "it does not say what it expects", f"Write `-- expect: {' | '.join(EXPECTATIONS)}`.")
        expect_line = head.lines["expect"]
        plain, key, snapshot = head.said["expect"]
        expect = (plain or ("match" if key else "unchanged")).lower()
        sides = self.sides(sections)
        several = expect in ("equal", "match")
        if several and len(sides) < 2:
            what = f"`{expect}` compares databases, and there is one section"
            raise self.wrong(expect_line, what, "Write a second one, begun by `-- database: NAME`.")
        if not several and len(sides) > 1:
            what = f"`{expect}` is about one statement, and this is a second section"
            raise self.wrong(sides[1].line, what, "Take it away, or expect `equal` or `match on KEY`.")
        if "tolerance" in head.said and expect not in ("equal", "match", "unchanged"):
            raise self.wrong(
                head.lines["tolerance"], f"`{expect}` compares nothing that could be near", "Take it away."
            )
        columns = tuple(name.strip() for name in key.split(",")) if key else ()
        if key and not all(columns):
            raise self.wrong(expect_line, "the key lacks a column", "Write `match on one` or `match on one, another`.")
        about = " ".join(head.about)
        return Check(_name(self.path), self.path, about, expect, sides, columns, snapshot or "", **head.common())

    def sides(self, sections: list[re.Match[str]]) -> tuple[Side, ...]:
        if not sections:
            do = "Begin each statement by a line `-- database: NAME`."
            raise self.wrong(1, "it does not say where its statement runs", do)
        between = self.text[: sections[0].start()]
        for number, line in enumerate(between.split("\n"), start=1):
            if line.strip() and not line.startswith("--"):
                raise self.wrong(number, "this stands before the first section", "Begin it by `-- database: NAME`.")
        ends = [*(found.start() for found in sections[1:]), len(self.text)]
        return tuple(self.side(found, end) for found, end in zip(sections, ends, strict=True))

    def side(self, found: re.Match[str], end: int) -> Side:
        line = self.text.count("\n", 0, found.start()) + 1
        name = found[1]
        if name not in self.engines:
            hint = did_you_mean(name, self.engines)
            raise self.wrong(line, f"no database {name!r} in this project{hint}", f"It has {', '.join(self.engines)}.")
        engine, text = self.engines[name], self.text[found.end() : end]
        try:
            pieces = [piece for piece in split(text, engine) if piece.kind is PieceKind.STATEMENT]
        except Unsplittable as error:
            raise self.wrong(line + error.line - 1, error.what, error.do) from None
        if not pieces:
            raise self.wrong(line, "no statement stands in this section", "Write one SELECT below the line.")
        if len(pieces) > 1:
            raise self.wrong(line + pieces[1].line - 1, "a second statement in one section", "Keep one SELECT in it.")
        place = line + pieces[0].line - 1
        statement = self.filled(pieces[0], engine, place)
        if Reader(statement, engine).peek() not in READS:
            raise self.wrong(place, "this is no SELECT", "A check only reads; what changes something is a script.")
        return Side(name, statement, place)

    def filled(self, piece: Piece, engine: str, line: int) -> str:
        try:
            return fill(piece.text, engine, self.variables)
        except NoValue as missing:
            where = line + piece.text.count("\n", 0, missing.offset)
            raise MissingVariable(missing.name, self.path, where) from None


def _python(path: Path, text: str) -> Check:
    head = _Head(path)
    lines = text.split("\n")
    top = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head.read("\n".join(lines[:top]))
    for key in ("expect", "tolerance", "empty"):
        if key in head.said:
            do = "A Python check gives the rows that should not be; take this line away."
            raise BadCheck(path, head.lines[key], f"`{key}` does not belong in Python", do)
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # a check is code that its project trusts
    except SyntaxError as error:
        raise BadCheck(path, error.lineno or 0, f"not valid Python: {error.msg}", "Correct it.") from None
    except Exception as error:
        raise BadCheck(path, 0, f"can't be loaded: {type(error).__name__}: {error}", "Correct it.") from error
    function = getattr(module, "check", None)
    if not callable(function):
        raise BadCheck(path, 0, "there is no function `check` in it", "Write `def check(on): …`; it yields bad rows.")
    about = (function.__doc__ or module.__doc__ or "").strip().split("\n")[0]
    return Check(_name(path), path, about, "no rows", function=function, **head.common())
