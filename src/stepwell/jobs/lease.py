"""Keeping a job's lease alive while its batches run, and hearing what others say of the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from stepwell.databases.database import Database
from stepwell.errors import Denied, Fenced, StepwellError
from stepwell.ledger.jobs import JobState, Ledger
from stepwell.ledger.tables import denied

LEASE = 30.0
"""Seconds after which a worker that says nothing is taken for dead."""

BEAT = 1.0
"""Seconds between two renewals; also how soon pause, cancel and new limits are heard."""

SHORTEST = 5.0
"""Seconds that a lease lasts at least: a few beats may be late on a busy machine."""


class Lease:
    """A job's lease, renewed by a thread of its own on a connection of its own while entered as a context.

    `lost` is set when another worker has taken the job over, or when the ledger was out of reach for a lease's time.
    """

    def __init__(self, open_ledger: Callable[[], Database], job: str, timeout: float | None = None) -> None:
        """`timeout` seconds, where given, are how long it lasts if that is less than usual."""
        self._open, self._job = open_ledger, job
        self._seconds = LEASE if timeout is None else max(SHORTEST, min(LEASE, timeout))
        self.lost = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {job}", daemon=True)
        self.state: JobState

    def __enter__(self) -> Lease:
        self._database = self._open()
        self._database.connect()
        try:
            self.state = Ledger(self._database).acquire(self._job, self._seconds)
        except Denied as error:
            trouble = denied(self._database, "write to", error)
            self._database.close()
            raise trouble from None
        except BaseException:
            self._database.close()
            raise
        self.token = self.state.token
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            Ledger(self._database).release(self._job, self.token)
        except StepwellError:
            pass  # the lease ends by itself
        finally:
            self._database.close()

    def _beat(self) -> None:
        heard = time.monotonic()
        while not self._ended.wait(BEAT):
            try:
                self.state = Ledger(self._database).renew(self._job, self.token, self._seconds)
                heard = time.monotonic()
            except Fenced:
                self.lost.set()
                return
            except StepwellError:
                if time.monotonic() - heard >= self._seconds:
                    self.lost.set()
                    return
                self._reconnect()

    def _reconnect(self) -> None:
        try:
            self._database.close()
            self._database.connect()
        except StepwellError:
            pass  # the next beat tries again
