"""One connection to MySQL or MariaDB: opening it, sending statements, and errors in Stepwell's words."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from stepwell.databases.placeholders import percent_style
from stepwell.databases.url import Url
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Denied,
    DiskFull,
    LockTimeout,
    MemoryLimit,
    Refused,
    StatementTimeout,
)

if TYPE_CHECKING:
    from stepwell.databases.stream import Stream

CONNECT_SECONDS = 10.0

# Long statements send nothing for hours; without these, a router that forgets idle connections cuts them off.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 8))

IN_TRANSACTION = 1  # SERVER_STATUS_IN_TRANS of the protocol

KINDS: dict[type[Refused], frozenset[int]] = {
    LockTimeout: frozenset({1205, 1213, 3572}),
    StatementTimeout: frozenset({1969, 3024}),
    ConnectionLost: frozenset({0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2055, 4031}),
    DiskFull: frozenset({1021, 1114, 1878}),
    MemoryLimit: frozenset({5, 1037, 1038, 1041}),
    # The last are of servers that only read.
    Denied: frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1410, 1419, 1290, 1792, 1836}),
}
FIELDS = {
    "number": (0, 1, 2, 3, 4, 5, 8, 9, 13, 246),
    "time": (7, 10, 12, 14),
    "json": (245,),
    "padded": (254,),  # CHAR and BINARY
}
"""Kinds of columns by the protocol's numbers of types."""

_NEAR = re.compile(r"near '(.*)' at line (\d+)$", re.DOTALL)


