"""What a script is: a version of one database, with what it asks for and how it is done and undone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from stepwell.errors import MissingVariable
from stepwell.scripts import python
from stepwell.scripts.front import FrontMatter
from stepwell.scripts.variables import NoValue, fill


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a script. `line` is where it begins in the file, `index` counts from 1 in its direction.

    `above` are the comments that stand between it and the one before, `below` those behind the last one.
    """

    text: str
    line: int
    index: int
    parameters: tuple[Any, ...] = ()
    above: tuple[str, ...] = field(default=(), repr=False, compare=False)
    below: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def checksum(self) -> str:
        """SHA-256 in hex of what is sent; both kinds of line ends give the same."""
        content = self.text.replace("\r\n", "\n")
        if self.parameters:
            content += f"\n{self.parameters!r}"
        return hashlib.sha256(content.encode()).hexdigest()


_WAS_LINE = re.compile(r"^(?:--|#)[ \t]*was[ \t]*:[^\n]*\n", re.MULTILINE)


def sealed(text: str, checksum: str) -> str:
    """The seal of a converted script: SHA-256 in hex of what it was by its checksum, and of all that it says now."""
    return hashlib.sha256(f"{checksum}\n{_WAS_LINE.sub('', text, count=1)}".encode()).hexdigest()


Fill = Callable[[str, str, Mapping[str, str]], str]
"""Puts the values of variables into a statement of an engine. Raises NoValue."""


def verbatim(statement: str, _engine: str, _variables: Mapping[str, str]) -> str:
    """For formats without variables: `${NAME}` is sent as it stands."""
    return statement


@dataclass(frozen=True, slots=True)
class Sections:
    """The statements of an SQL script as written, variables and all; `down` is None where there is no way back.

    `head` are the comments that stand above both ways.
    """

    up: tuple[Statement, ...]
    down: tuple[Statement, ...] | None
    head: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delegate:
    """A version that another tool runs, through its own environment and on a connection of its own.

    `command` names what it does, for a person. `run` takes `up` or `down`; `applied` asks the tool's own record, and
    `record` writes it without running anything. `atomic`: the tool's record commits with what it tells of. `written`
    gives the statements that it would send, and whether they can't be one transaction.
    """

    command: str
    reversible: bool
    atomic: bool
    applied: Callable[[], bool]
    run: Callable[[str], None]
    record: Callable[[str], None]
    written: Callable[[], tuple[Sections, bool]]


@dataclass(frozen=True)  # no slots: what is found out late is kept in __dict__
class Script:
    """One file of a database's scripts, SQL or Python.

    `version` is the file's name without endings, such as 0006_tenant_columns, or what another tool knows it by;
    `checksum` is the SHA-256 in hex of what it holds. Only the front matter is read at once. `cut` is the way of the
    file's format to find the statements, and is called when they are wanted first; a Python script has none, nor has
    one with a `delegate`. `fill` is the format's way with variables. A script of a tool that keeps no strict order may
    come `late`: after others that sort behind it. An edit from one of the checksums in `accepts` is meant; `*` stands
    for all.
    """

    database: str
    version: str
    path: Path
    engine: str
    checksum: str
    front: FrontMatter
    text: str = field(repr=False)
    cut: Callable[[Script], Sections] | None = field(repr=False, compare=False)
    fill: Fill = field(default=fill, repr=False, compare=False)
    late: bool = False
    accepts: frozenset[str] = frozenset()
    delegate: Delegate | None = field(default=None, repr=False, compare=False)

    @property
    def reference(self) -> str:
        return f"{self.database}/{self.version}"

    def says_what(self, checksum: str) -> bool:
        """Whether this is, unedited, what had a checksum in the format that it was converted from."""
        return self.front.seal in ("any", sealed(self.text, checksum))

    @property
    def is_python(self) -> bool:
        return self.cut is None

    @property
    def reversible(self) -> bool:
        """Whether it holds a way back. A Python script is parsed for it, not run. Raises BadScript."""
        if self.delegate is not None:
            return self.delegate.reversible
        if self.cut is None:
            return "down" in self._functions_named
        return self.sections.down is not None

    @cached_property
    def sections(self) -> Sections:
        """The statements as written. Raises BadScript."""
        assert self.cut is not None, f"{self.path} is a Python script; ask for its functions"
        return self.cut(self)

    def statements(self, direction: str, variables: Mapping[str, str]) -> list[Statement]:
        """The statements of `up` or `down`, with the values of variables in them; none where there is no way back.

        Raises BadScript, MissingVariable.
        """
        written = self.sections.up if direction == "up" else self.sections.down or ()
        return [replace(one, text=self._filled(one, variables)) for one in written]

    def function(self, direction: str) -> python.Function | None:
        """The function `up` or `down` of a Python script, whose module is run for it. Raises BadScript."""
        return self._functions.get(direction)

    @cached_property
    def _functions_named(self) -> frozenset[str]:
        return python.names(self.text, self.path)

    @cached_property
    def _functions(self) -> dict[str, python.Function]:
        return python.load(self.text, self.path)

    def _filled(self, statement: Statement, variables: Mapping[str, str]) -> str:
        try:
            return self.fill(statement.text, self.engine, variables)
        except NoValue as missing:
            line = statement.line + statement.text.count("\n", 0, missing.offset)
            raise MissingVariable(missing.name, self.path, line) from None
