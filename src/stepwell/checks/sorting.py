"""Rows in the order of their keys, in bounded memory.

No server's own order is used: a case-insensitive key of MySQL, a locale of PostgreSQL and the bytes of ClickHouse would
each put the same rows in another order, and a merge of two such streams would pair the wrong ones, in silence. So rows
are sorted here, by the canonical form of their keys, in runs of bounded size that are kept in temporary files and
merged (Knuth, The Art of Computer Programming, volume 3, 5.4). A result that fits into one run touches no file.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from operator import itemgetter
from tempfile import TemporaryFile
from typing import Any

from stepwell.databases.values import Canonical

Row = tuple[Canonical, ...]
Entry = tuple[tuple[Any, ...], Row]
"""What a row is sorted by, and the row."""

RUN = 32 << 20
"""Bytes of rows, roughly, that are held at a time."""

FAN = 64
"""Runs that are merged at once, each an open file."""

BLOCK = 1000
"""Entries that are read back at a time."""

KEY = itemgetter(0)


def in_order(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, sorted."""
    runs: list[Iterator[Entry]] = []
    held: list[Entry] = []
    size = 0
    for entry in entries:
        held.append(entry)
        size += _size(entry[1])
        if size >= RUN:
            runs.append(_kept(sorted(held, key=KEY)))
            held, size = [], 0
            if len(runs) == FAN:
                runs = [_kept(merge(*runs, key=KEY))]
    held.sort(key=KEY)
    return merge(*runs, held, key=KEY) if runs else iter(held)


def _size(row: Row) -> int:
    size = 300
    for value in row:
        size += 2 * len(value) if type(value) is bytes else 60
    return size


def _kept(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries, from a temporary file."""
    file = TemporaryFile()  # noqa: SIM115  # the generator that reads it closes it
    ordered = iter(entries)
    while block := list(islice(ordered, BLOCK)):
        pickle.dump(block, file, pickle.HIGHEST_PROTOCOL)
    file.seek(0)
    return _read(file)


def _read(file: Any) -> Iterator[Entry]:
    with file:
        while True:
            try:
                block = pickle.load(file)
            except EOFError:
                return
            yield from block
