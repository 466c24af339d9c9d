"""The way with any other key: rows are put into buckets by the MD5 of their key's text.

No order of any server is used. A case-insensitive key of MySQL, a locale of PostgreSQL and the bytes of ClickHouse put
the same keys in three different orders, and ranges of them would hold other rows on each side.

Each database reads its table once for the checksums of all buckets. The rows of those that differ are read in the order
of their keys' MD5s, sorted by the server, and merged as they come: a bucket holds a key's rows of both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from stepwell.checks.diff.pairs import Pair
from stepwell.checks.diff.rows import Finished, Found, differences
from stepwell.checks.diff.side import POSITION, Side

DIGITS = 4
"""Digits of the MD5 that name a bucket: 16^4 buckets are some megabytes here and on the server."""

PASS = 4096
"""Buckets whose rows one statement asks for."""


def walk(left: Side, right: Side, pairs: Sequence[Pair], after: Finished | None = None) -> Iterator[Found]:
    """Differences in the order of the keys' MD5s; how many rows there are comes first. Raises KeyTooWide, DiffBroken.

    `after` is what an earlier run had finished: the checksums are read again, the rows only of buckets behind it.
    """
    asked = [side.ask(side.buckets, DIGITS) for side in (left, right)]
    ours, theirs = (one.result() for one in asked)
    if after is None:
        yield Finished("", sum(count for count, _ in ours.values()), sum(count for count, _ in theirs.values()))
    passed = str(after.upto) if after else ""
    differing = (name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    remaining = iter(sorted(name for name in differing if name > passed))
    while names := list(islice(remaining, PASS)):
        listed = ", ".join(f"'{name}'" for name in names)
        streams = [
            side.rows(f"{side.sql.bucket(side.position, DIGITS)} IN ({listed})", side.position, order=POSITION)
            for side in (left, right)
        ]
        yield from differences(streams[0], streams[1], len(left.key), pairs, order=str)
        yield Finished(names[-1], 0, 0)
