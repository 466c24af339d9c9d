"""Cutting batches: which rows come next, and the condition that finds just these."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from stepwell.databases.database import Database
from stepwell.jobs.definition import Drain, Groups, Missing, Source

Key = tuple[Any, ...]
"""The values of a row's key columns, or of those that a group's rows have in common."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group's key, and how many of its rows are still to be migrated.

    Where all groups of the table are known: the key of the one that lies before it, and the rows up to its own end.
    """

    key: Key
    rows: int
    behind: Key | None = None
    end: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Rows with keys behind `lower` up to and with `upper`, None being open, but not those `without`.

    `rows` is how many were to be migrated when they were looked for, None where nobody counted them.
    """

    lower: Key | None
    upper: Key | None
    without: tuple[Key, ...] = ()
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Rows of just these keys, or of just these groups."""

    values: tuple[Key, ...]


Scope = Range | Keys

SCOPE = "${batch}"
"""What stands in a `where` for the scope's own condition: a subquery then looks at no more than the batch."""

MOST_GROUPS = 100_000
"""Groups that are listed at once, some 20 MB."""

AT_ONCE = 4_000_000
"""Rows that are looked for in another table at once: what it has of them is held in memory."""

MOST_KEYS = 10_000
"""Keys in one scope at most: each is a parameter, of which SQLite takes 32,766 and PostgreSQL 65,535."""


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL for behind WHERE, with `?` for the parameters."""

    text: str
    parameters: tuple[Any, ...] = ()

    def and_also(self, text: str, parameters: tuple[Any, ...] = ()) -> Condition:
        if not text:
            return self
        parts = text.split(SCOPE)
        found = f"({self.text}) AND ({f'({self.text})'.join(parts)})"
        return Condition(found, (*self.parameters * len(parts), *parameters))


def condition(source: Source, scope: Scope) -> Condition:
    """The rows of a scope that still have to be migrated."""
    if isinstance(scope, Keys):
        found = among(source.keys, scope.values)
    else:
        bounds = [
            *([_behind(source.keys, scope.lower, ">", ">")] if scope.lower else []),
            *([_behind(source.keys, scope.upper, "<", "<=")] if scope.upper else []),
        ]
        if scope.without:
            known = among(source.keys, scope.without)
            bounds.append(Condition(f"NOT ({known.text})", known.parameters))
        text = " AND ".join(f"({bound.text})" for bound in bounds) or "1 = 1"
        found = Condition(text, tuple(value for bound in bounds for value in bound.parameters))
    return found.and_also(str(source.where)).and_also(*_not_excluded(source))


def _not_excluded(source: Source) -> tuple[str, tuple[Any, ...]]:
    """The rows that the job's `exclude` does not leave out; one that holds no value at all is none of those."""
    if source.excluded is None or not source.excluded.values:
        return "", ()
    column, values = source.excluded.column, source.excluded.values
    return f"{column} IS NULL OR {column} NOT IN ({', '.join('?' * len(values))})", values


def _behind(columns: Sequence[str], key: Key, strictly: str, finally_: str) -> Condition:
    """`columns` compared with `key` in their order, written out: (a, b) > (?, ?) uses no index on MySQL."""
    texts, values = [], []
    for index, column in enumerate(columns):
        operator = finally_ if index == len(columns) - 1 else strictly
        equal = [f"{earlier} = ?" for earlier in columns[:index]]
        texts.append(" AND ".join([*equal, f"{column} {operator} ?"]))
        values.extend([*key[:index], key[index]])
    return Condition(" OR ".join(f"({text})" if len(texts) > 1 else text for text in texts), tuple(values))


def among(columns: Sequence[str], keys: Sequence[Key]) -> Condition:
    """The rows of just these keys, of which there is at least one."""
    if len(columns) == 1:
        return Condition(f"{columns[0]} IN ({', '.join('?' * len(keys))})", tuple(key[0] for key in keys))
    # SQLite takes no list of rows behind IN, nor an expression that is nested 1000 deep.
    one = f"({' AND '.join(f'{column} = ?' for column in columns)})"
    blocks = [" OR ".join([one] * min(100, len(keys) - start)) for start in range(0, len(keys), 100)]
    values = tuple(value for key in keys for value in key)
    return Condition(" OR ".join(f"({block})" for block in blocks), values)


