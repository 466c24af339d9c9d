"""Database URLs: reading them, and showing them without their secrets."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from stepwell.errors import BadUrl, did_you_mean

_ENGINES = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "clickhouse": "clickhouse",
    "clickhouses": "clickhouse",
    "chdb": "clickhouse",
}
_SECRETS = (
    # Up to the last @: one that stands in the password itself should have been written as %40, but may not have been.
    re.compile(r"^((?:[^:/]*://)?+(?!/)[^:]*:)(.+)(?=@)", re.DOTALL),
    re.compile(r"(password=)([^&\s]+)", re.IGNORECASE),
)
_UNREADABLE = "host and port are not clear; in a password write %40 for @, %23 for #, %2F for /, %3F for ?, %5B for ["


@dataclass(frozen=True, slots=True)
class Url:
    """A database URL in parts. `path` is the folder or file of an embedded engine, '' for a server."""

    scheme: str
    engine: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    path: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The URL without its password and options."""
        if self.scheme in ("sqlite", "chdb"):
            return f"{self.scheme}:///{self.path.removeprefix('/')}"
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{self.host}{port}/{self.database}"


def redact(text: str) -> str:
    """A URL's text with everything that looks like a password replaced."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def passwords(text: str) -> list[str]:
    """The passwords in a URL's text, as they are written and as they are meant."""
    found = [match[2] for pattern in _SECRETS for match in pattern.finditer(text)]
    with suppress(ValueError):
        found.append(urlsplit(text).password or "")  # another @ may follow the one behind it
    return [*found, *map(unquote, found)]


def parse(text: str) -> Url:
    """Read a database URL. Raises BadUrl."""
    shown = redact(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its message may quote a part of the password
        raise BadUrl(shown, _UNREADABLE) from None
    engine = _ENGINES.get(parts.scheme)
    if engine is None:
        raise BadUrl(shown, f"unknown scheme {parts.scheme!r}{did_you_mean(parts.scheme, _ENGINES)}")
    options = dict(parse_qsl(parts.query))
    if parts.scheme in ("sqlite", "chdb"):
        # sqlite:///a.db is relative to the project, sqlite:////a.db absolute; so is chdb.
        path = unquote(parts.netloc + parts.path).removeprefix("/")
        if not path:
            raise BadUrl(shown, "it names no file")
        return Url(parts.scheme, engine, path=path, database=options.pop("database", ""), options=options)
    if "@" in parts.path + parts.fragment or ("@" in parts.query and not parts.path):
        raise BadUrl(shown, _UNREADABLE)  # what was taken for the host may be a part of the password
    database = unquote(parts.path.removeprefix("/"))
    if not database and engine != "clickhouse":
        raise BadUrl(shown, "it names no database")
    return Url(
        parts.scheme,
        engine,
        host=parts.hostname or "127.0.0.1",
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database or "default",
        options=options,
    )
