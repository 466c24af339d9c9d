"""Reading a statement's text: its verb decides. Here are those for rows and for the session."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from stepwell.databases.database import Conduct
from stepwell.databases.lexing import Kind, Reader, Token, Unterminated, tokens
from stepwell.databases.mysql.names import ENGINE, quoted, table_name
from stepwell.databases.mysql.schema_change import alter, analyze, create, drop, install, rename, revoke, truncate
from stepwell.databases.mysql.statement import LOCKS, OPAQUE, REPEATABLE, SESSION, Statement

HEAD = 64  # tokens of an INSERT that are read; what it inserts may be megabytes

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


def _reader(text: str) -> Reader:
    if "/*!" in text or "/*M!" in text:  # the server runs what these comments hold
        text = "".join(_opened(token) for token in tokens(text, ENGINE))
    significant = (token for token in tokens(text, ENGINE) if not token.silent)
    first = next(significant, None)
    if first and first.text.upper() in ("INSERT", "REPLACE"):
        last = next(islice(significant, HEAD - 2, None), None)
        text = text[: last.offset] if last else text
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


def _insert(reader: Reader) -> Statement:
    while reader.take_any("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"):
        pass
    return _rows(*table_name(reader))


def _load(reader: Reader) -> Statement:
    if not reader.take_any("DATA", "XML"):
        return REPEATABLE  # LOAD INDEX INTO CACHE
    reader.skip_to("INTO")
    reader.take("INTO", "TABLE")
    return _rows(*table_name(reader))


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
    return LOCKS if reader.skip_to("LOCK", "EXPORT") else REPEATABLE


def _begin(reader: Reader) -> Statement:
    return OPAQUE if reader.take("NOT") else REPEATABLE  # BEGIN NOT ATOMIC is a block of statements


def _start(reader: Reader) -> Statement:
    return REPEATABLE if reader.take("TRANSACTION") else OPAQUE


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
    "LOCK": _always(LOCKS),
    "BEGIN": _begin,
    "START": _start,
    **dict.fromkeys(("COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "UNLOCK"), _always(REPEATABLE)),
    "CREATE": create,
    "DROP": drop,
    "ALTER": alter,
    "RENAME": rename,
    "TRUNCATE": truncate,
    "REVOKE": revoke,
    "ANALYZE": analyze,
    **dict.fromkeys(("INSTALL", "UNINSTALL"), install),
    **dict.fromkeys(("GRANT", "OPTIMIZE", "REPAIR", "CHECK", "CACHE"), _always(REPEATABLE)),
}
