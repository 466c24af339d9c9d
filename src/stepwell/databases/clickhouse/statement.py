"""What a ClickHouse statement is about: its kind, the objects it names, and where in the text they stand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from stepwell.databases.clickhouse.names import Name
from stepwell.databases.lexing import Reader


class Kind(Enum):
    """Statements that are settled alike."""

    SETTING = "SET"
    SESSION = "bound to a session, which HTTP has none of"
    CREATE = "CREATE"
    CREATE_FILLED = "CREATE … AS SELECT"
    DROP = "DROP"
    RENAME = "RENAME"
    EXCHANGE = "EXCHANGE"
    ALTER = "ALTER of a definition"
    MUTATION = "mutation"
    INSERT = "INSERT"
    TRUNCATE = "TRUNCATE"
    PARTS = "change of parts"
    REPEATABLE = "harmless to repeat"
    OPAQUE = "unknown"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement read. `names` are its objects; RENAME and EXCHANGE list both of each pair.

    `object` is the word for what is created, dropped or renamed; `span` is where the names stand in the text, from
    the first to the last; `cluster_at` where ON CLUSTER belongs (None: it is there, or has no place); `replaces` says
    OR REPLACE; `fill_at` is where a CREATE_FILLED says AS, POPULATE or CLONE. An INSERT … SELECT is `head`
    and `source`; `columns` is an INSERT's column list as it is written.
    """

    kind: Kind
    names: tuple[Name, ...] = ()
    object: str = "TABLE"
    span: tuple[int, int] = (0, 0)
    cluster_at: int | None = None
    replaces: bool = False
    fill_at: int = 0
    columns: str = "*"
    head: str = ""
    source: str = ""


_OBJECTS = ("TABLE", "VIEW", "DICTIONARY", "DATABASE", "FUNCTION")
_ACCESS = (
    "USER", "ROLE", "QUOTA", "ROW", "POLICY", "SETTINGS", "NAMED", "PROFILE", "MASKING", "WORKLOAD", "RESOURCE",
)  # fmt: skip
_HARMLESS = (
    "OPTIMIZE", "SYSTEM", "GRANT", "REVOKE", "CHECK", "SELECT", "FROM", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS",
    "KILL", "EXPLAIN", "ANALYZE",
)  # fmt: skip
_PART_VERBS = ("DROP", "DETACH", "ATTACH", "MOVE", "FETCH", "FORGET")


@lru_cache(maxsize=16)
def read(text: str) -> Statement:
    """Read one statement."""
    reader = Reader(text, "clickhouse")
    if "parallel" in text.lower() and _parallel(reader):
        return Statement(Kind.OPAQUE)
    match reader.peek():
        case "SET":
            session = reader.peek(1) in ("ROLE", "DEFAULT", "TRANSACTION")
            return Statement(Kind.SESSION if session else Kind.SETTING)
        case "USE" | "BEGIN" | "COMMIT" | "ROLLBACK":
            return Statement(Kind.SESSION)
        case "CREATE" | "REPLACE":
            return _create(reader)
        case "ATTACH" | "UNDROP":
            return _named(reader, Kind.CREATE)
        case "DROP" | "DETACH":
            return _named(reader, Kind.DROP)
        case "TRUNCATE":
            return _named(reader, Kind.TRUNCATE)
        case "RENAME":
            return _pairs(reader, Kind.RENAME)
        case "EXCHANGE":
            return _pairs(reader, Kind.EXCHANGE)
        case "ALTER":
            return _alter(reader)
        case "DELETE" if reader.take("DELETE", "FROM"):
            return _about(reader, Kind.MUTATION)
        case "UPDATE":
            # A lightweight UPDATE is no mutation: it adds patch parts, and only these tell of it.
            reader.next()
            return _about(reader, Kind.PARTS)
        case "INSERT" | "WITH":
            return _insert(reader)
        case verb:
            return Statement(Kind.REPEATABLE if verb in _HARMLESS else Kind.OPAQUE)


def _parallel(reader: Reader) -> bool:
    """Whether PARALLEL WITH joins several statements."""
    return any(reader.peek(at) == "PARALLEL" and reader.peek(at + 1) == "WITH" for at in range(len(reader.items)))


