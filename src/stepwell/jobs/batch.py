"""A batch as a job's `migrate` sees it: its rows, the databases, and one transaction around all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from stepwell.databases.database import Command, Database
from stepwell.databases.lexing import Kind, tokens
from stepwell.databases.transfer import There
from stepwell.errors import StepwellError
from stepwell.jobs.definition import Definition, Groups
from stepwell.jobs.rows import Place, add, remove, values_of
from stepwell.jobs.sources import MOST_KEYS, SCOPE, Condition, Key, Scope, among, condition, keys_in

MARK = SCOPE
"""What stands in a statement for the condition that finds the batch's rows."""

LOOK = 0.2
"""Seconds between two looks at a statement that outlived its worker."""


def tag_of(database: Database, job: str, batch: int | str) -> str:
    """What the tags of a batch's statements begin with, on a server where they may outlive the worker."""
    place = sha256(f"{database.home()} {batch}".encode()).hexdigest()[:16]  # a key may be anything, an id may not
    return f"stepwell:{job}:{place}:"


def outlived(database: Database, tag: str) -> None:
    """Wait for the statement of a tag that a worker left running when it died."""
    while database.activity(tag):
        time.sleep(LOOK)


class Connections:
    """The databases that one worker uses, each connected when it is used first.

    `hold_rows`: the job's batches begin by holding their rows, for one of them has read them.
    """

    def __init__(self, open_database: Callable[[str], Database]) -> None:
        self.hold_rows = False
        self._open = open_database
        self._connected: dict[str, Database] = {}

    def get(self, name: str) -> Database:
        if name not in self._connected:
            database = self._open(name)
            database.connect()
            self._connected[name] = database
        return self._connected[name]

    @property
    def connected(self) -> dict[str, Database]:
        """The databases that are connected now. Safe from another thread."""
        return dict(self._connected)

    def close(self) -> None:
        for database in self._connected.values():
            database.close()
        self._connected.clear()


