"""Copying rows from one database into another, exactly: their way, to be read from top to bottom.

What travels, and how it is known to be the same, is told in `databases/transfer.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing

from stepwell.databases import transfer
from stepwell.databases.database import Database
from stepwell.databases.transfer import Column, Pair, There, not_exact
from stepwell.errors import BadRequest, did_you_mean
from stepwell.jobs.sources import Condition

ALL = Condition("1 = 1")

Columns = Sequence[str] | Mapping[str, str]
"""Names that both tables have, or the target's name for each of the source's."""


def copy_rows(
    source: Database,
    target: Database,
    *,
    table: str,
    columns: Columns,
    into: str = "",
    condition: Condition = ALL,
    key: Sequence[str] = (),
    fresh: bool = False,
    there: There = There.LEFT,
) -> int:
    """Copy the rows of `table` that the condition finds into the table `into` of another database; how many it found.

    `into` is `table` when empty. `key` are the target's columns by which rows are unique: a row whose key the target
    has already is not added again, so a copy can be repeated, and `there` says what becomes of it. `fresh` says that
    nothing of it can be there yet, which saves looking; without a key, ClickHouse takes fresh copies only, for it has
    no transactions. A relational target is written in one transaction.

    Raises NotExact for a value that the target can't hold as it is, RowDiffers, BadRequest, and Refused and its kinds.
    """
    with ExitStack() as stack:
        if transfer.of(source).IN_TRANSACTION:
            stack.enter_context(source.transaction())
        if target.transactional and target is not source:
            stack.enter_context(target.transaction())
        return copy_into(
            source, target, table=table, columns=columns, into=into, condition=condition, key=key, fresh=fresh,
            there=there,
        )  # fmt: skip


def copy_into(
    source: Database,
    target: Database,
    *,
    table: str,
    columns: Columns,
    into: str = "",
    condition: Condition = ALL,
    key: Sequence[str] = (),
    fresh: bool = False,
    there: There = There.LEFT,
) -> int:
    """The same within transactions that are open on both databases, where they have them."""
    into = into or table
    if source is target:
        raise BadRequest(f"{table} and {into} are in one database", "Write INSERT INTO … SELECT: it is exact there.")
    if not target.transactional and not key and not fresh:
        raise BadRequest(
            f"a copy into {into} could not be repeated without doubling rows",
            "Name the columns by which its rows are unique (key=…), or say that none of it is there yet (fresh=True).",
        )
    theirs, ours = transfer.of(source), transfer.of(target)
    pairs = _pairs(source, target, table, into, columns, key)
    found = f"FROM {table} WHERE ({condition.text})"
    values = (theirs.text(pair.source, pair.wire, theirs.quote(pair.source.name)) for pair in pairs)
    select = f"SELECT {', '.join(f'{value} AS c{place}' for place, value in enumerate(values))} {found}"
    landing = ours.Landing(target, into, pairs, () if fresh else tuple(key), there)
    fetched = landing.fetch(source, select, found, condition.parameters)
    if fetched is not None:
        return fetched
    theirs.prepare(source, into, pairs, found, condition.parameters)
    rows = 0
    with landing, closing(_ahead(source.unload(select, condition.parameters))) as chunks:
        for lines in chunks:
            landing.land(lines)
            rows += lines.count(b"\n")
    return rows


def _ahead(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """The same chunks, each read while the one before it lands."""
    with closing(chunks), ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, chunks, b"")
        try:
            while lines := coming.result():
                coming = reader.submit(next, chunks, b"")
                yield lines
        finally:
            wait([coming])  # or the source would be busy while it is closed


def _pairs(
    source: Database, target: Database, table: str, into: str, columns: Columns, key: Sequence[str]
) -> list[Pair]:
    """The columns to copy, in their order. Raises BadRequest for unknown ones, NotExact where bytes meet text."""
    names = columns if isinstance(columns, Mapping) else {name: name for name in columns}
    froms, intos = _columns(source, table), _columns(target, into)
    pairs = [Pair(_known(froms, name, table), _known(intos, other, into)) for name, other in names.items()]
    for name in key:
        if name not in names.values():
            raise BadRequest(f"column {name} of the key of {into} is not copied", "Name it among the columns, too.")
        if intos[name].nullable:
            raise BadRequest(f"column {name} of the key of {into} may be NULL", "Choose columns that are never NULL.")
    for pair in pairs:
        if not pair.fits:
            raise not_exact(into, pair, "bytes are not text: one of the two columns can't hold them")
    return pairs


def _columns(database: Database, table: str) -> dict[str, Column]:
    found = transfer.of(database).columns(database, table)
    if not found:
        raise BadRequest(f"database {database.name!r} has no table {table}")
    return {column.name: column for column in found}


def _known(columns: Mapping[str, Column], name: str, table: str) -> Column:
    if name not in columns:
        raise BadRequest(f"{table} has no column {name!r}{did_you_mean(name, columns)}")
    return columns[name]
