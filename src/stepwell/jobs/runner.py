"""Coordinating a job: batches are cut, recorded as begun, given to workers, and counted when they are done.

To be read from top to bottom: a run is passes until one finds nothing several times in a row; a pass is batches from
the first key to the last; a batch ends in one of four ways. All that must survive a kill is in the ledger before
it is acted on, and a batch's own effect and its record commit together.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from stepwell.databases.database import Database
from stepwell.errors import Fenced, JobStalled, NoHeadway, Refused, StepwellError
from stepwell.jobs import preflight, sources
from stepwell.jobs.batch import Connections
from stepwell.jobs.definition import Definition, Groups, Keyset, Missing
from stepwell.jobs.lease import Lease
from stepwell.jobs.limits import MOST_WORKERS, Limits
from stepwell.jobs.pressure import Governor, Thresholds
from stepwell.jobs.size import BatchSize
from stepwell.jobs.work import Report, Task, Verdict, do, passes, words
from stepwell.ledger import changes, databases, events
from stepwell.ledger.jobs import Ledger

LOGGER = logging.getLogger("stepwell")

RETRY = 0.2
"""Seconds before a batch that met passing trouble is tried again; doubled each time."""

LONGEST_RETRY = 30.0

LOCKED_TRIES = 3
"""How often a batch may lose against other sessions' locks before it is cut in two."""

OUTAGE_TRIES = 8
"""How often in a row the coordinator itself may meet passing trouble: half a minute in all."""

LONGEST_TURN = 0.1
"""Seconds between two batches on a database with one writer, at most: SQLite's longest pause between two looks."""

FRUITLESS = 2
"""Passes that may migrate rows and leave as many as before, the same row first, before they are held to be in vain."""

IDLE_PAUSE = 0.05
"""Seconds behind a pass that migrated nothing of what is left."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where jobs run: how to open the project's databases, which one is the ledger, and the environment's flags.

    `thresholds` say, by database, when a job holds back; the defaults hold for one that is not named. `elsewhere` does
    a batch in whatever process it is called in: a call that an executor can send. `objections` says for a job why it
    is not complete though no row is left: which of its checks do not hold, in words.
    """

    open: Callable[[str], Database]
    ledger: str
    environment: Mapping[str, str]
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    elsewhere: Callable[[Task], Report] | None = None
    objections: Callable[[Definition], list[str]] = lambda definition: []


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. `rows_left` are those its own condition found when the pass began, less those done since."""

    job: str
    rows_done: int
    rows_left: int
    batch_rows: int
    seconds: float
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of a job ended: complete, paused, cancelled, stopped, or off. `failed` rows are in the ledger."""

    job: str
    state: str
    rows_done: int
    failed: int = 0


Listener = Callable[[Progress], None]


def _silent(progress: Progress) -> None:
    pass


@dataclass(slots=True)
class _Headway:
    """Tells a job whose batches leave its condition true from one that new rows keep coming to."""

    first: sources.Key | None = None
    left: int = 0
    fruitless: int = 0

    def ended(self, first: sources.Key, left: int) -> int:
        """Take a pass into account: the first row that it left, and how many; passes in a row that changed neither."""
        same = first == self.first and left >= self.left
        self.fruitless = self.fruitless + 1 if same else 0
        self.first, self.left = first, left
        return self.fruitless


