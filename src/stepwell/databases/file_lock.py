"""A lock file for engines that live in a file or folder. The system frees it when its holder dies, however."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stepwell.errors import LockHeld

PAUSES = (0.05, 0.1, 0.2, 0.5)
"""Seconds between two tries, the last one over and over."""


@contextmanager
def file_lock(name: str, path: Path, patience: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock on `path` for the block. Raises LockHeld after `patience` seconds.

    The file stays: removing it would let a third process lock a new file of the same name beside the second.
    """
    started, tries, told = time.monotonic(), 0, ""
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                if time.monotonic() - started >= patience:
                    raise LockHeld(name, patience, holder) from None
                if holder != told:
                    waiting(holder)
                    told = holder
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        file.flush()
        yield
