"""Opening the driver's client, over HTTP or in this process; where that fails, what to do about it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from stepwell.databases.clickhouse.names import literal, quote
from stepwell.databases.clickhouse.refusal import said
from stepwell.databases.url import Url
from stepwell.errors import CannotConnect

PATIENCE = 300
"""Seconds without an answer after which the client stops listening and looks for the statement on the server."""

_NO_SUCH_DATABASE = 81
_WRONG_USER = (192, 193, 194, 516)


def over_http(name: str, url: Url, database: str) -> Any:
    """A client of a server. Raises CannotConnect."""
    secure = url.scheme == "clickhouses"
    port = url.port or (8443 if secure else 8123)
    driver = _driver(name, url)
    try:
        client = driver.get_client(
            host=url.host,
            port=port,
            username=url.user or "default",
            password=url.password,
            database=database,
            secure=secure,
            verify=url.options.get("verify", "true") != "false",
            ca_cert=url.options.get("ca_cert"),
            connect_timeout=10,
            send_receive_timeout=int(url.options.get("read_timeout", PATIENCE)),
            autogenerate_session_id=False,
            client_name="stepwell",
        )
        # Repeating by itself is never right for a client whose statements change things.
        client.http_retries = 0
        found = client.query(f"SELECT count() FROM system.databases WHERE name = {literal(database)}")
    except Exception as error:
        raise CannotConnect(name, str(url), *_explained(error, url, port, database)) from None
    if not found.result_rows[0][0]:
        told = f"there is no database {database!r} on the server"
        raise CannotConnect(name, str(url), told, f"CREATE DATABASE {quote(database)}")
    return client


def _lowest(error: BaseException) -> BaseException:
    """What the operating system said, below the layers of the client's errors."""
    below = getattr(error, "reason", None) or error.__cause__
    return _lowest(below) if isinstance(below, BaseException) else error


def _explained(error: Exception, url: Url, port: int, database: str) -> tuple[str, str]:
    """What happened, and what to do."""
    code = getattr(error, "code", None)
    if code in _WRONG_USER:
        told = f"the server refused user {url.user or 'default'!r} or its password"
        return told, "Check user and password in the URL's variable."
    if code == _NO_SUCH_DATABASE:
        return said(error), f"CREATE DATABASE {quote(database)}"
    if code is None and error.__cause__ is not None:
        return (
            f"no answer: {_lowest(error)}",
            f"Is ClickHouse listening for HTTP on {url.host}:{port}? "
            "(8123, or 8443 with TLS; not the native port 9000)",
        )
    return said(error), "Correct the URL, or the server's settings."


def in_process(name: str, url: Url, path: Path, database: str) -> Any:
    """A client of chDB on a folder; the database is made if it is absent. Raises CannotConnect."""
    driver = _driver(name, url)
    try:
        import chdb  # noqa: F401  # only to tell a missing package from a failing engine
    except ImportError:
        install = 'pip install "stepwell[embedded]"'
        raise CannotConnect(name, str(url), "chDB is not installed", install) from None
    try:
        client = driver.get_client(interface="chdb", path=str(path))
        if database != "default":
            client.command(f"CREATE DATABASE IF NOT EXISTS {quote(database)} ENGINE = Atomic")
        client.database = database
    except Exception as error:
        raise CannotConnect(
            name,
            str(url),
            f"{said(error)}\nchDB allows one process a folder",
            f"See which process has {path} open (lsof +D {path}), end it, and try again.",
        ) from None
    return client


def beside(path: Path, database: str) -> Any:
    """One more client of a chDB folder that is open in this process: a client there does one thing at a time."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=str(path))
    client.database = database
    return client


def _driver(name: str, url: Url) -> Any:
    try:
        import clickhouse_connect
    except ImportError:
        told, install = "the driver clickhouse-connect is not installed", 'pip install "stepwell[clickhouse]"'
        raise CannotConnect(name, str(url), told, install) from None
    # It logs each broken connection, which is told in our own words; without a handler that lands on stderr.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    return clickhouse_connect
