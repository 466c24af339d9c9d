"""Which tables a statement writes again: those whose rows it reads to put them somewhere else, or changes in place."""

from __future__ import annotations

import re

from stepwell.databases.lexing import Reader, Unterminated

_SELECT = re.compile(r"\bSELECT\b", re.IGNORECASE)
LONGEST = 1_000_000
"""Characters; what is longer holds its rows itself."""


def copied(text: str, engine: str) -> list[str]:
    """The tables of an INSERT … SELECT, a CREATE TABLE … AS SELECT, or a ClickHouse mutation, as they are written."""
    if len(text) > LONGEST or (engine != "clickhouse" and not _SELECT.search(text)):
        return []
    try:
        reader = Reader(text, engine)
    except Unterminated:  # inline data has quotes by rules of its own
        return []
    verb = reader.peek()
    if verb == "ALTER" and engine == "clickhouse":
        return _mutated(reader)
    if verb not in ("INSERT", "REPLACE", "CREATE", "WITH") or not _SELECT.search(text):
        return []
    if verb == "CREATE" and not {reader.peek(1), reader.peek(3)} & {"TABLE", "TEMPORARY"}:
        return []
    found = []
    for at in range(len(reader.items)):
        reader.at = at
        if reader.take_any("FROM", "JOIN") and (name := reader.name()) and reader.peek() != "(":
            found.append(".".join(name))
    return list(dict.fromkeys(found))


def _mutated(reader: Reader) -> list[str]:
    reader.next()
    if not reader.take("TABLE"):
        return []
    name = ".".join(reader.name())
    return [name] if reader.skip_to("UPDATE", "DELETE", "MATERIALIZE") else []
