"""The whole release on copies: scripts, jobs, checks, and the way back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stepwell.databases import copies, measures
from stepwell.databases import url as urls
from stepwell.databases.copies import Copy
from stepwell.errors import BadRequest, NoCopy, NoWayBack, StepwellError
from stepwell.jobs.overview import ENDED
from stepwell.ledger import signoffs
from stepwell.ledger.jobs import Ledger
from stepwell.safety.rehearse.report import Disk, Report, Step, Verdict
from stepwell.safety.rehearse.watch import Watch
from stepwell.schema import events
from stepwell.schema.plan import Options

if TYPE_CHECKING:
    from stepwell.jobs.definition import Definition
    from stepwell.project import Project

Tell = Callable[[Any], None]
WATCHED = ("postgres", "mysql")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def rehearse(project: Project, copies: Mapping[str, str], tell: Tell) -> Report:
    """Run a project, whose databases are copies, to its end and back. What goes wrong is in the report."""
    run = _Run(project, copies, tell)
    try:
        run.go()
    except StepwellError as error:
        run.found["error"], run.found["exit_code"] = str(error), error.exit_code
    if not run.found["exit_code"]:
        unsound = run.found["waiting"] or not all(verdict.holds for verdict in run.found["checks"])
        run.found["exit_code"] = 1 if any(step.failed for step in run.found["steps"]) else 7 if unsound else 0
    return Report(copies=dict(copies), seconds=round(time.monotonic() - run.started, 3), **run.found)


class _Run:
    """One rehearsal under way: what was found so far."""

    def __init__(self, project: Project, copies: Mapping[str, str], tell: Tell) -> None:
        self.project, self.copies, self.tell = project, copies, tell
        self.started = time.monotonic()
        self.running = ""
        self.found: dict[str, Any] = {
            "steps": [], "locks": [], "disk": [], "checks": [], "signed": [], "waiting": {}, "undone": [],
            "stayed": "", "error": "", "exit_code": 0,
        }  # fmt: skip

    def go(self) -> None:
        """Forth and back without the contract, which has no way back; then forth once more, to the end."""
        self.found["signed"] = self._sign()
        contract = self._contract()
        before = self._sizes()
        relational = [d for d in map(self.project.open, self.copies) if d.engine in WATCHED]
        watch = Watch(relational, lambda: self.running)
        try:
            with watch:
                self._forth(contract)
                self._look(before)
                if contract and not self.found["waiting"].keys() - contract:
                    self._back()
                    steps = self.found["steps"]
                    self.found["steps"] = []
                    self._forth(frozenset())
                    # Of what ran twice the first run is told: it found the rows as they are.
                    first = {step.reference for step in steps}
                    self.found["steps"] = [*steps, *(s for s in self.found["steps"] if s.reference not in first)]
                else:
                    self._back()
        finally:
            self.found["locks"] = watch.longest

    def _contract(self) -> frozenset[str]:
        """The contract scripts that are pending."""
        with self.project.targets() as targets:
            return frozenset(
                script.reference
                for target in targets
                for script in target.scripts
                if script.front.phase == "contract" and script.version not in target.history.applied
            )

    def _look(self, before: Mapping[str, int]) -> None:
        after = self._sizes()
        self.found["disk"] = [Disk(name, before[name], after[name]) for name in self.copies]
        self.found["checks"] = [Verdict(one.check, one.holds, one.words) for one in self.project.check(tell=self.tell)]

    def _sign(self) -> list[str]:
        """Give every sign-off that something requires, on the copy of the ledger."""
        names = [text.removeprefix("signoff/") for text in self.project.signoffs()]
        if names:
            with self.project.ledger() as ledger:
                given = {name for name, one in signoffs.latest(ledger).items() if one.answer == signoffs.YES}
                names = [name for name in names if name not in given]
                for name in names:
                    signoffs.sign(ledger, name, "for a rehearsal")
        return [f"signoff/{name}" for name in names]

    def _forth(self, left_out: frozenset[str]) -> None:
        tried: set[str] = set()
        closed: dict[str, list[str]] = {}
        while True:
            self.found["waiting"] = closed | self.project.up(Options(left_out=left_out), self._told).waiting
            overview = self.project.overview() if self.project.jobs() else []
            ready = [
                one.name for one in overview if one.state not in ENDED and not one.waits_for and one.name not in tried
            ]
            if not ready:
                return
            for name in ready:
                tried.add(name)
                window = self.project.job(name).window
                if window and (until := window.waits()):
                    closed[f"job/{name}"] = [until]
                else:
                    self._job(name)

    def _told(self, event: events.Event) -> None:
        if isinstance(event, events.Started):
            self.running = event.reference
        if isinstance(event, events.Finished):
            self.found["steps"].append(Step(event.reference, round(event.seconds, 3)))
        self.tell(event)

    def _job(self, name: str) -> None:
        self.running, began = f"job/{name}", time.monotonic()
        outcome = self.project.run_job(name)
        step = Step(self.running, round(time.monotonic() - began, 3), outcome.rows_done, outcome.failed)
        self.found["steps"].append(step)
        self.tell(step)

    def _sizes(self) -> dict[str, int]:
        sizes = {}
        for name in self.copies:
            database = self.project.open(name)
            database.connect()
            try:
                sizes[name] = measures.size(database)
            finally:
                database.close()
        return sizes

    def _back(self) -> None:
        """Take back what the rehearsal did, the newest first, as far as there is a way."""
        try:
            for reference in reversed([step.reference for step in self.found["steps"]]):
                if reference.startswith("job/"):
                    self._undo(self.project.job(reference))
                else:
                    undone = self.project.down(Options(database=reference.partition("/")[0], count=1), self.tell)
                    self.found["undone"] += undone.applied
        except NoWayBack as end:
            self.found["stayed"] = f"the way back ends: {end.what}"

    def _undo(self, job: Definition) -> None:
        """Give rows back what they held, where the job can, and have it begin anew the next time."""
        if job.records or job.undo:
            self.project.undo_job(job.name)
            self.found["undone"].append(job.reference)
        with self.project.ledger() as database:
            ledger = Ledger(database)
            if state := ledger.read(job.name):
                ledger.start_over(job.name, state.token, "pending")


# --- keeping away from the original ---------------------------------------------------------------------------


@contextmanager
def staged(project: Project, on: Mapping[str, str]) -> Iterator[tuple[Project, dict[str, str]]]:
    """The project on copies, and how each was made; those that were made here are dropped after the block.

    `on` are copies that somebody has made, by the database's name. Raises NoCopy, BadRequest, CannotConnect.
    """
    root, databases = project.config.folder, project.config.databases
    with ExitStack() as stack:
        made: dict[str, Copy] = {}
        for name, entry in databases.items():
            if name in on:
                made[name] = copies.given(name, on[name], entry.url, root)
                continue
            if entry.cluster:
                raise NoCopy(name, f"it is on the cluster {entry.cluster}, of which no copy is made by itself")
            made[name] = copies.make(name, entry.url, root)
            stack.callback(made[name].drop)
        addresses = {entry.url: made[name].url for name, entry in databases.items()}
        config = replace(
            project.config,
            databases={name: replace(entry, url=made[name].url) for name, entry in databases.items()},
            scheduler="",  # its workers would load the project with the originals
            window=None,
            notify=None,  # nobody is called for a copy
            doctor=type(project.config.doctor)(),  # a copy has no backup
        )
        variables = {name: addresses.get(value, value) for name, value in project.variables.items()}
        stage = replace(project, config=config, variables=variables)
        _refuse_names(stage, {n: urls.parse(databases[n].url).database for n, copy in made.items() if copy.beside})
        yield stage, {name: copy.how for name, copy in made.items()}


def _refuse_names(project: Project, beside: Mapping[str, str]) -> None:
    """Refuse files that name an original where its copy is on the same server: `shop.orders` would reach it."""
    for name, own in beside.items():
        if urls.parse(project.config.databases[name].url).engine == "postgres":
            continue  # no statement reaches another database there
        named = re.compile(rf"(?<![\w.\"`]){re.escape(own)}[\"`]?\s*\.\s*[\"`]?\w")
        texts = {script.path: script.text for script in project.scripts(name)}
        for folder in ("jobs", "checks"):
            files = (path for path in (project.config.folder / folder).glob("*") if path.is_file())
            texts |= {path: path.read_text(encoding="utf-8") for path in files}
        for path, text in texts.items():
            filled = _VARIABLE.sub(lambda found: project.variables.get(found[1], found[0]), text)
            for number, line in enumerate(filled.splitlines(), start=1):
                if named.search(line) and not line.lstrip().startswith(("--", "#")):
                    raise BadRequest(
                        f"{path}:{number} names the database {own}: on the same server that is the original",
                        f"Leave the name out, or rehearse on another server: stepwell rehearse --on {name}=URL",
                    )
