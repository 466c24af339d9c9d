"""The way with an indexed integer key: every engine orders integers alike, so a range has the same rows on both sides.

Both tables are cut into the same ranges of keys, by the least and the greatest key and the number of rows there may
be. Of each range both databases give a digest, at the same time, some ranges ahead. Where two digests differ, one more
statement gives those of its parts, so small that the rows of parts that differ are fetched.

A range may hold far more rows than expected, where keys lie unevenly. Its digest is then given up at a bound, and the
range is divided as well, between the least and the greatest key that it really has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby

from stepwell.checks.diff.pairs import Pair
from stepwell.checks.diff.rows import Finished, Found, differences
from stepwell.checks.diff.side import Digest, Side

ROWS = 16_384
"""Rows of a range, roughly: the digest of so many takes some 20 ms, in which a statement's own cost is lost."""

FEW = 512
"""Rows of a part, roughly, that is fetched where it differs."""

PARTS = 16
"""Into how many a range is divided, at least, whose keys lie unevenly."""

SPARSE = 4
"""How many keys a row there may be in a range whose keys are taken to lie evenly."""

AHEAD = 4
"""Ranges that each database is asked for before the answer to the first is looked at."""


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `low` to `high`, both included."""

    low: int
    high: int

    def condition(self, key: str) -> str:
        return f"{key} BETWEEN {self.low} AND {self.high}"

    def parts(self, count: int) -> Iterator[Range]:
        """The same keys in at most `count` ranges of one width."""
        width = -(-(self.high - self.low + 1) // count)
        for low in range(self.low, self.high + 1, width):
            yield Range(low, min(low + width - 1, self.high))


Sides = tuple[Side, Side]


def walk(left: Side, right: Side, pairs: Sequence[Pair], rows: int, after: Finished | None = None) -> Iterator[Found]:
    """Differences in the order of the key; after each range, that it is finished. NULL keys come first.

    `rows` is how many there may be, `after` what an earlier run had finished. Raises KeyTooWide, DiffBroken.
    """
    sides = (left, right)
    if after is None and any(side.key[0].column.nullable for side in sides):
        yield from _of_null(sides, pairs)
    condition = "1 = 1" if after is None or after.upto is None else f"{{}} > {after.upto}"
    if whole := _narrowed(sides, condition):
        yield from _compared(sides, pairs, whole.parts(max(1, rows // min(ROWS, left.most, right.most))), top=True)


def _of_null(sides: Sides, pairs: Sequence[Pair]) -> Iterator[Found]:
    """The rows whose key is NULL: those of one key."""
    conditions = [f"{side.number} IS NULL" for side in sides]
    counts = [side.ask(side.count, condition) for side, condition in zip(sides, conditions, strict=True)]
    left, right = (count.result() for count in counts)
    if left or right:
        yield from _fetched(sides, pairs, None)
        yield Finished(None, left, right)


def _compared(sides: Sides, pairs: Sequence[Pair], ranges: Iterator[Range], top: bool) -> Iterator[Found]:
    asked: deque[tuple[Range, list[Future[Digest]]]] = deque()
    while True:
        while len(asked) < AHEAD and (one := next(ranges, None)):
            asked.append((one, [side.ask(side.digest, one.condition(side.number)) for side in sides]))
        if not asked:
            return
        span, answers = asked.popleft()
        left, right = (answer.result() for answer in answers)
        full = left[0] > sides[0].most or right[0] > sides[1].most
        if full:
            left, right = _counted(sides, span)
        if full or left != right:
            yield from _divided(sides, pairs, span, max(left[0], right[0]), full)
        if top:
            yield Finished(span.high, left[0], right[0])


def _divided(sides: Sides, pairs: Sequence[Pair], span: Range, rows: int, full: bool) -> Iterator[Found]:
    if not full and (rows <= FEW or span.high - span.low < SPARSE * rows):
        yield from _parts_compared(sides, pairs, span, rows)
        return
    narrow = _narrowed(sides, span.condition("{}"))
    if narrow is None:  # its rows are gone by now
        return
    if narrow.low == narrow.high:
        yield from _fetched(sides, pairs, narrow)
    else:
        yield from _compared(sides, pairs, narrow.parts(max(PARTS, rows // ROWS)), top=False)


def _parts_compared(sides: Sides, pairs: Sequence[Pair], span: Range, rows: int) -> Iterator[Found]:
    """What differs in a range without gaps worth mentioning. Parts that differ and lie together are fetched at once."""
    parts = list(span.parts(max(1, rows // FEW)))
    if len(parts) == 1:
        yield from _fetched(sides, pairs, span)
        return
    width = parts[0].high - parts[0].low + 1
    asked = [side.ask(side.digests, span.condition(side.number), span.low, width) for side in sides]
    left, right = (answer.result() for answer in asked)
    for differs, together in groupby(enumerate(parts), key=lambda part: left.get(part[0]) != right.get(part[0])):
        if differs:
            run = [part for _, part in together]
            yield from _fetched(sides, pairs, Range(run[0].low, run[-1].high))


def _fetched(sides: Sides, pairs: Sequence[Pair], span: Range | None) -> Iterator[Found]:
    """What differs in a range, row by row; None: the rows whose key is NULL."""
    left, right = (
        side.rows(
            span.condition(side.number) if span else f"{side.number} IS NULL",
            side.sql.text(side.key[0]),
            order=side.number,
        )
        for side in sides
    )
    yield from differences(left, right, 1, pairs, order=lambda digits: int(digits or 0))


def _counted(sides: Sides, span: Range) -> tuple[Digest, Digest]:
    """How many rows a range has whose digests were given up."""
    counts = [side.ask(side.count, span.condition(side.number)) for side in sides]
    left, right = (count.result() for count in counts)
    return (left, None), (right, None)


def _narrowed(sides: Sides, condition: str) -> Range | None:
    """From the least to the greatest key of either side that a condition finds."""
    asked = [side.ask(side.ends, condition.format(side.number)) for side in sides]
    ends = [found for one in asked if (found := one.result())]
    return Range(min(low for low, _ in ends), max(high for _, high in ends)) if ends else None