@dataclass(slots=True)
class Notes:
    """What `migrate` says of the changes it makes: why, and which ones that nobody else can see."""

    reason: str = ""
    reasons: dict[Key, str] = field(default_factory=dict)
    changes: dict[Key, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    rows: list[RowChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row beside those of the batch that was added (no old values) or removed (no new ones), as JSON texts."""

    place: Place
    database: str
    old: Mapping[str, str]
    new: Mapping[str, str]
    reason: str


class RowsNotHeld(Exception):
    """What a batch reads could change before it is done: it has to begin anew, and hold its rows first."""


class Batch:
    """The rows that `migrate` is to migrate, as the batch of a number, or of a lazy key.

    All that it writes to relational databases commits at its end. Where the ledger's database is written, the batch's
    progress commits with it. Other databases commit just before, so what is written there must be safe to repeat.
    With `locks_rows` a writer waits who comes between what is found in the rows and what `migrate` makes of them;
    without, a database that can tell when one came refuses the batch. `held`: the rows are locked by the caller.
    """

    def __init__(
        self, definition: Definition, scope: Scope, connections: Connections, number: int | str, *,
        locks_rows: bool = True, held: bool = False,
    ) -> None:  # fmt: skip
        self._definition, self._scope, self._connections = definition, scope, connections
        self._held, self._steady = held, bool(definition.records)
        self.locks_rows = locks_rows
        self._number, self._sent = number, 0
        self._transactions: dict[str, ExitStack] = {}
        self._hurried = ""
        found = condition(definition.source, scope)
        self.condition, self.parameters = found.text, found.parameters
        # Also of rows that are migrated by now.
        self.whole = condition(replace(definition.source, where="", excluded=None), scope)
        self.table = definition.source.table
        self.notes = Notes()
        self.keep_notes: Callable[[], None] = lambda: None

    @property
    def database(self) -> Database:
        """The database that the rows are in."""
        return self.on(self._definition.source.database)

    def on(self, name: str) -> Database:
        """A database of the project, in the batch's transaction where it has transactions."""
        database = self._connections.get(name)
        if name not in self._transactions and database.transactional:
            stack = ExitStack()
            # What is recorded or copied was read before it is changed: no row may come to fit the condition in between.
            steady = self._steady and name == self._definition.source.database
            stack.enter_context(database.transaction(lasting=name != self._hurried, snapshot=steady))
            self._transactions[name] = stack
        return database

    def hold(self) -> int:
        """Begin, and keep the rows as they are to the end: whoever wants to change one waits. How many they are.

        What comes to fit the condition meanwhile is no part of the batch, for no statement of it sees that.
        """
        self._held = self._steady = True
        found = f"SELECT 1 FROM {self.table} WHERE {self.condition} {self.database.for_update}"
        return int(self.database.query(f"SELECT count(*) FROM ({found}) AS held", self.parameters)[0][0])

    def _require_held(self) -> None:
        """Raises RowsNotHeld where a condition says which rows are left, and writers could make it true of others."""
        if self._definition.source.where and self.database.for_update and not self._held:
            raise RowsNotHeld

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        """These columns of the batch's rows, in the order of the key.

        Where a condition says which rows are left, they are held as they are until the batch is done.
        """
        self._require_held()
        order = ", ".join(self._definition.source.keys)
        text = f"SELECT {columns} FROM {self.table} WHERE {self.condition} ORDER BY {order}"
        return self.database.query(text, self.parameters)

    def keys(self) -> list[Key]:
        """The keys of the batch's rows, in order."""
        return keys_in(self.database, self._definition.source, self._scope)

    def execute(self, text: str, parameters: Sequence[Any] = (), on: str = "") -> None:
        """Run a statement; `${batch}` in it is the condition that finds the batch's rows, `?` a parameter."""
        database = self.on(on or self._definition.source.database)
        text, values = with_condition(text, tuple(parameters), self.condition, self.parameters, database.engine)
        database.run(Command(text=text, parameters=values, tag="" if database.transactional else self._tag(database)))

    def _tag(self, database: Database) -> str:
        """A tag for the next statement, to follow it to its end. No earlier try of the batch still runs beside it."""
        tag = tag_of(database, self._definition.name, self._number)
        if not self._sent:
            outlived(database, tag)
        self._sent += 1
        return f"{tag}{self._sent}"

    def put(self, rows: Mapping[Key, Mapping[str, Any]]) -> None:
        """Give rows of the batch, by `row_key`, these values by column.

        What goes to ClickHouse can't wait for the commit and stands even if the batch dies. All that was written to
        relational databases is therefore committed before it, and so are the reasons of the changes.
        """
        if not self.database.transactional:
            self._commit()
            self.keep_notes()
        alike: dict[tuple[tuple[str, Any], ...], list[Key]] = {}
        for key, values in rows.items():
            alike.setdefault(tuple(values.items()), []).append(key)
        for assignments, keys in alike.items():
            for start in range(0, len(keys), MOST_KEYS):
                found = among(self._definition.row_keys, keys[start : start + MOST_KEYS])
                where, parameters = f"({self.condition}) AND ({found.text})", (*self.parameters, *found.parameters)
                self.database.put(self.table, dict(assignments), where, parameters)

    def add(
        self, table: str, key: Mapping[str, Any], values: Mapping[str, Any], *,
        like: Mapping[str, Any] | None = None, reason: str = "", on: str = "",
    ) -> bool:  # fmt: skip
        """Add a row to any table, and record that: as the row with the key `like` is, but for these values.

        Returns whether it is there now: nothing is added where there is no row to be like.
        """
        name, place = on or self._definition.source.database, Place(table, key)
        database = self.on(name)
        add(database, place, like or {}, values)
        new = values_of(database, place)
        if new:
            self.notes.rows.append(RowChange(place, name, {}, new, reason))
        return bool(new)

    def remove(self, table: str, key: Mapping[str, Any], *, reason: str = "", on: str = "") -> None:
        """Remove a row of any table, if it is there, and record it."""
        name, place = on or self._definition.source.database, Place(table, key)
        database = self.on(name)
        if old := values_of(database, place):
            remove(database, place)
            self.notes.rows.append(RowChange(place, name, old, {}, reason))

    def query(self, text: str, parameters: Sequence[Any] = (), on: str = "") -> list[tuple[Any, ...]]:
        """The rows of a query; `${batch}` in it is the condition that finds the batch's rows, `?` a parameter."""
        database = self.on(on or self._definition.source.database)
        text, values = with_condition(text, tuple(parameters), self.condition, self.parameters, database.engine)
        return database.query(text, values)

    def reason_for_all(self, text: str) -> None:
        """Say why the batch's rows are changed, where `reason` does not say it of one."""
        self.notes.reason = text

    def reason(self, key: Key, text: str) -> None:
        """Say why the row of this key is changed, and from what that was seen. `reassess` looks for 'default …'."""
        self.notes.reasons[key] = text

    def change(self, key: Key, column: str, old: Any, new: Any, reason: str = "") -> None:
        """Have a change recorded, by a job without `records`: one of rows in ClickHouse, say, whose undo is its own."""
        if self._definition.records:
            raise ValueError("the changes of a job with `records` are seen without being told")
        self.notes.changes.setdefault(key, {})[column] = (old, new)
        if reason:
            self.reason(key, reason)

    def copy(
        self, *, to: str, table: str, columns: Sequence[str] | Mapping[str, str], key: Sequence[str] = (),
        replace: bool = False,
    ) -> int:  # fmt: skip
        """Copy these columns of the batch's rows into `table` of the database `to`, exactly; how many rows it has.

        Rows whose key `table` has already are not added again, so a batch can be repeated. `key` are columns of
        `table`; where none are named, those that the source's own key is copied into. Where a condition says which
        rows are left, they are held as they are until the batch is done: what makes it untrue is true of the rows
        copied, and one that `table` has with other values is refused. With `replace` it is made the same.

        Raises NotExact, RowDiffers, BadRequest, Refused.
        """
        from stepwell.jobs.copying import copy_into

        source = self._definition.source
        self._require_held()
        names = columns if isinstance(columns, Mapping) else {name: name for name in columns}
        if not key and not isinstance(source, Groups):
            key = [names[name] for name in source.keys if name in names]
        return copy_into(
            self.database,
            self.on(to),
            table=self.table,
            columns=names,
            into=table,
            condition=Condition(self.condition, self.parameters),
            key=key,
            there=There.REPLACED if replace else There.COMPARED if source.where else There.LEFT,
        )

    def _commit(self) -> None:
        """Commit what was written so far; what follows is in transactions of its own."""
        while self._transactions:
            _, stack = self._transactions.popitem()
            stack.close()

    @contextmanager
    def transactions(self, ledger: str, *, lasting: bool = True) -> Iterator[None]:
        """Commit at the end of the block, the ledger's database last; roll all back when it raises.

        Unless it is to be `lasting`, the commit of the ledger's database does not wait for the disk.
        """
        self._hurried = "" if lasting else ledger
        try:
            yield
        except BaseException as error:
            for stack in self._transactions.values():
                with suppress(StepwellError):  # a connection that is gone has rolled back already
                    stack.__exit__(type(error), error, error.__traceback__)
            raise
        with ExitStack() as commits:  # last in, first out; when one fails, those behind it roll back
            for name in sorted(self._transactions, key=lambda name: name != ledger):
                commits.push(self._transactions[name])


def with_condition(
    text: str, parameters: tuple[Any, ...], found: str, values: tuple[Any, ...], engine: str
) -> tuple[str, tuple[Any, ...]]:
    """A statement with its marks replaced, and the parameters of both in the order of their places."""
    head, *rest = text.split(MARK)
    result, ordered, left = head, list(parameters[: _places(head, engine)]), parameters[_places(head, engine) :]
    for part in rest:
        count = _places(part, engine)
        result += f"({found}){part}"
        ordered += [*values, *left[:count]]
        left = left[count:]
    return result, tuple(ordered)


def _places(text: str, engine: str) -> int:
    return sum(token.kind is Kind.MARK and token.text == "?" for token in tokens(text, engine))
