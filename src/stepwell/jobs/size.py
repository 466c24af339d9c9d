"""How many rows the next batch has, so that batches take the time they should.

The longest of the last batches' durations a row, not their mean, sets the size: what matters is how long writers wait.
A step grows by half at most, so that one quick batch of empty rows does not make the next one huge, and shrinks
at once. (The rule of block/spirit's chunker, with its constants: the 90th percentile of the last ten.)

What a batch takes however few its rows are, such as the way to a server far away, is told from batches of several
sizes and counts for no row. Where it is most of the time that a batch should take, fewer rows would hardly help: the
rows may then take as long as it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

GROWTH = 1.5
MEMORY = 10
SMALLEST = 10

TOLD_APART = 2
"""How many times the rows of the smallest batch the largest must have, for the two to tell what the rows take."""

LARGEST = 1_000_000


@dataclass(slots=True)
class BatchSize:
    """`rows` for the next batch, aiming at `target` seconds."""

    rows: int
    target: float
    _seen: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MEMORY))
    _fixed: float = 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """Take a batch into account: its rows and the seconds it took."""
        if rows == 0:
            return
        self._seen.append((rows, seconds))
        self._learn_fixed()
        paces = sorted((taken - self._fixed) / of for of, taken in self._seen)
        slow = paces[int(0.9 * (len(paces) - 1) + 0.5)]
        wanted = max(self.target - self._fixed, self._fixed) / slow if slow > 0 else LARGEST
        self.rows = int(max(SMALLEST, min(wanted, self.rows * GROWTH, LARGEST)))

    def _learn_fixed(self) -> None:
        """Seconds that a batch takes without any rows: by its smallest and its largest, and no more than any took."""
        (fewest, quick), (most, slow) = min(self._seen), max(self._seen)
        if most >= TOLD_APART * fewest:
            self._fixed = max(0.0, quick - max(0.0, (slow - quick) / (most - fewest)) * fewest)
        self._fixed = min(self._fixed, *(seconds for _, seconds in self._seen))

    def panic(self) -> None:
        """A batch was too much for the server: go on with a fifth."""
        self.rows = max(SMALLEST, self.rows // 5)
        self._seen.clear()