def next_scope(
    database: Database, source: Source, behind: Key | None, size: int, failed: tuple[Key, ...] = ()
) -> tuple[Scope, Key] | None:
    """The next scope of about `size` rows behind a key, and the key that the one after it begins behind.

    Rows that `failed` by themselves are left out. None where nothing is left behind that key.
    """
    if isinstance(source, Groups):
        return pack(next_groups(database, source, behind, failed, size), size, failed)
    if isinstance(source, Drain):
        size = min(size, MOST_KEYS)
    columns = ", ".join(source.keys)
    left = condition(source, Range(behind, None, failed))
    if isinstance(source, Drain):
        text = f"SELECT {columns} FROM {source.table} WHERE {left.text} ORDER BY {columns} LIMIT {size}"
        keys = [tuple(row) for row in database.query(text, left.parameters)]
        return (Keys(tuple(keys)), keys[-1]) if keys else None
    last = f"SELECT {columns} FROM {source.table} WHERE {left.text} ORDER BY {columns} LIMIT 1 OFFSET {size - 1}"
    if rows := database.query(last, left.parameters):
        upper = tuple(rows[0])
        return Range(behind, upper, failed, size), upper
    backwards = ", ".join(f"{column} DESC" for column in source.keys)
    rows = database.query(
        f"""
        SELECT {columns}
        FROM (SELECT {columns} FROM {source.table} WHERE {left.text} ORDER BY {columns} LIMIT {size}) AS part
        ORDER BY {backwards}
        LIMIT 1
        """,
        left.parameters,
    )
    if not rows:
        return None
    upper = tuple(rows[0])
    return Range(behind, upper, failed), upper


def next_groups(
    database: Database, source: Groups, behind: Key | None, failed: tuple[Key, ...] = (), most: int = MOST_GROUPS
) -> deque[Group]:
    """The next groups behind a key in their order, `most` of them or a few more."""
    if isinstance(source.where, Missing):
        return _missing(database, source, source.where, behind, failed, most)
    groups = _count_groups(database, source, Range(behind, None, failed), most)
    return _in_line(groups, behind) if not source.where else deque(Group(key, rows) for key, rows in groups)


def _in_line(groups: Iterable[tuple[Key, int]], behind: Key | None) -> deque[Group]:
    """All groups of a table that lie behind a key, each with its place among them."""
    found: deque[Group] = deque()
    for key, rows in groups:
        found.append(Group(key, rows, behind, (found[-1].end if found else 0) + rows))
        behind = key
    return found


def _missing(
    database: Database, source: Groups, where: Missing, behind: Key | None, failed: tuple[Key, ...], most: int
) -> deque[Group]:
    """The same for copies: the whole first, then a few million rows at a time, and rows only where that can't tell.

    Checksums tell which groups are there and which are not. Rows are looked for only where some are there in part.
    """
    from stepwell.databases.clickhouse import missing

    every, copied = replace(source, where=""), replace(source, where=where.where, excluded=None)

    def both(scope: Scope) -> tuple[missing.Where, missing.Where]:
        ours, theirs = condition(every, scope), condition(copied, scope)
        return (ours.text, ours.parameters), (theirs.text, theirs.parameters)

    tables = missing.comparison(database, source.table, where.table, source.keys, where.key)
    rest = Range(behind, None, failed)
    there = tables.whole(*both(rest))
    if there is missing.There.ALL:
        return deque()
    if there is missing.There.NOTHING:
        counted = _count_groups(database, every, rest, most, missing.IN_ORDER)
        return _in_line(_with_key(counted), behind)
    found: deque[Group] = deque()
    further = True
    while further and len(found) < most:
        counted = _count_groups(database, every, Range(behind, None, failed), MOST_GROUPS, missing.IN_ORDER)
        groups = _in_line(_with_key(counted), behind)
        further = len(counted) == MOST_GROUPS
        while groups and len(found) < most:
            part = [groups.popleft()]
            while groups and groups[0].end - part[0].end <= AT_ONCE:
                part.append(groups.popleft())
            scope = Range(behind, part[-1].key, failed)
            known = tables.by_group(*both(scope))
            if missing.There.SOME in known.values():
                left = dict(_count_groups(database, source, scope, MOST_GROUPS))
            else:
                left = {group.key: group.rows for group in part if known.get(group.key) is missing.There.NOTHING}
            found += [replace(group, rows=left[group.key]) for group in part if group.key in left]
            behind = part[-1].key
    return found


def _with_key(groups: Iterable[tuple[Key, int]]) -> list[tuple[Key, int]]:
    """The groups that a condition can name: none finds NULL."""
    return [(key, rows) for key, rows in groups if None not in key]


def fingerprint(database: Database, source: Source) -> tuple[tuple[Any, ...], ...]:
    """Equal to an earlier one only where the same rows are left; empty where nothing tells that but to count them."""
    if not isinstance(source.where, Missing) or source.where.where:  # a condition may look at other tables
        return ()
    from stepwell.databases.clickhouse import missing

    return missing.fingerprint(database, source.table, source.where.table)


