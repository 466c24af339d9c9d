"""What is added to a statement before it is sent."""

from __future__ import annotations

from stepwell.databases.clickhouse.names import literal
from stepwell.databases.clickhouse.statement import Statement
from stepwell.databases.lexing import Kind as TokenKind
from stepwell.databases.lexing import Reader


def on_cluster(text: str, statement: Statement, cluster: str) -> str:
    """The statement with ON CLUSTER where it belongs; unchanged where it says so already or has no place for it."""
    at = statement.cluster_at
    return text if at is None else f"{text[:at]} ON CLUSTER {literal(cluster)}{text[at:]}"


def with_mark(text: str, mark: str) -> str:
    """A mutation with an inert condition added to its last WHERE, by which system.mutations shows whose it is.

    Comments and query ids do not survive there; a comparison of two constants does (measured).
    """
    reader = Reader(text, "clickhouse")
    last = None
    while reader.skip_to("WHERE"):
        last = reader.at
        reader.next()
    if last is None:
        return text
    reader.at = last + 1
    while reader.skip_to("SETTINGS") and not _settings_follow(reader):
        reader.next()
    where, end = reader.items[last], reader.items[reader.at - 1]
    start, stop = where.offset + len(where.text), end.offset + len(end.text)
    return f"{text[:start]} ({literal(mark)} != '') AND ({text[start:stop].strip()}){text[stop:]}"


def _settings_follow(reader: Reader) -> bool:
    """Whether the coming SETTINGS is the clause, and not a column of that name."""
    name = reader.items[reader.at + 1 : reader.at + 2]
    return bool(name) and name[0].kind in (TokenKind.WORD, TokenKind.QUOTED) and reader.peek(2) == "="


def settings(text: str) -> dict[str, str]:
    """The names and values that a SET statement gives. Over HTTP they travel with each later statement instead."""
    reader = Reader(text, "clickhouse")
    reader.next()
    found: dict[str, str] = {}
    while name := reader.name():
        reader.take("=")
        first = reader.at
        reader.skip_to(",")
        value = reader.items[first : reader.at]
        if len(value) == 1 and value[0].kind is TokenKind.STRING:
            found[name[-1]] = value[0].text[1:-1].replace("\\'", "'").replace("''", "'")
        else:
            found[name[-1]] = "".join(token.text for token in value) or "1"
        reader.take(",")
    return found
