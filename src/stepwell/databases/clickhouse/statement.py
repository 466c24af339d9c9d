"""What a ClickHouse statement is about: its kind, the objects it names, and where in the text they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from stepwell.databases.lexing import Reader


class Kind(Enum):
    """Statements that are settled alike."""

    SETTING = "SET"
    CREATE = "CREATE"
    CREATE_FILLED = "CREATE … AS SELECT"
    DROP = "DROP"
    RENAME = "RENAME"
    EXCHANGE = "EXCHANGE"
    ALTER = "ALTER of a definition"
    MUTATION = "mutation"
    INSERT = "INSERT"
    TRUNCATE = "TRUNCATE"
    PARTS = "ALTER of partitions"
    REPEATABLE = "harmless to repeat"
    OPAQUE = "unknown"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement read. `names` are objects as (database or '', name); RENAME and EXCHANGE list both of each pair.

    `name_span` is where the first name stands in the text, `cluster_at` where ON CLUSTER belongs (None: it is there,
    or has no place), `object` the word for what is created or dropped, `columns` an INSERT's column list,
    `source_at` where its SELECT begins, `replaces` says OR REPLACE.
    """

    kind: Kind
    names: tuple[tuple[str, str], ...] = ()
    object: str = "TABLE"
    name_span: tuple[int, int] = (0, 0)
    cluster_at: int | None = None
    columns: tuple[str, ...] = ()
    source_at: int | None = None
    replaces: bool = False


_OBJECTS = ("TABLE", "VIEW", "DICTIONARY", "DATABASE", "FUNCTION", "INDEX")
_ACCESS = (
    "USER",
    "ROLE",
    "QUOTA",
    "ROW",
    "POLICY",
    "SETTINGS",
    "NAMED",
    "PROFILE",
    "MASKING",
    "WORKLOAD",
    "RESOURCE",
)
_HARMLESS = (
    "OPTIMIZE", "SYSTEM", "GRANT", "REVOKE", "CHECK", "SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "KILL",
    "EXPLAIN", "ANALYZE",
)  # fmt: skip
_PART_VERBS = (
    "DROP",
    "DETACH",
    "ATTACH",
    "MOVE",
    "REPLACE",
    "FETCH",
    "FREEZE",
    "UNFREEZE",
    "CLEAR",
    "FORGET",
)


@lru_cache(maxsize=256)
def read(text: str) -> Statement:
    """Read one statement."""
    reader = Reader(text, "clickhouse")
    verb = reader.peek()
    if verb == "SET":
        return Statement(Kind.SETTING)
    if verb in ("CREATE", "REPLACE"):
        return _create(reader)
    if verb == "ATTACH":
        reader.next()
        return _named(reader, Kind.CREATE)
    if verb in ("DROP", "DETACH", "UNDROP"):
        reader.next()
        return _named(reader, Kind.CREATE if verb == "UNDROP" else Kind.DROP, several=True)
    if verb == "TRUNCATE":
        reader.next()
        return _named(reader, Kind.TRUNCATE)
    if verb in ("RENAME", "EXCHANGE"):
        return _pairs(reader, Kind.RENAME if verb == "RENAME" else Kind.EXCHANGE)
    if verb == "ALTER":
        return _alter(reader)
    if reader.take("DELETE", "FROM"):
        names, span, cluster_at = _name(reader)
        return Statement(Kind.MUTATION, names, name_span=span, cluster_at=cluster_at)
    if verb == "INSERT":
        return _insert(reader)
    if verb in _HARMLESS or verb == "(":
        return Statement(Kind.REPEATABLE)
    return Statement(Kind.OPAQUE)


