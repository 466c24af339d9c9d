"""What is asked of a tool's table, whichever tool it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.scripts.script import Script


@dataclass(frozen=True, slots=True)
class Record:
    """What a tool says of one version, in its own spelling. `script` is None where there is no file for it.

    `failed` says why it is not known to be applied as a whole, `edited` how the file differs from what was applied;
    both are '' where all is well.
    """

    said: str
    script: Script | None
    failed: str = ""
    edited: str = ""
    at: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A script that is applied, or undone, at this moment, and where the tool keeps that.

    `table` is spelled as in SQL, `columns` are its columns in small letters. `rest` are the scripts that are applied
    beside this one, and `seconds` is how long it took.
    """

    table: str
    columns: frozenset[str]
    script: Script
    rest: Sequence[Script]
    seconds: float = 0.0


def number(script: Script) -> str:
    """The digits that a script's name begins with; '' for none."""
    found = re.match("[0-9]+", script.version)
    return found.group() if found else ""


def numbered(script: Script) -> bool:
    return bool(number(script))


def insert(database: Database, table: str, values: Mapping[str, object]) -> None:
    """Add a row. A value of None is NULL."""
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    database.query(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool by the tables that it may keep, and the columns they must have at least, in small letters.

    `read` gives its records in the order they were applied, from a table of a name. `knows` tells whether the tool
    could have such a script; `add` says in its table that it is applied, as the tool would, and `remove` takes that
    back.
    """

    name: str
    tables: tuple[str, ...]
    columns: frozenset[str]
    read: Callable[[Database, str, Sequence[Script]], list[Record]]
    knows: Callable[[Script], bool]
    add: Callable[[Database, Change], None]
    remove: Callable[[Database, Change], None]
