"""A job as its file says it, before it is looked at whether that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell.errors import BadJob
from stepwell.jobs.batch import Batch, Connections


@dataclass(frozen=True, slots=True)
class Draft:
    """`said` are values by the names of Job, `lines` where they stand in the file."""

    name: str
    path: Path
    line: int
    about: str
    said: Mapping[str, Any]
    lines: Mapping[str, int]
    migrate: Callable[[Batch], None]
    undo: Callable[[Connections], None] | tuple[str, ...] = ()
    reopen: Callable[[tuple[Any, ...], Connections], None] | None = None

    def wrong(self, name: str, what: str, do: str) -> BadJob:
        """The trouble with what is said under a name; '' for the job as a whole."""
        return BadJob(self.path, self.lines.get(name, self.line), f"job {self.name}: {what}", do)

    def cannot_be(self, name: str, value: Any, do: str) -> BadJob:
        return self.wrong(name, f"`{name}` can't be {value!r}", do)
