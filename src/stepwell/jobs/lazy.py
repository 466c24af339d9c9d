"""Migrating one key at the moment it is needed, once across all threads and processes.

A key that is known to be done costs a look into a set. Another one goes through three gates: one thread of the process
takes it up, and all that ask for it meanwhile wait for that one (`_flights`); its rows, or a row of the ledger, are
locked, so that of several processes one migrates and the others wait; and what says whether it still has to be
migrated is read once more behind that lock, in the transaction that migrates it.

A key of a job that is paused, cancelled or undone is left as it is; no undo slips in between the look that tells and
the commit (`ledger/ensured.py`). Where rows are taken back an epoch of the job ends, and with it, at the next look at
the ledger, what is remembered of keys.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from stepwell.databases.database import Command, Database
from stepwell.errors import BadRequest, ConnectionLost, JobNotReady, Refused, StepwellError
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.changes import recorded
from stepwell.jobs.definition import Definition
from stepwell.jobs.runner import Site
from stepwell.jobs.sources import Condition, Keys, condition, dump_key
from stepwell.jobs.work import hurried, passes
from stepwell.ledger import databases, ensured
from stepwell.ledger.ensured import Standing
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create

MOST_REMEMBERED = 100_000
"""Keys that are kept as done, some 10 MB; the oldest gives way, and costs a query when it is asked for again."""

MOST_AT_ONCE = 8
"""Keys migrated at the same time in one process, each on connections of its own."""

LOOK = 2.0
"""Seconds that a key is known to be done without a look at the ledger: rows may have been taken back since."""

PAUSES = (0.05, 0.2)
"""Seconds before a key that met passing trouble is tried again: somebody waits for it, so these are short."""

P = ParamSpec("P")
R = TypeVar("R")

Scope = Mapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def _nothing(job: Definition) -> list[str]:
    return []


class Lazy:
    """A job's batch code for single keys: `ensure(key)` returns when the key's rows are migrated.

    A key is the value of the source's key column, or a tuple where that has several; for Groups it is one value of the
    group's column. `missing` tells which of the job's requirements are not complete. Does nothing where the
    job's flag is off, nor while the job is paused, cancelled or undone. Safe from any thread; everything raises
    StepwellError, or what `migrate` itself raises.
    """

    def __init__(self, job: Definition, site: Site, missing: Callable[[Definition], list[str]] = _nothing) -> None:
        self._job, self._site, self._missing = job, site, missing
        self._enabled = job.flag is None or job.flag.on(site.environment)
        self._prepared = self._ready = False
        self._epoch = -1
        self._heard = 0.0
        self._done: set[Any] = set()
        self._order: deque[Any] = deque()
        self._guard = threading.Lock()
        self._flights: dict[Any, Future[None]] = {}
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, f"lazy {job.name}")
        self._local = threading.local()
        self._opened: list[Connections] = []

    def ensure(self, key: Any) -> None:
        """Migrate the rows of a key if they still have to be. Raises JobNotReady."""
        if (key in self._done and time.monotonic() < self._heard) or not self._enabled:
            return
        self._fly(key).result()

    async def aensure(self, key: Any) -> None:
        """As `ensure`, without holding up the event loop. Cancelled, it leaves the migration to go on for others."""
        if (key in self._done and time.monotonic() < self._heard) or not self._enabled:
            return
        await asyncio.shield(asyncio.wrap_future(self._fly(key)))

    def ensures(self, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: the key in the argument `name` is migrated before the function runs; None is no key."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            key_of = _argument(function, name)
            if inspect.iscoroutinefunction(function):

                @wraps(function)
                async def afterwards(*args: P.args, **kwargs: P.kwargs) -> Any:
                    if (key := key_of(args, kwargs)) is not None:
                        await self.aensure(key)
                    return await function(*args, **kwargs)

                return cast(Callable[P, R], afterwards)

            @wraps(function)
            def after(*args: P.args, **kwargs: P.kwargs) -> R:
                if (key := key_of(args, kwargs)) is not None:
                    self.ensure(key)
                return function(*args, **kwargs)

            return after

        return decorate

    def close(self) -> None:
        """Finish what is under way and close the connections."""
        self._threads.shutdown()
        for connections in self._opened:
            connections.close()

    # --- one key ----------------------------------------------------------------------------------------------

    def _fly(self, key: Any) -> Future[None]:
        """The one flight of this key in the process: the one under way, or a new one."""
        with self._guard:
            if key not in self._flights:
                self._flights[key] = self._threads.submit(self._land, key)
            return self._flights[key]

    def _land(self, key: Any) -> None:
        try:
            if not self._known(key):
                parts = key if isinstance(key, tuple) else (key,)
                epoch = self._patiently(lambda: self._migrate(parts))
                if epoch is not None and not self._job.reopen:
                    self._remember(key, epoch)
        finally:
            with self._guard:
                del self._flights[key]

    def _known(self, key: Any) -> bool:
        """Whether a key is known to be done, also after a look at the ledger where the last one is too long ago."""
        with self._guard:
            if key not in self._done or time.monotonic() < self._heard:
                return key in self._done
            self._heard = time.monotonic() + LOOK  # one looks for all
        with suppress(StepwellError):  # a ledger out of reach tells nothing new, and stops no request
            self._patiently(self._look)
        return key in self._done

    def _look(self) -> Standing:
        """How the job stands now. What was remembered in another epoch is forgotten."""
        asked = time.monotonic()
        standing = ensured.standing(self._connections().get(self._site.ledger), self._job.name)
        with self._guard:
            if standing.epoch != self._epoch:
                self._done.clear()
                self._order.clear()
                self._epoch = standing.epoch
            self._heard = asked + LOOK
        return standing

    def _remember(self, key: Any, epoch: int) -> None:
        """Know a key to be done that was found so, or made so, in this epoch."""
        with self._guard:
            if epoch != self._epoch:
                return
            self._done.add(key)
            self._order.append(key)
            if len(self._order) > MOST_REMEMBERED:
                self._done.discard(self._order.popleft())

    def _patiently(self, act: Callable[[], R]) -> R:
        """Do something with the databases, again where trouble passes."""
        for pause in (*PAUSES, None):
            try:
                return act()
            except StepwellError as error:
                if isinstance(error, ConnectionLost):
                    self._connections().close()
                if pause is None or not passes(error):
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _migrate(self, key: tuple[Any, ...]) -> int | None:
        """Migrate a key. Returns the epoch in which that was done; None where nothing is to be remembered."""
        self._prepare()
        job, connections = self._job, self._connections()
        standing = self._look()
        if standing.held:
            return None
        self._require()
        rows = condition(replace(job.source, where=""), Keys((key,)))
        eligible = condition(job.source, Keys((key,)))
        text = dump_key(key)
        source = connections.get(job.source.database)
        if job.reopen:
            job.reopen(key, connections)
        if job.source.where and not _found(source, job, eligible):
            if hurried(job, self._site.ledger) and (state := Ledger(source).read(job.name)) and state.holder:
                source.make_lasting()  # what a batch did may not be on the disk yet; what is remembered here must be
            # A key without rows is not remembered: its rows may come, and come unmigrated.
            return standing.epoch if _found(source, job, rows) else None
        by_ledger = not job.source.where or not source.transactional
        ledger = connections.get(self._site.ledger)
        if by_ledger and ensured.claimed(ledger, job.name, text):
            return standing.epoch
        if not _found(source, job, rows):
            return None
        batch = Batch(job, Keys((key,)), connections, text, held=True)
        try:
            with batch.transactions(self._site.ledger):
                if by_ledger:
                    with self._recorded(batch):  # what it keeps in the ledger is committed before the claim is made
                        if not self._entered(batch, standing):
                            return None
                        ensured.claim(batch.on(self._site.ledger), job.name, text)
                        if not job.source.where or _found(source, job, eligible):
                            job.migrate(batch)
                else:
                    # By the key alone: MySQL reads what a condition asks of other tables before it waits for the lock.
                    locking = f"SELECT 1 FROM {job.source.table} WHERE {rows.text} {source.for_update}"
                    batch.database.run(Command(text=locking, parameters=rows.parameters))
                    if _found(source, job, eligible):
                        with self._recorded(batch):
                            if not self._entered(batch, standing):
                                return None
                            job.migrate(batch)
        except Refused:
            if by_ledger and ensured.claimed(ledger, job.name, text):
                return standing.epoch  # another process was quicker
            raise
        return standing.epoch

    def _entered(self, batch: Batch, since: Standing) -> bool:
        """Whether the job was not undone since; it is then not undone before the batch's commit, either."""
        return ensured.entered(batch.on(self._site.ledger), self._job.name, since)

    def _recorded(self, batch: Batch) -> AbstractContextManager[int | None]:
        """Changes are recorded as those of a batch with a number that no run gives, nor another replica."""
        number = -secrets.randbits(62)
        return recorded(batch, self._job, number, self._site.ledger, self._connections())

    def _require(self) -> None:
        """Raises JobNotReady while something that the job requires is not complete."""
        if self._ready:
            return
        if waits_for := self._missing(self._job):
            raise JobNotReady(self._job.reference, waits_for)
        self._ready = True

    def _prepare(self) -> None:
        """Make what the ledger needs for the job's keys."""
        if self._prepared:
            return
        ledger = self._connections().get(self._site.ledger)
        create(ledger)
        source = self._connections().get(self._job.source.database)
        databases.refuse_another(ledger, [source])
        databases.keep(ledger, [source])
        self._prepared = True

    def _connections(self) -> Connections:
        """This thread's own."""
        if not hasattr(self._local, "connections"):
            self._local.connections = Connections(self._site.open)
            self._opened.append(self._local.connections)
        found: Connections = self._local.connections
        return found


