"""Reading the statements that change schema objects or accounts. Each function stands behind its verb."""

from __future__ import annotations

from stepwell.databases.database import Conduct
from stepwell.databases.lexing import Kind, Reader
from stepwell.databases.mysql.names import table_name
from stepwell.databases.mysql.statement import OPAQUE, REPEATABLE, SESSION, Act, Object, Statement

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


def _visible(act: Act, *objects: Object) -> Statement:
    return Statement(Conduct.VISIBLE, act, objects) if objects else OPAQUE


def create(reader: Reader) -> Statement:
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


def drop(reader: Reader) -> Statement:
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
    return _visible(Act.CHANGE, *_objects("TABLE", table_name(reader)))


def alter(reader: Reader) -> Statement:
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
        return _visible(Act.CHANGE, *objects, *_objects(kind, table_name(reader)))
    if kind == "SEQUENCE":
        return OPAQUE if reader.skip_to("RESTART") else _visible(Act.CHANGE, *objects)
    return REPEATABLE


def _alter_table(reader: Reader) -> Statement:
    tables = _objects("TABLE", table_name(reader))
    if not reader.take("NOWAIT") and reader.take("WAIT"):
        reader.next()
    start = reader.at
    if reader.skip_to("EXCHANGE"):
        reader.skip_to("TABLE")
        reader.take("TABLE")
        return _visible(Act.EXCHANGE, *tables, *_objects("TABLE", table_name(reader)))
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
            return _visible(Act.CHANGE, *tables, *_objects("TABLE", table_name(reader)))
    return _visible(Act.CHANGE, *tables)


def rename(reader: Reader) -> Statement:
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


def truncate(reader: Reader) -> Statement:
    reader.take("TABLE")
    return _visible(Act.EMPTY, *_objects("TABLE", table_name(reader)))


def revoke(reader: Reader) -> Statement:
    if reader.take("IF", "EXISTS"):
        return REPEATABLE
    reader.skip_to("FROM")
    reader.take("FROM")
    users = _names(reader, "USER", several=True)
    return _visible(Act.CHANGE, Object("USER", users[0])) if len(users) == 1 else OPAQUE


def analyze(reader: Reader) -> Statement:
    reader.take_any("LOCAL", "NO_WRITE_TO_BINLOG")
    # MariaDB's ANALYZE before a query or an update runs it.
    return REPEATABLE if reader.peek() in ("TABLE", "TABLES") else OPAQUE


def install(reader: Reader) -> Statement:
    reader.take_any("PLUGIN", "COMPONENT", "SONAME")
    return REPEATABLE if _if_exists(reader) else OPAQUE


def _if_exists(reader: Reader) -> bool:
    return reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS")


def _objects(kind: str, names: tuple[str, ...]) -> tuple[Object, ...]:
    return tuple(Object(kind, name) for name in names)


def _names(reader: Reader, kind: str, several: bool = False) -> tuple[str, ...]:
    """The name that comes next; with `several` the whole list of them."""
    names: list[str] = []
    while name := (_account(reader) if kind == "USER" else "".join(table_name(reader))):
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
