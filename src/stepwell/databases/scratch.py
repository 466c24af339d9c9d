"""Two empty databases to try something in, side by side on one server, and gone afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit, urlunsplit

from stepwell.databases import open_database
from stepwell.databases import url as urls

EMBEDDED = {"sqlite": "sqlite:////{folder}/{name}.db", "chdb": "chdb:////{folder}/server?database={name}"}
DROP = {
    "postgres": "DROP DATABASE IF EXISTS {name} WITH (FORCE)",
    "mysql": "DROP DATABASE IF EXISTS {name}",
    "clickhouse": "DROP DATABASE IF EXISTS {name} SYNC",
}


@contextmanager
def two(url: str) -> Iterator[tuple[str, str]]:
    """The URLs of two new databases on the server of a URL, whose own database is left alone.

    For an embedded engine they are in a temporary folder. Raises CannotConnect, Refused.
    """
    parsed = urls.parse(url)
    names = [f"stepwell_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    with ExitStack() as stack:
        if parsed.scheme in EMBEDDED:
            folder = stack.enter_context(TemporaryDirectory(prefix="stepwell-"))
            one, other = (EMBEDDED[parsed.scheme].format(folder=folder.lstrip("/"), name=name) for name in names)
        else:
            server = open_database("scratch", url, Path())
            server.connect()
            stack.callback(server.close)
            for name in names:
                server.query(f"CREATE DATABASE {name}")
                stack.callback(server.query, DROP[parsed.engine].format(name=name))
            parts = urlsplit(url)
            one, other = (urlunsplit(parts._replace(path=f"/{quote(name)}")) for name in names)
        yield one, other