def run(
    definition: Definition,
    site: Site,
    *,
    tell: Listener = _silent,
    stop: threading.Event | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Run a job until it is complete, or is told to stop. Raises LeaseHeld, Fenced, JobStalled, NoHeadway.

    Batches go through `executor`, by default threads of this process that share the run's connections.
    """
    if definition.flag and not definition.flag.on(site.environment):
        say(definition.says.off)
        return Outcome(definition.name, "off", 0)
    with Lease(lambda: site.open(site.ledger), definition.name, definition.lock_timeout) as lease:
        say(definition.says.starting)
        run = _Run(definition, site, lease, tell, stop or threading.Event())
        try:
            with ThreadPoolExecutor(MOST_WORKERS, f"job {definition.name}") as threads:
                return run.through_outages(executor or threads, (executor and site.elsewhere) or run.work)
        finally:
            run.close()


def say(text: str, rows: int = 0) -> None:
    """Log what a job's author wrote for operators."""
    for line in text.splitlines():
        LOGGER.info("%s", line.replace("{rows}", str(rows)))


@dataclass(slots=True)
class _Run:
    """A run under way: its connections, what is with the workers, and what waits to be tried again."""

    definition: Definition
    site: Site
    lease: Lease
    tell: Listener
    stop: threading.Event
    started: float = field(default_factory=time.monotonic)
    pending: dict[Future[Report], Task] = field(default_factory=dict)
    waiting: deque[tuple[float, Task]] = field(default_factory=deque)
    tries: dict[int, int] = field(default_factory=dict)
    groups: deque[sources.Group] = field(default_factory=deque)
    emptied: tuple[object, object] | None = None
    local: threading.local = field(default_factory=threading.local)
    opened: list[Connections] = field(default_factory=list)
    done: int = 0
    left: int = -1
    migrated: int = 0
    held: str = ""
    batches: int = 0
    governor: Governor = field(init=False)

    def __post_init__(self) -> None:
        self.governor = Governor(self.site.thresholds, self.used, self.show_held)

    def connections(self) -> Connections:
        """This thread's own."""
        if not hasattr(self.local, "connections"):
            self.local.connections = Connections(self.site.open)
            self.opened.append(self.local.connections)
        found: Connections = self.local.connections
        return found

    def used(self) -> dict[str, Database]:
        """The databases that the job uses by now, one connection of each."""
        return {name: database for connections in self.opened for name, database in connections.connected.items()}

    def close(self) -> None:
        for connections in self.opened:
            connections.close()

    @property
    def limits(self) -> Limits:
        """What a person allows, as heard last."""
        return Limits.load(self.lease.state.limits)

    @property
    def pause(self) -> float:
        """Seconds from the end of a batch to the next, as a person wants it now; none before the first."""
        return (self.limits.pause or 0.0) if self.batches else 0.0

    def show_held(self, reason: str) -> None:
        """Tell why the job makes no progress; '' when it does again."""
        if reason == self.held:
            return
        self.ledger.update(self.definition.name, self.lease.token, held_by=reason[:500])
        self.held = reason
        self.tell(Progress(self.definition.name, self.done, self.left, 0, 0.0, reason))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.connections().get(self.site.ledger))

    @property
    def source(self) -> Database:
        return self.connections().get(self.definition.source.database)

    @property
    def halted(self) -> str:
        """Why no further batch may start; '' while it may."""
        definition = self.definition
        if self.lease.lost.is_set():
            raise Fenced(definition.reference)
        if self.lease.state.state in ("paused", "cancelled"):
            return self.lease.state.state
        if self.stop.is_set():
            return "stopped"
        if definition.timeout is not None and time.monotonic() - self.started > definition.timeout:
            return "out of time"
        if definition.window and not definition.window.open_at(datetime.now(UTC)):
            return "outside its hours"
        return ""

    def through_outages(self, executor: Executor, work: Callable[[Task], Report]) -> Outcome:
        """To the end, though the ledger or the source be out of reach for a while, or give a deadlock.

        What was under way ends first; then the ledger tells where to go on, as it would after a kill.
        """
        tries = 0
        while True:
            before = self.done
            try:
                return self.to_the_end(executor, work)
            except Fenced:
                raise
            except StepwellError as error:
                tries = 1 if self.done > before else tries + 1
                if not passes(error) or tries >= OUTAGE_TRIES:
                    # What a server said says more than that it said something.
                    self.note_stalled((isinstance(error, JobStalled | Refused) and error.said) or error.what)
                    if isinstance(error, Refused):
                        raise self.stalled(tries, words(error)) from error
                    raise
                wait(self.pending)
                self.pending.clear()
                self.waiting.clear()
                self.emptied = None
                self.close()
                with suppress(StepwellError):  # the ledger may be what is out of reach
                    self.show_held(f"tries again, {tries} of {OUTAGE_TRIES}: {words(error)}")
                self.stop.wait(RETRY * 2 ** (tries - 1))

    @property
    def elsewhere(self) -> list[str]:
        """The databases of its batches that commit before the ledger does."""
        return sorted({self.definition.source.database, *self.used()} - {self.site.ledger})

    def stalled(self, times: int, error: str) -> JobStalled:
        return JobStalled(self.definition.reference, times, error, self.elsewhere)

    def note_stalled(self, reason: str) -> None:
        with suppress(StepwellError):  # the ledger may be what is out of reach
            self.ledger.set_state(self.definition.name, self.lease.token, "stalled", reason[:500])

    def to_the_end(self, executor: Executor, work: Callable[[Task], Report]) -> Outcome:
        definition, token = self.definition, self.lease.token
        if halted := self.halted:
            return self.finish(halted)
        preflight.require_same_rows(definition, self.ledger, self.source)
        if self.lease.state.next_batch == 1:
            preflight.check(definition, self.source)
        databases.keep(self.ledger.database, [self.source])
        first = definition.source.rows if isinstance(definition.source, Groups) else definition.source.size
        size = BatchSize(first, self.target)
        self.ledger.set_state(definition.name, token, "running")
        self.held = ""
        events.add(self.ledger.database, definition.reference, "started")
        state = self.ledger.read(definition.name)
        assert state is not None
        self.ledger.update(
            definition.name, token, started=self.ledger.clock(), walk=preflight.walk(definition),
            built_on=json.dumps(state.built_on or definition.requires),
        )  # fmt: skip
        place, quiet, passed, headway = state.place, state.quiet_passes, False, _Headway()
        self.note_pass(place, quiet)
        for batch in self.ledger.open_batches(definition.name):
            # Others may have migrated some of its rows since it was cut.
            self.waiting.append((0.0, Task(definition.name, batch.number, token, sources.uncounted(batch.scope))))
        while not (halted := self.halted):
            migrated, asked = self.migrated, self.ledger.to_retry(definition.name)
            # Behind a pass that left nothing, to count once more is enough: a condition tells of late arrivals.
            if not (passed and quiet and self.has_condition and not self.waiting and not asked):
                place = self.one_pass(lambda task: executor.submit(work, task), size, place)
            if halted := self.halted:
                break
            passed = True
            place = "" if self.has_condition else place
            quiet = self.note_pass(place, quiet, ended=True)
            if quiet >= definition.quiet_passes:
                end = "; ".join(self.site.objections(definition)) or "complete"
                if not self.ledger.to_retry(definition.name):  # asked for meanwhile: one more pass hears it
                    return self.finish(end)
            if self.left and self.migrated == migrated:
                preflight.check(definition, self.source)  # rows without a key came since, it may be
                self.stop.wait(IDLE_PAUSE)
            elif self.left and self.has_condition:
                self.look_for_headway(headway)
        return self.finish(halted)

    def note_pass(self, place: str, quiet: int, ended: bool = False) -> int:
        """Count what is left, and record where a pass begins or ended; returns the quiet passes by now."""
        behind = sources.load_key(place) if place and not self.has_condition else None
        self.left = self.count_left(behind)
        if self.left:
            quiet = 0
        elif ended:
            quiet += 1
        self.done = self.ledger.end_pass(self.definition.name, self.lease.token, place, self.left, quiet)
        return quiet

    def count_left(self, behind: sources.Key | None) -> int:
        """The rows left behind a key. To count those of groups is to list them, and the next pass goes by that list."""
        source, failed = self.definition.source, self.failed()
        if isinstance(source, Groups):
            # Taken before the rows are counted: what comes meanwhile makes the next look another one.
            seen = sources.fingerprint(self.source, source)
            if seen and self.emptied == (seen, failed):
                return 0
            self.groups = sources.next_groups(self.source, source, behind, failed)
            if not self.groups and isinstance(source.where, Missing):
                preflight.check(self.definition, self.source)  # rows whose group is NULL are in no list
            self.emptied = None if self.groups else (seen, failed)
            if len(self.groups) < sources.MOST_GROUPS:
                return sum(group.rows for group in self.groups)
        return sources.count_left(self.source, source, behind, failed)

    def look_for_headway(self, headway: _Headway) -> None:
        """Behind a pass that migrated rows and left some. Raises NoHeadway where it is always the same ones."""
        source = self.definition.source
        found = sources.next_scope(self.source, source, None, 1, self.failed())
        if found is None:
            return
        _, first = found
        # A group that somebody writes to is left by each pass; it is another one by as many rows.
        rows = (sources.count_group(self.source, source, first),) if isinstance(source, Groups) else ()
        if headway.ended((*first, *rows), self.left) >= FRUITLESS:
            raise NoHeadway(self.definition.reference, self.left, sources.dump_key(first))

    @property
    def has_condition(self) -> bool:
        """Whether the source itself tells which rows are left. Without, the last key visited has to do."""
        return bool(self.definition.source.where)

    def failed(self) -> tuple[sources.Key, ...]:
        return tuple(sources.load_key(key) for key, _, _ in self.ledger.failures(self.definition.name))

    def finish(self, state: str) -> Outcome:
        name, ledger = self.definition.name, self.ledger
        failed = len(ledger.failures(name))
        if state == "complete":
            ledger.set_state(name, self.lease.token, "complete")
            ledger.update(name, self.lease.token, finished=ledger.clock())
            say(self.definition.says.complete, self.migrated)
        else:
            ledger.set_state(name, self.lease.token, "pending", "" if state in ("paused", "cancelled") else state[:500])
        found = ledger.read(name)
        assert found is not None
        rows = found.rows_done + ledger.count_done(name)
        why = "" if state in ("complete", "stopped") else f"{state}; "
        act = "completed" if state == "complete" else "stopped"
        events.add(ledger.database, f"job/{name}", act, f"{why}{rows} rows in all, {failed} failed")
        return Outcome(name, state, rows, failed)

    # --- one pass ---------------------------------------------------------------------------------------------

    def one_pass(self, send: Callable[[Task], Future[Report]], size: BatchSize, place: str) -> str:
        """Migrate from `place` on to the last key; returns where it ended. What an earlier run began comes first."""
        exhausted = False
        if place and self.has_condition:  # the groups were listed from the first, and this pass goes on where it was
            self.groups.clear()
        self.retry_failed()
        failed = self.failed()
        while not (exhausted and not self.waiting and not self.pending):
            halted = bool(self.halted)
            if halted and not self.pending:
                return place
            # Where one writer keeps out the others, a second batch would only take their turns.
            workers = 1 if self.source.single_writer else self.limits.workers or self.definition.workers
            while not halted and len(self.pending) < workers and self.governor.lets_begin(self.pause):
                if not (exhausted or self.waiting):
                    exhausted, place = self.cut(size, place, failed)
                task = self.due()
                if task is None:
                    break
                self.pending[send(task)] = task
            if not self.pending:
                time.sleep(0.02)
                continue
            if not (exhausted or halted or self.waiting) and self.cuts_ahead:
                exhausted, place = self.cut(size, place, failed)
            done, _ = wait(self.pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                self.take(_report(future, self.pending.pop(future)), size)
            if done and self.tries:
                failed = self.failed()
        return place

    @property
    def cuts_ahead(self) -> bool:
        """Whether the next batch is cut while others run: a keyset's range holds for rows that come meanwhile, too.

        Left behind when the job is stopped, it is one that was begun: the next run begins with it.
        """
        return isinstance(self.definition.source, Keyset) and not self.ledger.database.single_writer

    def retry_failed(self) -> None:
        """Rows that a person wants tried again: a condition finds them by itself, else they become batches again."""
        asked = self.ledger.to_retry(self.definition.name)
        if not asked:
            return
        texts = [] if self.has_condition else [sources.dump(sources.Keys((sources.load_key(key),))) for key in asked]
        self.groups.clear()
        number = self.begin(texts, "", retried=asked)
        for offset, text in enumerate(texts):
            self.waiting.append((0.0, Task(self.definition.name, number + offset, self.lease.token, text)))

    def work(self, task: Task) -> Report:
        return do(task, self.definition, self.site.ledger, self.connections())

    def due(self) -> Task | None:
        """A batch that waits to be tried, if its time has come."""
        for _ in range(len(self.waiting)):
            at, task = self.waiting.popleft()
            if at <= time.monotonic():
                return task
            self.waiting.append((at, task))
        return None

    def cut(self, size: BatchSize, place: str, failed: tuple[sources.Key, ...]) -> tuple[bool, str]:
        """Record the next batch as begun, to be done when its turn comes.

        Returns whether there was nothing behind `place`, and the place behind it.
        """
        definition, rows = self.definition, self.wanted(size)
        behind = sources.load_key(place) if place else None
        if isinstance(definition.source, Groups):
            # To count the groups is to read the table: it is done once for many batches.
            self.groups = self.groups or sources.next_groups(self.source, definition.source, behind, failed)
            found = sources.pack(self.groups, rows, failed)
        else:
            found = sources.next_scope(self.source, definition.source, behind, rows, failed)
        if found is None:
            return True, place
        scope, last = found
        say(definition.says.batch)
        place, text = sources.dump_key(last), sources.dump(scope)
        number = self.begin([text], place)
        self.waiting.append((0.0, Task(definition.name, number, self.lease.token, text)))
        return False, place

    def wanted(self, size: BatchSize) -> int:
        """Rows of the next batch: as learned, within what a person and the job's author allow."""
        size.target = self.target
        return int(min(size.rows, self.limits.size or inf, self.definition.largest or inf))

    @property
    def target(self) -> float:
        """Seconds that a batch should take: as a person says, else the job's author, else its databases together."""
        databases = [self.source, *self.used().values()]
        usual = max(database.batch_seconds for database in databases)
        return self.limits.target or self.definition.target or usual

    def begin(self, scopes: list[str], place: str, replaces: int = 0, retried: Sequence[str] = ()) -> int:
        """Record batches as begun; returns the number of the first."""
        state = self.ledger.read(self.definition.name)
        assert state is not None
        self.ledger.begin(
            self.definition.name, self.lease.token, state.next_batch, scopes, place or state.place, replaces, retried
        )
        return state.next_batch

    # --- how a batch ends -------------------------------------------------------------------------------------

    def take(self, report: Report, size: BatchSize) -> None:
        """Act on what became of a batch."""
        task = report.task
        if report.verdict is Verdict.FENCED:
            raise Fenced(self.definition.reference)
        for name in set(report.used) - self.used().keys():  # by a worker elsewhere: its pressure is looked at from here
            with suppress(StepwellError):
                self.connections().get(name)
        self.batches += 1
        self.governor.ended(report.seconds, self.turn_of_others(report.seconds))
        if report.verdict is Verdict.DONE:
            self.show_held(self.governor.reason)
            size.learn(report.rows, report.seconds)
            self.done += report.rows
            self.migrated += report.rows
            self.left = max(0, self.left - report.rows)
        elif report.verdict is Verdict.PASSING or not self.split(task, report):
            self.try_again(report, size)
        self.tell(Progress(task.job, self.done, self.left, report.rows, report.seconds))

    def turn_of_others(self, seconds: float) -> float:
        """How long to leave writers alone behind a batch that took so long and kept them out.

        They look for their turn after 1, 2, 5 … 25, 50, 100 ms (SQLite's busy handler), so half of the time that
        they have waited meets the next look.
        """
        return min(LONGEST_TURN, seconds / 2) if self.source.single_writer else 0.0

    def try_again(self, report: Report, size: BatchSize) -> None:
        """The same batch later, smaller if it was too much for the server: trouble passes. Raises JobStalled.

        One that loses against other sessions' locks again and again is cut too: what holds fewer locks for a shorter
        time comes between them at last.
        """
        task = report.task
        tries = self.tries[task.number] = self.tries.get(task.number, 0) + 1
        self.ledger.count_try(task.job, task.number)
        if report.heavy:
            size.panic()
        if (report.heavy or (report.locked and tries >= LOCKED_TRIES)) and self.split(task, report, keep_single=True):
            return
        if tries >= self.definition.tries:
            raise self.stalled(tries, report.error)
        self.show_held(f"batch {task.number} is tried again, {tries} of {self.definition.tries}: {report.error}")
        pause = min(LONGEST_RETRY, RETRY * 2 ** (tries - 1))
        self.waiting.append((time.monotonic() + pause, task))

    def split(self, task: Task, report: Report, keep_single: bool = False) -> bool:
        """Cut a failing batch in two, until the row that fails stands alone and is recorded. False: try it again."""
        scope = sources.load(task.scope)
        keys = sources.keys_in(self.source, self.definition.source, scope)
        self.tries[task.number] = self.tries.get(task.number, 0)
        if len(keys) > 1:
            texts = [sources.dump(half) for half in sources.halves(scope, keys)]
            number = self.begin(texts, "", replaces=task.number)
            for offset, text in enumerate(texts):
                self.waiting.append((0.0, Task(task.job, number + offset, self.lease.token, text)))
            return True
        if keep_single and keys:
            return False
        if not keys and task.number in changes.found_before(self.ledger.database, task.job):
            return False  # its rows may be done, and what was refused is the record of it
        if not keys:  # deleted, or migrated by somebody else, since the batch was cut
            with self.ledger.database.transaction():
                self.ledger.finish(task.job, task.token, task.number, 0, 0.0)
            return True
        known = len(self.ledger.failures(task.job))
        if known >= self.definition.most_failures:
            raise self.stalled(known, f"{known} rows failed; the last: {report.error}")
        self.ledger.fail_row(task.job, self.lease.token, task.number, sources.dump_key(keys[0]), report.error)
        return True


def _report(future: Future[Report], task: Task) -> Report:
    """What became of a task; trouble of the executor itself, such as a process that died, passes."""
    try:
        return future.result()
    except Exception as error:
        return Report(task, Verdict.PASSING, 0, 0.0, f"{type(error).__name__}: {error}")