def _name(reader: Reader) -> tuple[tuple[tuple[str, str], ...], tuple[int, int], int | None]:
    """The coming name, where it stands, and where ON CLUSTER belongs."""
    start = reader.offset
    parts = reader.name()
    end = _end_of(reader)
    cluster_at = None if reader.peek() == "ON" and reader.peek(1) == "CLUSTER" else end
    name = (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")
    return (name,), (start, end), cluster_at


def _end_of(reader: Reader) -> int:
    """Where the token just read ends."""
    token = reader.items[reader.at - 1]
    return token.offset + len(token.text)


def _object(reader: Reader) -> str:
    """Step over TABLE, [MATERIALIZED] VIEW, … [IF [NOT] EXISTS] and return the last word of the object's kind."""
    reader.take_any("TEMPORARY", "MATERIALIZED", "WINDOW", "LIVE")
    word = reader.take_any(*_OBJECTS, "TABLES", "DICTIONARIES") or "TABLE"
    _ = reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS") or reader.take("IF", "EMPTY")
    return word


def _create(reader: Reader) -> Statement:
    replaces = reader.next() == "REPLACE"
    replaces = reader.take("OR", "REPLACE") or replaces
    if reader.peek() in _ACCESS:
        rest = {reader.peek(ahead) for ahead in range(6)}
        return Statement(Kind.REPEATABLE if replaces or "IF" in rest else Kind.OPAQUE)
    word = _object(reader)
    names, span, cluster_at = _name(reader)
    filled = False
    if word in ("TABLE", "VIEW"):
        view = word == "VIEW"
        while following := reader.skip_to("AS", "POPULATE", "CLONE"):
            reader.next()
            if following != "AS" or (not view and reader.peek() in ("SELECT", "WITH", "(")):
                filled = True
                break
    kind = Kind.CREATE_FILLED if filled else Kind.CREATE
    return Statement(kind, names, word, span, cluster_at, replaces=replaces)


def _named(reader: Reader, kind: Kind, several: bool = False) -> Statement:
    if reader.peek() in _ACCESS:
        return Statement(Kind.REPEATABLE if reader.skip_to("IF") else Kind.OPAQUE)
    word = _object(reader)
    names, span, cluster_at = _name(reader)
    while several and reader.take(","):
        more, _, cluster_at = _name(reader)
        names += more
    return Statement(kind, names, word, span, cluster_at)


def _pairs(reader: Reader, kind: Kind) -> Statement:
    reader.next()
    word = reader.take_any("TABLE", "TABLES", "DATABASE", "DICTIONARY", "DICTIONARIES") or "TABLE"
    names: tuple[tuple[str, str], ...] = ()
    cluster_at: int | None = None
    while True:
        reader.take("IF", "EXISTS")
        for _ in range(2):
            one, _span, cluster_at = _name(reader)
            names += one
            reader.take_any("TO", "AND")
        if not reader.take(","):
            break
    return Statement(kind, names, word.replace("TABLES", "TABLE"), cluster_at=cluster_at)


def _alter(reader: Reader) -> Statement:
    reader.next()
    if reader.peek() in _ACCESS:
        return Statement(Kind.REPEATABLE)
    word = reader.take_any("TABLE", "DATABASE", "NAMED") or "TABLE"
    reader.take("IF", "EXISTS")
    names, span, cluster_at = _name(reader)
    if reader.take("ON", "CLUSTER"):
        reader.next()
    kinds: set[Kind] = set()
    while not reader.done:
        reader.take("(")
        if kind := _alter_command(reader):
            kinds.add(kind)
        if not reader.skip_to(","):
            break
        reader.next()
    if len(kinds) == 1:
        return Statement(kinds.pop(), names, word, span, cluster_at)
    # One ALTER of several sorts runs sort after sort: no single look tells how far it came.
    mixed = not kinds or Kind.MUTATION in kinds or Kind.PARTS in kinds
    return Statement(Kind.OPAQUE if mixed else Kind.ALTER, names, word, span, cluster_at)


def _alter_command(reader: Reader) -> Kind | None:
    """The kind of one command of an ALTER; None for what only continues the command before it (SET a = 1, b = 2)."""
    first, second = reader.peek(), reader.peek(1)
    if first in ("UPDATE", "DELETE"):
        return Kind.MUTATION
    if first in ("MATERIALIZE", "APPLY", "REWRITE"):
        return Kind.REPEATABLE
    if first in _PART_VERBS and second in ("PARTITION", "PART"):
        return Kind.REPEATABLE if first in ("REPLACE", "FREEZE", "UNFREEZE") else Kind.PARTS
    if first in ("CLEAR", "FREEZE", "UNFREEZE"):
        return Kind.REPEATABLE
    if first in ("ADD", "DROP", "MODIFY", "RENAME", "COMMENT", "ALTER", "RESET", "REMOVE"):
        return Kind.ALTER
    return None


def _insert(reader: Reader) -> Statement:
    reader.next()
    reader.take("INTO")
    reader.take("TABLE")
    if reader.peek() == "FUNCTION":
        return Statement(Kind.OPAQUE)
    names, span, _ = _name(reader)
    columns: list[str] = []
    if reader.peek() == "(" and reader.peek(1) not in ("SELECT", "WITH"):
        reader.next()
        while not reader.done and not reader.take(")"):
            if part := reader.name():
                columns.append(".".join(part))
            else:
                reader.next()
    if reader.take("SETTINGS"):
        reader.skip_to("SELECT", "WITH", "VALUES", "FORMAT", "(")
    source_at = reader.offset if reader.peek() in ("SELECT", "WITH", "(", "FROM") else None
    return Statement(Kind.INSERT, names, name_span=span, columns=tuple(columns), source_at=source_at)


def on_cluster(text: str, statement: Statement, cluster: str) -> str:
    """The statement with ON CLUSTER where it belongs; unchanged where it says so already or has no place for it."""
    if statement.cluster_at is None or statement.kind in (Kind.INSERT, Kind.SETTING):
        return text
    quoted = "'" + cluster.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"{text[: statement.cluster_at]} ON CLUSTER {quoted}{text[statement.cluster_at :]}"


def with_mark(text: str, mark: str) -> str:
    """A mutation with an inert condition added to its last WHERE, by which system.mutations shows whose it is.

    Comments and query ids do not survive there; a comparison of two constants does (measured).
    """
    reader = Reader(text, "clickhouse")
    start = None
    while reader.skip_to("WHERE"):
        reader.next()
        start = reader.offset
    if start is None:
        return text
    reader = Reader(text[start:], "clickhouse")
    reader.skip_to("SETTINGS")
    end = start + reader.offset
    return f"{text[:start]}('{mark}' != '') AND ({text[start:end].rstrip()}) {text[end:]}".rstrip()


_SETTING = re.compile(r"\s*SET\s+(.*)", re.IGNORECASE | re.DOTALL)


def settings(text: str) -> dict[str, str]:
    """The names and values that a SET statement gives. Over HTTP they travel with each later statement instead."""
    reader = Reader(text, "clickhouse")
    reader.next()
    found: dict[str, str] = {}
    while name := reader.name():
        reader.take("=")
        start = reader.offset
        reader.skip_to(",")
        value = text[start : reader.offset].strip()
        found[name[-1]] = value[1:-1].replace("\\'", "'") if value.startswith("'") else value
        if not reader.take(","):
            break
    return found


def quote(*parts: str) -> str:
    """A name as ClickHouse reads it: `database`.`table`."""
    return ".".join("`" + part.replace("\\", "\\\\").replace("`", "\\`") + "`" for part in parts if part)
