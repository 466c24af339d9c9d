"""One batch, from its scope to its commit: what a worker does, in a thread here or in a process elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum

from stepwell.errors import (
    CannotConnect,
    ConnectionLost,
    Fenced,
    LockTimeout,
    MemoryLimit,
    Refused,
    StatementTimeout,
    StepwellError,
)
from stepwell.jobs import sources
from stepwell.jobs.batch import Batch, Connections, RowsNotHeld
from stepwell.jobs.changes import recorded
from stepwell.jobs.definition import Definition
from stepwell.ledger.jobs import Ledger

SUPERSEDED = "40001"
"""In PostgreSQL: a row was changed by somebody since the transaction's snapshot."""

DEADLOCK_CODES = (SUPERSEDED, "40P01")
"""A serialization failure and a deadlock in PostgreSQL; those of MySQL are lock timeouts to its adapter."""

PASSING_CODES = ("252", *DEADLOCK_CODES)
"""Too many parts in ClickHouse, and deadlocks."""


class Verdict(Enum):
    """How a batch ended."""

    DONE = "done"
    PASSING = "met trouble that passes: try it again"
    FAILED = "failed for what is in it: split it"
    FENCED = "belongs to another worker now"


@dataclass(frozen=True, slots=True)
class Task:
    """A batch to do, in plain values that any executor can carry."""

    job: str
    number: int
    token: int
    scope: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a task. `rows` were found by its condition when it was cut, or began; `seconds` it took.

    `heavy` was too much for the server, `locked` lost against other sessions' locks. `used` names the databases that
    the worker is connected to.
    """

    task: Task
    verdict: Verdict
    rows: int
    seconds: float
    error: str = ""
    heavy: bool = False
    locked: bool = False
    used: tuple[str, ...] = ()


def do(task: Task, definition: Definition, ledger_name: str, connections: Connections) -> Report:
    """Do one batch and record it, in one transaction where it writes to the ledger's database.

    A batch that is done already, by a worker that died before it could say so, is reported as done.
    """
    report = _do(task, definition, ledger_name, connections)
    if report.verdict is not Verdict.DONE and (rows := _rows_done(task, ledger_name, connections)) is not None:
        report = Report(task, Verdict.DONE, rows, report.seconds)
    return replace(report, used=tuple(connections.connected))


def _do(
    task: Task, definition: Definition, ledger_name: str, connections: Connections, locks_rows: bool = False
) -> Report:
    started = time.monotonic()
    scope = sources.load(task.scope)
    batch = Batch(definition, scope, connections, task.number, locks_rows=locks_rows)
    rows = 0
    try:
        with batch.transactions(ledger_name, lasting=not hurried(definition, ledger_name)):
            held = batch.hold() if connections.hold_rows else None
            with recorded(batch, definition, task.number, ledger_name, connections) as found:
                known = held if found is None else found
                rows = _count(batch, scope) if known is None else known
                definition.migrate(batch)
            ledger = Ledger(batch.on(ledger_name))
            ledger.finish(task.job, task.token, task.number, rows, time.monotonic() - started)
    except RowsNotHeld:
        connections.hold_rows = True
        return _do(task, definition, ledger_name, connections, locks_rows)
    except Fenced:
        return Report(task, Verdict.FENCED, 0, time.monotonic() - started)
    except StepwellError as error:
        if getattr(error, "code", "") == SUPERSEDED and not locks_rows:
            return _do(task, definition, ledger_name, connections, locks_rows=True)
        if isinstance(error, ConnectionLost):
            connections.close()
        verdict = Verdict.PASSING if passes(error) else Verdict.FAILED
        heavy = isinstance(error, (MemoryLimit, StatementTimeout))
        locked = isinstance(error, LockTimeout) or getattr(error, "code", "") in DEADLOCK_CODES
        return Report(task, verdict, rows, time.monotonic() - started, words(error), heavy, locked)
    except (Exception, SystemExit) as error:  # a `migrate` ends its batch, not the worker
        said = f"{type(error).__name__}: {error}"
        return Report(task, Verdict.FAILED, rows, time.monotonic() - started, said)
    return Report(task, Verdict.DONE, rows, time.monotonic() - started)


def hurried(definition: Definition, ledger_name: str) -> bool:
    """Whether the commits of a job's batches need not wait for the disk: where the rows are beside their record.

    A server that dies forgets the one with the other, as if the worker had been killed just before it committed.
    """
    return definition.source.database == ledger_name


def passes(error: StepwellError) -> bool:
    """Whether the same batch may well succeed a little later: locks, lost connections, memory, too many parts."""
    if isinstance(error, (CannotConnect, LockTimeout, ConnectionLost, MemoryLimit, StatementTimeout)):
        return True
    return isinstance(error, Refused) and error.code in PASSING_CODES


def _rows_done(task: Task, ledger_name: str, connections: Connections) -> int | None:
    try:
        return Ledger(connections.get(ledger_name)).rows_done(task.job, task.token, task.number)
    except StepwellError:
        return None  # out of reach: the batch is tried again, and asked about again


def _count(batch: Batch, scope: sources.Scope) -> int:
    if isinstance(scope, sources.Range) and scope.rows is not None:
        return scope.rows
    found = batch.database.query(f"SELECT count(*) FROM {batch.table} WHERE {batch.condition}", batch.parameters)
    return int(found[0][0])


def words(error: StepwellError) -> str:
    """An error on one line, as it is recorded."""
    said = getattr(error, "said", "")
    return f"{error.kind}: {said or error.what}"
