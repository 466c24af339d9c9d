"""One connection to the server. It speaks Stepwell's errors, and goes to the server no oftener than it must.

The only module here that imports psycopg: it is imported when a connection is opened.
"""

from __future__ import annotations

import contextlib
import math
import re
import selectors
import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.types.string import TextLoader

from stepwell import __version__
from stepwell.databases import lines
from stepwell.databases.lexing import Unterminated
from stepwell.databases.postgres.placeholders import for_psycopg
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

KINDS: dict[str, type[Refused]] = {
    "25006": Denied,  # on a server, or by a user, that only reads
    "42501": Denied,
    "53100": DiskFull,
    "53200": MemoryLimit,
    "55P03": LockTimeout,
}

FIELDS = {
    "boolean": (16,),
    "number": (20, 21, 23, 26, 700, 701, 1700),
    "bytes": (17,),
    "text": (18, 19, 25, 1043),
    "padded": (1042,),
    "time": (1082, 1114, 1184),
    "uuid": (2950,),
    "json": (114, 3802, 1000, 1005, 1007, 1009, 1015, 1016, 1021, 1022, 1231, 2951, 3807),
}
"""Kinds of columns by the server's numbers of types."""

AS_TEXT = (114, 3802, 1082, 1083, 1114, 1184, 1186, 1266)
"""Types whose text says more than the driver's value can hold, such as a date 'infinity'."""

BEGIN = "BEGIN;"

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\0")

ADVICE = (
    (
        "no password supplied",
        "Put a password into the URL (`${{VARIABLE}}` keeps it out of the file), or into ~/.pgpass.",
    ),
    (
        "password authentication failed",
        "Check user {user!r} and its password. To give it a new one, as a superuser:\n"
        "ALTER ROLE \"{user}\" PASSWORD '...';",
    ),
    ('database ".*" does not exist', 'Create it, as a superuser: CREATE DATABASE "{database}";'),
    ('role ".*" does not exist', "Create it, as a superuser: CREATE ROLE \"{user}\" LOGIN PASSWORD '...';"),
    ("not permitted to log in", 'Allow it, as a superuser: ALTER ROLE "{user}" LOGIN;'),
    (
        "permission denied for database",
        'Allow it, as a superuser: GRANT CONNECT ON DATABASE "{database}" TO "{user}";',
    ),
    (
        "no pg_hba.conf entry.*no encryption",
        "The server may want TLS: add ?sslmode=require to the URL.\n"
        "Else allow this user and address in its pg_hba.conf and reload it.",
    ),
    (
        "no pg_hba.conf entry",
        "Allow this user and address in the server's pg_hba.conf and reload the server.",
    ),
    (
        "server does not support SSL",
        "Take sslmode out of the URL, or set ssl = on in the server's configuration.",
    ),
    ("certificate", "Name the authority that signed the server's certificate: ?sslrootcert=/path/to/ca.pem"),
    (
        "too many c|remaining connection slots",
        "Close idle connections or raise max_connections, then try again.",
    ),
    ("starting up|shutting down|recovery mode", "The server is starting or stopping: try again in a moment."),
    ("resolve host|translate host name", "Check the host name {host!r} in the URL, and this machine's DNS."),
    (
        "refused|timeout|timed out|unreachable|No route|No such file|closed the connection",
        "Start the server, or correct host and port in the URL; from here it is reached by\n"
        "pg_isready -h {host} -p {port}",
    ),
    ("invalid connection option|invalid .* value", "Correct the options behind the ? of the URL."),
)
"""What the server or libpq says when a connection fails (a pattern), and what to do about it."""


