"""The PostgreSQL adapter: the verbs of `Database`, each handed on to the module that knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from stepwell.databases.database import HISTORY, Activity, Command, Conduct, Database, Evidence, Finding, Outcome
from stepwell.databases.postgres import activity, conduct, home, migration_lock, reading
from stepwell.databases.updating import updating
from stepwell.databases.url import Url
from stepwell.errors import CannotConnect, ConnectionLost, Refused, StepwellError

if TYPE_CHECKING:
    from stepwell.databases.health import Health, Size
    from stepwell.databases.keys import KeyFacts
    from stepwell.databases.postgres.session import Session
    from stepwell.databases.pressure import Signal
    from stepwell.databases.stream import Stream

T = TypeVar("T")

CONNECT_PATIENCE, OBSERVER_PATIENCE = 10, 3
"""Seconds to wait for the server's answer to a new connection."""

REPAIR_PATIENCE = 60.0
"""Seconds that the removal of a half-built index waits for the table's other users, blocking nobody."""

MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version VARCHAR(255) PRIMARY KEY,
  checksum VARCHAR(64) NOT NULL DEFAULT '',
  applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  applied_by VARCHAR(255) NOT NULL DEFAULT '',
  duration DOUBLE PRECISION NOT NULL DEFAULT 0,
  statements INT NOT NULL DEFAULT 0,
  tool VARCHAR(64) NOT NULL DEFAULT '',
  layout SMALLINT NOT NULL DEFAULT 1
)
"""
JOURNAL = """
CREATE TABLE IF NOT EXISTS schema_migrations_journal (
  seq BIGINT PRIMARY KEY,
  at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  run VARCHAR(36) NOT NULL DEFAULT '',
  who VARCHAR(255) NOT NULL DEFAULT '',
  version VARCHAR(255) NOT NULL DEFAULT '',
  direction VARCHAR(4) NOT NULL DEFAULT '',
  position INT NOT NULL DEFAULT 0,
  event VARCHAR(32) NOT NULL DEFAULT '',
  checksum VARCHAR(64) NOT NULL DEFAULT '',
  tag VARCHAR(255) NOT NULL DEFAULT '',
  evidence TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT ''
)
"""
COLUMNS = """
SELECT attname
FROM pg_attribute
WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""