def _end(reader: Reader) -> int:
    """Where the token just read ends."""
    token = reader.items[reader.at - 1] if reader.at else None
    return token.offset + len(token.text) if token else 0


def _name(reader: Reader) -> Name:
    parts = reader.name()
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


def _cluster_at(reader: Reader) -> int | None:
    """Where ON CLUSTER belongs when the names have just been read."""
    if reader.take("UUID"):
        reader.next()
    return None if reader.peek() == "ON" and reader.peek(1) == "CLUSTER" else _end(reader)


def _about(reader: Reader, kind: Kind, word: str = "TABLE") -> Statement:
    """A statement about the one object that comes next."""
    start = reader.offset
    name = _name(reader)
    return Statement(kind, (name,), word, (start, _end(reader)), _cluster_at(reader))


def _object(reader: Reader) -> str:
    """Step over [MATERIALIZED] VIEW, TABLE, … [IF [NOT] EXISTS] and return the word for the kind of object."""
    reader.take_any("MATERIALIZED", "WINDOW", "LIVE")
    word = reader.take_any(*_OBJECTS) or "TABLE"
    _ = reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS") or reader.take("IF", "EMPTY")
    return word


def _index(reader: Reader) -> Statement:
    """CREATE or DROP INDEX i ON t, which is an ALTER of the table by another name."""
    reader.skip_to("ON")
    reader.next()
    return _about(reader, Kind.ALTER)


def _create(reader: Reader) -> Statement:
    replaces = reader.next() == "REPLACE" or reader.take("OR", "REPLACE")
    reader.take("UNIQUE")
    if reader.peek() in _ACCESS:
        guarded = replaces or "IF" in {reader.peek(ahead) for ahead in range(6)}
        return Statement(Kind.REPEATABLE if guarded else Kind.OPAQUE)
    if reader.peek() == "TEMPORARY":
        return Statement(Kind.SESSION)
    if reader.peek() == "INDEX":
        return _index(reader)
    word = _object(reader)
    created = _about(reader, Kind.CREATE, word)
    fill_at = _fill_at(reader, word)
    kind = Kind.CREATE if fill_at is None else Kind.CREATE_FILLED
    return Statement(kind, created.names, word, created.span, created.cluster_at, replaces, fill_at or 0)


def _fill_at(reader: Reader, word: str) -> int | None:
    """Where a CREATE says with which rows the object begins; None where it begins empty."""
    if word not in ("TABLE", "VIEW"):
        return None
    while following := reader.skip_to("AS", "POPULATE", "CLONE", "EMPTY"):
        at = reader.offset
        reader.next()
        if following in ("POPULATE", "CLONE"):
            return at
        if following == "EMPTY" or word == "VIEW":
            return None
        if reader.peek() in ("SELECT", "WITH", "FROM", "("):
            return at
    return None


def _named(reader: Reader, kind: Kind) -> Statement:
    """ATTACH, UNDROP, DROP, DETACH and TRUNCATE: a word for the kind of object, and names."""
    reader.next()
    if reader.peek() in _ACCESS:
        return Statement(Kind.REPEATABLE if reader.skip_to("IF") else Kind.OPAQUE)
    if reader.peek() == "TEMPORARY":
        return Statement(Kind.SESSION)
    if reader.peek() == "INDEX":
        return _index(reader)
    if kind is Kind.TRUNCATE and reader.peek() in ("ALL", "TABLES", "DATABASE"):
        return Statement(Kind.OPAQUE)
    word, start = _object(reader), reader.offset
    names = [_name(reader)]
    while reader.take(","):
        names.append(_name(reader))
    return Statement(kind, tuple(names), word, (start, _end(reader)), _cluster_at(reader))


