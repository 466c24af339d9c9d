"""How hard a database is at work, as it measures itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """One measure of how hard a database is at work, such as 'replica lag'.

    `unit` is 's', 'threads', 'parts' or 'share': 1 is then all that the server can take.
    """

    name: str
    value: float
    unit: str
