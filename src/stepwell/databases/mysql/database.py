"""The adapter for MySQL and MariaDB: each verb of `Database`."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from stepwell.databases import lines
from stepwell.databases.database import HISTORY, Activity, Command, Conduct, Database, Evidence, Finding, Outcome
from stepwell.databases.mysql.connection import Connection, connect
from stepwell.databases.mysql.names import as_sql, as_written, quoted
from stepwell.databases.mysql.tracking import TABLES
from stepwell.databases.mysql.watching import Watch, lock_holder
from stepwell.databases.updating import updating
from stepwell.databases.url import Url
from stepwell.errors import ConnectionLost, Denied, LockHeld, LockLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.health import Health, Size
    from stepwell.databases.keys import KeyFacts
    from stepwell.databases.mysql.statement import Statement
    from stepwell.databases.pressure import Signal
    from stepwell.databases.stream import Stream

LOCK_SECONDS = 5
LIMITS = f"lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}"
SETTINGS = f"time_zone = '+00:00', {LIMITS}"
PACKET_MARGIN = 1024  # bytes of a packet that are left to the protocol
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between two tries for the lock; the last one repeats

# Both are the time that the statement began at, so their difference is the same each time.
LOCK_NAME = """
SELECT @@hostname, @@port, @@datadir, DATABASE(), UNIX_TIMESTAMP() - VARIABLE_VALUE
FROM {schema}.global_status
WHERE VARIABLE_NAME = 'Uptime'
"""

PLAIN_REASONS = {
    Conduct.TRANSACTIONAL: "the server rolls back a transaction that was not committed",
    Conduct.SESSION: "it ended with its connection",
    Conduct.REPEATABLE: "a second run leaves the same as one",
}


class MysqlDatabase:
    """A MySQL or MariaDB database with one connection that does the work."""

    engine = "mysql"
    session_lock = True
    single_writer = False
    batch_seconds = 0.1  # each commit waits for the disk
    clock = "unix_timestamp(sysdate(6))"
    for_update = "FOR UPDATE"
    for_share = "LOCK IN SHARE MODE"  # MariaDB knows no other name for it
    transactional = True

    def __init__(self, name: str, url: Url) -> None:
        self.name = name
        self.url = url
        self._open: Connection | None = None
        self._watch = Watch(name, url)
        database = url.database
        if len(database) > 50:  # the server takes 64 characters
            database = hashlib.sha256(database.encode()).hexdigest()[:32]
        self._lock_name = f"stepwell/{database}"
        self._began_session()

    def _began_session(self) -> None:
        self._limits: tuple[int, float | None] | None = (LOCK_SECONDS, None)
        self._in_block = False
        self._settings: dict[str, Any] = {}  # before a script first set them
        self._temporary: set[str] = set()
        self._packet = 0

    # --- connection ---

    def connect(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = connect(self.name, self.url, SETTINGS)
        self._began_session()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
        self._watch.close()

    @property
    def _connection(self) -> Connection:
        if self._open is None:
            raise ConnectionLost("the connection is closed")
        return self._open

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def reset(self) -> None:
        # COM_RESET_CONNECTION would do all of this, and give the migration lock away.
        connection = self._connection
        connection.query(f"USE {quoted(self.url.database)}")
        if self._temporary:
            connection.query(f"DROP TEMPORARY TABLE IF EXISTS {', '.join(sorted(self._temporary))}")
            self._temporary.clear()
        if self._settings:
            # A number here would stop the clock; the others go back to their values.
            names = {name: "DEFAULT" if name == "timestamp" else "?" for name in self._settings}
            assignments = ", ".join(f"SESSION {name} = {value}" for name, value in names.items())
            values = [value for name, value in self._settings.items() if name != "timestamp"]
            connection.query(f"SET {assignments}", values)
            self._settings.clear()

    # --- statements ---

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.query(text, parameters)
        except Refused as error:
            error.asked(self.name, text)
            raise

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        if self._in_block:
            self._connection.add(text.strip(), parameters)
        else:
            self.query(text, parameters)

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        connection, statement = self._connection, _read(command.text)
        self._limit(command)
        if statement.settings:
            self._remember(statement.settings)
        try:
            connection.run(command.text, command.parameters, command.tag)
        finally:
            if not self._in_block:
                with suppress(ConnectionLost):
                    self._leave_nothing_open(statement.locks)

    def _leave_nothing_open(self, locks: bool) -> None:
        """End the transaction or lock a script has opened: what we record between statements must be committed."""
        connection = self._connection
        if not connection.autocommit:
            connection.query("SET autocommit = 1")
        elif connection.in_transaction:
            connection.query("COMMIT")
        if locks:
            connection.query("UNLOCK TABLES")

    def _limit(self, command: Command) -> None:
        """Tell the server how long to wait for locks and how long to work, if it does not know."""
        wanted = (max(1, math.ceil(command.lock_timeout)), command.timeout)
        if wanted == self._limits:
            return
        lock, seconds = wanted
        limits = f"lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
        if self._limits is None or self._limits[1] != seconds:
            limits += self._time_limit(seconds)
        self._connection.query(f"SET {limits}")
        self._limits = wanted

    def _time_limit(self, seconds: float | None) -> str:
        if self._connection.mariadb:
            return f", max_statement_time = {'DEFAULT' if seconds is None else round(seconds, 3)}"
        # MySQL has one for SELECT alone, in milliseconds.
        return f", max_execution_time = {'DEFAULT' if seconds is None else round(seconds * 1000)}"

    def _remember(self, settings: Sequence[str]) -> None:
        """Keep the values that a SET is about to change, for `reset`."""
        prefix = "tx" if self._connection.mariadb else "transaction"
        names: list[str] = []
        for word in settings:
            names += [f"{prefix}_isolation", f"{prefix}_read_only"] if word == "transaction" else [word]
        fresh = [name for name in names if name not in self._settings]
        if fresh:
            with suppress(Refused):  # an unknown variable: the server is about to say so
                row = self._connection.query("SELECT " + ", ".join(f"@@SESSION.{name}" for name in fresh))[0]
                self._settings.update(zip(fresh, row, strict=True))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        if not self._packet:
            self._packet = self.query("SELECT @@max_allowed_packet")[0][0] - PACKET_MARGIN
        names = ", ".join(quoted(column) for column in columns)
        places = ", ".join("?" for _ in columns)
        text = f"INSERT INTO {as_sql(table)} ({names}) VALUES ({places})"
        self._connection.insert(text, rows, self._packet)

    def put(self, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any] = ()) -> None:
        self.run(updating(table, values, where, parameters))

    def unload(self, text: str, parameters: Sequence[Any] = ()) -> Generator[bytes, None, None]:
        return lines.encode(self._connection.stream(text, parameters))

    @contextmanager
    def stream(self, text: str, timeout: float) -> Iterator[Stream]:
        connection = self._connection
        self._limit(Command(text=text, timeout=timeout))
        connection.query("START TRANSACTION READ ONLY")
        try:
            with connection.result(text) as result:
                yield result
        finally:
            with suppress(Refused):
                connection.query("COMMIT")

    def load(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        self.insert(table, columns, lines.decode(rows))

    def bound(self, text: str, parameters: Sequence[Any]) -> str:
        """A statement with the values of its `?` placeholders written into it."""
        return self._connection.bound(text, parameters)

    @contextmanager
    def transaction(self, lasting: bool = True, snapshot: bool = False) -> Iterator[None]:
        connection = self._connection
        if snapshot:
            connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.begin()
        self._in_block = True
        try:
            yield
            connection.commit()
        except BaseException:
            with suppress(Refused):
                connection.rollback()
            raise
        finally:
            self._in_block = False

    def make_lasting(self) -> None:
        """Nothing to do: every commit is lasting."""

    # --- the migration lock ---

    @contextmanager
    def lock(self, patience: float, waiting: Callable[[str], None], under: Sequence[Database] = ()) -> Iterator[None]:
        deadline = time.monotonic() + patience
        told, tries = "", 0
        while self.query("SELECT GET_LOCK(?, 0)", (self._lock_name,))[0][0] != 1:
            holder = lock_holder(self._connection, self._lock_name)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LockHeld(self.name, patience, holder)
            if holder and holder.partition(":")[0] != told:
                told = holder.partition(":")[0]
                waiting(holder)
            time.sleep(min(remaining, PAUSES[min(tries, len(PAUSES) - 1)]))
            tries += 1
        try:
            yield
        finally:
            with suppress(Refused):  # a lost connection has given it back already
                self.query("SELECT RELEASE_LOCK(?)", (self._lock_name,))

    def lock_name(self) -> str:
        # The second that the server was started in, for pods of one name may run copies of one volume.
        schema = "information_schema" if self._connection.mariadb else "performance_schema"
        return " ".join(map(str, self.query(LOCK_NAME.format(schema=schema))[0]))

    def assert_locked(self) -> None:
        try:
            held = self.query("SELECT IS_USED_LOCK(?) = CONNECTION_ID()", (self._lock_name,))[0][0]
        except ConnectionLost:
            held = None
        if held != 1:
            raise LockLost(self.name)

    # --- what is there ---

    def columns(self, table: str) -> list[str]:
        try:
            return [row[0] for row in self.query(f"SHOW COLUMNS FROM {as_sql(table)}")]
        except Refused as error:
            if error.code in ("1146", "1049"):
                return []
            raise

    def key_facts(self, table: str, columns: Sequence[str]) -> KeyFacts:
        from stepwell.databases.mysql import keys

        return keys.read(self._connection, table, columns)

    def tracking_tables(self, table: str = HISTORY) -> list[str]:
        return [text.replace(HISTORY, table) for text in TABLES]

    def home(self) -> str:
        return quoted(self.url.database)

    # --- what a statement does, and what became of it ---

    def conduct(self, command: Command) -> Conduct:
        statement = _read(command.text)
        if statement.temporary and statement.made:
            self._temporary.add(statement.made)
        if statement.conduct is not Conduct.TRANSACTIONAL or not statement.writes:
            return statement.conduct
        kinds = {self._storage(table) for table in statement.writes}
        if "other" in kinds:
            return Conduct.OPAQUE
        return Conduct.SESSION if kinds == {"temporary"} else Conduct.TRANSACTIONAL

    def _storage(self, table: str) -> str:
        """Where the rows of a table are. One that is to be made will be the server's default, InnoDB."""
        from stepwell.databases.mysql import definitions

        try:
            found = definitions.storage(self._connection, table)
        except Denied:
            return "other"
        if found == "absent" and table in self._temporary:
            return "temporary"
        return found

    def creates(self, command: Command) -> str | None:
        statement = _read(command.text)
        return as_written(statement.made) if statement.made and not statement.temporary else None

    def renames(self, command: Command) -> list[str]:
        return [as_written(table) for table in _read(command.text).renamed]

    def evidence(self, command: Command) -> Evidence:
        from stepwell.databases.mysql import definitions

        statement = _read(command.text)
        if statement.conduct is not Conduct.VISIBLE:
            return {}
        try:
            return definitions.to_json(definitions.look(self._connection, statement))
        except Denied as error:
            return {"unreadable": error.said}

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        from stepwell.databases.mysql import definitions, settling

        statement, conduct = _read(command.text), self.conduct(command)
        if conduct is Conduct.OPAQUE:
            return Finding(Outcome.UNKNOWN, "nothing in the database tells whether it ran")
        if conduct is not Conduct.VISIBLE:
            return Finding(Outcome.NOT_DONE, PLAIN_REASONS[conduct])
        if not evidence or "unreadable" in evidence:
            reason = evidence.get("unreadable", "nothing was recorded before it ran")
            return Finding(Outcome.UNKNOWN, reason)
        verdict = settling.judge(
            statement, definitions.from_json(evidence), definitions.look(self._connection, statement)
        )
        for text in verdict.rest:
            try:
                self.run(Command(text=text, lock_timeout=command.lock_timeout, timeout=command.timeout))
            except ConnectionLost:
                raise
            except Refused as error:
                reason = f"it was done in part, and the rest of it, {text}, was refused: {error.said}"
                return Finding(Outcome.UNKNOWN, reason)
        return Finding(verdict.outcome, verdict.reason)

    # --- from outside ---

    def activity(self, tag: str) -> Activity | None:
        connection = self._open
        return self._watch.activity(tag, connection.id if connection else 0)

    def holders(self) -> list[str]:
        connection = self._open
        return self._watch.holders(connection.id) if connection else []

    def pressure(self) -> list[Signal]:
        connection = self._open
        return self._watch.pressure(connection.id) if connection else []

    # --- before a release ---

    def health(self) -> Health:
        from stepwell.databases.mysql import health

        return health.read(self._connection, self.url.host)

    def size(self, table: str) -> Size | None:
        from stepwell.databases.mysql import health

        return health.size(self._connection, table)

    def scratch(self, table: str) -> list[str]:
        from stepwell.databases.mysql import health

        return [text.format(table=table) for text in health.SCRATCH]


def _read(text: str) -> Statement:
    """A statement's text, read. Only what runs statements of scripts needs the reader."""
    from stepwell.databases.mysql.reading import read

    return read(text)
