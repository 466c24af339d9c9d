"""The SQLite adapter: one file, one writer, and every statement but VACUUM inside a transaction."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlencode

from stepwell.databases import lines
from stepwell.databases.database import HISTORY, Activity, Command, Conduct, Database, Evidence, Finding, Outcome
from stepwell.databases.health import Health, Size
from stepwell.databases.keys import KeyFacts
from stepwell.databases.lexing import Kind, Reader, Unterminated, tokens
from stepwell.databases.pressure import Signal
from stepwell.databases.stream import Field, Stream
from stepwell.databases.updating import updating
from stepwell.databases.url import Url
from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Denied,
    DiskFull,
    LockHeld,
    LockLost,
    LockTimeout,
    MemoryLimit,
    Refused,
    StatementTimeout,
)

if TYPE_CHECKING:
    import sqlite3

KINDS: dict[str, type[Refused]] = {
    "AUTH": Denied,
    "BUSY": LockTimeout,
    "FULL": DiskFull,
    "INTERRUPT": StatementTimeout,
    "LOCKED": LockTimeout,
    "NOMEM": MemoryLimit,
    "PERM": Denied,
    "READONLY": Denied,
}
"""Result codes by their second word: SQLITE_BUSY_SNAPSHOT is a BUSY."""

CONDUCT = {
    "ATTACH": Conduct.SESSION,
    "DETACH": Conduct.SESSION,
    "PRAGMA": Conduct.SESSION,
    "VACUUM": Conduct.REPEATABLE,
    "BEGIN": Conduct.OPAQUE,
    "COMMIT": Conduct.OPAQUE,
    "END": Conduct.OPAQUE,
    "ROLLBACK": Conduct.OPAQUE,
}
"""By a statement's first word; any other is transactional."""

TRANSACTIONAL_PRAGMAS = frozenset({"application_id", "defer_foreign_keys", "user_version"})
"""These write into the file, or hold until the transaction ends."""

NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
"""The time in UTC; SQLite's clock knows milliseconds."""

MIGRATIONS = f"""
CREATE TABLE IF NOT EXISTS schema_migrations (
  version VARCHAR(255) NOT NULL PRIMARY KEY,
  checksum VARCHAR(64) NOT NULL DEFAULT '',
  applied_at TIMESTAMP NOT NULL DEFAULT ({NOW}),
  applied_by VARCHAR(255) NOT NULL DEFAULT '',
  duration DOUBLE NOT NULL DEFAULT 0,
  statements INT NOT NULL DEFAULT 0,
  tool VARCHAR(64) NOT NULL DEFAULT '',
  layout SMALLINT NOT NULL DEFAULT 1
)
"""
JOURNAL = f"""
CREATE TABLE IF NOT EXISTS schema_migrations_journal (
  seq BIGINT NOT NULL PRIMARY KEY,
  at TIMESTAMP NOT NULL DEFAULT ({NOW}),
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
# A hidden column of kind 1 belongs to a virtual table's machinery; 2 and 3 are generated columns.
COLUMNS = "SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1"
COLUMNS_ANYWHERE = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1"

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux names the time since it was started."""
LAST_ROW = "SELECT last_insert_rowid()"
KEEP_LAST_ROW = (
    "CREATE TEMP TABLE stepwell_last_row (id INTEGER PRIMARY KEY)",
    "INSERT INTO temp.stepwell_last_row VALUES ({row})",
    "DROP TABLE temp.stepwell_last_row",
)
"""An insertion sets what last_insert_rowid() tells, and nothing else does."""

MEMORY = ":memory:"
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries for the migration lock."""

CHECK_EVERY = 10_000
"""Steps of SQLite's machine between two looks at the clock of a statement with a time limit."""


