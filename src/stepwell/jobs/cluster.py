"""Batches on the machines of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from stepwell.errors import CannotConnect

PATIENCE = 10
"""Seconds that the scheduler has for its first answer."""


@contextmanager
def dask(scheduler: str) -> Iterator[Executor]:
    """An executor that sends calls to the cluster of a scheduler, such as tcp://10.0.0.7:8786. Raises CannotConnect."""
    try:
        import distributed
    except ImportError as error:
        do = 'Install it with its driver: pip install "stepwell[dask]"'
        raise CannotConnect("the Dask scheduler", scheduler, str(error), do) from None
    try:
        connect: Any = distributed.Client  # has no types
        client = connect(scheduler, timeout=PATIENCE, set_as_default=False)
    except (TimeoutError, OSError, ValueError) as error:
        do = "Start it, or correct `scheduler` below [jobs] in stepwell.toml."
        raise CannotConnect("the Dask scheduler", scheduler, str(error), do) from None
    with client:
        # Not pure: the same batch, sent once more, is done once more. What a dead worker had is sent again by Dask.
        yield client.get_executor(pure=False)
