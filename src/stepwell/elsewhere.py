"""A batch in another process than its job's coordinator: the project is read there, and connected from there.

Only the project's folder and the task travel. URLs and passwords come from the environment of the process that does
the batch, where the same version of the project must lie in the same folder.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

from stepwell.config import FILE
from stepwell.errors import StepwellError
from stepwell.jobs.batch import Connections
from stepwell.jobs.definition import Definition
from stepwell.jobs.work import Report, Task, Verdict, do, words
from stepwell.project import Project

_local = threading.local()


def do_batch(folder: str, task: Task) -> Report:
    """Do one batch of the project in `folder`. Keeps connections, one set a thread, for the next batch."""
    try:
        project, definitions = _read(folder, _written(folder))
        return do(task, definitions[task.job], project.config.ledger, _connections(project))
    except StepwellError as error:  # of the project, as it is found here: another worker may have it right
        return Report(task, Verdict.PASSING, 0, 0.0, words(error))


def _written(folder: str) -> tuple[tuple[str, int], ...]:
    """When the project's configuration and jobs were written: a worker outlives many a release."""
    paths = [Path(folder, FILE), *sorted(Path(folder, "jobs").glob("*.*"))]
    return tuple((path.name, path.stat().st_mtime_ns) for path in paths if path.is_file())


@lru_cache(maxsize=8)
def _read(folder: str, written: tuple[tuple[str, int], ...]) -> tuple[Project, dict[str, Definition]]:
    project = Project.load(folder)
    return project, {definition.name: definition for definition in project.jobs()}


def _connections(project: Project) -> Connections:
    """This thread's own, for the project it works for now."""
    if getattr(_local, "project", None) is not project:
        if hasattr(_local, "connections"):
            _local.connections.close()
        _local.project, _local.connections = project, Connections(project.open)
    found: Connections = _local.connections
    return found