class SqliteDatabase:
    """A SQLite file, `url.path` from the folder `root` on, or a database in memory."""

    engine = "sqlite"
    session_lock = True
    single_writer = True
    batch_seconds = 0.1  # each commit waits for the disk
    clock = "((julianday('now') - 2440587.5) * 86400.0)"
    for_update = ""
    for_share = ""
    transactional = True

    def __init__(self, name: str, url: Url, root: Path) -> None:
        self.name = name
        self._url = url
        self._path = None if url.path == MEMORY else (root / url.path).resolve()
        self._working: sqlite3.Connection | None = None
        self._lock_file: int | None = None
        self._lock_timeout: float | None = None

    def connect(self) -> None:
        """Open the file, making it if need be. Raises CannotConnect with what to do about it."""
        try:
            import sqlite3
        except ImportError as error:
            do = "Use a Python that was built with SQLite (Debian: apt-get install python3)."
            raise CannotConnect(self.name, str(self._url), str(error), do) from None
        self.close()
        target = f"file:{quote(str(self._path or MEMORY))}?{urlencode(self._url.options)}"
        try:
            # The connection is used by one thread at a time, but not always by the one that opened it.
            self._working = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False)
            self._working.execute("SELECT 1 FROM sqlite_master")  # the file is not read before
        except sqlite3.Error as error:
            self.close()
            raise CannotConnect(self.name, str(self._url), str(error), self._advice(str(error))) from None

    def close(self) -> None:
        """Close the connection; never raises."""
        if self._working is not None:
            self._working.close()
        self._working = self._lock_timeout = None

    def reset(self) -> None:
        """Put the connection's settings back to what `connect` left; in memory they stay, with the data."""
        if self._path is not None:
            self.connect()

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Send one statement with `?` placeholders and return its rows."""
        connection = self._connection
        import sqlite3

        try:
            return connection.execute(text, parameters).fetchall()
        except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError) as error:
            raise _refused(error).asked(self.name, text) from error

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        """Send one statement that gives no rows. last_insert_rowid() stays what a script's statement made it."""
        before = self.query(LAST_ROW)
        self.query(text, parameters)
        if self.query(LAST_ROW) != before:
            for step in KEEP_LAST_ROW:
                self.query(step.format(row=before[0][0]))

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        """Run one statement to its end, waiting `lock_timeout` at most for other processes' locks."""
        connection = self._connection
        if command.lock_timeout != self._lock_timeout:
            self.query(f"PRAGMA busy_timeout = {math.ceil(command.lock_timeout * 1000)}")
            self._lock_timeout = command.lock_timeout
        if command.timeout is None:
            self.query(command.text, command.parameters)
            return
        deadline = time.monotonic() + command.timeout
        connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_EVERY)
        try:
            self.query(command.text, command.parameters)
        finally:
            connection.set_progress_handler(None, 0)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows in bulk: all of them or none. `table` is spelled as in SQL, `columns` are bare names."""
        connection = self._connection
        import sqlite3

        names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        marks = ", ".join("?" for _ in columns)
        with contextlib.nullcontext() if connection.in_transaction else self.transaction():
            try:
                connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            except (sqlite3.Error, MemoryError, OverflowError) as error:
                _refuse(error)

    def put(self, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any] = ()) -> None:
        self.run(updating(table, values, where, parameters))

    def unload(self, text: str, parameters: Sequence[Any] = ()) -> Generator[bytes, None, None]:
        """The rows of a SELECT as tab-separated lines, in chunks."""
        return lines.encode(self._stream(text, parameters))

    def _stream(self, text: str, parameters: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        connection = self._connection
        import sqlite3

        try:
            cursor = connection.execute(text, parameters)
        except (sqlite3.Error, MemoryError) as error:
            _refuse(error)
        yield from self._fetched(cursor)

    @contextlib.contextmanager
    def stream(self, text: str, timeout: float) -> Iterator[Stream]:
        """Send a SELECT that can change nothing. Its columns have no types, so each value speaks for itself."""
        connection = self._connection
        import sqlite3

        deadline = time.monotonic() + timeout
        connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_EVERY)
        self.query("PRAGMA query_only = ON")
        try:
            cursor = connection.execute(text)
            yield Stream(tuple(Field(column[0], "") for column in cursor.description), self._fetched(cursor))
            cursor.close()
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            _refuse(error)
        finally:
            connection.set_progress_handler(None, 0)
            self.query("PRAGMA query_only = OFF")

    def _fetched(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        import sqlite3

        try:
            yield from cursor
        except (sqlite3.Error, MemoryError) as error:
            _refuse(error)

    def add_function(self, name: str, arity: int, function: Callable[..., Any]) -> None:
        """Let statements of this connection call a function of Python, which gives the same for the same."""
        self._connection.create_function(name, arity, function, deterministic=True)

    def add_aggregate(self, name: str, arity: int, aggregate: Callable[[], Any]) -> None:
        """The same for an aggregate: its `step` takes each row's values, its `finalize` gives the result."""
        self._connection.create_aggregate(name, arity, aggregate)

    def load(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        """Add tab-separated lines: all of them or none."""
        self.insert(table, columns, lines.decode(rows))

    @contextlib.contextmanager
    def transaction(self, lasting: bool = True, snapshot: bool = False) -> Iterator[None]:
        """Commit at the end of the block, roll back when it raises. Every one is lasting, and a snapshot."""
        connection = self._connection
        # IMMEDIATE: a reader that turns writer later can be refused at once, without waiting for its turn.
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            if not connection.in_transaction:
                raise Refused("a statement ended the transaction that it was part of, or an error did")
            self.query("COMMIT")
        except BaseException:
            # Some errors, such as a full disk, have rolled back already.
            if connection.in_transaction:
                with contextlib.suppress(Refused):
                    self.query("ROLLBACK")
            raise

    def make_lasting(self) -> None:
        """Nothing to do: every commit is lasting."""

    @contextlib.contextmanager
    def lock(self, patience: float, waiting: Callable[[str], None], under: Sequence[Database] = ()) -> Iterator[None]:
        """Hold the lock on the file beside the database for the block; the kernel frees it when we die.

        Raises LockHeld after `patience` seconds. A database in memory is nobody else's: it needs no lock.
        """
        if self._path is None:
            yield
            return
        self._lock_file = self._take(self._lock_path, patience, waiting)
        try:
            yield
        finally:
            # The file stays: removing it, another could lock the removed one while a third makes it anew.
            os.ftruncate(self._lock_file, 0)
            os.close(self._lock_file)
            self._lock_file = None

    def lock_name(self) -> str:
        """The locked file, and the boot of the machine that knows it by these numbers."""
        if self._lock_file is None or not BOOT.exists():
            return ""
        file = os.fstat(self._lock_file)
        return f"{BOOT.read_text()} {file.st_dev}:{file.st_ino}"

    def assert_locked(self) -> None:
        """Ask the file system whether the locked file is still the one that others would lock."""
        if self._path is None:
            return
        try:
            there = self._lock_path.stat()
        except FileNotFoundError:
            raise LockLost(self.name) from None
        if self._lock_file is None or not os.path.samestat(os.fstat(self._lock_file), there):
            raise LockLost(self.name)

    def columns(self, table: str) -> list[str]:
        """The column names of a table, spelled as in SQL, in order; empty when there is no such table."""
        *schema, name = Reader(table, "sqlite").name()
        return [column for (column,) in self.query(COLUMNS if schema else COLUMNS_ANYWHERE, (name, *schema))]

    def key_facts(self, table: str, columns: Sequence[str]) -> KeyFacts:
        """What the pragmas tell of these columns as a key of a table."""
        from stepwell.databases.sqlite import keys

        return keys.read(self.query, table, columns)

    def tracking_tables(self, table: str = HISTORY) -> list[str]:
        """The statements that create the tracking tables, each harmless when the table exists."""
        return [text.replace(HISTORY, table) for text in (MIGRATIONS, JOURNAL)]

    def home(self) -> str:
        """The schema that the tracking tables are in, beside attached ones."""
        return "main"

    def conduct(self, command: Command) -> Conduct:
        """How the statement behaves, from its text."""
        word = _first_word(command.text)
        if word not in CONDUCT or (reader := _reader(command.text, word)) is None:
            return Conduct.TRANSACTIONAL
        if word == "PRAGMA" and TRANSACTIONAL_PRAGMAS.intersection(map(str.lower, reader.name())):
            return Conduct.TRANSACTIONAL
        if word == "ROLLBACK" and reader.skip_to("TO"):
            return Conduct.TRANSACTIONAL  # back to a savepoint only
        if word == "VACUUM" and reader.skip_to("INTO"):
            return Conduct.OPAQUE  # it refuses a file that is there
        return CONDUCT[word]

    def creates(self, command: Command) -> str | None:
        """The table that the statement creates, as SQL spells it in lower case; None when it creates none."""
        reader = _reader(command.text, "CREATE")
        if reader is None:
            return None
        reader.take_any("TEMP", "TEMPORARY", "VIRTUAL")
        if not reader.take("TABLE"):
            return None
        reader.take("IF", "NOT", "EXISTS")
        return _spelled(reader) or None

    def renames(self, command: Command) -> list[str]:
        """The table that the statement gives another name, as `creates` spells it."""
        reader = _reader(command.text, "ALTER")
        if reader is None or not reader.take("TABLE"):
            return []
        table = _spelled(reader)
        return [table] if reader.take("RENAME", "TO") else []

    def evidence(self, command: Command) -> Evidence:
        """Nothing: what can't be part of a transaction can be repeated."""
        return {}

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        """Whether the statement may be sent again. Nothing is left half done here, so nothing is repaired."""
        conduct = self.conduct(command)
        if conduct in (Conduct.REPEATABLE, Conduct.SESSION):
            return Finding(Outcome.NOT_DONE, conduct.value)
        return Finding(Outcome.UNKNOWN, "SQLite keeps no trace of whether this statement was done")

    def activity(self, tag: str) -> Activity | None:
        """None: SQLite runs inside its clients, so a statement never outlives the one that sent it."""
        return None

    def holders(self) -> list[str]:
        """Empty: SQLite does not know who holds its locks."""
        return []

    def pressure(self) -> list[Signal]:
        """Empty: there is no server that could be overloaded."""
        return []

    def health(self) -> Health:
        """Version, clock, and the room on the file's disk."""
        from stepwell.databases.sqlite import health

        return health.read(self.query, self._path)

    def size(self, table: str) -> Size | None:
        """The size of a table without its indexes; None where its pages are too many to be added up at once."""
        from stepwell.databases.sqlite import health

        return health.size(self, table)

    def scratch(self, table: str) -> list[str]:
        """Statements that make a table and do to it what scripts and jobs do."""
        from stepwell.databases.sqlite import health

        return [text.format(table=table) for text in health.SCRATCH]

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._working is None:
            raise ConnectionLost("the connection is closed")
        return self._working

    @property
    def _lock_path(self) -> Path:
        assert self._path is not None  # only a file has one
        return self._path.with_name(self._path.name + ".stepwell-lock")

    def _take(self, path: Path, patience: float, waiting: Callable[[str], None]) -> int:
        """Lock the file and write into it who we are. Raises LockHeld, CannotConnect."""
        deadline = time.monotonic() + patience
        pause, told = FIRST_PAUSE, None
        while True:
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                do = f"Let this user write in {path.parent}: the lock file is kept beside the database."
                raise CannotConnect(self.name, str(self._url), str(error), do) from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.read(file, 1000).decode(errors="replace")
                os.close(file)
            else:
                os.ftruncate(file, 0)
                now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
                os.write(file, f"pid {os.getpid()} on {platform.node()} since {now}".encode())
                return file
            if time.monotonic() >= deadline:
                raise LockHeld(self.name, patience, holder)
            if holder != told:
                waiting(holder)
                told = holder
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _advice(self, said: str) -> str:
        if "not a database" in said:
            return "This file is something else, or encrypted: correct the path in the URL."
        if "locked" in said:
            return f"Another process keeps the file to itself; find and end it: fuser -v {self._path}"
        if self._path is not None and not self._path.parent.is_dir():
            return f"Create its folder: mkdir -p {self._path.parent}"
        return f"Let this user read and write {self._path} and its folder."


def _refuse(error: Exception) -> NoReturn:
    raise _refused(error) from error


def _refused(error: Exception) -> Refused:
    code: str = getattr(error, "sqlite_errorname", "NOMEM" if isinstance(error, MemoryError) else "")
    kind = KINDS.get(code.removeprefix("SQLITE_").split("_")[0], Refused)
    return kind(str(error) or "out of memory", code=code)


def _first_word(text: str) -> str:
    """The first word of a statement in capitals, without reading the rest of it."""
    try:
        first = next((token for token in tokens(text, "sqlite") if not token.silent), None)
    except Unterminated:
        return ""
    return first.text.upper() if first and first.kind is Kind.WORD else ""


def _reader(text: str, word: str) -> Reader | None:
    """A reader behind the statement's first word, if that is `word`."""
    if _first_word(text) != word:
        return None
    try:
        reader = Reader(text, "sqlite")
    except Unterminated:
        return None  # SQLite will refuse it
    reader.take(word)
    return reader


def _spelled(reader: Reader) -> str:
    """Step over a name and return it quoted, in lower case, as SQLite compares names."""
    return ".".join('"' + part.replace('"', '""').lower() + '"' for part in reader.name())
