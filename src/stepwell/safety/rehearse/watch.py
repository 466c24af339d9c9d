"""Looking, while something runs, at which tables are locked against others, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from stepwell.databases import measures
from stepwell.databases.database import Database
from stepwell.errors import StepwellError
from stepwell.safety.rehearse.report import Lock

EVERY = 0.02
"""Seconds between two looks. What is shorter may stay unseen, and stands in nobody's way."""


class Watch:
    """A thread that looks at databases, each on a connection of its own, until the block ends. `step` is what runs."""

    def __init__(self, databases: Sequence[Database], step: Callable[[], str]) -> None:
        self._databases, self._step = databases, step
        self._found: dict[tuple[str, str, str], Lock] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def longest(self) -> list[Lock]:
        """For each table and kind of lock the longest that was seen, the longest first."""
        return sorted(self._found.values(), key=lambda lock: -lock.seconds)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        since: dict[tuple[str, str, str], float] = {}
        try:
            for database in self._databases:
                database.connect()
            while not self._stop.wait(EVERY):
                step = self._step()
                seen = {(d.name, *lock) for d in self._databases for lock in measures.locks(d)}
                now = time.monotonic()
                since = {lock: since.get(lock, now) for lock in seen}
                for lock, first in since.items():
                    # It was there before the first look at it, for no longer than the pause between two.
                    seconds = now - first + EVERY
                    if lock not in self._found or self._found[lock].seconds < seconds:
                        self._found[lock] = Lock(*lock, round(seconds, 3), step)
        except StepwellError:
            pass  # a server that went away ends the rehearsal itself
        finally:
            for database in self._databases:
                database.close()
