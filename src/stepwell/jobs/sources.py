"""Cutting batches: which rows come next, and the condition that finds just these."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from stepwell.databases.database import Database
from stepwell.jobs.definition import Drain, Groups, Missing, Source

Key = tuple[Any, ...]
"""The values of a row's key columns, or of those that a group's rows have in common."""

Group = tuple[Key, int]
"""A group's key, and how many of its rows are still to be migrated."""


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

AT_ONCE = 1_000_000
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
        return pack(next_groups(database, source, behind, failed, size), size, behind, failed)
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
    return _count_groups(database, source, Range(behind, None, failed), most)


def _missing(
    database: Database, source: Groups, where: Missing, behind: Key | None, failed: tuple[Key, ...], most: int
) -> deque[Group]:
    """The same for copies. Rows are looked for only in groups that are there in part, a few groups at a time."""
    from stepwell.databases.clickhouse import missing

    found: deque[Group] = deque()
    whole = True
    while whole and len(found) < most:
        ours = condition(replace(source, where=""), Range(behind, None, failed))
        theirs = condition(replace(source, where=where.where, excluded=None), Range(behind, None, failed))
        groups = deque(
            missing.groups(
                database, source.keys, where.key, ours=missing.Rows(source.table, ours.text, ours.parameters),
                theirs=missing.Rows(where.table, theirs.text, theirs.parameters), most=MOST_GROUPS,
            )
        )  # fmt: skip
        whole = len(groups) == MOST_GROUPS
        while groups and len(found) < most:
            part = [groups.popleft()]
            rows = part[0][1]
            while groups and rows + groups[0][1] <= AT_ONCE:
                part.append(groups.popleft())
                rows += part[-1][1]
            last = part[-1][0]
            if any(there is missing.There.SOME for _, _, there in part):
                found += _count_groups(database, source, Range(behind, last, failed), MOST_GROUPS)
            else:
                found += [(key, count) for key, count, there in part if there is missing.There.NOTHING]
            behind = last
    return found


def _count_groups(database: Database, source: Groups, scope: Scope, most: int) -> deque[Group]:
    columns, left = ", ".join(source.keys), condition(source, scope)
    rows = database.query(
        f"""
        SELECT {columns}, count(*) AS row_count
        FROM {source.table}
        WHERE {left.text}
        GROUP BY {columns}
        ORDER BY {columns}
        LIMIT {most}
        """,
        left.parameters,
    )
    return deque((tuple(key), int(count)) for *key, count in rows)


def pack(groups: deque[Group], size: int, behind: Key | None, failed: tuple[Key, ...] = ()) -> tuple[Scope, Key] | None:
    """Take groups from the left until their rows together reach `size`; one that is larger stands alone.

    They lie side by side behind a key, so they are a range: an index finds it faster than it finds each of them.
    """
    if not groups:
        return None
    last, total = groups.popleft()
    while groups and total + groups[0][1] <= size:
        last, count = groups.popleft()
        total += count
    return Range(behind, last, failed), last


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


# --- scopes and keys as text, for the ledger ------------------------------------------------------------------


def dump(scope: Scope) -> str:
    """A scope as JSON."""
    if isinstance(scope, Keys):
        return json.dumps({"keys": [dump_key(key) for key in scope.values]})
    bounds = [None if key is None else dump_key(key) for key in (scope.lower, scope.upper)]
    return json.dumps({"range": bounds, "without": [dump_key(key) for key in scope.without], "rows": scope.rows})


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
