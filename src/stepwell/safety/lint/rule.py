"""What a rule is: one danger, told so that the manual, the message and the tests come from one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from stepwell.safety.lint.reading import Change, Reading

EVERY = ("postgres", "mysql", "sqlite", "clickhouse")


class Level(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a rule has to say at a line of the script: what happens to a running system, and the safe way."""

    line: int
    what: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One danger. `about` is its passage in the manual, `bad` and `good` are whole scripts; the tests run both."""

    name: str
    level: Level
    engines: tuple[str, ...]
    about: str
    bad: str
    good: str
    find: Callable[[Reading], Iterator[Remark]]


def remark(change: Change, what: str, do: str, offset: int | None = None) -> Remark:
    """A remark on a statement, at an offset in it."""
    return Remark(change.line(change.offset if offset is None else offset), what, do)
