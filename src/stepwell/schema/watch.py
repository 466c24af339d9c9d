"""Looking at the running statement from outside: its progress, and who holds it up.

One thread for a whole run; a statement that ends quickly costs it nothing but two assignments.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from stepwell.databases.database import Activity, Command, Database

TICK = 0.1
"""Seconds between two looks at the clock."""

LOOK_AFTER = 1.0
"""Seconds a statement runs before its progress is read from the server, and between two readings."""


@dataclass(slots=True)
class _Watched:
    command: Command
    report: Callable[[Activity], None]
    started: float = field(default_factory=time.monotonic)
    holders: tuple[str, ...] = ()


class Watcher:
    """Watches one database while it is entered as a context."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._current: _Watched | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"watch {database.name}", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def watching(self, command: Command, report: Callable[[Activity], None]) -> Iterator[_Watched]:
        """Report the progress of `command` while the block runs it; `holders` are who blocked it last."""
        self._current = watched = _Watched(command, report)
        try:
            yield watched
        finally:
            self._current = None

    def _look(self) -> None:
        last = 0.0
        while not self._ended.wait(TICK):
            watched, now = self._current, time.monotonic()
            if watched is None:
                continue
            # A lock timeout may be shorter than a look-up's interval; who blocks must be known before it is over.
            blocked_after = min(LOOK_AFTER, watched.command.lock_timeout / 3)
            if now - max(last, watched.started) < blocked_after:
                continue
            last = now
            watched.holders = tuple(self._database.holders()) or watched.holders
            if now - watched.started >= LOOK_AFTER:
                activity = self._database.activity(watched.command.tag)
                if activity and self._current is watched:
                    watched.report(activity)