class Session:
    """An open connection in autocommit mode. Every method raises Refused or one of its kinds."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self.pid = connection.info.backend_pid
        # As last set here; the server's own defaults, which may be anything, are not known.
        self._limits: tuple[float, float] | None = None
        self._in_block = False
        self._ahead = ""  # statements that travel with the next one

    def close(self) -> None:
        self._connection.close()

    def query(self, text: str, parameters: Sequence[Any] = (), *, prefix: str = "") -> list[tuple[Any, ...]]:
        """Send one statement, behind a comment if there is a `prefix`, and return its rows."""
        started = time.monotonic()
        try:
            if parameters:
                self._send_ahead()
                cursor = self._connection.execute((prefix.replace("%", "%%") + for_psycopg(text)).encode(), parameters)
            else:
                ahead, self._ahead = self._ahead, ""
                prefix = ahead + prefix
                cursor = self._connection.execute((prefix + text).encode())
                while ahead and cursor.nextset():
                    pass
            return cursor.fetchall() if cursor.description else []
        except Unterminated as error:
            raise Refused(str(error), position=error.offset) from None
        except psycopg.Error as error:
            self._refuse(error, len(prefix), started, placed=not parameters)

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        """Send a statement that gives no rows; in a transaction together with what comes next, COMMIT at the latest."""
        # A script may have set another client_encoding, which parameters follow and texts do not.
        if self._in_block and (bound := self.bound(text, parameters)).isascii():
            self._ahead += f"{bound};"
        else:
            self.query(text, parameters)

    def limit(self, lock: float, statement: float) -> None:
        """Bound every coming statement: seconds it waits for a lock and seconds it runs; 0 is no bound.

        None is compiled by the JIT, which compiles each anew: a batch of a fifth of a second took a fifth longer.
        """
        if (lock, statement) != self._limits:
            self.query(
                """
                SELECT
                  set_config('lock_timeout', ?, false),
                  set_config('statement_timeout', ?, false),
                  set_config('jit', 'off', false)
                """,
                (f"{math.ceil(lock * 1000)}ms", f"{math.ceil(statement * 1000)}ms"),
            )
            self._limits = (lock, statement)

    def unlimit_statements(self) -> None:
        """Take back a time limit that an earlier statement brought."""
        if self._limits and self._limits[1]:
            self.limit(self._limits[0], 0)

    def forget_limits(self) -> None:
        """Set the limits anew before the next statement: something else may have changed them."""
        self._limits = None

    def reset(self) -> None:
        """Put every setting back to what it was when the connection was opened; locks are kept."""
        self.forget_limits()
        # DISCARD ALL would give up the migration lock.
        for statement in ("SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "DEALLOCATE ALL", "UNLISTEN *"):
            self.query(statement)

    def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows to a table, spelled as in SQL, by COPY: all of them or none."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        # `table` comes from a script, as its statements do.
        target = sql.SQL(table)
        started = time.monotonic()
        try:
            self._send_ahead()
            with (
                self._connection.cursor() as cursor,
                cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(target, names)) as copy,
            ):
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            self._refuse(error, 0, started, placed=False)

    def unload(self, text: str, parameters: Sequence[Any]) -> Generator[bytes, None, None]:
        """The rows of a SELECT as tab-separated lines, in chunks. The connection is busy until the last."""
        statement = f"COPY ({self.bound(text, parameters)}) TO STDOUT"
        started = time.monotonic()
        try:
            self._send_ahead()
            with self._connection.cursor() as cursor, cursor.copy(statement.encode()):
                yield from lines.chunks(_sent(self._connection.pgconn))
        except psycopg.Error as error:
            self._refuse(error, 0, started, placed=False)

    @contextlib.contextmanager
    def result(self, text: str) -> Iterator[Stream]:
        """The columns of a SELECT, and its rows as they come in; the connection is busy until the last."""
        from stepwell.databases.stream import Field, Stream

        started = time.monotonic()
        try:
            with self._connection.cursor() as cursor:
                for number in AS_TEXT:
                    cursor.adapters.register_loader(number, TextLoader)
                rows = cursor.stream(text.encode())
                first = next(rows, None)
                if first is None:  # then the driver does not tell the columns
                    cursor.execute(f"SELECT * FROM (\n{text}\n) AS none LIMIT 0".encode())
                kinds = {number: kind for kind, numbers in FIELDS.items() for number in numbers}
                fields = [Field(c.name, kinds.get(c.type_code, "")) for c in cursor.description or ()]
                with contextlib.closing(cast("Generator[tuple[Any, ...], None, None]", rows)):
                    yield Stream(tuple(fields), self._all(first, rows, started))
        except psycopg.Error as error:
            self._refuse(error, 0, started, placed=True)

    def _all(
        self, first: tuple[Any, ...] | None, rows: Iterator[tuple[Any, ...]], started: float
    ) -> Iterator[tuple[Any, ...]]:
        if first is None:
            return
        yield first
        try:
            yield from rows
        except psycopg.Error as error:
            self._refuse(error, 0, started, placed=False)

    def end(self) -> None:
        """Roll back what is open, if anything is."""
        self.forget_limits()
        if self._connection.info.transaction_status is not TransactionStatus.IDLE and not self._connection.closed:
            with contextlib.suppress(Refused):
                self.query("ROLLBACK")

    def load(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        """Add rows, given as tab-separated lines, to a table, spelled as in SQL: all of them or none."""
        if _NUL.search(rows):  # COPY would take the digits behind it for a part of it
            raise Refused("PostgreSQL's text has no character NUL", code="22021")
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        started = time.monotonic()
        try:
            self._send_ahead()
            with (
                self._connection.cursor() as cursor,
                cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.SQL(table), names)) as copy,
            ):
                copy.write(rows)
        except psycopg.Error as error:
            self._refuse(error, 0, started, placed=False)

    def bound(self, text: str, parameters: Sequence[Any]) -> str:
        """A statement with the values of its placeholders written into it."""
        if not parameters:
            return text
        return psycopg.ClientCursor(self._connection).mogrify(for_psycopg(text).encode(), parameters)

    @contextlib.contextmanager
    def transaction(self, lasting: bool, snapshot: bool) -> Iterator[None]:
        """Commit at the end of the block, roll back when it raises. BEGIN travels with the first statement.

        Unless it is `lasting`, the server answers COMMIT before it is on the disk; the next one that is lasting waits
        for all before it.
        """
        limits = self._limits
        opening = BEGIN
        if snapshot:
            opening += "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
        if not lasting:
            opening += "SET LOCAL synchronous_commit = off;"
        self._in_block, self._ahead = True, opening
        try:
            yield
            if self._ahead != opening:
                self._commit()
        except BaseException:
            # A rollback takes back the settings that were changed in the block, too.
            self._limits, self._ahead = limits, ""
            if self._connection.info.transaction_status is not TransactionStatus.IDLE:
                with contextlib.suppress(Refused):
                    self.query("ROLLBACK")
            raise
        finally:
            self._in_block, self._ahead = False, ""

    def _send_ahead(self) -> None:
        """Send now what waits, where the next statement can't be part of one text with it."""
        ahead, self._ahead = self._ahead, ""
        if ahead:
            self._connection.execute(ahead.encode())

    def _commit(self) -> None:
        status = self._connection.info.transaction_status
        if status is TransactionStatus.INERROR:
            # The server would answer COMMIT with a silent rollback.
            raise Refused("a statement of this transaction failed, so all of it was rolled back", code="25P02")
        if status is TransactionStatus.IDLE and not self._ahead.startswith(BEGIN):
            raise Refused("a statement ended the transaction that it was part of", code="25P01")
        self.query("COMMIT")

    def _refuse(self, error: psycopg.Error, prefix: int, started: float, *, placed: bool) -> NoReturn:
        """Raise what a psycopg error means. `placed`: its position counts in `prefix` and text as given."""
        diagnosis = error.diag
        code = error.sqlstate or ""
        said = diagnosis.message_primary or str(error).strip()
        for label, more in (("detail", diagnosis.message_detail), ("hint", diagnosis.message_hint)):
            if more:
                said += f"\n{label}: {more}"
        kind = KINDS.get(code, Refused)
        if self._connection.closed:
            kind = ConnectionLost
        elif code == "57014":
            limit = self._limits[1] if self._limits else 0.0
            # The server's words may be in any language, its clock is not.
            if "statement timeout" in said or 0 < limit <= time.monotonic() - started:
                kind = StatementTimeout
        position = None
        if placed and diagnosis.statement_position and (at := int(diagnosis.statement_position) - 1 - prefix) >= 0:
            position = at
        raise kind(said, code=code, position=position) from error


