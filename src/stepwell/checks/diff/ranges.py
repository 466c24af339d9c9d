"""The way with an indexed integer key: every engine orders integers alike, so a range has the same rows on both sides.

Both tables are cut into the same parts, by the least and the greatest key and the number of rows there may be. Of many
parts at once both databases give a digest each, in one statement, and work at the same time. A part that differs is
cut again and looked at in the same way, until its rows are so few that they are fetched.

A part may hold far more rows than expected, where keys lie unevenly. Its digest is then given up at a bound, and it is
cut as well, between the least and the greatest key that it really has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

from stepwell.checks.diff.pairs import Pair
from stepwell.checks.diff.rows import Finished, Found, differences
from stepwell.checks.diff.side import Digest, Side

ROWS = 8192
"""Rows of a part, roughly, that the table is cut into."""

PARTS = 16
"""Parts that one statement gives digests of: it has a cost of its own, in ClickHouse that of some 20,000 rows."""

FEW = 1024
"""The most rows that are fetched at once where they differ: a part of a part has half as many, roughly."""

SPARSE = 4
"""How many keys a row there may be in a part whose keys are taken to lie evenly."""

AHEAD = 2
"""Statements that each database is sent before the answer to the first is looked at."""


class Range(NamedTuple):
    """Keys from `low` to `high`, both included."""

    low: int
    high: int

    def condition(self, key: str) -> str:
        return f"{key} BETWEEN {self.low} AND {self.high}"

    def cut(self, count: int) -> Iterator[Range]:
        """The same keys in at most `count` ranges of one width."""
        width = -(-(self.high - self.low + 1) // count)
        for low in range(self.low, self.high + 1, width):
            yield Range(low, min(low + width - 1, self.high))


@dataclass(frozen=True, slots=True)
class Part:
    """A range, how many rows each side has there, and whether their digests are the same."""

    span: Range
    left: int
    right: int
    same: bool

    @property
    def rows(self) -> int:
        return max(self.left, self.right)

    @property
    def fetched(self) -> bool:
        """Whether its rows are so few that they are fetched."""
        return not self.same and self.rows <= FEW


Sides = tuple[Side, Side]


def walk(left: Side, right: Side, pairs: Sequence[Pair], rows: int, after: Finished | None = None) -> Iterator[Found]:
    """Differences in the order of the key; after each part, that it is finished. NULL keys come first.

    `rows` is how many there may be, `after` what an earlier run had finished. Raises KeyTooWide, DiffBroken.
    """
    sides = (left, right)
    if after is None and any(side.key[0].column.nullable for side in sides):
        yield from _of_null(sides, pairs)
    condition = "1 = 1" if after is None or after.upto is None else f"{{}} > {after.upto}"
    if whole := _narrowed(sides, condition):
        for parts in _parts(sides, whole, max(1, rows // min(ROWS, left.most, right.most))):
            for part in parts:
                yield from _differing(sides, pairs, part)
                yield Finished(part.span.high, part.left, part.right)


def _of_null(sides: Sides, pairs: Sequence[Pair]) -> Iterator[Found]:
    """The rows whose key is NULL: those of one key."""
    conditions = [f"{side.number} IS NULL" for side in sides]
    counts = [side.ask(side.count, condition) for side, condition in zip(sides, conditions, strict=True)]
    left, right = (count.result() for count in counts)
    if left or right:
        yield from _fetched(sides, pairs, None)
        yield Finished(None, left, right)


def _parts(sides: Sides, whole: Range, count: int) -> Iterator[list[Part]]:
    """A range in at most `count` parts of one width, those of one statement at a time."""
    ranges = whole.cut(count)
    asked: deque[tuple[list[Range], list[Future[list[Digest]]]]] = deque()
    while True:
        while len(asked) < AHEAD and (spans := list(islice(ranges, PARTS))):
            asked.append((spans, [side.ask(side.digests, spans) for side in sides]))
        if not asked:
            return
        spans, answers = asked.popleft()
        yield _answered(sides, spans, *(answer.result() for answer in answers))


def _answered(sides: Sides, spans: Sequence[Range], ours: Sequence[Digest], theirs: Sequence[Digest]) -> list[Part]:
    """The parts that a statement told of. All behind one whose digest was given up are one part, yet to be cut."""
    parts: list[Part] = []
    for span, left, right in zip(spans, ours, theirs, strict=True):
        if left[0] > sides[0].most or right[0] > sides[1].most:
            parts.append(_counted(sides, span))
            if span.high < spans[-1].high:
                parts.append(_counted(sides, Range(span.high + 1, spans[-1].high)))
            return parts
        parts.append(Part(span, left[0], right[0], left == right))
    return parts


def _differing(sides: Sides, pairs: Sequence[Pair], part: Part) -> Iterator[Found]:
    """What differs in a part."""
    if part.same:
        return
    span: Range | None = part.span
    if not part.fetched and part.span.high - part.span.low >= SPARSE * part.rows:
        span = _narrowed(sides, part.span.condition("{}"))
    if span is None:  # its rows are gone by now
        return
    if part.fetched or span.low == span.high:
        yield from _fetched(sides, pairs, span)
        return
    for parts in _parts(sides, span, max(PARTS, part.rows // ROWS)):
        for fetched, together in groupby(parts, key=lambda one: one.fetched):
            run = list(together)
            if fetched:  # those that lie together at once
                yield from _fetched(sides, pairs, Range(run[0].span.low, run[-1].span.high))
            else:
                for one in run:
                    yield from _differing(sides, pairs, one)


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


def _counted(sides: Sides, span: Range) -> Part:
    """A part of which only the number of rows is known, and that it must be looked at."""
    counts = [side.ask(side.count, span.condition(side.number)) for side in sides]
    left, right = (count.result() for count in counts)
    return Part(span, left, right, same=False)


def _narrowed(sides: Sides, condition: str) -> Range | None:
    """From the least to the greatest key of either side that a condition finds."""
    asked = [side.ask(side.ends, condition.format(side.number)) for side in sides]
    ends = [found for one in asked if (found := one.result())]
    return Range(min(low for low, _ in ends), max(high for _, high in ends)) if ends else None
