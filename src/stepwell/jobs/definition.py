"""What a job's author writes: where its rows are, what to do with a batch of them, and when it may run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from stepwell.window import Window

if TYPE_CHECKING:
    from stepwell.jobs.batch import Batch, Connections

FALSE = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Exclude:
    """Rows to leave alone: those whose `column` holds a value that an environment variable lists.

    The values are separated by commas, and blanks around them do not count. They reach the database as data, never as
    SQL. Where the variable is unset or empty, no row is left out.
    """

    column: str
    variable: str

    def read(self, environment: Mapping[str, str]) -> Excluded:
        parts = (part.strip() for part in environment.get(self.variable, "").split(","))
        return Excluded(self.column, tuple(dict.fromkeys(part for part in parts if part)))


@dataclass(frozen=True, slots=True)
class Excluded:
    """What an Exclude comes to in an environment."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyset:
    """Rows in ranges of a key, in its order. For rows that a `where` finds, or for all of a table.

    `key` is a column, or several separated by commas, that together are unique and indexed. `where` is the condition
    that a row still has to be migrated; without one every row is visited once. `size` is the number of rows of the
    first batches; later ones follow the job's `target`. `excluded` comes from the job's `exclude`.
    """

    database: str
    table: str
    key: str
    where: str = ""
    size: int = 1000
    excluded: Excluded | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.key.split(","))


@dataclass(frozen=True, slots=True)
class Drain:
    """Rows that are still eligible, any `size` of them, until there are none.

    For conditions that the migration itself makes untrue, where the rows to migrate are few among many. `key` is as
    for Keyset.
    """

    database: str
    table: str
    key: str
    where: str
    size: int = 1000
    excluded: Excluded | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.key.split(","))


@dataclass(frozen=True, slots=True)
class Missing:
    """The condition that a row is not in another table of the same ClickHouse yet: a copy that still has to be made.

    `key` is a column, or several separated by commas, by which both tables know a row. Where that table has rows of
    other origin, too, `where` tells the copies. Both have the columns that the groups go by, under the same names.
    """

    table: str
    key: str
    where: str = ""

    def __str__(self) -> str:
        also = f" AND ({self.where})" if self.where else ""
        return f"({self.key}) NOT IN (SELECT {self.key} FROM {self.table} WHERE ${{batch}}{also})"


@dataclass(frozen=True, slots=True)
class Groups:
    """All rows of a group at once, groups that follow each other packed so that batches have about `rows` rows each.

    A group is the rows with one value of `key`, a column, or several separated by commas.
    """

    database: str
    table: str
    key: str
    where: str | Missing = ""
    rows: int = 10_000
    excluded: Excluded | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.key.split(","))


Source = Keyset | Drain | Groups


@dataclass(frozen=True, slots=True)
class Flag:
    """An environment variable that switches a job on or off: 0, false, no and off are off, all else is on."""

    name: str
    default: bool = True

    def on(self, environment: Mapping[str, str]) -> bool:
        value = environment.get(self.name)
        return self.default if value is None else value.strip().lower() not in FALSE


@dataclass(frozen=True, slots=True)
class Says:
    """Lines for the log at the turns of a job's run, for operators who look for them; '' says nothing.

    `{rows}` is what this run has migrated. A text of several lines is logged line by line.
    """

    starting: str = ""
    batch: str = ""
    complete: str = ""
    off: str = ""


class Job:
    """What a Python job derives from: names to give, and `migrate` to write.

    The class's docstring is what `stepwell job list` says of it. Seconds throughout. A job that has a way back of its
    own, for data that is derived anyway, also has a method `undo(self, connections)`, safe to repeat. One whose rows
    may need it again after they were migrated has `reopen(self, key, connections)`: Lazy calls it before it looks at a
    key, and it may make the key's rows eligible once more.

    `largest` is how many rows a batch has at most. The lease of a worker that died ends after `lock_timeout` seconds,
    and after 30 at the latest. `variables` name environment variables that set some of these numbers, that of `batches`
    as `size`: `{"size": "TOTALS_BATCH_SIZE"}`.
    """

    batches: ClassVar[Source]
    requires: ClassVar[list[str]] = []
    checks: ClassVar[list[str]] = []
    enabled: ClassVar[Flag | None] = None
    exclude: ClassVar[Exclude | None] = None
    target: ClassVar[float | None] = None
    cycle: ClassVar[float] = 30.0
    startup_delay: ClassVar[float] = 0.0
    timeout: ClassVar[float | None] = None
    window: ClassVar[Window | None] = None
    workers: ClassVar[int] = 1
    records: ClassVar[list[str]] = []
    row_key: ClassVar[list[str]] = []
    unindexed: ClassVar[str] = ""
    largest: ClassVar[int | None] = None
    lock_timeout: ClassVar[float | None] = None
    variables: ClassVar[Mapping[str, str]] = {}
    says: ClassVar[Says] = Says()

    def migrate(self, batch: Batch) -> None:
        """Migrate the rows of one batch."""
        raise TypeError(f"{type(self).__name__} has no migrate")


@dataclass(frozen=True, slots=True)
class Definition:
    """A job as it is run, from a class or from an SQL file. Durations are seconds.

    `target` is how long a batch should take, None as its databases like it; `quiet_passes` how many passes in a row
    must find nothing before the job is complete; `tries` how often a batch is sent that meets passing trouble;
    `most_failures` how many rows may fail for themselves before the job stops. `records` are the columns whose changes
    are kept, by the row's `row_key` (that of the batches if empty). `undo` is a way back instead of what is recorded:
    statements for the source's database, or a function. `unindexed` is 'accept' where the batches may go by columns
    without an index. `largest` is the most rows of a batch. `checks` must hold before the job is complete.
    """

    name: str
    path: Path
    line: int
    about: str
    source: Source
    migrate: Callable[[Batch], None]
    requires: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    flag: Flag | None = None
    target: float | None = None
    cycle: float = 30.0
    startup_delay: float = 0.0
    timeout: float | None = None
    window: Window | None = None
    workers: int = 1
    records: tuple[str, ...] = ()
    row_key: tuple[str, ...] = ()
    unindexed: str = ""
    undo: Callable[[Connections], None] | tuple[str, ...] = ()
    reopen: Callable[[tuple[Any, ...], Connections], None] | None = None
    largest: int | None = None
    lock_timeout: float | None = None
    says: Says = Says()
    quiet_passes: int = 2
    tries: int = 5
    most_failures: int = 1000

    @property
    def reference(self) -> str:
        return f"job/{self.name}"

    @property
    def gates(self) -> tuple[str, ...]:
        """Its checks as references."""
        return tuple(f"check/{name.removeprefix('check/')}" for name in self.checks)

    @property
    def place(self) -> str:
        """Where its rows are: DATABASE.TABLE."""
        return f"{self.source.database}.{self.source.table}"

    @property
    def row_keys(self) -> tuple[str, ...]:
        """The columns that tell one row from all others."""
        return self.row_key or self.source.keys