class Connection:
    """A connection in autocommit mode and utf8mb4."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.id: int = driver.thread_id()
        self.mariadb = "mariadb" in driver.get_server_info().lower()
        self._ahead: list[str] = []  # statements that are sent before the next one

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement with `?` placeholders. Raises Refused and its kinds."""
        from pymysql.err import Error

        try:
            with self._cursor() as cursor:
                if parameters:
                    cursor.execute(percent_style(text, "mysql"), tuple(parameters))
                else:
                    cursor.execute(text)
                return list(cursor.fetchall())
        except Error as error:
            raise refusal(error, text) from None

    def records(self, text: str) -> list[dict[str, Any]]:
        """The rows of a statement, each by its columns' names: SHOW has other columns in every version."""
        from pymysql.err import Error

        try:
            with self._cursor() as cursor:
                cursor.execute(text)
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except Error as error:
            raise refusal(error, text) from None

    def run(self, text: str, parameters: Sequence[Any] = (), tag: str = "") -> None:
        """Run a statement under a comment that names it, and pass over all its results."""
        from pymysql.cursors import SSCursor  # unbuffered, so that a large result is never held
        from pymysql.err import Error

        try:
            with self._cursor(SSCursor) as cursor:
                bound = text
                if parameters:
                    bound = cursor.mogrify(percent_style(text, "mysql"), tuple(parameters))
                cursor.execute(f"{comment(tag)} {bound}" if tag else bound)
                more = True
                while more:
                    for _ in cursor:
                        pass
                    more = cursor.nextset()
        except Error as error:
            raise refusal(error, text) from None

    def stream(self, text: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT as they come in; the connection is busy until the last."""
        from pymysql.cursors import SSCursor
        from pymysql.err import Error

        try:
            with self._cursor(SSCursor) as cursor:
                cursor.execute(self.bound(text, parameters))
                yield from cursor
        except Error as error:
            raise refusal(error, text) from None

    @contextmanager
    def result(self, text: str) -> Iterator[Stream]:
        """The columns of a SELECT, and its rows as they come in."""
        from pymysql.cursors import SSCursor
        from pymysql.err import Error

        from stepwell.databases.stream import Field, Stream

        def rows() -> Iterator[tuple[Any, ...]]:
            try:
                yield from cursor
            except Error as error:
                raise refusal(error, text) from None

        kinds = {number: kind for kind, numbers in FIELDS.items() for number in numbers}
        try:
            with self._cursor(SSCursor) as cursor:
                cursor.execute(text)
                fields = (Field(column[0], kinds.get(column[1], "text")) for column in cursor.description or ())
                yield Stream(tuple(fields), rows())
        except Error as error:
            raise refusal(error, text) from None

    def bound(self, text: str, parameters: Sequence[Any]) -> str:
        """A statement with the values of its placeholders written into it."""
        if not parameters:
            return text
        bound: str = self._driver.cursor().mogrify(percent_style(text, "mysql"), tuple(parameters))
        return bound

    def insert(self, text: str, rows: Sequence[Sequence[Any]], packet: int) -> None:
        """Run `INSERT … VALUES (?, …)` for all rows, many of them to a statement of at most `packet` bytes."""
        from pymysql.err import Error

        try:
            with self._cursor() as cursor:
                cursor.max_stmt_length = min(cursor.max_stmt_length, packet)
                cursor.executemany(percent_style(text, "mysql"), rows)
        except Error as error:
            raise refusal(error, text) from None

    def begin(self) -> None:
        """Begin a transaction, just before the first statement of it is sent."""
        self._ahead = ["START TRANSACTION"]

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        """Send a statement of a transaction just before the next one, COMMIT at the latest."""
        self._ahead.append(self.bound(text, parameters))

    def commit(self) -> None:
        """Commit the transaction; to MariaDB what is not sent yet goes in one round trip with it."""
        from pymysql.err import Error

        statements, self._ahead = [*self._ahead, "COMMIT"], []
        if statements == ["START TRANSACTION", "COMMIT"]:
            return
        if self.mariadb and len(statements) > 1:
            statements = [f"BEGIN NOT ATOMIC {'; '.join(statements)}; END"]
        try:
            for statement in statements:
                self._driver.query(statement)
        except Error as error:
            raise refusal(error) from None

    def rollback(self) -> None:
        """Roll the transaction back, and send nothing more of it."""
        self._ahead = []
        self.query("ROLLBACK")

    def _cursor(self, kind: Any = None) -> Any:
        ahead, self._ahead = self._ahead, []
        for statement in ahead:
            self._driver.query(statement)
        return self._driver.cursor(kind)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as the server said with its last answer."""
        return bool(self._driver.server_status & IN_TRANSACTION)

    @property
    def autocommit(self) -> bool:
        """Whether autocommit is on, as the server said with its last answer."""
        return bool(self._driver.get_autocommit())

    def close(self) -> None:
        with suppress(Exception):
            self._driver.close()


def comment(tag: str) -> str:
    """The comment that begins a tagged statement."""
    return f"/* {tag.replace('*/', '* /')} */"


def refusal(error: Exception, text: str = "") -> Refused:
    """The driver's error as one of ours; `text` is the statement it is about."""
    code, said = _code(error)
    if code == 1030 and "error 28" in said:
        return DiskFull(said, code=str(code))
    for kind, codes in KINDS.items():
        if code in codes:
            return kind(said, code=str(code))
    return Refused(said, code=str(code), position=_position(said, text) if code == 1064 else None)


def _code(error: Exception) -> tuple[int, str]:
    """The error's number and words. The driver numbers 0 what it says of a connection that is closed."""
    match error.args:
        case (int(code), message, *_):
            return code, str(message) or "the connection is closed"
    return -1, str(error)


def _position(said: str, text: str) -> int | None:
    """Where the text is that a syntax error quotes: at most the next 80 characters, and the line."""
    match = _NEAR.search(said)
    if match is None:
        return None
    quoted, line = match.group(1), int(match.group(2))
    start = sum(len(passed) + 1 for passed in text.split("\n")[: line - 1])
    position = text.find(quoted, start) if quoted else len(text)
    return position if position >= 0 else None


def connect(name: str, url: Url, settings: str, read_timeout: float | None = None) -> Connection:
    """Open a connection and apply `settings`, the assignments of a SET. Raises CannotConnect.

    `read_timeout` is in seconds; None waits for as long as a statement takes.
    """
    try:
        import pymysql
    except ImportError as error:
        raise _cannot(name, url, str(error), 'Install the driver: pip install "stepwell[mysql]"') from None
    try:
        driver = pymysql.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.user,
            password=url.password.encode(),  # as bytes: the driver would encode text as Latin-1
            database=url.database,
            charset="utf8mb4",
            autocommit=None,  # set below, in the same round trip as the rest
            init_command=f"SET autocommit = 1, {settings}",
            read_timeout=read_timeout,
            defer_connect=True,
            **_encryption(name, url),
        )
        if not url.options:
            _prefer_encryption(driver)
        driver.connect(_socket(url))
    except OSError as error:
        raise _cannot(name, url, *_unreachable(url, error)) from None
    except (pymysql.err.Error, RuntimeError) as error:
        raise _cannot(name, url, *_rejected(url, error)) from None
    return Connection(driver)


