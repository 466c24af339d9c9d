"""What a statement does, read from its text: how it behaves when its sender dies, and what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import islice

from stepwell.databases.database import Conduct
from stepwell.databases.lexing import Kind, Reader, Token, Unterminated, tokens

ENGINE = "mysql"
HEAD = 64  # tokens of an INSERT that are read; what it inserts may be megabytes


class Act(Enum):
    """What a statement does to the objects it names."""

    CREATE = "makes them"
    REPLACE = "makes them anew"
    DROP = "takes them away"
    CHANGE = "changes the first; a second is its new name"
    RENAME = "renames them, pair after pair"
    EMPTY = "takes all rows, of the table or of some partitions"
    EXCHANGE = "swaps a partition of the first with the second"


@dataclass(frozen=True, slots=True)
class Object:
    """Something with a definition. `kind` is the word behind CREATE, `name` ready to stand in a statement."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Statement:
    """Names of tables are ready to stand in a statement.

    `writes` are the tables whose rows it changes, `made` the table it makes (`temporary`: for this connection
    alone), `settings` the variables of the session that it sets. `locks`: it leaves whole tables locked.
    """

    conduct: Conduct
    act: Act | None = None
    objects: tuple[Object, ...] = ()
    writes: tuple[str, ...] = ()
    made: str = ""
    temporary: bool = False
    settings: tuple[str, ...] = ()
    locks: bool = False

    @property
    def renamed(self) -> list[str]:
        """The tables that get another name."""
        if self.act is Act.CHANGE and len(self.objects) == 1:
            return []
        moved = self.objects[::2] if self.act in (Act.RENAME, Act.CHANGE) else ()
        return [named.name for named in moved if named.kind == "TABLE"]


SESSION = Statement(Conduct.SESSION)
REPEATABLE = Statement(Conduct.REPEATABLE)
OPAQUE = Statement(Conduct.OPAQUE)
_LOCKS = Statement(Conduct.REPEATABLE, locks=True)  # REPEATABLE, for it would end an open transaction

# Objects whose definition SHOW CREATE tells (for accounts: SHOW GRANTS).
_KINDS = {
    "TABLE": "TABLE",
    "VIEW": "VIEW",
    "TRIGGER": "TRIGGER",
    "PROCEDURE": "PROCEDURE",
    "FUNCTION": "FUNCTION",
    "EVENT": "EVENT",
    "DATABASE": "DATABASE",
    "SCHEMA": "DATABASE",
    "SEQUENCE": "SEQUENCE",
    "USER": "USER",
    "ROLE": "USER",
}
_OTHER_KINDS = ("INDEX", "PACKAGE", "SERVER", "TABLESPACE", "LOGFILE", "RESOURCE")
_CHARACTER_SETS = (
    "character_set_client",
    "character_set_results",
    "character_set_connection",
    "collation_connection",
)
_LOCKING_FUNCTIONS = {"GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS"}
_EXECUTABLE = re.compile(r"/\*M?!\d*|\*/")


@lru_cache(maxsize=256)
def read(text: str) -> Statement:
    """Read one statement of MySQL or MariaDB. What is not known is OPAQUE."""
    try:
        return _read(_reader(text))
    except Unterminated:
        return OPAQUE


def quoted(*parts: str) -> str:
    """A name as SQL, each part in backquotes."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def as_sql(name: str) -> str:
    """A table's name ready to stand in a statement, from the way people write it: items, app.items, `a b`."""
    reader = Reader(name, ENGINE)
    parts = reader.name()
    return quoted(*parts) if parts and reader.done else quoted(name)


def as_written(name: str) -> str:
    """The other way round: without the quotes, where they are not needed."""
    bare = name.replace("`", "")
    return bare if as_sql(bare) == name else name


def _reader(text: str) -> Reader:
    if "/*!" in text or "/*M!" in text:  # the server runs what these comments hold
        text = "".join(_opened(token) for token in tokens(text, ENGINE))
    head = list(islice((token for token in tokens(text, ENGINE) if not token.silent), HEAD))
    if len(head) == HEAD and head[0].text.upper() in ("INSERT", "REPLACE"):
        text = text[: head[-1].offset]
    return Reader(text, ENGINE)


