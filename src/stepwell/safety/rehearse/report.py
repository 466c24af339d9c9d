"""What a rehearsal found out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """A script or a job that ran. `rows` are those that a job migrated, `failed` those that it could not."""

    reference: str
    seconds: float
    rows: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """A table that was locked against others, for how many seconds on end at most, seen while `step` ran."""

    database: str
    table: str
    mode: str
    seconds: float
    step: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The size of a database in bytes before and after the way forth."""

    database: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check came out."""

    check: str
    holds: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A rehearsal as far as it came.

    `copies` says of each database how its copy was made. `signed` are the sign-offs that were taken for given.
    `waiting` are steps that never started. `undone` are the steps taken back before the contract, `stayed` says why
    others were not. `error` is the trouble that ended it early, `exit_code` what the command ends with.
    """

    copies: dict[str, str]
    seconds: float
    steps: list[Step] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    disk: list[Disk] = field(default_factory=list)
    checks: list[Verdict] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    stayed: str = ""
    error: str = ""
    exit_code: int = 0

    @property
    def summary(self) -> str:
        """All of it on one line, as it is kept in the history."""
        if self.error:
            return f"failed after {self.seconds:.1f} s: {self.error.splitlines()[0]}"
        failing = [verdict for verdict in self.checks if not verdict.holds]
        checks = f"{len(self.checks) - len(failing)} of {len(self.checks)} checks hold"
        left = f", {len(self.waiting)} never started" if self.waiting else ""
        back = f", {self.stayed}" if self.stayed else f", the way back holds ({len(self.undone)} undone)"
        steps = "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps"
        return f"{steps} in {self.seconds:.1f} s, {checks}{left}{back}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"summary": self.summary}


def files_of(scripts: Iterable[str], folder: Path) -> str:
    """What tells whether a rehearsal was of these scripts, jobs and checks: `files` and a hash of all their texts."""
    digest = hashlib.sha256("\0".join(scripts).encode())
    for path in sorted(path for part in ("jobs", "checks") for path in (folder / part).glob("*") if path.is_file()):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return f"files {digest.hexdigest()[:12]}"
