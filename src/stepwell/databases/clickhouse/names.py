"""Names and values as ClickHouse reads them."""

from __future__ import annotations

import re

from stepwell.databases.lexing import Reader

Name = tuple[str, str]
"""A database and an object in it; the database is '' for what has none."""

_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def quote(*parts: str) -> str:
    """A name in SQL, whatever it is made of: `database`.`table`."""
    return ".".join("`" + part.replace("\\", "\\\\").replace("`", "``") + "`" for part in parts if part)


def spell(name: Name) -> str:
    """A name as people write it, and as the journal keeps it: main.runs, main.`2024-01`."""
    return ".".join(part if _PLAIN.fullmatch(part) else quote(part) for part in name if part)


def parse(text: str) -> Name:
    """The name that `spell` wrote, or a person."""
    *database, name = Reader(text, "clickhouse").name() or (text,)
    return (database[-1] if database else "", name)


def literal(value: str) -> str:
    """A string in quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def pair(name: Name) -> str:
    """A name as two strings, to compare (database, table) with."""
    return f"({literal(name[0])}, {literal(name[1])})"
