"""How many rows the next batch has, so that batches take the time they should.

The longest of the last batches' durations a row, not their mean, sets the size: what matters is how long writers wait.
A step grows by half at most, so that one quick batch of empty rows does not make the next one huge, and shrinks
at once. (The rule of block/spirit's chunker, with its constants: the 90th percentile of the last ten.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

GROWTH = 1.5
MEMORY = 10
SMALLEST = 10
LARGEST = 1_000_000


@dataclass(slots=True)
class BatchSize:
    """`rows` for the next batch, aiming at `target` seconds."""

    rows: int
    target: float
    _pace: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))

    def learn(self, rows: int, seconds: float) -> None:
        """Take a batch into account: its rows and the seconds it took."""
        if rows == 0:
            return
        self._pace.append(seconds / rows)
        slow = sorted(self._pace)[int(0.9 * (len(self._pace) - 1) + 0.5)]
        wanted = self.target / slow if slow > 0 else LARGEST
        self.rows = int(max(SMALLEST, min(wanted, self.rows * GROWTH, LARGEST)))

    def panic(self) -> None:
        """A batch was too much for the server: go on with a fifth."""
        self.rows = max(SMALLEST, self.rows // 5)
        self._pace.clear()
