"""Comparing sorted rows of several sides: one pass over all of them, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from itertools import chain, groupby, islice

from stepwell.checks.definition import Tolerance
from stepwell.checks.sorting import KEY, Entry, Row
from stepwell.databases.values import Canonical, order

SHOWN = 10
"""How many differing rows are kept for a person to see."""

EXACT = Context(prec=100)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same on all sides; None where a side lacks it. `columns` are the places that differ."""

    rows: tuple[Row | None, ...]
    columns: tuple[int, ...] = ()


@dataclass(slots=True)
class Comparison:
    """What a comparison found: rows compared, how many differ, and the first of them."""

    compared: int = 0
    differing: int = 0
    first: list[Difference] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        self.differing += 1
        if len(self.first) < SHOWN:
            self.first.append(difference)


class Duplicate(ValueError):
    """Two rows of a side have one key."""

    def __init__(self, side: int, row: Row) -> None:
        self.side, self.row = side, row
        super().__init__()


class Untellable(ValueError):
    """A tolerance was asked for where several rows have no key to be paired by."""


Same = Callable[[Row, Row], tuple[int, ...]]
"""The places where two rows differ."""


def paired(sides: Sequence[Iterator[Entry]], same: Same) -> Comparison:
    """Compare rows with unique keys, each side sorted by them. Raises Duplicate."""
    found = Comparison()
    heads = [next(side, None) for side in sides]
    while any(heads):
        key = min(head[0] for head in heads if head)
        rows = tuple(head[1] if head and head[0] == key else None for head in heads)
        found.compared += 1
        if None in rows:
            found.add(Difference(rows))
        elif rows.count(rows[0]) < len(rows):
            first, *others = (row for row in rows if row is not None)
            if columns := sorted({place for other in others for place in same(first, other)}):
                found.add(Difference(rows, tuple(columns)))
        for place, row in enumerate(rows):
            if row is not None:
                heads[place] = head = next(sides[place], None)
                if head and head[0] == key:
                    raise Duplicate(place, head[1])
    return found


def whole(sides: Sequence[Iterator[Entry]], same: Same, tolerant: bool) -> Comparison:
    """Compare rows without a key, each side sorted by all columns: the same rows, as often, in any order.

    One row on each side is compared column by column. Raises Untellable.
    """
    peeked = [list(islice(side, 2)) for side in sides]
    if all(len(rows) <= 1 for rows in peeked):
        return paired([iter([((), row) for _, row in rows]) for rows in peeked], same)
    if tolerant:
        raise Untellable
    return paired([_numbered(chain(rows, side)) for rows, side in zip(peeked, sides, strict=True)], same)


def _numbered(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Equal rows made different by counting them."""
    for key, equals in groupby(entries, key=KEY):
        for number, (_, row) in enumerate(equals):
            yield ((*key, (1, number)), row)


def sorted_by(row: Row, places: Sequence[int]) -> Entry:
    """A row with the key in these places."""
    return tuple(order(row[place]) for place in places), row


def difference_of(tolerance: Tolerance | None) -> Same:
    """How rows are compared, column by column."""

    def exactly(one: Row, other: Row) -> tuple[int, ...]:
        if one == other:
            return ()
        return tuple(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)

    def nearly(one: Row, other: Row) -> tuple[int, ...]:
        assert tolerance is not None
        return tuple(place for place in exactly(one, other) if not near(one[place], other[place], tolerance))

    return exactly if tolerance is None else nearly


def near(one: Canonical, other: Canonical, tolerance: Tolerance) -> bool:
    """Whether two numbers lie no further apart than allowed; anything else is never near."""
    if one is None or other is None or isinstance(one, bytes) or isinstance(other, bytes):
        return False
    a, b = Decimal(one), Decimal(other)
    if not (a.is_finite() and b.is_finite()):
        return False
    allowed = EXACT.multiply(EXACT.abs(a), tolerance.amount) if tolerance.relative else tolerance.amount
    return EXACT.abs(EXACT.subtract(a, b)) <= allowed