def _found(source: Database, job: Definition, rows: Condition) -> bool:
    return bool(source.query(f"SELECT 1 FROM {job.source.table} WHERE {rows.text} LIMIT 1", rows.parameters))


def _argument(function: Callable[..., Any], name: str) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """What finds the value of the argument `name` in a call. Raises BadRequest where the function has none."""
    parameters = inspect.signature(function).parameters
    if name not in parameters:
        raise BadRequest(f"{function.__qualname__} has no argument {name!r}", f"It has {', '.join(parameters)}.")
    if inspect.isasyncgenfunction(function):
        raise BadRequest(f"{function.__qualname__} is an asynchronous generator", "Await aensure(key) in it.")
    parameter = parameters[name]
    place = list(parameters).index(name) if parameter.kind is not parameter.KEYWORD_ONLY else sys.maxsize
    default = None if parameter.default is parameter.empty else parameter.default

    def value(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[place] if place < len(args) else kwargs.get(name, default)

    return value


class LazyMiddleware:
    """An ASGI application around another: `key(scope)` is migrated before a request is passed on; None is no key."""

    def __init__(self, app: Application, lazy: Lazy, key: Callable[[Scope], Any]) -> None:
        self._app, self._lazy, self._key = app, lazy, key

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket") and (key := self._key(scope)) is not None:
            await self._lazy.aensure(key)
        await self._app(scope, receive, send)