def _count_groups(
    database: Database, source: Groups, scope: Scope, most: int, settings: str = ""
) -> list[tuple[Key, int]]:
    columns, left = ", ".join(source.keys), condition(source, scope)
    rows = database.query(
        f"""
        SELECT {columns}, count(*) AS row_count
        FROM {source.table}
        WHERE {left.text}
        GROUP BY {columns}
        ORDER BY {columns}
        LIMIT {most}
        {settings}
        """,
        left.parameters,
    )
    return [(tuple(key), int(count)) for *key, count in rows]


def pack(groups: deque[Group], size: int, failed: tuple[Key, ...] = ()) -> tuple[Scope, Key] | None:
    """Take groups from the left until their rows together reach `size`; one that is larger stands alone.

    Where it is known what lies between them, and it is not much, they are a range: an index finds that faster.
    """
    if not groups:
        return None
    chosen = [groups.popleft()]
    first, total = chosen[0], chosen[0].rows
    while groups and total + groups[0].rows <= size:
        if groups[0].end - first.end > 2 * size or (not first.end and len(chosen) == MOST_KEYS):
            break
        chosen.append(groups.popleft())
        total += chosen[-1].rows
    last = chosen[-1].key
    return Range(first.behind, last, failed, total) if first.end else Keys(tuple(group.key for group in chosen)), last


def keys_in(database: Database, source: Source, scope: Scope) -> list[Key]:
    """The keys in a scope that are still to be migrated, in order: what a failing batch is split by."""
    columns, found = ", ".join(source.keys), condition(source, scope)
    each = "SELECT DISTINCT" if isinstance(source, Groups) else "SELECT"
    text = f"{each} {columns} FROM {source.table} WHERE {found.text} ORDER BY {columns}"
    return [tuple(row) for row in database.query(text, found.parameters)]


def halves(scope: Scope, keys: Sequence[Key]) -> list[Scope]:
    """A scope cut in two between the keys that it holds."""
    middle = len(keys) // 2
    if isinstance(scope, Keys):
        return [Keys(tuple(keys[:middle])), Keys(tuple(keys[middle:]))]
    edge = keys[middle - 1]
    return [Range(scope.lower, edge, scope.without), Range(edge, scope.upper, scope.without)]


def count_left(database: Database, source: Source, behind: Key | None, failed: Sequence[Key]) -> int:
    """The rows behind a key that the source's own condition still finds, but for those that failed by themselves."""
    left = condition(source, Range(behind, None, tuple(failed)))
    return int(database.query(f"SELECT count(*) FROM {source.table} WHERE {left.text}", left.parameters)[0][0])


def count_group(database: Database, source: Groups, key: Key) -> int:
    """All rows of a group, migrated or not."""
    every = condition(replace(source, where=""), Keys((key,)))
    return int(database.query(f"SELECT count(*) FROM {source.table} WHERE {every.text}", every.parameters)[0][0])


# --- scopes and keys as text, for the ledger ------------------------------------------------------------------


def dump(scope: Scope) -> str:
    """A scope as JSON."""
    if isinstance(scope, Keys):
        return json.dumps({"keys": [dump_key(key) for key in scope.values]})
    bounds = [None if key is None else dump_key(key) for key in (scope.lower, scope.upper)]
    return json.dumps({"range": bounds, "without": [dump_key(key) for key in scope.without], "rows": scope.rows})


def uncounted(text: str) -> str:
    """The same scope, of which nobody has counted the rows."""
    scope = load(text)
    return dump(replace(scope, rows=None)) if isinstance(scope, Range) else text


def load(text: str) -> Scope:
    """The scope that `dump` wrote."""
    content = json.loads(text)
    if "keys" in content:
        return Keys(tuple(load_key(key) for key in content["keys"]))
    lower, upper = content["range"]
    without = tuple(load_key(key) for key in content["without"])
    return Range(lower and load_key(lower), upper and load_key(upper), without, content.get("rows"))


def dump_key(key: Key) -> str:
    """A key as JSON; what JSON has no type for is told by a name."""
    return json.dumps([plain(value) for value in key], ensure_ascii=False)


def load_key(text: str) -> Key:
    """The key that `dump_key` wrote."""
    return tuple(rich(value) for value in json.loads(text))


def plain(value: Any) -> Any:
    """A value as what JSON has."""
    match value:
        case UUID():
            return {"uuid": str(value)}
        case Decimal():
            return {"decimal": str(value)}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case bytes() | bytearray():
            return {"bytes": base64.b64encode(value).decode()}
        case _:
            return value


def rich(value: Any) -> Any:
    """The value that `plain` was given."""
    match value:
        case {"uuid": str(text)}:
            return UUID(text)
        case {"decimal": str(text)}:
            return Decimal(text)
        case {"datetime": str(text)}:
            return datetime.fromisoformat(text)
        case {"date": str(text)}:
            return date.fromisoformat(text)
        case {"bytes": str(text)}:
            return base64.b64decode(text)
        case _:
            return value
