"""Whether columns are a key: from what an engine's catalog tells of a table's columns and indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any

INDEX = {
    "postgres": "CREATE INDEX CONCURRENTLY {name} ON {table} ({columns});",
    "mysql": "CREATE INDEX {name} ON {table} ({columns}) ALGORITHM = INPLACE LOCK = NONE;",
    "sqlite": "CREATE INDEX {name} ON {table} ({columns});",
}
"""An index for a key, beside live traffic. ClickHouse has none to add: a table's sorting key finds its rows."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the catalog tells of columns that rows are read along.

    `missing` are not there; `nullable` may hold NULL; `unfaithful` hold values that compare otherwise than they sort,
    or that a client does not give back as they were; `types` are those of the columns in the engine's words. `indexes`
    are the columns, in their order, that the table's indexes give rows in; `unique` says whether one keeps two rows
    from having the same values, NULL aside. `kept_by` is the storage engine of a table that has no transactions though
    its server has; '' for all others.
    """

    missing: tuple[str, ...]
    nullable: tuple[str, ...]
    unfaithful: tuple[str, ...]
    types: Mapping[str, str]
    indexes: tuple[tuple[str, ...], ...]
    indexed: bool
    unique: bool
    kept_by: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name in the catalog, and its type."""

    name: str
    type: str
    nullable: bool
    faithful: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A column of an index, in the order of the index; `column` is None for what gives no rows in order."""

    index: str
    unique: bool
    column: str | None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """The columns that an index gives rows in the order of, and those in which no two rows have the same values."""

    columns: tuple[str, ...]
    unique: frozenset[str] | None


def spelled(engine: str, value: Any) -> Any:
    """A key's value as a person writes it: ClickHouse hands over a FixedString as bytes, and takes it as text."""
    if engine != "clickhouse" or not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def indexes(parts: Iterable[Part]) -> list[Index]:
    """The indexes of a table, whose parts come index by index, each in its order."""
    return [_index(list(its)) for _, its in groupby(parts, key=lambda part: part.index)]


def _index(parts: Sequence[Part]) -> Index:
    first = parts[0]
    # Its order ends at an expression, or where it turns round. In the latter case it is unique all the same.
    ordered = takewhile(lambda part: part.column and part.descending == first.descending, parts)
    columns = [part.column for part in parts if part.column]
    unique = first.unique and len(columns) == len(parts)
    return Index(tuple(part.column for part in ordered if part.column), frozenset(columns) if unique else None)


def facts(wanted: Mapping[str, str], columns: Iterable[Column], found: Sequence[Index]) -> KeyFacts:
    """What is told of the columns `wanted`: their names in the catalog, by how they are spelled."""
    known = {column.name: column for column in columns}
    its = {spelled: known[name] for spelled, name in wanted.items() if name in known}
    names = tuple(wanted.values())
    return KeyFacts(
        missing=tuple(spelled for spelled in wanted if spelled not in its),
        nullable=tuple(spelled for spelled, column in its.items() if column.nullable),
        unfaithful=tuple(spelled for spelled, column in its.items() if not column.faithful),
        types={spelled: column.type for spelled, column in its.items()},
        indexes=tuple(index.columns for index in found if index.columns),
        indexed=any(index.columns[: len(names)] == names for index in found),
        unique=any(index.unique is not None and index.unique <= set(names) for index in found),
    )
