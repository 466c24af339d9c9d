"""Comparing two tables from beginning to end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell.checks.diff import hashes, ranges
from stepwell.checks.diff.pairs import Pairs, paired
from stepwell.checks.diff.progress import Progress
from stepwell.checks.diff.rows import Finished, Found
from stepwell.checks.diff.side import Side, answered
from stepwell.databases import checksums
from stepwell.databases.checksums import Checksums, Family, Typed
from stepwell.databases.columns import tables
from stepwell.databases.database import Database
from stepwell.errors import BadRequest, did_you_mean

Open = Callable[[str], Database]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is compared: two tables, DATABASE.TABLE each, the table as it is spelled in SQL.

    `key` and `columns` go from names of the first to those of the second; without columns all that share a name are
    compared. `where` is a condition on both. After `limit` differences it ends. `progress` is the file that an
    interrupted comparison goes on from.
    """

    left: str
    right: str
    key: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    limit: int | None = None
    progress: Path | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """Both tables are connected, and their columns fit. `rows` is how many there may be, from statistics."""

    pairs: Pairs
    rows: int
    way: str


@dataclass(slots=True)
class Summary:
    """How a comparison came out: rows on each side, and how many differences of each kind.

    `whole` is False where it ended at its limit. `seconds` is how long it took.
    """

    left: int = 0
    right: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    whole: bool = True
    seconds: float = 0.0

    @property
    def differing(self) -> int:
        """Keys whose rows differ."""
        return self.kinds.total()


Listener = Callable[[Begun | Found], None]


@dataclass(frozen=True, slots=True)
class _Table:
    """One of the tables, connected, before it is known which columns are compared."""

    name: str
    table: str
    database: Database
    sql: Checksums
    capacity: int
    columns: list[Typed]
    rows: int


def run(request: Request, open: Open, tell: Listener) -> Summary:
    """Compare two tables; each difference is told as it is found.

    Raises BadRequest, NotComparable, KeyTooWide, DiffBroken, CannotConnect.
    """
    started = time.monotonic()
    summary = Summary()
    with ExitStack() as stack:
        tables = [_opened(name, open, stack) for name in (request.left, request.right)]
        pairs = paired(
            (request.left, request.right), (tables[0].columns, tables[1].columns), request.key, request.columns
        )
        left, right = (_side(table, pairs, place, request.where, stack) for place, table in enumerate(tables))
        rows = max(table.rows for table in tables)
        way = "ranges" if _in_ranges(pairs, tables) else "buckets"
        tell(Begun(pairs, rows, way))

        def walk(after: Finished | None = None) -> Iterator[Found]:
            if way == "ranges":
                return ranges.walk(left, right, pairs.all, rows, after)
            return hashes.walk(left, right, pairs.all, after)

        if request.progress is None:
            for found in _limited(walk(), summary, request.limit):
                tell(found)
        else:
            for found in _going_on(Progress(request.progress, _heading(request, pairs, way)), walk, summary, request):
                tell(found)
    summary.seconds = time.monotonic() - started
    return summary


def _going_on(
    progress: Progress, walk: Callable[[Finished | None], Iterator[Found]], summary: Summary, request: Request
) -> Iterator[Found]:
    """What was found before, then what is found behind it. The file is kept unless all is done."""
    last: Finished | None = None
    done = False
    try:
        for found in _limited(progress.found(), summary, request.limit):
            last = found if isinstance(found, Finished) else last
            yield found
        if summary.whole:
            for found in _limited(walk(last), summary, request.limit):
                progress.add(found)
                yield found
        done = summary.whole
    finally:
        progress.close(done)


def _limited(findings: Iterator[Found], summary: Summary, limit: int | None) -> Iterator[Found]:
    """The findings, counted, up to the limit."""
    for found in findings:
        if isinstance(found, Finished):
            summary.left += found.left
            summary.right += found.right
        elif summary.differing == limit:
            summary.whole = False
            return
        else:
            summary.kinds[found.kind] += 1
        yield found


def _heading(request: Request, pairs: Pairs, way: str) -> dict[str, Any]:
    """What tells one comparison from another."""
    return {
        "tables": [request.left, request.right],
        "columns": [[f"{side.name} {side.type}" for side in (pair.left, pair.right)] for pair in pairs.all],
        "key": len(pairs.key),
        "where": request.where,
        "way": way,
    }


def _opened(name: str, open: Open, stack: ExitStack) -> _Table:
    place, _, table = name.partition(".")
    database = open(place)
    stack.callback(database.close)
    database.connect()
    sql = checksums.of(database)
    capacity = answered(name, sql.prepare, database)
    columns = answered(name, sql.columns, database, table) if table else []
    if not columns:
        raise BadRequest(
            f"database {place!r} has no table {table!r}{did_you_mean(table, tables(database))}",
            "Write DATABASE.TABLE, the database by its name in stepwell.toml, the table as in SQL.",
        )
    return _Table(name, table, database, sql, capacity, columns, answered(name, sql.estimate, database, table))


def _side(table: _Table, pairs: Pairs, place: int, where: str, stack: ExitStack) -> Side:
    thread = ThreadPoolExecutor(1)
    stack.callback(thread.shutdown, cancel_futures=True)
    relation = answered(table.name, table.sql.relation, table.database, table.table)
    return Side(
        table.name,
        table.database,
        table.sql,
        thread,
        f"FROM {relation} WHERE ({where or '1 = 1'}\n)",
        tuple(pair.sides[place] for pair in pairs.key),
        tuple(pair.sides[place] for pair in pairs.rest),
        table.capacity,
    )


def _in_ranges(pairs: Pairs, tables: Sequence[_Table]) -> bool:
    """Whether the key is one integer on both sides, with an index that finds ranges of it."""
    if len(pairs.key) > 1:
        return False
    columns = (pairs.key[0].left, pairs.key[0].right)
    return all(
        column.family is Family.INTEGER
        and answered(table.name, table.database.key_facts, table.table, [table.sql.quote(column.name)]).indexed
        for column, table in zip(columns, tables, strict=True)
    )
