"""Changelogs in formatted SQL: `--liquibase formatted sql`, then changesets, each below a line `--changeset`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepwell.errors import BadScript, did_you_mean
from stepwell.scripts.formats.cutting import Part
from stepwell.scripts.formats.liquibase.changeset import Changeset, attribute
from stepwell.scripts.formats.liquibase.properties import Properties
from stepwell.scripts.front import Guard

HEADER = re.compile(r"\s*--[ \t]*liquibase[ \t]+formatted[ \t]+sql\b[ \t]*(.*?)[ \t]*(?:\n|\Z)", re.IGNORECASE)

_DIRECTIVE = re.compile(r"^[ \t]*-{1,2}([ \t]*)([A-Za-z][\w-]*)[ \t]*:?[ \t]*(.*?)[ \t\r]*$")
_DIRECTIVES = (
    "changeset",
    "rollback",
    "comment",
    "validCheckSum",
    "preconditions",
    "precondition-sql-check",
    "property",
)
_REFUSED = ("ignoreLines", "precondition-table-exists", "precondition-view-exists")
_BY_NAME = {name.lower(): name for name in (*_DIRECTIVES, *_REFUSED)}
_NEARLY = frozenset({"comments", "changesets", "rollbacks", "properties", "precondition"})
"""Ordinary words of a comment that only look like a directive when they stand behind `-- `."""

_BLOCK = re.compile(r"^[ \t]*/\*[ \t]*liquibase[ \t]+rollback[ \t\r]*$", re.IGNORECASE)
_IDENTITY = re.compile(r'("[^"]+"|[^\s:"]+):("[^"]+"|\S+)(?=\s|\Z)')
_PAIR = re.compile(r'\s*([\w-]+):("(?:[^"])*"|\'[^\']*\'|\S+)(?=\s|\Z)')
_CONDUCT = {"HALT": "halt", "CONTINUE": "skip", "MARK_RAN": "mark", "WARN": "run"}
_SAME = ("changesetid", "changesetauthor", "changesetpath")


@dataclass(slots=True)
class _Open:
    """The changeset that is being read: its lines for each way, kept at their places; other lines are blank there."""

    changeset: Changeset
    up: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    nothing: bool = False
    conduct: dict[str, str] = field(default_factory=dict)

    def take(self, up: str = "", down: str = "") -> None:
        self.up.append(up)
        self.down.append(down)

    def close(self) -> Changeset:
        one = self.changeset
        one.sql = [Part("\n".join(self.up), one.line)]
        if isinstance(one.rollback, str):
            return one
        if any(line.strip() for line in self.down):
            one.rollback = [Part("\n".join(self.down), one.line)]
        elif self.nothing:
            one.rollback = []
        return one


def read(text: str, file: str, path: Path, properties: Properties) -> list[Changeset]:
    """The changesets of one file, which Liquibase names `file`. Raises BadScript."""
    header = HEADER.match(text)
    assert header is not None, "only called for files that begin with the header"
    first = text.count("\n", 0, header.end())
    said = dict(_pairs(header.group(1), path, first))
    for key in said.keys() - {"logicalFilePath", "changeLogId"}:
        what = f"unknown attribute {key!r}{did_you_mean(key, ('logicalFilePath',))}"
        raise BadScript(path, first, what, "Stepwell knows logicalFilePath there.")
    reader = _Reader(said.get("logicalFilePath", file), path, properties)
    for number, line in enumerate(text.split("\n")[first:], start=first + 1):
        reader.line(line, number)
    return reader.end()


class _Reader:
    """The file line by line, as Liquibase reads it."""

    def __init__(self, file: str, path: Path, properties: Properties) -> None:
        self.file, self.path, self.properties = file, path, properties
        self.found: list[Changeset] = []
        self.open: _Open | None = None
        self.block = 0
        self.head: list[str] = []

    def line(self, line: str, number: int) -> None:
        if self.block:
            done = line.strip() == "*/"
            self.block = 0 if done else self.block
            self.within(number).take(down="" if done else line)
            return
        if _BLOCK.match(line):
            self.block = number
            self.within(number).take()
            return
        directive = _DIRECTIVE.match(line)
        if directive is None or not self.directive(*directive.groups(), line=line, number=number):
            if self.open is None:
                if line.strip() and not line.strip().startswith("--"):
                    what = "statements that belong to no changeset"
                    raise BadScript(self.path, number, what, "Write `--changeset author:id` above them.")
                if line.strip():
                    self.head.append(line.strip())
                return
            self.open.take(up=line)

    def directive(self, gap: str, word: str, rest: str, *, line: str, number: int) -> bool:
        """Read a directive; False for an ordinary comment. Raises BadScript."""
        name = _BY_NAME.get(word.lower())
        one_dash = not line.lstrip().startswith("--")
        if name is None:
            if _close(word.lower()) and not (gap and word.lower() in _NEARLY):
                near = did_you_mean(word.lower(), _BY_NAME)
                do = f"Stepwell knows {', '.join(_DIRECTIVES)}. Begin an ordinary comment with another word."
                raise BadScript(self.path, number, f"unknown directive `--{word}`{near}", do)
            return False
        if one_dash:
            if gap:  # `- property` is arithmetic
                return False
            raise BadScript(self.path, number, f"`-{word}` with one dash", f"Write `--{word}`.")
        if name in _REFUSED:
            what = f"the directive `--{name}`, which Stepwell does not know"
            raise BadScript(self.path, number, what, "Write it as `--precondition-sql-check`, or take it away.")
        if name == "changeset":
            self.changeset(rest, number)
        elif name == "property":
            self.property(rest, number)
        else:
            self.inside(name, rest, number)
        return True

    def inside(self, name: str, rest: str, number: int) -> None:
        """Read a directive of the changeset that is open."""
        opened = self.within(number)
        changeset = opened.changeset
        opened.take(down=rest if name == "rollback" and not self.special(rest, number) else "")
        match name:
            case "comment" if rest:
                changeset.comments.append(f"-- {rest}")
            case "validCheckSum":
                value = rest.lower()
                changeset.sums.add("*" if value in ("any", "1:any") else value)
            case "preconditions":
                opened.conduct = {key.lower(): value for key, value in _pairs(rest, self.path, number)}
                self.conduct(opened.conduct, number)
            case "precondition-sql-check":
                changeset.guards.append(self.guard(opened, rest, number))

    def special(self, rest: str, number: int) -> bool:
        """Whether a rollback is one of the words that stand for something else than SQL."""
        opened = self.within(number)
        if rest.lower().rstrip(";").strip() in ("empty", "not required"):
            opened.nothing = True
            return True
        if not rest.lower().startswith(tuple(f"{key}:" for key in _SAME)):
            return False
        said = {key.lower(): value for key, value in _pairs(rest, self.path, number)}
        if not said.keys() <= set(_SAME) or "changesetid" not in said or "changesetauthor" not in said:
            do = "Write `--rollback changesetId:ID changesetAuthor:AUTHOR`."
            raise BadScript(self.path, number, "a rollback that names no changeset", do)
        file = said.get("changesetpath", self.file)
        opened.changeset.rollback = f"{file}::{said['changesetid']}::{said['changesetauthor']}"
        return True

    def changeset(self, rest: str, number: int) -> None:
        self.finish()
        identity = _IDENTITY.match(rest)
        if identity is None:
            what = "a changeset without author and id"
            raise BadScript(self.path, number, what, "Write `--changeset author:id`, in quotes where they have blanks.")
        author, name = (part.strip('"') for part in identity.groups())
        attributes: dict[str, str] = {}
        for key, value in _pairs(rest[identity.end() :], self.path, number):
            attribute(attributes, key, value, self.path, number)
        changeset = Changeset(author, name, self.file, self.path, number, attributes)
        changeset.properties = self.properties.now(self.path)
        changeset.comments, self.head = self.head, []
        self.open = _Open(changeset)
        self.open.take()

    def property(self, rest: str, number: int) -> None:
        said = dict(_pairs(rest, self.path, number))
        self.properties.define(said, self.path, number)
        if self.open:
            self.open.take()

    def conduct(self, said: Mapping[str, str], number: int) -> None:
        known = ("onfail", "onerror", "onfailmessage", "onerrormessage", "onupdatesql", "onsqloutput")
        for key, value in said.items():
            if key not in known:
                what = f"unknown attribute {key!r}{did_you_mean(key, ('onFail', 'onError'))}"
                raise BadScript(self.path, number, what, "Stepwell knows onFail and onError.")
            if key in known[:2] and value.upper() not in _CONDUCT:
                what = f"`{key}` can't be {value!r}{did_you_mean(value.upper(), _CONDUCT)}"
                raise BadScript(self.path, number, what, f"Write {', '.join(_CONDUCT)}.")

    def guard(self, opened: _Open, rest: str, number: int) -> Guard:
        found = re.match(r"expectedResult:(\"[^\"]*\"|'[^']*'|\S+)\s+(\S.*)", rest, re.IGNORECASE)
        if found is None:
            do = "Write `--precondition-sql-check expectedResult:0 SELECT count(*) FROM …`."
            raise BadScript(self.path, number, "a sql-check without expectedResult and query", do)
        fail, error = (_CONDUCT[opened.conduct.get(key, "HALT").upper()] for key in ("onfail", "onerror"))
        return Guard(found.group(2).rstrip("; \t"), found.group(1).strip("\"'"), number, fail, error)

    def within(self, number: int) -> _Open:
        if self.open is None:
            raise BadScript(self.path, number, "it belongs to no changeset", "Write `--changeset author:id` above it.")
        return self.open

    def finish(self) -> None:
        if self.open:
            self.found.append(self.open.close())
        self.open = None

    def end(self) -> list[Changeset]:
        if self.block:
            raise BadScript(self.path, self.block, "the rollback that opens here is never closed", "Write `*/`.")
        self.finish()
        return self.found


def _close(word: str) -> bool:
    """Whether a word is a directive but for a slip: nobody begins an ordinary comment with it."""
    from difflib import SequenceMatcher

    return any(SequenceMatcher(None, word, name).ratio() >= 0.84 for name in _BY_NAME)


def _pairs(text: str, path: Path, line: int) -> list[tuple[str, str]]:
    """`key:value key:"a value"`. Raises BadScript for anything else."""
    found, position = [], 0
    while position < len(text.rstrip()):
        pair = _PAIR.match(text, position)
        if pair is None:
            what = f"can't read {text[position:].strip()!r}"
            raise BadScript(path, line, what, 'Write attributes as key:value, or key:"a value" with blanks.')
        key, value = pair.groups()
        found.append((key, value[1:-1] if value[0] in "\"'" and len(value) > 1 else value))
        position = pair.end()
    return found