def _pairs(reader: Reader, kind: Kind) -> Statement:
    reader.next()
    word = reader.take_any("TABLE", "TABLES", "DATABASE", "DICTIONARY", "DICTIONARIES")
    word = {"TABLES": "TABLE", "DICTIONARIES": "DICTIONARY", "": "TABLE"}.get(word, word)
    start, names = reader.offset, []
    while True:
        reader.take("IF", "EXISTS")
        names.append(_name(reader))
        reader.take_any("TO", "AND")
        names.append(_name(reader))
        if not reader.take(","):
            break
    return Statement(kind, tuple(names), word, (start, _end(reader)), _cluster_at(reader))


def _alter(reader: Reader) -> Statement:
    reader.next()
    if reader.peek() in _ACCESS:
        return Statement(Kind.REPEATABLE)
    reader.take("TEMPORARY")
    word = reader.take_any("TABLE", "DATABASE") or "TABLE"
    reader.take("IF", "EXISTS")
    altered = _about(reader, Kind.ALTER, word)
    if reader.take("ON", "CLUSTER"):
        reader.next()
    kinds: set[Kind] = set()
    names = altered.names
    while not reader.done:
        reader.take("(")
        kind = _alter_command(reader)
        if kind is Kind.PARTS and reader.peek() == "MOVE" and reader.skip_to("TO", ",") == "TO":
            reader.next()
            if reader.take("TABLE"):
                names += (_name(reader),)
        if kind:
            kinds.add(kind)
        if not reader.skip_to(","):
            break
        reader.next()
    if len(kinds) != 1:
        # One ALTER of several sorts runs sort after sort: no single look tells how far it came.
        kinds = {Kind.ALTER} if kinds == {Kind.ALTER, Kind.REPEATABLE} else {Kind.OPAQUE}
    return Statement(kinds.pop(), names, word, altered.span, altered.cluster_at)


def _alter_command(reader: Reader) -> Kind | None:
    """The kind of one command of an ALTER; None for what only continues the command before it (SET a = 1, b = 2)."""
    first, second = reader.peek(), reader.peek(1)
    if second == "=":
        return None
    if first in ("UPDATE", "DELETE"):
        return Kind.MUTATION
    if first in _PART_VERBS and second in ("PARTITION", "PART"):
        return Kind.PARTS
    if first in ("MATERIALIZE", "APPLY", "REWRITE", "CLEAR", "FREEZE", "UNFREEZE") or second == "DETACHED":
        return Kind.REPEATABLE
    if first == "REPLACE" and second == "PARTITION":
        return Kind.REPEATABLE
    if first in ("ADD", "DROP", "MODIFY", "RENAME", "COMMENT", "ALTER", "RESET", "REMOVE"):
        return Kind.ALTER
    return None


def _insert(reader: Reader) -> Statement:
    first = reader.offset
    if reader.peek() == "WITH" and reader.skip_to("SELECT", "INSERT", "FROM") != "INSERT":
        return Statement(Kind.REPEATABLE)
    # WITH … INSERT INTO t SELECT is another way to write INSERT INTO t WITH … SELECT.
    text, begin = reader.text, reader.offset
    reader.take("INSERT", "INTO")
    reader.take("TABLE")
    if reader.peek() == "FUNCTION":
        return Statement(Kind.OPAQUE)
    start = reader.offset
    names, span, columns = (_name(reader),), (start, _end(reader)), "*"
    if reader.peek() == "(" and reader.peek(1) not in ("SELECT", "WITH", "(", "FROM"):
        reader.next()
        opened = _end(reader)
        reader.skip_to(")")
        columns = text[opened : reader.offset]
        reader.next()
    if reader.take("SETTINGS"):
        reader.skip_to("SELECT", "WITH", "VALUES", "FORMAT", "FROM", "(")
    if reader.peek() not in ("SELECT", "WITH", "FROM", "(") or reader.peek(1) == "INFILE":
        return Statement(Kind.INSERT, names, span=span, columns=columns)
    head, source_at, end = text[begin : reader.offset], reader.offset, len(text)
    if len(reader.items) > 2 and reader.items[-2].text.upper() == "FORMAT":
        end = reader.items[-2].offset  # it says nothing about what is inserted, and a subquery can't have it
    source = text[first:begin] + text[source_at:end]
    return Statement(Kind.INSERT, names, span=span, columns=columns, head=head, source=source)
