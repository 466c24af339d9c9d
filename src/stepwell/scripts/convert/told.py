"""A script of any format, told in parts that can be written in another: text as it stands, and names of variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stepwell.scripts.front import Guard
from stepwell.scripts.script import Script, Sections, Statement
from stepwell.scripts.variables import NoValue

_OPENING, _CLOSING = ("\ue000", "\ue002", "\ue004"), ("\ue001", "\ue003", "\ue005")
"""Characters that no script holds, to tell a variable's name by where its value would stand."""


class Part(NamedTuple):
    """A piece of a text; with `variable` it is the name of one, whose value stands there."""

    text: str
    variable: bool = False


Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A statement in parts, with the comments around it."""

    parts: Parts
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """All that a script says. `down` is None where there is no way back, and `head` are comments about all of it.

    `transaction` is False for one whose statements stand by themselves. `names` are the variables that it uses, and
    `filled` those whose value was put in, because they have it from the file alone.
    """

    script: Script
    up: tuple[Said, ...]
    down: tuple[Said, ...] | None
    head: tuple[str, ...]
    guards: tuple[tuple[Parts, Guard], ...]
    transaction: bool | None
    sections: Sections
    names: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)


def tell(script: Script, variables: Mapping[str, str]) -> Told:
    """Read a script to its end. Raises BadScript."""
    front = script.front
    transaction = front.transaction
    if script.delegate:
        sections, alone = script.delegate.written()
        transaction = False if alone else transaction
    else:
        sections = script.sections
    reading = _Reading(script, set(variables))
    return Told(
        script,
        reading.all(sections.up),
        None if sections.down is None else reading.all(sections.down),
        sections.head,
        tuple((reading.parts(guard.query), guard) for guard in front.guards),
        transaction,
        sections,
        reading.names,
        reading.filled,
    )


@dataclass(slots=True)
class _Reading:
    """The statements of a script, as far as they are read. `known` are the variables that have a value."""

    script: Script
    known: set[str]
    names: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)

    def all(self, statements: Iterable[Statement]) -> tuple[Said, ...]:
        return tuple(Said(self.parts(one.text), one.above, one.below) for one in statements)

    def parts(self, text: str) -> Parts:
        """A text in turns as it is and the names of variables."""
        if self.script.delegate or "$" not in text:
            return (Part(text),)
        opening, closing = (next(mark for mark in marks if mark not in text) for marks in (_OPENING, _CLOSING))
        values = _Marks(self.known, opening, closing)
        while True:
            try:
                marked = self.script.fill(text, self.script.engine, values)
                break
            except NoValue as missing:  # it will have a value where the script runs
                self.known.add(missing.name)
        found = re.split(f"{opening}([^{closing}]*){closing}", marked)
        self.names.update(found[1::2])
        self.filled.update(name for name in values.missing - self.known if f"${{{name}" not in marked)
        return tuple(Part(part, index % 2 == 1) for index, part in enumerate(found) if part)


@dataclass(slots=True)
class _Marks(Mapping[str, str]):
    """Stands for the variables while a text is filled in: a known one leaves its name, others are noted."""

    known: set[str]
    opening: str
    closing: str
    missing: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> str:
        if name in self.known:
            return f"{self.opening}{name}{self.closing}"
        self.missing.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)
