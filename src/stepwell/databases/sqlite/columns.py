"""A table's columns in SQLite."""

from __future__ import annotations

import re

from stepwell.databases.columns import Column, Table
from stepwell.databases.database import Database
from stepwell.databases.lexing import Kind, Reader, tokens, unquote

TABLE = "SELECT type, sql FROM sqlite_master WHERE lower(name) = lower(?) AND type IN ('table', 'view')"
COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
INDEXES = """
SELECT x.name, l.name, l."unique", l.origin
FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS x
WHERE x."key" AND x.name IS NOT NULL
"""
FOREIGN_KEYS = """
SELECT f."from", 'foreign key to ' || f."table"
FROM pragma_foreign_key_list(?) AS f
UNION
SELECT f."to", 'foreign key of ' || m.name
FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
WHERE m.type = 'table' AND lower(f."table") = lower(?) AND f."to" IS NOT NULL
"""
OTHERS = (
    "SELECT type, name, sql, lower(tbl_name) = lower(?) FROM sqlite_master WHERE type IN ('view', 'trigger', 'index')"
)

_COLLATE = re.compile(r"\bCOLLATE\s+(\w+)", re.IGNORECASE)


def read(database: Database, table: str) -> Table | None:
    """What the pragmas, and the text of the table, tell."""
    name = (Reader(table, "sqlite").name() or (table,))[-1]
    found = database.query(TABLE, (name,))
    if not found:
        return None
    kind, text = found[0]
    definitions = _definitions(str(text))
    others = database.query(OTHERS, (name,))
    indexed = database.query(INDEXES, (name,))
    foreign = database.query(FOREIGN_KEYS, (name, name))
    rows = database.query(COLUMNS, (name,))
    columns = {}
    for column, type_, not_null, default, place, hidden in rows:
        own = definitions.get(column.lower(), "")
        collation = _COLLATE.search(own)
        uses = [
            *(["the primary key"] if place else []),
            *(["its own definition: it is generated"] if hidden else []),
            *(
                f"unique index {index}"
                for c, index, unique, origin in indexed
                if c == column and unique and origin != "pk"
            ),
            *(what for c, what in foreign if c and c.lower() == column.lower()),
            *(["a CHECK constraint"] if _in_check(column, [own, *definitions.get("", "").split("\n")]) else []),
            *(f"{what} {it}" for what, it, sql, own_ in others if what == "view" and _names(sql, name, column)),
            *(f"{what} {it}" for what, it, sql, own_ in others if what == "trigger" and _names(sql, name, column)),
            *(
                f"partial index {it}"
                for what, it, sql, own_ in others
                if what == "index" and own_ and _partial(sql, column)
            ),
        ]
        columns[column] = Column(
            name=quoted(column),
            type=f"{type_} COLLATE {collation[1]}" if collation else type_,
            nullable=not not_null,
            default=default if default and default.upper() != "NULL" else "",
            compare="{} COLLATE BINARY" if collation else "{}",
            used_by=tuple(uses),
            indexes=tuple(f"index {index}" for c, index, unique, _ in indexed if c == column and not unique),
        )
    key = tuple(quoted(column) for column, *_, place, _ in sorted(rows, key=lambda row: row[4]) if place)
    triggers = tuple(it for what, it, _, own_ in others if what == "trigger" and own_)
    return Table(table, columns, key, triggers, "" if kind == "table" else "it is no table")


def quoted(name: str) -> str:
    """A name as SQL spells it: quoted unless it is plain."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _definitions(create: str) -> dict[str, str]:
    """What a CREATE TABLE says of each column, by its name without capitals; of the table itself, by ''."""
    found: dict[str, str] = {}
    for part in _parts(create):
        first = next((token for token in tokens(part, "sqlite") if not token.silent), None)
        if first is None:
            continue
        word = first.text.upper()
        name = "" if word in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN") else unquote(first.text).lower()
        found[name] = f"{found.get(name, '')}\n{part}" if name in found else part
    return found


def _parts(create: str) -> list[str]:
    """The text between the outer parentheses, cut at its commas."""
    parts, depth, start = list[str](), 0, 0
    for token in tokens(create, "sqlite"):
        depth -= token.text == ")"
        if (depth == 1 and token.text == ",") or (depth == 0 and token.text == ")"):
            parts.append(create[start : token.offset])
            start = token.offset + 1
        if token.text == "(":
            start = token.offset + 1 if depth == 0 else start
            depth += 1
    return parts


def _words(text: str) -> set[str]:
    return {unquote(t.text).lower() for t in tokens(text, "sqlite") if t.kind in (Kind.WORD, Kind.QUOTED)}


def _in_check(column: str, definitions: list[str]) -> bool:
    checks = (text[found.end() :] for text in definitions if (found := re.search(r"\bCHECK\b", text, re.IGNORECASE)))
    return any(column.lower() in _words(text) for text in checks)


def _names(sql: str, table: str, column: str) -> bool:
    return {table.lower(), column.lower()} <= _words(sql)


def _partial(sql: str | None, column: str) -> bool:
    where = re.search(r"\bWHERE\b", sql or "", re.IGNORECASE)
    return bool(sql and where and column.lower() in _words(sql[where.end() :]))
