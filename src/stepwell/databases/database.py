"""What Stepwell asks of a database: the one interface that every adapter implements.

An adapter runs statements and tells what became of them. It knows nothing of scripts, steps or projects.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from stepwell.databases.health import Health, Size
    from stepwell.databases.keys import KeyFacts
    from stepwell.databases.pressure import Signal
    from stepwell.databases.stream import Stream


class Conduct(Enum):
    """What a statement leaves behind when the process that sent it dies."""

    TRANSACTIONAL = "commits together with the record of it, or not at all"
    SESSION = "changes only the connection, so it is sent again on every run"
    VISIBLE = "its effect, or what is missing of it, can be read from the database afterwards"
    REPEATABLE = "a second run leaves the same as one"
    OPAQUE = "nothing tells afterwards whether it was done"


class Outcome(Enum):
    """What became of a statement that was begun and not recorded as done."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome with the evidence for it, in words for the person who reads the history.

    `seen` is evidence for the next look, where what tells of the statement now may be gone by then.
    """

    outcome: Outcome
    reason: str
    seen: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Activity:
    """A statement at work on the server. Rows are counted by the server; elapsed is in seconds."""

    elapsed: float
    rows: int | None = None
    total: int | None = None
    share: float | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One statement, as a database is asked to run it.

    `tag` names the statement on the server, so that it can be found there later; empty: not tagged.
    `lock_timeout` and `timeout` are seconds. `key` names columns that make the inserted rows unique and new to
    the target; `sole_writer` says that nobody else writes to the target meanwhile; `own` holds the tables
    that earlier statements of the same script made.
    """

    text: str
    parameters: tuple[Any, ...] = ()
    tag: str = ""
    lock_timeout: float = 5.0
    timeout: float | None = None
    key: tuple[str, ...] = ()
    sole_writer: bool = False
    own: frozenset[str] = frozenset()


HISTORY = "schema_migrations"
"""The table in which a database remembers what is applied, unless another tool's table has that name."""

BESIDE = "stepwell_migrations"
"""The same beside another tool's table `schema_migrations`; `adopt` makes it."""


Evidence = dict[str, Any]
"""What was read from the database before a statement ran; plain JSON values, kept in the journal."""


