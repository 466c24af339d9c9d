"""One of the two tables: its connection, and a thread that asks it, so that both servers work at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from stepwell.databases import lines
from stepwell.databases.checksums import Checksums, Spelled
from stepwell.databases.database import Database
from stepwell.errors import ConnectionLost, DiffBroken, DiskFull, MemoryLimit, Refused, StatementTimeout

T = TypeVar("T")

Row = tuple[str | None, ...]
"""A row as fetched: its position, the key's texts, the other columns' texts."""

Digest = tuple[int, str | None]
"""How many rows there are, and the MD5 of their texts."""

POSITION = "stepwell_position"
"""What statements call a row's position: MySQL and ClickHouse would take a shorter name for a column of the table."""

BLOCK = 1000
"""Rows that come from a side's thread at a time."""


@dataclass(frozen=True, slots=True)
class Side:
    """A table of a connected database, and the columns of it that are compared, the key's first.

    `found` is SQL from FROM on, its condition in parentheses. `capacity` is how many bytes of rows a digest covers.
    All its verbs but `ask` and `rows` are for its own thread: `side.ask(side.digest, condition)`.
    """

    name: str
    database: Database
    sql: Checksums
    thread: ThreadPoolExecutor
    found: str
    key: tuple[Spelled, ...]
    rest: tuple[Spelled, ...]
    capacity: int

    def ask(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Do something with the connection, behind what it was asked before. The result raises DiffBroken."""
        return self.thread.submit(answered, self.name, work, *arguments)

    @property
    def most(self) -> int:
        """The most rows of a digest: however long their values are, their texts fit."""
        return max(1, self.capacity // (sum(column.bound for column in (*self.key, *self.rest)) + 1))

    @property
    def number(self) -> str:
        """The key in SQL, where it is one column."""
        return self.sql.quote(self.key[0].column.name)

    @property
    def row(self) -> str:
        """SQL for a row's text."""
        return self.sql.row((*self.key, *self.rest))

    @property
    def position(self) -> str:
        """SQL for the MD5 of the key's text."""
        return self.sql.position(self.sql.row(self.key))

    def ends(self, condition: str) -> tuple[int, int] | None:
        """The least and the greatest key; None where there is none."""
        row = self.database.query(f"SELECT min({self.number}), max({self.number}) {self.found} AND {condition}")[0]
        # Of no rows ClickHouse gives 0 for both, where the key can't be NULL.
        if row[0] is None or not self.count(condition, 1):
            return None
        return int(row[0]), int(row[1])

    def count(self, condition: str, most: int | None = None) -> int:
        """How many rows there are; looks no further than `most`."""
        limit = "" if most is None else f"LIMIT {most}"
        text = f"SELECT count(*) FROM (SELECT 1 AS stepwell_one {self.found} AND {condition} {limit}) AS counted"
        return int(self.database.query(text)[0][0])

    def digests(self, ranges: Sequence[tuple[int, int]]) -> list[Digest]:
        """The digest of each range, as `Checksums.digests` has them."""
        text = self.sql.digests(self.row, self.number, self.found, ranges, self.most)
        digests: list[Digest] = [(0, None)] * len(ranges)
        for place, count, md5 in self.database.query(text):
            digests[int(place)] = int(count), md5 and str(md5)
        return digests

    def buckets(self, digits: int) -> dict[str, tuple[int, int]]:
        """Rows in buckets by the first digits of their position: how many, and the sum of their MD5s."""
        text = self.sql.buckets(self.row, self.sql.bucket(self.position, digits), self.found)
        return {str(bucket): (int(count), int(total) % 2**64) for bucket, count, total in self.database.query(text)}

    def rows(self, condition: str, position: str, order: str) -> Iterator[Row]:
        """The rows with a condition in an order, each behind its position.

        They are read in the side's thread, from this call on, a block ahead.
        """
        texts = [self.sql.text(column) for column in (*self.key, *self.rest)]
        select = ", ".join(f"{text} AS {POSITION}{place or ''}" for place, text in enumerate([position, *texts]))
        rows = self._read(f"SELECT {select} {self.found} AND {condition} ORDER BY {order}")
        return self._following(rows, self.ask(_block, rows))

    def _following(self, rows: Iterator[Row], coming: Future[list[Row]]) -> Iterator[Row]:
        while block := coming.result():
            coming = self.ask(_block, rows)
            yield from block

    def _read(self, text: str) -> Iterator[Row]:
        with closing(self.database.unload(text)) as chunks:
            for chunk in chunks:
                yield from _decoded(chunk)


def _block(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, BLOCK))


def answered(name: str, work: Callable[..., T], *arguments: Any) -> T:
    """What a database answers. Raises DiffBroken with the name of the table where it refuses."""
    try:
        return work(*arguments)
    except Refused as error:
        raise DiffBroken(name, error.said, _advice(error)) from error


def _advice(error: Refused) -> str:
    if isinstance(error, ConnectionLost):
        return "Compare again once the server answers; with --resume FILE it goes on from what is finished."
    if isinstance(error, StatementTimeout | MemoryLimit | DiskFull):
        return "Raise the server's limit, or compare less at a time with --where."
    return "Correct --where, --columns or the rights of Stepwell's user, then compare again."


def _decoded(chunk: bytes) -> Sequence[Row]:
    try:
        return [tuple(row) for row in lines.decode(chunk)]
    except UnicodeDecodeError:  # ClickHouse's strings may hold anything
        return [tuple(row) for row in lines.decode(chunk, errors="surrogateescape")]
