"""What is asked of a statement that refuses a transaction and leaves traces that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from stepwell.databases.database import Evidence, Finding

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Sends a statement with `?` placeholders and returns its rows."""

Repair = Callable[[str], None]
"""Sends a statement that removes or finishes a half-done thing."""


class Visible(Protocol):
    """One class a kind of statement; its fields are what was read from the text."""

    patient: ClassVar[bool]
    """Whether it blocks nobody while it waits for a lock, so that it may wait for as long as it takes."""

    def evidence(self, query: Query) -> Evidence:
        """Read what is there before the statement runs."""

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Compare with what is there now."""