def open_session(name: str, url: Url, patience: int) -> Session:
    """Connect, waiting `patience` seconds at most for the server's answer. Raises CannotConnect."""
    try:
        settings = {
            "host": url.host,
            "port": url.port,
            "user": url.user or None,
            "password": url.password or None,
            "dbname": url.database,
            "client_encoding": "utf8",
            "connect_timeout": patience,
            "application_name": f"stepwell {__version__}",
        }
        connection = psycopg.connect(
            make_conninfo("", **(settings | url.options)),
            autocommit=True,
            # A prepared statement breaks when a migration changes its table, and behind a connection pooler.
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        said = str(error).strip()
        if url.password:
            said = said.replace(url.password, "***")
        raise CannotConnect(name, str(url), said, _advice(said, url)) from None
    return Session(connection)


def _advice(said: str, url: Url) -> str:
    for pattern, advice in ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return advice.format(host=url.host, port=url.port or 5432, user=url.user or "?", database=url.database)
    return "Correct what the server complains of, then run the command again."


def _sent(connection: PGconn) -> Iterator[memoryview]:
    """The lines that a COPY sends, from libpq itself: psycopg does so much for each that it is most of the time."""
    with selectors.DefaultSelector() as arrival:
        arrival.register(connection.socket, selectors.EVENT_READ)
        while (found := connection.get_copy_data(1))[0] >= 0:
            if found[0]:
                yield found[1]
            else:
                arrival.select()
                connection.consume_input()
    for result in list(iter(connection.get_result, None)):  # only behind the last it is known whether we are connected
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