def _opened(token: Token) -> str:
    return token.text if token.kind is not Kind.COMMENT or token.silent else _EXECUTABLE.sub(" ", token.text)


def _read(reader: Reader) -> Statement:
    while reader.take("("):
        pass
    handler = _VERBS.get(reader.next())
    return handler(reader) if handler else OPAQUE


# --- rows -------------------------------------------------------------------------------------------------


def _rows(*tables: str) -> Statement:
    return Statement(Conduct.TRANSACTIONAL, writes=tables)


def _table(reader: Reader) -> tuple[str, ...]:
    parts = reader.name()
    return (quoted(*parts),) if parts else ()


def _insert(reader: Reader) -> Statement:
    while reader.take_any("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"):
        pass
    return _rows(*_table(reader))


def _load(reader: Reader) -> Statement:
    if not reader.take_any("DATA", "XML"):
        return REPEATABLE  # LOAD INDEX INTO CACHE
    reader.skip_to("INTO")
    reader.take("INTO", "TABLE")
    return _rows(*_table(reader))


def _update(reader: Reader) -> Statement:
    while reader.take_any("LOW_PRIORITY", "IGNORE"):
        pass
    return _rows(*_references(reader, "SET"))


def _delete(reader: Reader) -> Statement:
    # DELETE FROM t …, DELETE a, b FROM t AS a JOIN …, DELETE FROM a, b USING t AS a JOIN …
    reader.skip_to("FROM")
    reader.take("FROM")
    start = reader.at
    if reader.skip_to("USING", "WHERE", "ORDER", "LIMIT") == "USING":
        reader.next()
    else:
        reader.at = start
    return _rows(*_references(reader, "WHERE", "ORDER", "LIMIT", "RETURNING"))


def _references(reader: Reader, *until: str) -> tuple[str, ...]:
    """All tables of a FROM clause. Those of sub-queries, conditions and index hints are passed over."""
    tables: list[str] = []
    expected = True
    while not reader.done and reader.peek() not in until:
        if reader.peek() == "(":
            if expected and reader.peek(1) not in ("SELECT", "WITH", "VALUES"):
                reader.next()
                continue
            reader.next()
            reader.skip_to(")")
            reader.next()
            expected = False
        elif expected and (name := reader.name()):
            tables.append(quoted(*name))
            expected = False
        else:
            expected = reader.next() in ("JOIN", "STRAIGHT_JOIN", ",") or expected
    return tuple(tables)


def _select(reader: Reader) -> Statement:
    words = [reader.peek(ahead) for ahead in range(len(reader.items) - reader.at)]
    following = list(zip(words, [*words[1:], ""], strict=True))
    if any(word == "INTO" and then in ("OUTFILE", "DUMPFILE") for word, then in following):
        return OPAQUE
    if ("INTO", "@") in following or (":", "=") in following or _LOCKING_FUNCTIONS.intersection(words):
        return SESSION
    return _rows()


def _with(reader: Reader) -> Statement:
    reader.skip_to("SELECT", "UPDATE", "DELETE")
    return _read(reader)


# --- the session ------------------------------------------------------------------------------------------


