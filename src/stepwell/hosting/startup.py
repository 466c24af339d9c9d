"""A server's start from within: bring the databases to its version, look whether it fits them, run the worker.

All of it happens in one thread beside the server. Any number of servers may do so at once: one of them migrates, the
others wait for it, and are told by the locks when it is done, however it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any

from stepwell import embedded, graph
from stepwell.errors import CannotConnect, LockHeld, LockLost, SchemaUnfit, StepwellError
from stepwell.project import Project
from stepwell.safety.guard import Contracts
from stepwell.schema import events

LOGGER = logging.getLogger("stepwell")

PASSING = (CannotConnect, LockHeld, LockLost)
"""What is tried again: a database that is not up yet, another run that takes its time."""

Answer = tuple[int, dict[str, Any]]
"""An HTTP status, and what to say as JSON."""


class Startup:
    """One server's start: a context, also an asynchronous one, that lasts as long as the server.

    Entering it waits until the schema is what the server needs, for `budget` seconds at most, and raises what stands
    against it; after that the server is up, and `readiness` tells how far the migration is. `needs` names the steps
    without which it is not ready (`state/0042`); by default all that `up` applies. `work` runs the project's jobs
    beside the server, `ready_while_migrating` takes requests before the schema is there.
    """

    def __init__(
        self,
        project: Project,
        needs: Sequence[str] = (),
        *,
        tolerates: Contracts = "known",
        budget: float = 25.0,
        work: bool = True,
        ready_while_migrating: bool = False,
    ) -> None:
        self.project, self.needs, self.tolerates = project, tuple(needs), tolerates
        self.budget, self.work, self.ready_while_migrating = budget, work, ready_while_migrating
        self._once = threading.Lock()
        self._forget()

    def begin(self) -> None:
        """Start the thread and wait. Raises StepwellError when what is needed fails within the budget."""
        self._forget()
        self._thread.start()
        self._settled.wait(self.budget)
        if self._trouble and not self._fits.is_set():
            raise self._trouble

    def end(self) -> None:
        """Let the worker finish the batch under way. A migration is left where it is: the next start goes on there."""
        self._stop.set()
        if self._working.is_set():
            self._thread.join()

    def begin_here(self) -> None:
        """Start the thread unless this process has: a server's worker that was forked has none of its parent's.

        Waits for nothing: the parent has waited, and a probe that asks this worker would be kept from its answer.
        """
        with self._once:
            if self._process != os.getpid():
                fits = self._fits.is_set()
                self._forget()
                if fits:
                    self._fit()
                self._thread.start()

    def health(self) -> Answer:
        """For a liveness probe: a server that migrates is alive, and one whose migration failed, too."""
        return 200, {"status": "alive"}

    def readiness(self) -> Answer:
        """For a readiness probe: 200 when the schema is what the server needs, else 503 and why.

        What fails behind that is told, and takes no server away: it would take all of them at once.
        """
        failed = {"why": self._trouble.what} if self._trouble else {}
        if self._fits.is_set():
            return 200, {"status": "ready", **failed}
        if failed:
            return 503, {"status": "failed", **failed}
        return 200 if self.ready_while_migrating else 503, {"status": "migrating", "at": self._at}

    def __enter__(self) -> Startup:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Startup:
        await asyncio.to_thread(self.begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.end)

    def _forget(self) -> None:
        self._process = os.getpid()
        self._stop, self._working = threading.Event(), threading.Event()
        self._fits, self._settled = threading.Event(), threading.Event()
        self._trouble: StepwellError | None = None
        self._at = "reading what is applied"
        # A daemon: a server that dies must not be kept alive by its migration, which goes on with the next one.
        self._thread = threading.Thread(target=self._run, name="stepwell start", daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self._migrated():
                self._stop.wait(embedded.PAUSE)
            if self._stop.is_set():
                return
            self._working.set()
            with embedded.worker(self.project) if self.work else nullcontext():
                while not self._fits.is_set() and not self._stop.is_set():
                    self._look_again()
                self._stop.wait()
        except StepwellError as error:
            self._fail(error)
        except Exception as error:
            LOGGER.exception("start")
            self._fail(StepwellError(f"the migration ended with {type(error).__name__}", do="See the log."))

    def _migrated(self) -> bool:
        try:
            # Before anything is applied: a server of an older release has nothing to add to a newer schema.
            self.project.guard(tolerates=self.tolerates)
            missing = self.project.lacking(*self.needs)
            if self.needs and not missing:
                self._fit()
            self.project.up(tell=self._listener(missing))
            self.project.guard(tolerates=self.tolerates)
        except PASSING as error:
            self._at = error.what
            LOGGER.warning("start: %s", str(error).replace("\n", " "))
            return False
        if not self.needs:
            self._fit()
        return True

    def _listener(self, missing: list[str]) -> events.Listener:
        def tell(event: events.Event) -> None:
            nonlocal missing
            match event:
                case events.Waiting(database, holder):
                    self._at = f"waiting for the migration lock of {database}, held by {holder}"
                case events.Started(reference, _, statements):
                    self._at = f"{reference}, {statements} statements"
                case events.Working(reference, position):
                    self._at = f"{reference}, statement {position}"
                case events.Finished(reference, "up") if missing:
                    missing = [need for need in missing if not graph.find(need, [reference])]
                    if not missing:
                        self._fit()
                case _:
                    pass

        return tell

    def _look_again(self) -> None:
        """What is needed and was not applied waits for something, such as low hours, or a job that the worker runs."""
        try:
            self.project.up()
            missing = self.project.lacking(*self.needs)
            if not missing:
                self._fit()
                return
            self._at = f"waiting for {', '.join(missing)}"
        except PASSING as error:
            self._at = error.what
        self._stop.wait(embedded.PAUSE)

    def _fit(self) -> None:
        self._fits.set()
        self._settled.set()

    def _fail(self, error: StepwellError) -> None:
        if isinstance(error, SchemaUnfit):  # a newer release took away meanwhile what fitted before
            self._fits.clear()
        LOGGER.error("start: %s", str(error).replace("\n", " "))
        self._trouble = error
        self._settled.set()
