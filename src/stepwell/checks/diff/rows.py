"""Rows of both sides beside each other: the last word on what differs.

Texts come here that differ for a reason, or for none: 1e+20 and 1e20 are one number, and two JSON documents may say
the same. What is compared here is what they mean (`databases/values.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from stepwell.checks.diff.pairs import Pair
from stepwell.checks.diff.side import Row
from stepwell.databases.checksums import Form
from stepwell.databases.values import Canonical, canonical, reader, show
from stepwell.errors import KeyTooWide

MOST_OF_A_KEY = 1000
"""Rows with one key that are still compared."""

KINDS = {Form.PADDED: "padded", Form.JSON: "json", Form.ARRAY: "json"}
"""What texts of a form are read as; all others are what they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """A column with another value on each side, as texts; None is NULL."""

    column: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose rows differ.

    `kind` is 'missing' (only in the first table), 'extra' (only in the second), 'changed', or 'repeated': several rows
    have this key, and they are not the same ones, or not as often. `left` and `right` are how many there are.
    """

    kind: str
    key: tuple[str | None, ...]
    changes: tuple[Change, ...] = ()
    left: int = 1
    right: int = 1


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything up to here is compared, and so many rows there were on each side since the last of these."""

    upto: int | str | None
    left: int
    right: int


Found = Difference | Finished


def differences(
    left: Iterable[Row], right: Iterable[Row], key: int, pairs: Sequence[Pair], order: Callable[[str], Any]
) -> Iterator[Difference]:
    """Compare rows that come in the order of their position, which is the same for the same key.

    `order` gives what positions, '' for NULL, are sorted by; `key` is how many columns the key has. Raises KeyTooWide.
    """
    sides = [groupby(rows, key=lambda row: order(row[0] or "")) for rows in (left, right)]
    heads = [next(side, None) for side in sides]
    while present := [head[0] for head in heads if head]:
        position = min(present)
        groups: list[list[Row]] = [[], []]
        for place, head in enumerate(heads):
            if head and head[0] == position:
                groups[place] = _whole(head[1], key)
                heads[place] = next(sides[place], None)
        if found := _compared(groups[0], groups[1], key, pairs):
            yield found


def _whole(rows: Iterable[Row], key: int) -> list[Row]:
    held: list[Row] = []
    for row in rows:
        held.append(row[1:])
        if len(held) > MOST_OF_A_KEY:
            raise KeyTooWide(", ".join(map(shown, row[1 : key + 1])), MOST_OF_A_KEY)
    return held


def _compared(left: list[Row], right: list[Row], key: int, pairs: Sequence[Pair]) -> Difference | None:
    name = (left or right)[0][:key]
    if len(left) == len(right) == 1:
        changes = tuple(
            Change(pair.name, one, other)
            for pair, one, other in zip(pairs, left[0], right[0], strict=True)
            if one != other and meaning(one, pair) != meaning(other, pair)
        )
        return Difference("changed", name, changes) if changes else None
    if len(left) + len(right) == 1:
        return Difference("missing" if left else "extra", name, (), len(left), len(right))
    meanings = [
        Counter(tuple(meaning(value, pair) for pair, value in zip(pairs, row, strict=True)) for row in rows)
        for rows in (left, right)
    ]
    return None if meanings[0] == meanings[1] else Difference("repeated", name, (), len(left), len(right))


def meaning(text: str | None, pair: Pair) -> Canonical:
    """What a text says, in a form that is equal for equal values only."""
    if text is not None and pair.form is Form.FLOAT:
        try:
            return canonical(float(text))
        except ValueError:  # SQLite keeps any text in any column
            return canonical(text)
    return reader(KINDS.get(pair.form, ""))(text)


def shown(text: str | None) -> str:
    """A value for a person: NULL, or the text with what can't be printed escaped."""
    return "NULL" if text is None else show(text.encode(errors="surrogateescape"))
