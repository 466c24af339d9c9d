"""An application of Opik 1.x that goes on writing while it is upgraded: new datasets, items, experiments and traces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import Any

from stepwell.bundles.opik.values import AUDIT, audit, uuid7
from stepwell.databases.database import Database
from stepwell.errors import LockTimeout

PAUSE = 0.05
"""Seconds between two rounds of writes of a thread."""

ROUNDS = 20
"""Rounds of writes of a thread at most: what is never at rest would never be complete."""

Row = tuple[Any, ...]
Insert = Callable[[str, str, Sequence[str], list[Row]], None]
"""Adds rows: to a database, into a table, these columns."""


@dataclass(slots=True)
class Application:
    """Writes from two threads while entered as a context; each write is timed.

    It writes as 1.x does: a dataset has no version, and an experiment no project. It ends with the round under way, and
    raises what went wrong in it.
    """

    open: Callable[[str], Database]
    seed: int
    writes: int = 0
    longest: float = 0.0
    trouble: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _counted: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Application:
        for number in range(2):
            thread = threading.Thread(target=self._run, args=(Random(self.seed + number), number), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.trouble and error is None:
            raise self.trouble[0]

    def _run(self, random: Random, number: int) -> None:
        databases = {name: self.open(name) for name in ("state", "analytics")}
        try:
            for database in databases.values():
                database.connect()

            def insert(name: str, table: str, columns: Sequence[str], rows: list[Row]) -> None:
                self._insert(databases[name], table, [*columns, *AUDIT], rows)

            known = databases["state"].query("SELECT id, workspace_id FROM datasets ORDER BY id LIMIT 20")
            projects = databases["state"].query("SELECT id, workspace_id FROM projects ORDER BY id")
            for turn in range(ROUNDS):
                if self._stop.wait(PAUSE):
                    break
                _write(insert, random, known, projects, f"made while live {number}-{turn} {random.random()}")
        except BaseException as error:
            self.trouble.append(error)
        finally:
            for database in databases.values():
                database.close()

    def _insert(self, database: Database, table: str, columns: Sequence[str], rows: list[Row]) -> None:
        started = time.monotonic()
        while True:
            try:
                database.insert(table, columns, rows)
                break
            except LockTimeout:  # an application tries again, and its user waits
                continue
        with self._counted:
            self.writes += 1
            self.longest = max(self.longest, time.monotonic() - started)


def _write(insert: Insert, random: Random, known: Sequence[Row], projects: Sequence[Row], name: str) -> None:
    """A new dataset or one that is known, items in it, an experiment on it, and its traces."""
    now = datetime.now(UTC)
    by = audit(now, "live")
    dataset, workspace = random.choice(known)
    if random.random() < 0.3:
        dataset = uuid7(now, random)
        insert("state", "datasets", ["id", "workspace_id", "name"], [(dataset, workspace, name, *by)])
    items = [(uuid7(now, random), workspace, dataset, "sdk", {"question": name}, *by) for _ in range(3)]
    insert("analytics", "dataset_items", ["id", "workspace_id", "dataset_id", "source", "data"], items)
    project = next((id_ for id_, place in projects if place == workspace), uuid7(now, random))
    traces = [(uuid7(now, random), workspace, project, name, *by) for _ in items]
    insert("analytics", "traces", ["id", "workspace_id", "project_id", "name"], traces)
    experiment = uuid7(now, random)
    joined = [
        (uuid7(now, random), workspace, experiment, item[0], trace[0], *by)
        for item, trace in zip(items, traces, strict=True)
    ]
    columns = ["id", "workspace_id", "experiment_id", "dataset_item_id", "trace_id"]
    insert("analytics", "experiment_items", columns, joined)
    columns = ["id", "workspace_id", "dataset_id", "name"]
    insert("analytics", "experiments", columns, [(experiment, workspace, dataset, name, *by)])
