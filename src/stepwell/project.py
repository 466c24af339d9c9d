"""A project: its databases, its scripts, and everything that can be done with them. The door to all else."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell import config as configuration
from stepwell import graph, secrets
from stepwell.config import Config
from stepwell.databases import open_database
from stepwell.databases import url as urls
from stepwell.databases.database import Database
from stepwell.errors import (
    BadProject,
    BadRequest,
    CannotConnect,
    LedgerMoved,
    LedgerNotRelational,
    NotAgreed,
    SchemaUnfit,
    did_you_mean,
)
from stepwell.schema import history, plan, upgrade
from stepwell.schema.plan import LOCK_WAIT, Options, Target
from stepwell.schema.upgrade import Result
from stepwell.scripts import formats
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from threading import Event

    from stepwell.checks.definition import Check
    from stepwell.checks.diff.run import Listener as DiffListener
    from stepwell.checks.diff.run import Request as DiffRequest
    from stepwell.checks.diff.run import Summary as DiffSummary
    from stepwell.checks.service import Outcome as CheckOutcome
    from stepwell.checks.service import Site as CheckSite
    from stepwell.jobs.definition import Definition
    from stepwell.jobs.lazy import Lazy
    from stepwell.jobs.limits import Limits
    from stepwell.jobs.overview import Overview
    from stepwell.jobs.runner import Listener as JobListener
    from stepwell.jobs.runner import Outcome, Site
    from stepwell.jobs.steer import Word
    from stepwell.jobs.undo import Listener as UndoListener
    from stepwell.jobs.undo import UndoReport
    from stepwell.ledger.changes import Change
    from stepwell.ledger.events import Event as Act
    from stepwell.ledger.snapshots import Snapshot
    from stepwell.runbook.definition import Runbook
    from stepwell.runbook.evidence import Progress
    from stepwell.runbook.rollback import Move
    from stepwell.safety.doctor.diagnose import Release
    from stepwell.safety.doctor.finding import Finding
    from stepwell.safety.guard import Contracts, Found
    from stepwell.safety.lint.review import Report
    from stepwell.safety.rehearse.report import Report as Rehearsal
    from stepwell.schema import events
    from stepwell.schema.adopt.takeover import Takeover
    from stepwell.schema.outlook import Outlook, State
    from stepwell.scripts.convert import Conversion
    from stepwell.window import Window

    Agree = Callable[[Outlook], bool]

# What only some verbs need is imported by them: `up` with nothing to do must start fast.


NO_SCRIPT = ("job/", "check/", "signoff/", "manual/", "snapshot/", "runbook/")
"""What the references of steps begin with that no database's own history tells of."""