class Database(Protocol):
    """A database with one connection that does the work; only `activity`, `holders` and `pressure` may use another.

    Every verb raises the classes of `stepwell.errors` alone, never the driver's.
    """

    name: str
    engine: str
    transactional: bool
    """Whether it has transactions."""
    session_lock: bool
    """Whether `lock` is held by the working connection itself, so that neither can outlive the other."""
    single_writer: bool
    """Whether a transaction that writes keeps out all other writers, who look for their turn now and then."""
    batch_seconds: float
    """Seconds that a job's batch should take, where nobody says otherwise. So long wait writers who want its rows."""
    clock: str
    """SQL for the seconds since 1970 by the server's clock, which goes on within a transaction."""
    for_update: str
    """What stands behind a SELECT in a transaction for its rows to be read as committed last, and locked.

    Empty where one writer keeps out the others anyway, and where there are no transactions.
    """
    for_share: str
    """The same for a lock that several may hold at once, and that keeps out who would change the rows."""

    def connect(self) -> None:
        """Open the working connection. Raises CannotConnect with what to do about it."""

    def close(self) -> None:
        """Close every connection; never raises."""

    def reset(self) -> None:
        """Put the connection's settings back to what `connect` left, after a script with SESSION statements."""

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Send one statement with `?` placeholders and return its rows (none for a statement without any)."""

    def add(self, text: str, parameters: Sequence[Any]) -> None:
        """Send one statement that gives no rows; in a transaction it may wait for the next one, or for COMMIT."""

    def run(self, command: Command, evidence: Evidence | None = None) -> None:
        """Run one statement and follow it to its end, whatever becomes of the connection's patience.

        Raises Refused or one of its kinds (LockTimeout, ConnectionLost, DiskFull, MemoryLimit, ...).
        """

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows in bulk."""

    def put(self, table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any] = ()) -> None:
        """Give the rows that a condition finds these values.

        Where an update is a newer version of the row (ReplacingMergeTree), the newest version of each row is added
        again, whole, dated now, and a version that somebody writes meanwhile wins over it.
        """

    def unload(self, text: str, parameters: Sequence[Any] = ()) -> Generator[bytes, None, None]:
        """The rows of a SELECT as tab-separated lines (`lines.py`), in chunks; never all of them in memory.

        The columns should be text: others come as the engine's driver spells them.
        """

    def stream(self, text: str, timeout: float) -> AbstractContextManager[Stream]:
        """Send a SELECT that can change nothing; its rows come in the block, as values that `values.py` can compare.

        The server ends it after `timeout` seconds. The connection is busy until the block ends.
        """

    def load(self, table: str, columns: Sequence[str], lines: bytes) -> None:
        """Add rows given as whole tab-separated lines (`lines.py`) to a table with columns of text."""

    def transaction(self, lasting: bool = True, snapshot: bool = False) -> AbstractContextManager[None]:
        """Commit at the end of the block, roll back when it raises. Only where some conduct is TRANSACTIONAL.

        One that need not be `lasting` may be lost with the server, but none that came before a lasting one is. In a
        `snapshot` no statement changes rows that came, or came to fit its condition, behind the first one: PostgreSQL
        refuses (40001) what somebody changed since, MySQL keeps others out of what was read with locks.
        """

    def make_lasting(self) -> None:
        """Wait until all that can be read by now is on the disk, also what another's commit did not wait for."""

    def lock(
        self, patience: float, waiting: Callable[[str], None], under: Sequence[Database] = ()
    ) -> AbstractContextManager[None]:
        """Hold this database's migration lock for the block.

        Waits `patience` seconds at most, telling `waiting` who holds it; raises LockHeld. `under` are databases whose
        session locks we hold: a lock that can outlive its holder is nobody's any more if it was taken under the same.
        """

    def lock_name(self) -> str:
        """What tells this database's session lock from every other's, whatever the address; '' where nothing does."""

    def assert_locked(self) -> None:
        """Ask the server whether the lock is still ours. Raises LockLost."""

    def columns(self, table: str) -> list[str]:
        """The column names of a table in order; empty when there is no such table."""

    def key_facts(self, table: str, columns: Sequence[str]) -> KeyFacts:
        """What the catalog tells of these columns, spelled as in SQL, as a key of a table. Reads no rows."""

    def tracking_tables(self, table: str = HISTORY) -> list[str]:
        """The statements that create the tracking tables `table` and `table`_journal, harmless when they exist.

        `table` is spelled as in SQL.
        """

    def home(self) -> str:
        """The schema or database, quoted, that all of Stepwell's tables are in, or are to be made in.

        What lies first on a search path changes, and a script may set another path or another current database: what
        is made, and what is written while a script runs, names it. Raises TwoHomes, HomeOffPath, HomeMissing.
        """

    def conduct(self, command: Command) -> Conduct:
        """How the statement behaves, from its text (and, where needed, from the tables it names)."""

    def creates(self, command: Command) -> str | None:
        """The table that the statement creates, as `own` spells it; None when it creates none."""

    def renames(self, command: Command) -> list[str]:
        """The tables that the statement gives another name, as `creates` spells them."""

    def evidence(self, command: Command) -> Evidence:
        """Read, before the statement runs, what will tell later whether it ran."""

    def settle(self, command: Command, evidence: Evidence) -> Finding:
        """Find out what became of a statement that is not running any more, and repair what it left.

        After NOT_DONE the statement can be run again as it is; after DONE its effect is complete.
        """

    def activity(self, tag: str) -> Activity | None:
        """The statement of this tag at work on the server; None when there is none. Safe from another thread.

        Where there are no transactions also one whose tag begins with this.
        """

    def holders(self) -> list[str]:
        """Who holds locks that our connection waits for, one line each. Safe from another thread."""

    def pressure(self) -> list[Signal]:
        """How hard the server is at work; what it does not tell is left out. Never raises; safe from another thread."""

    def health(self) -> Health:
        """What the server tells of itself, for a look before a release. Raises Refused."""

    def size(self, table: str) -> Size | None:
        """About how large a table is, by the catalog; None where there is no such table, or it does not tell."""

    def scratch(self, table: str) -> list[str]:
        """Statements that make a table and do to it what scripts and jobs do, to try whether our user may."""