def _set(reader: Reader) -> Statement:
    if reader.take("STATEMENT"):  # MariaDB: SET STATEMENT name = value FOR statement
        reader.skip_to("FOR")
        reader.take("FOR")
        return _read(reader)
    start = reader.at
    reader.take("@", "@")
    if reader.take_any("GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "RESOURCE"):
        return REPEATABLE
    if reader.take("DEFAULT", "ROLE"):
        return REPEATABLE
    reader.at = start
    if reader.take_any("NAMES", "CHARSET") or reader.take("CHARACTER", "SET"):
        return Statement(Conduct.SESSION, settings=_CHARACTER_SETS)
    settings = tuple(_assigned(reader))
    if "autocommit" in settings:
        return REPEATABLE  # would commit in the middle of a transaction; the adapter keeps it on
    return Statement(Conduct.SESSION, settings=settings)


def _assigned(reader: Reader) -> list[str]:
    """The session variables of a SET, without the user's own @variables."""
    settings: list[str] = []
    while not reader.done:
        system = reader.take("@", "@")
        if reader.take_any("SESSION", "LOCAL"):
            reader.take(".")
        if reader.take("TRANSACTION"):
            settings.append("transaction")
        elif system or reader.peek() != "@":
            settings.append(".".join(reader.name()).lower())
        reader.skip_to(",")
        reader.take(",")
    return settings


def _flush(reader: Reader) -> Statement:
    return _LOCKS if reader.skip_to("LOCK", "EXPORT") else REPEATABLE


def _begin(reader: Reader) -> Statement:
    return OPAQUE if reader.take("NOT") else REPEATABLE  # BEGIN NOT ATOMIC is a block of statements


def _start(reader: Reader) -> Statement:
    return REPEATABLE if reader.take("TRANSACTION") else OPAQUE


# --- objects ----------------------------------------------------------------------------------------------


def _visible(act: Act, *objects: Object) -> Statement:
    return Statement(Conduct.VISIBLE, act, objects) if objects else OPAQUE


def _create(reader: Reader) -> Statement:
    replaces = reader.take("OR", "REPLACE")
    if reader.take("DEFINER", "="):
        _account(reader)
    temporary = bool(reader.skip_to("TEMPORARY", *_KINDS, *_OTHER_KINDS)) and reader.take("TEMPORARY")
    word = reader.next()
    harmless = _if_exists(reader)
    if word == "INDEX":
        return _index(reader)
    kind = _KINDS.get(word)
    if kind is None:
        return REPEATABLE if harmless or replaces else OPAQUE
    names = _names(reader, kind)
    if temporary:
        return Statement(Conduct.SESSION, made="".join(names), temporary=True)
    if kind == "TABLE" and names:
        act = Act.REPLACE if replaces else Act.CREATE
        return Statement(Conduct.VISIBLE, act, _objects(kind, names), made=names[0])
    if replaces:
        return OPAQUE if kind in ("DATABASE", "SEQUENCE") else REPEATABLE
    if kind == "FUNCTION" and reader.skip_to("SONAME"):
        return OPAQUE  # a function of a library; SHOW CREATE does not know it
    if kind == "USER" and reader.skip_to(","):
        return OPAQUE  # several users, one after another
    return _visible(Act.CREATE, *_objects(kind, names))


def _drop(reader: Reader) -> Statement:
    if reader.take("PREPARE"):
        return SESSION
    temporary = reader.take("TEMPORARY")
    word = reader.next()
    harmless = _if_exists(reader)
    if temporary:
        return SESSION
    if word == "INDEX":
        return _index(reader)
    kind = _KINDS.get(word)
    if kind is None:
        return REPEATABLE if harmless else OPAQUE
    return _visible(Act.DROP, *_objects(kind, _names(reader, kind, several=True)))


def _index(reader: Reader) -> Statement:
    """CREATE or DROP INDEX i ON t: a change of the table."""
    reader.skip_to("ON")
    reader.take("ON")
    return _visible(Act.CHANGE, *_objects("TABLE", _table(reader)))


def _alter(reader: Reader) -> Statement:
    if reader.take("DEFINER", "="):
        _account(reader)
    word = reader.skip_to(*_KINDS, *_OTHER_KINDS)
    reader.next()
    _if_exists(reader)
    kind = _KINDS.get(word)
    if kind is None:
        return OPAQUE
    if kind == "TABLE":
        return _alter_table(reader)
    objects = _objects(kind, _names(reader, kind))
    if kind == "EVENT" and reader.skip_to("RENAME"):
        reader.take("RENAME", "TO")
        return _visible(Act.CHANGE, *objects, *_objects(kind, _table(reader)))
    if kind == "SEQUENCE":
        return OPAQUE if reader.skip_to("RESTART") else _visible(Act.CHANGE, *objects)
    return REPEATABLE


def _alter_table(reader: Reader) -> Statement:
    tables = _objects("TABLE", _table(reader))
    if not reader.take("NOWAIT") and reader.take("WAIT"):
        reader.next()
    start = reader.at
    if reader.skip_to("EXCHANGE"):
        reader.skip_to("TABLE")
        reader.take("TABLE")
        return _visible(Act.EXCHANGE, *tables, *_objects("TABLE", _table(reader)))
    reader.at = start
    while word := reader.skip_to("RENAME", "TRUNCATE", "DISCARD", "IMPORT"):
        first = reader.at == start or reader.items[reader.at - 1].text == ","
        reader.next()
        if word == "TRUNCATE" and first:
            return _visible(Act.EMPTY, *tables)
        if word in ("DISCARD", "IMPORT") and first:
            return OPAQUE
        if word == "RENAME" and first and reader.peek() not in ("COLUMN", "INDEX", "KEY"):
            reader.take_any("TO", "AS", "=")
            return _visible(Act.CHANGE, *tables, *_objects("TABLE", _table(reader)))
    return _visible(Act.CHANGE, *tables)


def _rename(reader: Reader) -> Statement:
    word = reader.take_any("TABLE", "TABLES", "USER")
    if not word:
        return OPAQUE
    kind = "USER" if word == "USER" else "TABLE"
    _if_exists(reader)
    objects: list[Object] = []
    while names := _names(reader, kind):
        objects += _objects(kind, names)
        reader.skip_to("TO", ",")  # MariaDB: WAIT n or NOWAIT may come between
        reader.take_any("TO", ",")
    return _visible(Act.RENAME, *objects) if len(objects) % 2 == 0 else OPAQUE


def _truncate(reader: Reader) -> Statement:
    reader.take("TABLE")
    return _visible(Act.EMPTY, *_objects("TABLE", _table(reader)))


def _revoke(reader: Reader) -> Statement:
    if reader.take("IF", "EXISTS"):
        return REPEATABLE
    reader.skip_to("FROM")
    reader.take("FROM")
    users = _names(reader, "USER", several=True)
    return _visible(Act.CHANGE, Object("USER", users[0])) if len(users) == 1 else OPAQUE


def _analyze(reader: Reader) -> Statement:
    reader.take_any("LOCAL", "NO_WRITE_TO_BINLOG")
    # MariaDB's ANALYZE before a query or an update runs it.
    return REPEATABLE if reader.peek() in ("TABLE", "TABLES") else OPAQUE


def _if_exists(reader: Reader) -> bool:
    return reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS")


def _objects(kind: str, names: tuple[str, ...]) -> tuple[Object, ...]:
    return tuple(Object(kind, name) for name in names)


def _names(reader: Reader, kind: str, several: bool = False) -> tuple[str, ...]:
    """The name that comes next; with `several` the whole list of them."""
    names: list[str] = []
    while name := (_account(reader) if kind == "USER" else "".join(_table(reader))):
        names.append(name)
        if not (several and reader.take(",")):
            break
    return tuple(names)


def _account(reader: Reader) -> str:
    """Step over 'user'@'host' and return it as written."""
    if reader.take("CURRENT_USER"):
        reader.take("(", ")")
        return "CURRENT_USER()"
    if reader.done or reader.items[reader.at].kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        return ""
    account = reader.items[reader.at].text
    reader.next()
    if reader.take("@") and not reader.done:
        account += f"@{reader.items[reader.at].text}"
        reader.next()
    return account


def _always(statement: Statement) -> Callable[[Reader], Statement]:
    return lambda _: statement


_VERBS: dict[str, Callable[[Reader], Statement]] = {
    "INSERT": _insert,
    "REPLACE": _insert,
    "LOAD": _load,
    "UPDATE": _update,
    "DELETE": _delete,
    "WITH": _with,
    **dict.fromkeys(("SELECT", "DO", "VALUES"), _select),
    **dict.fromkeys(("TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "HELP"), _always(_rows())),
    **dict.fromkeys(("CHECKSUM", "SIGNAL"), _always(_rows())),
    "SET": _set,
    "FLUSH": _flush,
    **dict.fromkeys(("USE", "PREPARE", "DEALLOCATE", "HANDLER"), _always(SESSION)),
    "LOCK": _always(_LOCKS),
    "BEGIN": _begin,
    "START": _start,
    **dict.fromkeys(("COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "UNLOCK"), _always(REPEATABLE)),
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
    "RENAME": _rename,
    "TRUNCATE": _truncate,
    "REVOKE": _revoke,
    "ANALYZE": _analyze,
    **dict.fromkeys(("GRANT", "OPTIMIZE", "REPAIR", "CHECK", "CACHE"), _always(REPEATABLE)),
}
