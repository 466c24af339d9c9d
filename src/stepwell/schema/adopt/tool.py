"""What is asked of a tool's table, whichever tool it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
class Tool:
    """A tool by the tables that it may keep, and the columns they must have at least, in small letters.

    `read` gives its records in the order they were applied, from a table of a name.
    """

    name: str
    tables: tuple[str, ...]
    columns: frozenset[str]
    read: Callable[[Database, str, Sequence[Script]], list[Record]]