class PostgresDatabase:
    """A PostgreSQL database (14 or later for everything; 12 and 13 without progress reports)."""

    engine = "postgres"
    session_lock = True
    single_writer = False
    batch_seconds = 0.06
    clock = "extract(epoch FROM clock_timestamp())"
    for_update = "FOR UPDATE"
    for_share = "FOR SHARE"
    transactional = True

    def __init__(self, name: str, url: Url) -> None:
        self.name = name
        self.url = url
        self._working: Session | None = None
        self._observer: Session | None = None
        self._observing = threading.Lock()
        self._home = ""

    def connect(self) -> None:
        """Open the working connection. Raises CannotConnect with what to do about it."""
        self.close()
        self._working = self._open(CONNECT_PATIENCE)

    def close(self) -> None:
        """Close every connection; never raises."""
        with self._observing:
            for session in (self._working, self._observer):
                if session is not None:
                    session.close()
            self._working = self._observer = None
        self._home = ""

    def reset(self) -> None:
        """Put the connection's settings back to what `connect` left."""
        self._session.reset()

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Send one statement with `?` placeholders and return its rows."""
        session = self._session
        session.unlimit_statements()
        try:
            return session.query(text, parameters)
        except Refused as error:
            error.asked(self.name, text)
            raise

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        """Send one statement that gives no rows; in a transaction it travels with what comes next, or COMMIT."""
        session = self._session
        session.unlimit_statements()
        session.add(text, parameters)

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        """Run one statement and follow it to its end.

        A lock timeout keeps a statement that waits from blocking those behind it. An index that is built
        CONCURRENTLY blocks nobody, and giving up would throw the work away: it waits for as long as it takes.
        """
        session = self._session
        statement = conduct.visible(command.text)
        patience = 0.0 if statement and statement.patient else command.lock_timeout
        session.limit(patience, command.timeout or 0.0)
        session.query(command.text, command.parameters, prefix=activity.mark(command.tag) if command.tag else "")
        if conduct.first_word(command.text) in ("RESET", "DISCARD"):
            session.forget_limits()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows in bulk: all of them or none. `table` is spelled as in SQL, `columns` are bare names."""
        session = self._session
        session.unlimit_statements()
        session.copy(table, columns, rows)

    def put(self, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any] = ()) -> None:
        self.run(updating(table, values, where, parameters))

    def unload(self, text: str, parameters: Sequence[Any] = ()) -> Generator[bytes, None, None]:
        """The rows of a SELECT as tab-separated lines, in chunks, by COPY."""
        session = self._session
        session.unlimit_statements()
        return session.unload(text, parameters)

    def stream(self, text: str, timeout: float) -> AbstractContextManager[Stream]:
        """Send a SELECT that can change nothing; its rows come in the block."""
        return reading.stream(self._session, text, timeout)

    def load(self, table: str, columns: Sequence[str], lines: bytes) -> None:
        """Add tab-separated lines by COPY: all of them or none. `table` is spelled as in SQL."""
        session = self._session
        session.unlimit_statements()
        session.load(table, columns, lines)

    def bound(self, text: str, parameters: Sequence[Any]) -> str:
        """A statement with the values of its `?` placeholders written into it."""
        return self._session.bound(text, parameters)

    def transaction(self, lasting: bool = True, snapshot: bool = False) -> AbstractContextManager[None]:
        """Commit at the end of the block, roll back when it raises."""
        return self._session.transaction(lasting, snapshot)

    def make_lasting(self) -> None:
        """Wait for the disk: a commit that does so waits for all before it, and one without a write for none."""
        self.query("SELECT pg_logical_emit_message(true, 'stepwell', '')")

    def lock(
        self, patience: float, waiting: Callable[[str], None], under: Sequence[Database] = ()
    ) -> AbstractContextManager[None]:
        """Hold this database's migration lock for the block. Raises LockHeld after `patience` seconds."""
        return migration_lock.held(self._session, self.name, patience, waiting)

    def lock_name(self) -> str:
        """When the server was started, and which of its databases this is: no copy was started at that instant."""
        return str(self.query(migration_lock.NAME)[0][0])

    def assert_locked(self) -> None:
        """Ask the server whether the lock is still ours. Raises LockLost."""
        migration_lock.assert_held(self._session, self.name)

    def columns(self, table: str) -> list[str]:
        """The column names of a table, spelled as in SQL, in order; empty when there is no such table."""
        return [name for (name,) in self.query(COLUMNS, (table,))]

    def key_facts(self, table: str, columns: Sequence[str]) -> KeyFacts:
        """What the catalog tells of these columns as a key of a table."""
        from stepwell.databases.postgres import keys

        return keys.read(self.query, table, columns)

    def tracking_tables(self, table: str = HISTORY) -> list[str]:
        """The statements that create the tracking tables, each harmless when the table exists."""
        return [text.replace(HISTORY, table) for text in (MIGRATIONS, JOURNAL)]

    def home(self) -> str:
        """The schema, quoted, that Stepwell's tables are in, or are to be made in. Asked once, when they are there.

        Raises TwoHomes, HomeOffPath, HomeMissing.
        """
        self._home = self._home or home.find(self._session, self.name)
        return self._home or home.first(self._session, self.name)

    def conduct(self, command: Command) -> Conduct:
        """How the statement behaves, from its text; REINDEX and CLUSTER also from the table they name."""
        return conduct.conduct(command.text, self.query)

    def creates(self, command: Command) -> str | None:
        """The table that the statement creates, as SQL spells it; None when it creates none."""
        return conduct.creates(command.text)

    def renames(self, command: Command) -> list[str]:
        """The table that the statement gives another name, as `creates` spells it."""
        return conduct.renames(command.text)

    def evidence(self, command: Command) -> Evidence:
        """Read, before the statement runs, what will tell later whether it ran.

        Raises Refused where the statement would pass over an invalid index as if it were whole.
        """
        statement = conduct.visible(command.text)
        return statement.evidence(self.query) if statement else {}

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        """Find out what became of a statement that is not running any more, and repair what it left."""
        if statement := conduct.visible(command.text):
            patience = REPAIR_PATIENCE if statement.patient else command.lock_timeout

            def repair(text: str) -> None:
                self._session.limit(patience, 0)
                self._session.query(text)

            return statement.settle(self.query, repair, evidence)
        kind = conduct.conduct(command.text, self.query)
        if kind in (Conduct.REPEATABLE, Conduct.SESSION):
            return Finding(Outcome.NOT_DONE, kind.value)
        return Finding(Outcome.UNKNOWN, "PostgreSQL keeps no trace of whether this statement was done")

    def activity(self, tag: str) -> Activity | None:
        """The statement of this tag at work on the server; without a tag, what our connection works at."""
        return self._observe(lambda observer, pid: activity.at_work(observer, tag, pid))

    def holders(self) -> list[str]:
        """Who holds locks that our connection waits for, one line each."""
        return self._observe(activity.blockers) or []

    def pressure(self) -> list[Signal]:
        """Replica lag, running threads, lock waits and the longest transaction, of all but Stepwell's own sessions."""
        from stepwell.databases.postgres import pressure

        return self._observe(lambda observer, _pid: pressure.read(observer)) or []

    def health(self) -> Health:
        """Version, clock, room, open transactions and replication."""
        from stepwell.databases.postgres import health

        return health.read(self.query, self.url.host)

    def size(self, table: str) -> Size | None:
        """The size of a table with its indexes, partitions and TOAST; rows as of the last ANALYZE."""
        from stepwell.databases.postgres import health

        return health.size(self.query, table)

    def scratch(self, table: str) -> list[str]:
        """Statements that make a table and do to it what scripts and jobs do."""
        from stepwell.databases.postgres import health

        return [text.format(table=table) for text in health.SCRATCH]

    @property
    def _session(self) -> Session:
        if self._working is None:
            raise ConnectionLost("the connection is closed")
        return self._working

    def _open(self, patience: int) -> Session:
        try:
            from stepwell.databases.postgres.session import open_session
        except ImportError as error:
            do = 'Install the driver: pip install "stepwell[postgres]"'
            raise CannotConnect(self.name, str(self.url), str(error), do) from None
        return open_session(self.name, self.url, patience)

    def _observe(self, look: Callable[[Session, int], T]) -> T | None:
        """What `look` sees of the working backend over the second connection; None when it can't be had."""
        with self._observing:
            if self._working is None:
                return None
            try:
                if self._observer is None:
                    self._observer = self._open(OBSERVER_PATIENCE)
                    self._observer.limit(1, OBSERVER_PATIENCE)
                return look(self._observer, self._working.pid)
            except StepwellError:
                if self._observer is not None:
                    self._observer.close()
                    self._observer = None
                return None
