"""The worker inside a server, and jobs beside an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from stepwell.errors import StepwellError
from stepwell.jobs.runner import Progress
from stepwell.project import Project

Result = TypeVar("Result")

LOGGER = logging.getLogger("stepwell")

PAUSE = 5.0
"""Seconds before a worker that met trouble, such as a database that is not up yet, starts anew."""


@contextmanager
def worker(project: Project) -> Iterator[None]:
    """Run the project's jobs in a thread while the block runs, as `stepwell work` does in a process of its own.

    At the block's end the batch under way is finished and the lease freed. Trouble is logged, and the worker
    goes on when it is over: a server must not fall with its migrations. Raises BadJob at once.
    """
    stop, thread = _start(project)
    try:
        yield
    finally:
        stop.set()
        thread.join()


@asynccontextmanager
async def aworker(project: Project) -> AsyncIterator[None]:
    """As `worker`, without holding up the event loop when the block ends."""
    stop, thread = _start(project)
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


async def beside(verb: Callable[[threading.Event], Result], stop: threading.Event | None = None) -> Result:
    """Run a verb beside the event loop. Cancelled, it is told to stop, and has ended before this returns."""
    stop = stop or threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(verb, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        raise


def _start(project: Project) -> tuple[threading.Event, threading.Thread]:
    project.jobs()
    stop = threading.Event()
    # A daemon: a server that dies without leaving the block must not be kept alive. What a batch wrote is rolled back.
    thread = threading.Thread(target=_work, args=(project, stop), name="stepwell worker", daemon=True)
    thread.start()
    return stop, thread


def _work(project: Project, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            project.work(_silent, stop)
            return
        except StepwellError as error:
            LOGGER.warning("worker: %s", str(error).replace("\n", " "))
        except Exception:
            LOGGER.exception("worker")
        stop.wait(PAUSE)


def _silent(progress: Progress) -> None:
    pass
