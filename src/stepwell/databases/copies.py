"""A copy of a whole database, to try on it what is meant for the original, which is only read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from stepwell.databases import open_database
from stepwell.databases import url as urls
from stepwell.databases.database import Database
from stepwell.errors import NoCopy, StepwellError


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy by its URL, which may hold a secret, and `how` it was made. `beside`: on the server of the original."""

    url: str
    how: str
    beside: bool = False
    drop: Callable[[], None] = lambda: None


class Copier(Protocol):
    """What each engine has: a module with these."""

    def place(self, database: Database) -> str:
        """What tells this database from every other, under whatever address it is reached."""

    def copy(self, original: Database, url: str, name: str, root: Path) -> tuple[str, str]:
        """Copy a connected database to a new one called `name`: its URL, and how. Raises Unfit."""

    def drop(self, original: Database, name: str, root: Path) -> None:
        """Remove the copy, by a connection to the original's server."""


class Unfit(Exception):
    """This database can't be copied here: why."""


def make(name: str, url: str, root: Path) -> Copy:
    """Copy a database beside itself. Raises NoCopy, CannotConnect."""
    copier, called = _copier(url), f"rehearsal_{secrets.token_hex(4)}"
    original = open_database(name, url, root)

    def drop() -> None:
        original.connect()
        try:
            copier.drop(original, called, root)
        finally:
            original.close()

    original.connect()
    made = False
    try:
        address, how = copier.copy(original, url, called, root)
        made = True
    except Unfit as unfit:
        raise NoCopy(name, str(unfit)) from None
    except StepwellError as error:
        raise NoCopy(name, error.said or error.what) from None
    finally:
        original.close()
        if not made:  # whatever ended it, Ctrl-C too, what there is of the copy goes
            with suppress(StepwellError):
                drop()
    return Copy(address, how, urls.parse(url).engine != "sqlite", drop)


def given(name: str, url: str, original: str, root: Path) -> Copy:
    """A copy that somebody has made. Raises NoCopy where it is the original itself."""
    if urls.parse(url).engine != urls.parse(original).engine:
        raise NoCopy(name, f"{urls.parse(url)} is of another engine than the original")
    if _place(name, url, root) == _place(name, original, root):
        raise NoCopy(name, f"{urls.parse(url)} is the original itself, not a copy of it")
    return Copy(url, "given")


def at(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{database}"))


def _place(name: str, url: str, root: Path) -> str:
    database = open_database(name, url, root)
    database.connect()
    try:
        return _copier(url).place(database)
    finally:
        database.close()


def _copier(url: str) -> Copier:
    # Imported here, so that a project pays for the engines it uses only.
    match urls.parse(url).engine:
        case "postgres":
            from stepwell.databases.postgres import copies as postgres

            return postgres
        case "mysql":
            from stepwell.databases.mysql import copies as mysql

            return mysql
        case "sqlite":
            from stepwell.databases.sqlite import copies as sqlite

            return sqlite
        case _:
            from stepwell.databases.clickhouse import copies as clickhouse

            return clickhouse