def _silent(event: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a stepwell.toml. Every verb connects, does its work and closes; all raise StepwellError."""

    config: Config
    variables: Mapping[str, str]
    waived: Window | None = None
    """The window that a person lets this run work outside of."""

    @classmethod
    def load(cls, folder: Path | str = ".", environment: Mapping[str, str] | None = None) -> Project:
        """Read the project that `folder` is in. Raises BadProject."""
        environment = dict(os.environ) if environment is None else dict(environment)
        # Kept as short as it can be said from here, for it stands in every message about a file.
        found = configuration.find(Path(folder).resolve())
        here = Path.cwd()
        config = configuration.load(found.relative_to(here) if found.is_relative_to(here) else found, environment)
        variables = {**environment, **config.variables}
        # Each as the URL spells it, and as the server gets it.
        written = (entry.url for entry in config.databases.values())
        secrets.know(variables, (password for url in written for password in urls.passwords(url)))
        secrets.know({}, (*config.notify.urls, *config.notify.escalate) if config.notify else ())
        return cls(config, variables)

    def scripts(self, name: str) -> list[Script]:
        """The scripts of one database in their order."""
        return formats.load(self.origin(name))

    def origin(self, name: str) -> Origin:
        """Where one database's scripts come from."""
        entry = self.config.databases[name]
        path = self.config.folder / entry.scripts
        engine = urls.parse(entry.url).engine
        return Origin(path, name, engine, entry.format, entry.contexts, entry.labels, entry.url)

    def recognised(self) -> list[str]:
        """The databases whose scripts are in another tool's format, and what that was told by; a line each."""
        found = {name: formats.recognise(self.origin(name)) for name in self.config.databases}
        return [f"{name}: read as {one.format}, for {one.why}" for name, one in found.items() if one.why]

    def open(self, name: str, patience: float = LOCK_WAIT) -> Database:
        """One database's adapter, not connected."""
        entry = self.config.databases[name]
        return open_database(name, entry.url, self.config.folder, entry.cluster, patience)

    @contextmanager
    def targets(self, patience: float = LOCK_WAIT) -> Iterator[list[Target]]:
        """All databases connected, with their scripts and histories; closed after the block.

        `patience` is how many seconds to wait for a chDB folder that another process has.
        """
        self._refuse_twins()
        opened = []
        for name in sorted(self.config.databases, key=lambda name: name != self.config.ledger):
            opened.append((self.open(name, patience), self.scripts(name)))
        with ExitStack() as stack:
            targets = []
            for database, scripts in opened:
                database.connect()
                stack.callback(database.close)
                targets.append(Target(database, scripts, history.read(database, scripts)))
            yield targets

    def up(self, options: Options | None = None, tell: events.Listener = _silent, agree: Agree | None = None) -> Result:
        """Apply every script that is ready, in the order of the graph.

        `agree` is asked with the plan before anything is changed, if there is something to do. Raises NotAgreed.
        """

        def review(
            targets: Sequence[Target], ready: Sequence[Script], options: Options, tell: events.Listener
        ) -> list[str]:
            overridden = self._review(targets, ready, options, tell)
            if agree and not agree(self._outlook(targets, options)):
                raise NotAgreed
            return overridden

        def run(tell: events.Listener) -> Result:
            with self.targets(options.lock_wait if options else LOCK_WAIT) as targets:
                if options and options.accept:
                    self._accept_databases(targets, options.accept)
                return upgrade.up(targets, self._options(options, targets), tell, review, self._build_anew)

        if self.config.notify is None:
            return run(tell)
        from stepwell import notify

        return notify.release(self.config.notify, self.config.folder.resolve().name, run, tell, self._newly_asked)

    def _accept_databases(self, targets: Sequence[Target], accept: Sequence[str]) -> None:
        """A person says that what the ledger remembers is true of these databases, or that they are gone."""
        from stepwell.ledger import databases, events

        ledger = self._ledger_among(targets)
        for name in databases.forget(ledger, accept):
            databases.keep(ledger, [target.database for target in targets if target.database.name == name])
            events.add(ledger, name, "accepted", "as a database of this ledger's project")

    def _newly_asked(self, waiting: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """The sign-offs that steps wait for and nobody was asked for yet, each with its first step; recorded."""
        found: dict[str, str] = {}
        for step, others in waiting.items():
            for other in others:
                if other.startswith("signoff/") and " (" not in other:  # one with a note was answered
                    found.setdefault(other, step)
        if not found:
            return []
        from stepwell.ledger import events

        asked = []
        with self.ledger() as ledger:
            for reference, step in found.items():
                if all(act.act != "asked" for act in events.read(ledger, reference, 50)):
                    events.add(ledger, reference, "asked", step)
                    asked.append((reference, step))
        return asked

    def outside_window(self) -> Project:
        """This project without its window. Jobs keep those of their own; what begins meanwhile is recorded."""
        return replace(self, config=replace(self.config, window=None), waived=self.config.window)

    def _review(
        self, targets: Sequence[Target], ready: Sequence[Script], options: Options, tell: events.Listener
    ) -> list[str]:
        """Tell what linter and doctor find before a release; the blockers that `options.override` names, in words.

        Raises LintRefused, ReleaseBlocked, BadRequest.
        """
        from stepwell.safety.doctor import diagnose
        from stepwell.safety.lint import review

        review.before_up(self.config, targets, ready, tell)
        return [*diagnose.before_up(self._release(), targets, options.override, tell), *self._waived()]

    def _waived(self) -> list[str]:
        return [f"begun outside the window {self.waived}"] if self.waived and self.waived.waits() else []

    def doctor(self, *names: str) -> list[Finding]:
        """Look whether a release can be begun now: at all, or at what is named. Raises BadRequest, BadScript.

        Makes and drops a table in every database, under its migration lock.
        """
        from stepwell.safety.doctor import diagnose

        self._refuse_twins()
        return diagnose.diagnose(self._release(), lambda name: self.open(name, 0.0), self.scripts, names)

    def _release(self) -> Release:
        from stepwell.safety.doctor.diagnose import Release

        return Release(self.config, self.jobs(), self.variables, self._others)

    # --- jobs -------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Definition]:
        """The project's jobs, by name. Raises BadJob."""
        folder = self.config.folder / "jobs"
        if not folder.is_dir():
            return []
        from stepwell.jobs import folder as jobs

        engines = {name: urls.parse(entry.url).engine for name, entry in self.config.databases.items()}
        found = jobs.load(folder, engines, self.variables)
        return [replace(job, window=job.window or self.config.window) for job in found] if self.config.window else found

    def site(self) -> Site:
        """Where the project's jobs run."""
        from stepwell.elsewhere import do_batch
        from stepwell.jobs.pressure import read_thresholds
        from stepwell.jobs.runner import Site

        elsewhere = partial(do_batch, str(self.config.folder.resolve()))
        thresholds = read_thresholds(self.config)
        return Site(self.open, self.config.ledger, self.variables, thresholds, elsewhere, self._objections)

    @contextmanager
    def executor(self) -> Iterator[Executor | None]:
        """What batches go through by stepwell.toml: None for threads of this process. Raises CannotConnect."""
        if not self.config.scheduler:
            yield None
            return
        from stepwell.jobs import cluster

        with cluster.dask(self.config.scheduler) as executor:
            yield executor

    def job(self, name: str) -> Definition:
        """The job of a name. Raises BadRequest."""
        found = {definition.name: definition for definition in self.jobs()}
        name = name.removeprefix("job/")
        if name not in found:
            known = f"There are {', '.join(found)}." if found else "Jobs are files in the folder jobs."
            raise BadRequest(f"no job {name!r} in this project{did_you_mean(name, found)}", known)
        return found[name]

    @contextmanager
    def ledger(self) -> Iterator[Database]:
        """The ledger's database, connected, its tables made and its jobs registered; closed after the block."""
        from stepwell.ledger import tables
        from stepwell.ledger.jobs import Ledger

        with self._connected_ledger() as database, tables.to_write(database):
            Ledger(database).register(definition.name for definition in self.jobs())
            yield database

    @contextmanager
    def looking(self) -> Iterator[Database]:
        """The ledger for those who only look, who may be users that may only read; closed after the block."""
        from stepwell.ledger import tables

        with self._connected_ledger(looks=True) as database, tables.to_read(database) as ledger:
            yield ledger

    @contextmanager
    def _connected_ledger(self, looks: bool = False) -> Iterator[Database]:
        database = self.open(self.config.ledger)
        database.connect()
        try:
            if not self.config.ledger_named and not database.columns("stepwell_job"):
                with ExitStack() as stack:
                    self._refuse_move(database, self._others_connected(stack, looks))
            yield database
        finally:
            database.close()

    def _others_connected(self, stack: ExitStack, looks: bool) -> Iterator[Database]:
        """The databases that might have the ledger instead. One that can't be reached holds up nobody who `looks`."""
        for name in self.config.databases:
            database = self.open(name)
            if name == self.config.ledger or database.engine == "clickhouse":
                continue
            try:
                database.connect()
            except CannotConnect:
                if not looks:
                    raise
                continue
            stack.callback(database.close)
            yield database

    def _refuse_move(self, ledger: Database, databases: Iterable[Database]) -> None:
        """A section written above the others must not begin a new ledger. Raises LedgerMoved."""
        for database in databases:
            if database.name != ledger.name and database.engine != "clickhouse" and database.columns("stepwell_job"):
                raise LedgerMoved(ledger.name, database.name)

    def missing(self, definition: Definition) -> list[str]:
        """What of a job's requirements is not complete now."""
        return self._missing([definition], LOCK_WAIT)[definition.name] if definition.requires else []

    def _missing(self, definitions: Sequence[Definition], patience: float) -> dict[str, list[str]]:
        with self.targets(patience) as targets:
            options = self._options(None, targets)
            needs, _ = plan.order(targets, options.others)  # jobs that require each other would wait for ever
            applied, _ = plan.references(targets)
            done = {*applied, *(step.reference for step in options.others if step.complete)}
            gates = {step.reference for step in options.others if step.gate}
            notes = {step.reference: f" ({step.note})" for step in options.others if step.note}
            lacking = {job.name: graph.lacking(job.reference, needs, done, gates) for job in definitions}
            if any(gates.intersection(others) for others in lacking.values()):
                begun = self._begun(targets)
                # One that has begun is past its gates: what it did so far may be what they would object to.
                lacking = {
                    name: [] if name in begun and gates.issuperset(others) else others
                    for name, others in lacking.items()
                }
            return {name: [other + notes.get(other, "") for other in others] for name, others in lacking.items()}

    def _begun(self, targets: Sequence[Target]) -> set[str]:
        from stepwell.ledger.jobs import Ledger

        ledger = self._ledger_among(targets)
        return Ledger(ledger).begun() if ledger.columns("stepwell_batch") else set()

    def holding_up(self, definition: Definition) -> list[str]:
        """What keeps a job from starting now. Where that is checks alone, they are run."""
        waits_for = self.missing(definition)
        if all(reference.startswith("check/") for reference in waits_for):
            return self._not_holding(waits_for, definition.reference)
        return waits_for

    def overview(self, *names: str) -> list[Overview]:
        """The state of these jobs, or of all: how far each is, and why it makes no progress. Raises BadRequest."""
        from stepwell.jobs import overview

        chosen = [self.job(name) for name in names] or self.jobs()
        if not chosen:
            return []
        # A chDB folder that a worker has open must not hold up who only asks.
        with self.looking() as ledger:
            return overview.overview(chosen, ledger, partial(self._missing, patience=0.0), self.variables)

    def lazy(self, name: str) -> Lazy:
        """A job's batch code for single keys. Raises BadRequest, BadJob."""
        from stepwell.jobs.lazy import Lazy

        return Lazy(self.job(name), self.site(), self.holding_up)

    def run_job(
        self, name: str, tell: JobListener = _silent, stop: Event | None = None, executor: Executor | None = None
    ) -> Outcome:
        """Run one job to its end, its batches through `executor`; by default through what stepwell.toml names.

        Raises JobNotReady, LeaseHeld, JobStalled.
        """
        from stepwell.jobs import service

        definition = self.job(name)
        with self.ledger() as ledger:
            for what in self._waived():
                from stepwell.ledger import events

                events.add(ledger, definition.reference, "overridden", what)
        with nullcontext(executor) if executor else self.executor() as executor:
            return self._announced(
                definition,
                lambda tell: service.run_one(definition, self.site(), self.holding_up, tell, stop, executor),
                tell,
                {},
            )

    def _announced(
        self,
        definition: Definition,
        run: Callable[[JobListener], Outcome],
        tell: JobListener,
        told: dict[str, str],
    ) -> Outcome:
        """Run a job, and tell people how it ended; `told` is what they know, so that they hear it once."""
        if self.config.notify is None:
            return run(tell)
        from stepwell import notify

        return notify.job(self.config.notify, definition.reference, run, tell, told)

    async def arun_job(self, name: str, tell: JobListener = _silent, stop: Event | None = None) -> Outcome:
        """As `run_job`, beside the event loop. Cancelled, it ends after the batch under way, its lease freed."""
        from stepwell import embedded

        return await embedded.beside(lambda stop: self.run_job(name, tell, stop), stop)

    def steer_job(self, name: str, word: Word) -> bool:
        """Tell a job to `pause`, `resume`, `cancel` or `retry`, wherever it runs. Raises BadRequest.

        False where there is nothing to do: a complete job is neither paused nor cancelled.
        """
        from stepwell.jobs import steer

        with self.ledger() as ledger:
            return steer.steer(ledger, self.job(name).name, word)

    def limit_job(self, name: str, assignments: Sequence[str] = ()) -> Limits:
        """Set limits such as `size=500` that hold from the job's next batch on; returns all. Raises BadRequest."""
        from stepwell.jobs import steer

        job = self.job(name).name
        if not assignments:
            with self.looking() as ledger:
                return steer.limits(ledger, job)
        with self.ledger() as ledger:
            return steer.limit(ledger, job, assignments)

    def why(self, name: str, *key: object) -> list[Change]:
        """What a job changed in the row of this key, the newest first, with reasons. Raises BadRequest."""
        from stepwell.jobs import changes

        with self.looking() as ledger:
            return changes.why(ledger, self.job(name).name, key)

    def undo_job(
        self, name: str, tell: UndoListener = _silent, stop: Event | None = None, dry_run: bool = False
    ) -> UndoReport:
        """Take back all that a job changed, but where others wrote since. Raises LeaseHeld, BadRequest."""
        from stepwell.jobs import undo

        with self.ledger():
            pass
        verb = undo.preview if dry_run else undo.undo
        return verb(self.job(name), self.site(), tell=tell, stop=stop)

    def reassess_job(self, name: str, tell: UndoListener = _silent, stop: Event | None = None) -> UndoReport:
        """Take back what a job judged by default, for its next run to judge again. Raises LeaseHeld, BadRequest."""
        from stepwell.jobs import undo

        with self.ledger():
            pass
        return undo.reassess(self.job(name), self.site(), tell=tell, stop=stop)

    async def awhy(self, name: str, *key: object) -> list[Change]:
        """As `why`, beside the event loop."""
        from stepwell import embedded

        return await embedded.beside(lambda stop: self.why(name, *key))

    async def aundo_job(self, name: str, tell: UndoListener = _silent) -> UndoReport:
        """As `undo_job`, beside the event loop. Cancelled, it ends after the rows under way; repeat it to go on."""
        from stepwell import embedded

        return await embedded.beside(lambda stop: self.undo_job(name, tell, stop))

    async def areassess_job(self, name: str, tell: UndoListener = _silent) -> UndoReport:
        """As `reassess_job`, beside the event loop. Cancelled, it ends after the rows under way."""
        from stepwell import embedded

        return await embedded.beside(lambda stop: self.reassess_job(name, tell, stop))

    def work(self, tell: JobListener, stop: Event) -> None:
        """Run all enabled jobs, cycle after cycle, until `stop` is set."""
        from stepwell.jobs import cycles, runner

        site, told = self.site(), dict[str, str]()
        with self.ledger():
            pass
        with self.executor() as executor:

            def run(definition: Definition) -> Outcome:
                return self._announced(
                    definition,
                    lambda tell: runner.run(definition, site, tell=tell, stop=stop, executor=executor),
                    tell,
                    told,
                )

            cycles.work(self.jobs(), site, self.holding_up, run, stop)

    # --- checks -----------------------------------------------------------------------------------------------

    def checks(self) -> dict[str, Check]:
        """The project's checks, by name. Raises BadCheck, MissingVariable."""
        folder = self.config.folder / "checks"
        if not folder.is_dir():
            return {}
        from stepwell.checks import folder as checks

        engines = {name: urls.parse(entry.url).engine for name, entry in self.config.databases.items()}
        return checks.load(folder, engines, self.variables)

    def check(self, *names: str, tell: Callable[[CheckOutcome], None] = _silent) -> list[CheckOutcome]:
        """Run the checks of these names, or all, and record how they came out. Raises BadCheck, BadRequest."""
        from stepwell.checks import service

        chosen = service.chosen(self.checks(), names)
        outcomes = []
        with self._check_site() as site:
            for check in chosen:
                outcomes.append(service.look(check, site))
                tell(outcomes[-1])
        return outcomes

    def take_snapshot(self, name: str, replace: bool = False) -> dict[str, int]:
        """Keep the rows of all checks that compare with snapshot `name`; how many of each.

        Raises BadRequest, SnapshotExists, CheckBroken, LedgerNotRelational.
        """
        from stepwell.checks import snapshots

        checks = self.checks().values()
        with self.targets() as targets:
            self._own_ledger(targets)
            scripts = sum(len(target.scripts) for target in targets)
            applied = sum(len(target.history.applied) for target in targets)
        with self._check_site() as site:
            if site.ledger is None:
                raise LedgerNotRelational(self.config.ledger)
            return snapshots.take(
                site.ledger, checks, name, self.open, site.release, f"{applied} of {scripts} scripts", replace
            )

    def diff(self, request: DiffRequest, tell: DiffListener = _silent) -> DiffSummary:
        """What differs between two tables, row by row, told as it is found.

        Raises BadRequest, NotComparable, KeyTooWide, DiffBroken.
        """
        from stepwell.checks.diff import run

        for table in (request.left, request.right):
            self._options(Options(database=table.partition(".")[0]))  # refuses a name that is none
        return run.run(request, self.open, tell)

    def snapshots(self, name: str = "") -> list[Snapshot]:
        """What was kept, a check each; under one name where it is given. Raises BadRequest where nothing is."""
        from stepwell.ledger import snapshots

        kept: list[Snapshot] = []
        with suppress(LedgerNotRelational), self.looking() as ledger:
            kept = snapshots.find(ledger)
        found = [one for one in kept if name in ("", one.name)]
        if name and not found:
            near = did_you_mean(name, (one.name for one in kept))
            raise BadRequest(f"no snapshot {name!r} was taken{near}", f"Take it: stepwell snapshot take {name}")
        return found

    @contextmanager
    def _check_site(self) -> Iterator[CheckSite]:
        """Where checks run, the ledger connected and its tables made; closed after the block."""
        from stepwell.checks import snapshots
        from stepwell.checks.service import Site
        from stepwell.ledger import tables

        release = snapshots.release_of(s.reference for name in self.config.databases for s in self.scripts(name))
        if self.open(self.config.ledger).engine == "clickhouse":
            yield Site(self.open, None, release)
            return
        with self._connected_ledger() as database, tables.to_write(database):
            yield Site(self.open, database, release)

    def _gate(self, reference: str, step: str) -> tuple[bool, str]:
        """Run a check for a step that would start: whether it holds, and that in words."""
        from stepwell.checks import service

        with self._check_site() as site:
            (check,) = service.chosen(self.checks(), [reference])
            outcome = service.look(check, site, step)
            return outcome.holds, outcome.words

    def _not_holding(self, references: Sequence[str], step: str) -> list[str]:
        """Run checks for a job; those that do not hold, in words. It is recorded."""
        from stepwell.ledger import events

        held = []
        for reference in references:
            holds, words = self._gate(reference, step)
            note = f"{reference}: {words}"
            with self.ledger() as ledger:
                events.add(ledger, step, "admitted" if holds else "held", note)
            if not holds:
                held.append(note)
        return held

    def _objections(self, definition: Definition) -> list[str]:
        return self._not_holding(definition.gates, definition.reference)

    def history(self, step: str = "", limit: int = 50) -> list[Act]:
        """What was done, by whom, when: the last acts, newest first; those of one step where it is named."""
        from stepwell.ledger import events
        from stepwell.schema import acts

        reference = step if step.startswith(NO_SCRIPT) or not step else ""
        found: list[Act] = []
        if step and not reference:
            step = self._accepted(step)
        with self.targets() as targets:
            for target in targets:
                if not reference:
                    found += acts.read(
                        target.database, target.history.table, step.partition("/")[2] if step else "", limit
                    )
                if target.database.name == self.config.ledger and target.database.columns("stepwell_event"):
                    found += events.read(target.database, step, limit)
        found = [act for act in found if not step or act.step == step]
        return sorted(found, key=lambda act: act.at, reverse=True)[:limit]

    # --- runbooks ---------------------------------------------------------------------------------------------

    def runbooks(self) -> dict[str, Runbook]:
        """The project's runbooks, by name. Raises BadRunbook."""
        from stepwell.runbook import folder
        from stepwell.safety.doctor.finding import ITEMS

        checks = self.checks()
        names = {
            "job": [job.name for job in self.jobs()],
            "check": list(checks),
            "snapshot": sorted({check.snapshot for check in checks.values() if check.snapshot}),
            "doctor": list(ITEMS),
            "rehearsal": ["release"],
        }
        scripts = [script.reference for name in self.config.databases for script in self.scripts(name)]
        return folder.load(self.config.folder / "runbooks", folder.Known(scripts, names))

    def runbook(self, name: str = "") -> Progress:
        """A runbook, the only one if none is named, and how all of it stands now. Raises BadRequest, BadRunbook."""
        return self._progress(self._runbook(name))

    def _runbook(self, name: str) -> Runbook:
        found = self.runbooks()
        if not name and len(found) == 1:
            return next(iter(found.values()))
        if name not in found:
            which = f"no runbook {name!r} in this project{did_you_mean(name, found)}" if name else "which is meant?"
            do = f"There are {', '.join(found)}." if found else "Runbooks are files in the folder runbooks."
            raise BadRequest(which if found or name else "this project has no runbook", do)
        return found[name]

    def _progress(self, runbook: Runbook) -> Progress:
        from stepwell.checks import snapshots
        from stepwell.runbook import evidence, facts
        from stepwell.schema import outlook

        wanted = {item.name for phase in runbook.sections for item in phase.items if item.kind == "doctor"}
        findings = self.doctor(*wanted) if wanted else []
        jobs = {job.name: job.reason for job in self.overview()}
        with self.targets() as targets, self.looking() as ledger:
            scripts = [script.reference for target in targets for script in target.scripts]
            found = facts.gather(
                targets,
                ledger,
                outlook.status(targets, self._options(None, targets)),
                jobs,
                self.checks(),
                snapshots.release_of(scripts),
                findings,
                self._files(),
            )
        return evidence.progress(runbook, found)

    def signoffs(self) -> list[str]:
        """The sign-offs that scripts, jobs and checks require, by reference."""
        wanted = {text for name in self.config.databases for one in self.scripts(name) for text in one.front.requires}
        wanted |= {text for job in self.jobs() for text in job.requires}
        wanted |= {text for check in self.checks().values() for text in check.requires}
        return sorted(text for text in wanted if text.startswith("signoff/"))

    def _signers(self) -> dict[str, tuple[str, ...]]:
        """Who may sign, by reference, where a runbook names them. Raises BadRunbook."""
        from stepwell.runbook import signing

        return signing.signers(self.runbooks())

    def sign(self, item: str, note: str = "", yes: bool = True) -> str:
        """Answer for a sign-off, or a manual item of a runbook, as who runs this; returns its reference.

        Raises BadRequest for one that no runbook has and nothing requires, NotASigner, LedgerNotRelational.
        """
        from stepwell.ledger import signoffs
        from stepwell.runbook import signing

        reference = signing.to_sign(self.runbooks(), item, self.signoffs())
        name = reference.removeprefix("signoff/")
        with self.ledger() as ledger:
            (signoffs.sign if yes else signoffs.refuse)(ledger, name, note)
        return reference

    def way_back_of(self, name: str = "") -> list[Move]:
        """What `roll_back` would do now. Changes nothing. Raises NoWayBack, BadRequest where a step has none."""
        from stepwell.runbook import rollback

        runbook = rollback.alone(self._runbook(name))
        scripts = {name: self.scripts(name) for name in self.config.databases}
        rollback.check(runbook, scripts, self.job)
        return rollback.moves(self._progress(runbook), scripts)

    def roll_back(self, name: str, done: Callable[[Move], None] = _silent, tell: events.Listener = _silent) -> None:
        """Go a runbook's way back, item by item; what is undone already is passed over.

        Raises RollbackStopped at an item that does not hold, and what `down` and `undo_job` raise.
        """
        from stepwell.ledger import events as acts
        from stepwell.runbook import rollback

        runbook = self._runbook(name)
        reference = f"runbook/{runbook.name}"
        with self.ledger() as ledger:
            acts.add(ledger, reference, "rollback begun")
        for place in range(len(runbook.rollback.items)):
            # Looked at anew each time: what came before may have changed it.
            move = self.way_back_of(runbook.name)[place]
            rollback.go(move, runbook, self, tell)
            done(move)
        with self.ledger() as ledger:
            acts.add(ledger, reference, "rolled back")

    def lint(self, database: str | None = None, paths: Sequence[Path] = ()) -> Report:
        """What the scripts would do to a running system, told from their text. Connects to nothing.

        All scripts, those of one database, or those that `paths` name (files, folders). Raises NoLinter, BadRequest.
        """
        from stepwell.safety.lint import review

        chosen = self._options(Options(database=database)).database
        scripts = {name: formats.every(self.origin(name)) for name in self.config.databases if chosen in (None, name)}
        return review.lint(self.config, scripts, paths)

    # --- servers ----------------------------------------------------------------------------------------------

    def lacking(self, *needs: str) -> list[str]:
        """Those of the steps (`state/0042`, `job/items-total`) that are not complete. Raises BadRequest."""
        from stepwell.safety import guard

        return guard.lacking(needs, *self._found({need.partition("/")[0] for need in needs}))

    def guard(self, *needs: str, tolerates: Contracts = "known") -> None:
        """Refuse a schema that lacks one of `needs`, or has lost what a server needs. Raises SchemaUnfit, BadRequest.

        `tolerates` says which contract scripts the server bears: `no`ne, those it has `known` by a file, or all: `yes`.
        """
        from stepwell.safety import guard

        found, jobs = self._found({*self.config.databases, *(need.partition("/")[0] for need in needs)})
        missing = guard.lacking(needs, found, jobs)
        too_old = [f"{need} is not {'complete' if need.startswith('job/') else 'applied'}" for need in missing]
        too_new = guard.too_new(found, tolerates)
        if too_old or too_new:
            raise SchemaUnfit(too_old, too_new)

    def _found(self, names: Collection[str]) -> tuple[list[Found], list[str]]:
        """The histories of the databases of these names, and the jobs that are complete if `job` is among them."""
        from stepwell.safety import guard

        for name in names:
            if name not in ("job", *self.config.databases):
                known = ", ".join(self.config.databases)
                raise BadRequest(
                    f"no database {name!r} in this project{did_you_mean(name, self.config.databases)}",
                    f"Write DATABASE/VERSION, e.g. state/0042, or job/NAME. The databases are {known}.",
                )
        found, jobs = [], []
        for name in self.config.databases:
            if name not in names and not ("job" in names and name == self.config.ledger):
                continue
            database = self.open(name, patience=0.0)
            database.connect()
            try:
                # A server's image need not have the scripts: what it must know of them stands in the history.
                here = (self.config.folder / self.config.databases[name].scripts).exists()
                scripts = self.scripts(name) if here else []
                found.append(guard.find(database, history.read(database, scripts), scripts))
                if "job" in names and name == self.config.ledger and database.columns("stepwell_batch"):
                    from stepwell.ledger.jobs import Ledger

                    states = Ledger(database).read_all()
                    jobs = [f"job/{job}" for job, state in states.items() if state.state == "complete"]
            finally:
                database.close()
        return found, jobs

    def rehearse(self, on: Mapping[str, str], tell: Callable[[object], None] = _silent) -> Rehearsal:
        """Run the whole release, and its way back, on copies: those given in `on`, or made here and dropped afterwards.

        Only the ledger keeps one line of it. Raises NoCopy, BadRequest, CannotConnect; what goes wrong on the copies is
        in the report.
        """
        from stepwell.ledger import events
        from stepwell.safety.rehearse import release

        for name in on:
            self._options(Options(database=name))  # refuses a name that is none
        self._refuse_twins()
        with release.staged(self, on) as (stage, copies):
            report = release.rehearse(stage, copies, tell)
        with self._check_site() as site:
            if site.ledger:
                act = "failed" if report.exit_code else "rehearsed"
                events.add(site.ledger, "rehearsal", act, f"{report.summary}, {self._files()}")
        return report

    def _files(self) -> str:
        from stepwell.safety.rehearse.report import files_of

        scripts = [f"{one.reference}\n{one.text}" for name in self.config.databases for one in self.scripts(name)]
        return files_of(scripts, self.config.folder)

    # --- scripts ----------------------------------------------------------------------------------------------

    def new_three_point(self, sentence: str, database: str = "") -> tuple[list[Path], list[str]]:
        """Write the files of a change that old and new servers live through; their paths, and what is to be known.

        Raises BadSentence, NoThreePoints, BadRequest, CannotConnect, LedgerNotRelational.
        """
        from stepwell.threepoint import writing

        name = self._options(Options(database=database or self._only_database())).database or ""
        can_sign = urls.parse(self.config.databases[self.config.ledger].url).engine != "clickhouse"
        if (told := formats.recognise(self.origin(name)).format) != "native":
            raise BadRequest(f"the scripts of {name} are in the format of {told}", "Only native scripts have a phase.")
        return writing.write(self.config, self.open(name), self.scripts(name), sentence, can_sign=can_sign)

    def down(
        self,
        options: Options,
        tell: events.Listener = _silent,
        agree: Callable[[Sequence[Script]], bool] | None = None,
    ) -> Result:
        """Undo the last `count` scripts of `options.database`, or all after `options.to`.

        `agree` is asked with them before anything is changed. Raises NotAgreed.
        """
        with self.targets(options.lock_wait) as targets:
            return upgrade.down(targets, self._options(options, targets), tell, self._take_away, agree)

    def _take_away(self, targets: Sequence[Target], undone: Sequence[Script]) -> None:
        """Before scripts are undone: the jobs built on them are complete no more."""
        if jobs := self.jobs():
            from stepwell.jobs import service

            service.take_away(jobs, self._ledger_among(targets), [script.reference for script in undone])

    def _build_anew(self, targets: Sequence[Target], ready: Sequence[Script]) -> None:
        """Before scripts are applied: the jobs that were built on them once look for their rows again."""
        if not ready:
            return
        jobs = self.jobs()
        if jobs or self.signoffs():
            from stepwell.ledger import databases

            ledger = self._ledger_among(targets)
            databases.keep(ledger, [target.database for target in targets])
        if jobs:
            from stepwell.jobs import service

            applied, _ = plan.references(targets)
            service.build_anew(jobs, ledger, applied, [script.reference for script in ready])

    def outlook(self, options: Options | None = None) -> Outlook:
        """What `up` would do now, script by script. Changes nothing."""
        with self.targets() as targets:
            return self._outlook(targets, self._options(options, targets))

    def _outlook(self, targets: Sequence[Target], options: Options) -> Outlook:
        from stepwell.safety.lint import review
        from stepwell.schema import outlook

        return review.noted(outlook.outlook(targets, options), self.config, targets)

    def status(self, options: Options | None = None, tell: events.Listener = _silent) -> list[State]:
        """Every script and its state; `tell` hears of other tools' tables that are kept in step. Changes nothing."""
        from stepwell.schema import events, outlook

        with self.targets() as targets:
            for target in targets:
                if target.history.in_step:
                    tell(events.InStep(target.database.name, target.history.in_step))
            return outlook.status(targets, self._options(options, targets))

    def way_back(self, options: Options) -> list[tuple[Script, list[str]]]:
        """The scripts that `down` would undo, newest first, with their statements. Changes nothing."""
        with self.targets() as targets:
            chosen = upgrade.to_undo(targets, self._options(options, targets))
            return [
                (
                    script,
                    []
                    if script.is_python
                    else [secrets.hide(s.text) for s in script.statements("down", self.variables)],
                )
                for script in chosen
            ]

    def resolve(self, reference: str, position: int, done: bool, tell: events.Listener = _silent) -> str:
        """Record that a statement in doubt is done, or that nothing of it remains. Returns the full reference."""
        from stepwell.schema import answers

        script = self.script(reference)
        with self.targets() as targets:
            options = self._options(None)
            answers.resolve(targets, options, script.database, script.version, position, done, tell)
        return script.reference

    def baseline(self, options: Options, reference: str | None, tell: events.Listener = _silent) -> list[str]:
        """Record every script of `options.database` up to `reference` as applied without running it.

        Without a reference only the tracking tables are made. Returns the references recorded.
        """
        from stepwell.schema import answers

        version = self.script(reference).version if reference else None
        options = self._options(options)
        with self.targets() as targets:
            return answers.baseline(targets, options, version, tell)

    def adopt(
        self,
        name: str,
        tool: str = "",
        *,
        as_is: bool = False,
        dry_run: bool = False,
        lock_wait: float = LOCK_WAIT,
        tell: events.Listener = _silent,
    ) -> Takeover:
        """Take over what another tool has applied to a database; with `dry_run` only look, and end as without it.

        `as_is` takes it over though files differ from what was applied. Raises BadRequest, CannotAdopt.
        """
        from stepwell.schema.adopt import takeover

        self._options(Options(database=name))  # refuses a name that is none
        scripts = self.scripts(name)
        database = self.open(name, lock_wait)
        database.connect()
        try:
            if dry_run:
                return takeover.look(database, scripts, tool, self.variables, as_is)
            options = Options(lock_wait=lock_wait, variables=self.variables)
            return takeover.adopt(database, scripts, options, tool, as_is, tell)
        finally:
            database.close()

    def keep_in_step(self, name: str, tool: str = "", *, keep: bool = True, tell: events.Listener = _silent) -> str:
        """Write a tool's own table too from now on, or no more. The tool's name. Raises BadRequest, NotInStep."""
        from stepwell.schema.adopt import in_step

        self._options(Options(database=name))  # refuses a name that is none
        database, scripts = self.open(name), self.scripts(name)
        database.connect()
        try:
            return in_step.keep(database, scripts, Options(variables=self.variables), tool if keep else None, tell)
        finally:
            database.close()

    def convert(self, name: str, folder: str = "", on: str = "") -> Conversion:
        """Write the scripts of a database in Stepwell's own format, to a new folder named from the project's.

        Every statement is proven to come out as it was. Where `on` names a server to try it on, or the engine is an
        embedded one, both are applied to an empty database and compared. Raises BadRequest, BadScript, NotTheSame.
        """
        from stepwell.databases.database import Command, Conduct
        from stepwell.scripts.convert import convert

        self._options(Options(database=name))  # refuses a name that is none
        database, origin = self.open(name), self.origin(name)
        server = on or (origin.url if urls.parse(origin.url).path else "")
        if on and urls.parse(on).engine != origin.engine:
            raise BadRequest(f"--on names a server of {urls.parse(on).engine}, and {name!r} is on {origin.engine}")
        default = f"migrations/{name}"
        if (self.config.folder / default).exists():
            default += "-native"

        def commits(text: str) -> bool:
            return database.conduct(Command(text=text)) is Conduct.TRANSACTIONAL

        def prove(written: Path) -> str:
            if not server:
                return ""
            from stepwell.schema import same

            return same.refuse_difference(origin, written, server, self.variables, must=bool(on))

        return convert(origin, self.config.folder / (folder or default), self.variables, commits, prove)

    def script(self, text: str) -> Script:
        """The script that a reference such as state/0042 means. Raises BadRequest."""
        known = {script.reference: script for name in self.config.databases for script in self.scripts(name)}
        found = graph.find(text, known)
        if len(found) != 1:
            options = f"it could be {', '.join(found)}" if found else f"there is none{did_you_mean(text, known)}"
            raise BadRequest(f"which script is {text!r}? {options}", "Write DATABASE/VERSION, e.g. state/0042_items.")
        return known[found[0]]

    def _refuse_twins(self) -> None:
        """Two names for one database would share its history, and each wait for the other's lock for ever."""
        seen: dict[str, str] = {}
        for name, entry in self.config.databases.items():
            place = str(urls.parse(entry.url))
            other = seen.setdefault(place, name)
            if other != name:
                raise BadProject(
                    f"databases {other!r} and {name!r} are the same: {place}",
                    where=str(self.config.folder / configuration.FILE),
                    do="Give each its own database, or put their scripts into one folder.",
                )

    def _options(self, options: Options | None, targets: Sequence[Target] = ()) -> Options:
        """The options with full references, the project's variables, and the steps that are no scripts."""
        options = replace(options or Options(), variables=self.variables, gate=self._gate, window=self.config.window)
        if targets:
            options = replace(options, others=self._others(targets))
        options = replace(options, accept=tuple(self._accepted(text) for text in options.accept))
        if options.database is not None and options.database not in self.config.databases:
            known = self.config.databases
            raise BadRequest(
                f"no database {options.database!r} in this project{did_you_mean(options.database, known)}",
                f"It has {', '.join(known)}.",
            )
        to = options.to
        if to is not None:
            to = self.script(to if "/" in to else f"{options.database or self._only_database()}/{to}").reference
        return replace(options, to=to)

    def _others(self, targets: Sequence[Target]) -> tuple[graph.Step, ...]:
        """The steps that are no scripts: jobs, and the checks and sign-offs that something requires."""
        jobs = self.jobs()
        steps: tuple[graph.Step, ...] = ()
        if jobs:
            from stepwell.jobs import service

            steps = service.steps(jobs, self._own_ledger(targets), *plan.references(targets))
        wanted = {text for target in targets for script in target.scripts for text in script.front.requires}
        wanted |= {text for step in steps for text in (*step.requires, *step.holds)}
        wanted = {text for text in wanted if text.startswith(("check/", "signoff/"))}
        if not wanted:
            return steps
        pending = any(script.version not in target.history.applied for target in targets for script in target.scripts)
        if not pending and all(step.complete for step in steps):
            return (
                *steps,
                *(graph.Step(text, gate=True) for text in sorted(wanted)),
            )  # nothing waits for them any more
        from stepwell.checks import gates

        ledger = self._ledger_among(targets) if jobs else self._own_ledger(targets)
        return (*steps, *gates.steps(wanted, self.checks(), ledger, self._signers))

    def _own_ledger(self, targets: Sequence[Target]) -> Database:
        """The ledger, which must be this project's. Raises LedgerMoved, LedgerOfAnother."""
        from stepwell.ledger import databases

        ledger = self._ledger_among(targets)
        own = [target.database.name for target in targets if target.scripts or target.history.applied]
        databases.refuse_another(ledger, [target.database for target in targets], own)
        return ledger

    def _ledger_among(self, targets: Sequence[Target]) -> Database:
        ledger = next(target.database for target in targets if target.database.name == self.config.ledger)
        if not self.config.ledger_named and not ledger.columns("stepwell_job"):
            self._refuse_move(ledger, (target.database for target in targets))
        return ledger

    def _accepted(self, text: str) -> str:
        """The full reference of a step whose difference is accepted; as written for one whose file is gone."""
        found = graph.find(text, [script.reference for name in self.config.databases for script in self.scripts(name)])
        return found[0] if len(found) == 1 else text

    def with_database(self, options: Options) -> Options:
        """The options with the database that is meant, where the project has only one or `to` names it."""
        if options.database is None and options.to and "/" in options.to:
            return replace(options, database=options.to.split("/", 1)[0])
        return replace(options, database=options.database or self._only_database())

    def _only_database(self) -> str:
        names = list(self.config.databases)
        if len(names) > 1:
            raise BadRequest("which database is meant?", f"Name one: --database {' | '.join(names)}")
        return names[0]
