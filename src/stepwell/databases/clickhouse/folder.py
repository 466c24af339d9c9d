"""A chDB folder, which one process at a time may open: locked against other processes, shared within this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stepwell.databases.file_lock import file_lock


@dataclass(slots=True)
class _Held:
    users: int = 0
    lock: ExitStack = field(default_factory=ExitStack)


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


@contextmanager
def folder_lock(name: str, path: Path, patience: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes out of `path` for the block; several connections of this process may be in it at once.

    Raises LockHeld after `patience` seconds.
    """
    with _guard:
        held = _held.setdefault(path, _Held())
        if held.users == 0:
            beside = path.with_name(f"{path.name}.stepwell-lock")
            held.lock.enter_context(file_lock(name, beside, patience, waiting))
        held.users += 1
    try:
        yield
    finally:
        with _guard:
            held.users -= 1
            if held.users == 0:
                held.lock.close()
                del _held[path]
