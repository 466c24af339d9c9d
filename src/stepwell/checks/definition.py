"""What a check's author writes: what is read, from where, and what must be true of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from stepwell.databases.database import Database

TIMEOUT = 300.0
"""Seconds after which a check that says nothing else is given up: that is an error, never a pass."""

On = Callable[[str], Database]
"""Gives a Python check the database of a name, connected."""

Function = Callable[[On], Iterable[Any]]
"""A Python check: the rows that should not be."""


@dataclass(frozen=True, slots=True)
class Side:
    """One statement of a check, and where it stands in the file."""

    database: str
    text: str
    line: int

    @property
    def checksum(self) -> str:
        """SHA-256 in hex of the statement."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may lie apart: by an amount, or by a part of the first one."""

    amount: Decimal
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A check. `expect` is no rows, zero, equal, match or unchanged.

    `key` are the columns that rows of a match are paired by, `snapshot` what an unchanged one is compared with.
    `timeout` is seconds. `accepts_empty`: two sides without a row are the same, not a check that looked at nothing.
    A Python check has a function instead of sides.
    """

    name: str
    path: Path
    about: str
    expect: str
    sides: tuple[Side, ...] = ()
    key: tuple[str, ...] = ()
    snapshot: str = ""
    tolerance: Tolerance | None = None
    requires: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    accepts_empty: bool = False
    function: Function | None = None

    @property
    def reference(self) -> str:
        return f"check/{self.name}"

    @property
    def checksum(self) -> str:
        """SHA-256 in hex of what it looks at and expects: another text may come out otherwise."""
        said = (self.expect, self.key, self.snapshot, self.tolerance, self.accepts_empty)
        code = self.path.read_text(encoding="utf-8") if self.function else ""
        content = repr((said, [(side.database, side.text) for side in self.sides], code))
        return hashlib.sha256(content.encode()).hexdigest()

    def where(self, side: Side | None = None) -> str:
        """file:line of the check, or of one of its statements."""
        return f"{self.path}:{side.line if side else 1}"