def _encryption(name: str, url: Url) -> dict[str, Any]:
    """The driver's arguments for `?ssl-ca=FILE`; without it, TLS is used if the server offers it."""
    options = dict(url.options)
    authority = options.pop("ssl-ca", "")
    if options:
        unknown = ", ".join(options)
        raise _cannot(name, url, f"unknown option in the URL: {unknown}", "Only ?ssl-ca=FILE is known.")
    if not authority:
        return {"ssl_disabled": True}  # until _prefer_encryption
    return {"ssl_ca": authority, "ssl_verify_cert": True, "ssl_verify_identity": True}


def _prefer_encryption(driver: Any) -> None:
    """Use TLS if the server offers it, whoever it is.

    The driver would do so by itself, but first read all authorities that the system trusts, to ask none of them: that
    takes longer than connecting.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    driver.ssl, driver.ctx = True, context


def _socket(url: Url) -> socket.socket:
    """A socket on which the server has begun to speak; the driver would wait for that without an end."""
    connected = socket.create_connection((url.host, url.port or 3306), CONNECT_SECONDS)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            if hasattr(socket, option):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        if not connected.recv(1, socket.MSG_PEEK):
            raise ConnectionResetError("the server closed the connection at once")
    except BaseException:
        connected.close()
        raise
    return connected


def _cannot(name: str, url: Url, said: str, do: str) -> CannotConnect:
    return CannotConnect(name, str(url), said, do)


def _unreachable(url: Url, error: OSError) -> tuple[str, str]:
    where = f"{url.host}:{url.port or 3306}"
    if isinstance(error, socket.gaierror):
        return f"{url.host}: {error.strerror}", f"Correct the host in the URL: {url.host!r} has no address."
    said = f"{where}: {error.strerror or str(error) or type(error).__name__}"
    return said, "Start the server, or correct host and port in the URL, or let this host through its firewall."


def _rejected(url: Url, error: Exception) -> tuple[str, str]:
    """What the server or the driver said while connecting, and what to do about it."""
    code, said = _code(error)
    account = f"'{url.user}'@'%'"
    if "cryptography" in said:
        return said, "Install what this password method needs, pip install cryptography, or connect with TLS."
    match code:
        case 1045 | 1698:
            do = f"Correct user or password in the URL; or the server knows {url.user!r} from other hosts only."
        case 1049:
            do = f"Create it: CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4;"
        case 1044:
            do = f"Let the user in: GRANT ALL ON `{url.database}`.* TO {account};"
        case 1130:
            do = f"The server lets nobody in from this host; create the user for it: CREATE USER {account} …;"
        case 1040 | 1203 | 1226:
            do = "All connections that are allowed are taken: end some, or raise max_connections."
        case 2059 | 2061:
            do = f"Give the user a password method the driver knows: ALTER USER {account} IDENTIFIED BY …;"
        case _:
            do = "Correct the server's settings or the URL, and try again."
    return said, do
