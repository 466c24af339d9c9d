"""What a runbook's author writes: phases of items, the way back, and what people should know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SIGNED = ("signoff", "manual")
"""Kinds of items that a person answers for. All others tick themselves."""

KINDS = ("doctor", "rehearsal", "snapshot", "job", "check", *SIGNED)
"""What a reference may begin with; with anything else it is a script's, DATABASE/VERSION."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a runbook. Without a reference it is text; `undo` means the step is to be taken back.

    `by` names who may sign; empty: anybody.
    """

    reference: str
    line: int
    about: str = ""
    by: tuple[str, ...] = ()
    undo: bool = False

    @property
    def kind(self) -> str:
        """One of KINDS, 'script', or 'text'."""
        word = self.reference.partition("/")[0]
        return "text" if not self.reference else word if word in KINDS else "script"

    @property
    def name(self) -> str:
        """What stands behind the kind."""
        return self.reference.partition("/")[2]

    @property
    def label(self) -> str:
        return f"undo {self.reference}" if self.undo else self.reference


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    about: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook. `criteria` are what must hold at its end, `rollback` is the way back, empty where there is none.

    `risks` are pairs of what may go wrong and what then; `contacts` pairs of who and how to reach them.
    """

    name: str
    path: Path
    title: str
    about: str
    phases: tuple[Phase, ...]
    criteria: Phase
    rollback: Phase
    risks: tuple[tuple[str, str], ...] = ()
    contacts: tuple[tuple[str, str], ...] = ()

    def where(self, item: Item) -> str:
        return f"{self.path}:{item.line}"

    @property
    def sections(self) -> tuple[Phase, ...]:
        """All that has items, in the order in which it is shown."""
        return tuple(phase for phase in (*self.phases, self.criteria, self.rollback) if phase.items)

    @property
    def to_do(self) -> tuple[Item, ...]:
        """What is to be done or to hold for the runbook to be at its end."""
        return tuple(item for phase in (*self.phases, self.criteria) for item in phase.items if item.reference)
