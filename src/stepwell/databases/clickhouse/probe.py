"""What a statement would have made: found by doing it, without rows, to a table of another name.

So what a dead statement made is told from what somebody else did meanwhile. Only for tables and views that do nothing
by themselves: a probe must never consume a queue or feed a view.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from stepwell.databases.clickhouse import catalog
from stepwell.databases.clickhouse.names import Name, quote, spell
from stepwell.databases.clickhouse.statement import Kind, Statement, read
from stepwell.databases.database import Command
from stepwell.errors import Refused

if TYPE_CHECKING:
    from stepwell.databases.clickhouse.connection import ClickhouseDatabase

PROBE = "__stepwell_probe"
"""What is added to a table's name for its probe."""

_QUIET = re.compile(
    r"^CREATE VIEW |ENGINE = ((?!Replicated|Shared)\w*MergeTree|Distributed|Memory|Null|Log|TinyLog|StripeLog|Merge)\b"
)


def agrees(database: ClickhouseDatabase, command: Command, statement: Statement, before: str, now: str) -> bool | None:
    """Whether `now` is the definition that the statement makes, from `before` if it is an ALTER. None: can't tell."""
    if database.cluster or statement.cluster_at is None or not _QUIET.search(now):
        return None
    name = database.qualified(statement.names[0])
    probe = (name[0], name[1] + PROBE)
    word = "VIEW" if now.startswith("CREATE VIEW ") else "TABLE"
    try:
        catalog.drop(database, probe, word)
        if statement.kind is Kind.ALTER:
            database.query(_renamed(before, probe))
        text = _renamed(_without_rows(command.text, statement), probe)
        database.send(text, replace(command, text=text, tag=""))
        (made,) = catalog.objects(database, Statement(Kind.CREATE, (probe,))).values()
    except Refused:
        return None
    finally:
        catalog.drop(database, probe, word)
    return made is not None and made[1] == _renamed(now, probe, spell)


def _renamed(text: str, name: Name, spelling: Callable[[Name], str] = lambda name: quote(*name)) -> str:
    """The statement about an object of another name."""
    start, end = read(text).span
    return text[:start] + spelling(name) + text[end:]


def _without_rows(text: str, statement: Statement) -> str:
    """A CREATE … AS SELECT as CREATE … EMPTY AS SELECT, a CLONE AS as AS."""
    at = statement.fill_at
    if not at:
        return text
    if text[at:].upper().startswith("CLONE"):
        return text[:at] + text[at + len("CLONE") :]
    return f"{text[:at]}EMPTY {text[at:]}"
