"""A run that outlives the command that began it: one at a time for a project on a host, with its log and its end.

It holds a lock on a file as long as it lives, so that no process number that was given anew is taken for it. What it
leaves lies in a folder of the user's own among the temporary files, which also a read-only container has.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from stepwell.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the background. `began` is seconds since 1970; `code` what it ended with, None where it has not said.

    `process` is 0 until the system has started it. One that neither runs nor has said its code was killed together
    with who watched it.
    """

    process: int
    log: str
    began: float
    running: bool = True
    code: int | None = None


def begin(project: Path, arguments: Sequence[str]) -> bool:
    """Begin `stepwell ARGUMENTS` in a session of its own; False where one is under way. Raises BadRequest."""
    place = _made(project)
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(place, Run(0, str(place / "log"), time.time()))
        with (place / "log").open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "stepwell.hosting.background", str(place), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock],  # the lock is the child's from here on, and ends with it
            )
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def look(project: Path) -> Run | None:
    """The run that is under way, or the last one; None where there was none on this host."""
    try:
        place = _place(project)
        if not _is_ours(place.parent):
            return None
        kept = json.loads((place / "run.json").read_text(encoding="utf-8"))
    except OSError:  # no run so far, or no folder for temporary files at all
        return None
    return Run(**kept | {"running": _is_locked(place)})


def describe(run: Run) -> str:
    """Whether it runs and since when, or how it ended, and where its log is."""
    since = f"{datetime.fromtimestamp(run.began, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if run.running:
        process = f"process {run.process}" if run.process else "starting"
        return f"in the background: `up` runs since {since}, {process}, log {run.log}"
    if run.code is None or run.code < 0:
        ended = "was killed; the next one goes on from there"
    else:
        ended = f"ended with code {run.code}"
    return f"in the background: `up`, begun {since}, {ended}; log {run.log}"


def _place(project: Path) -> Path:
    """The folder of a project's run."""
    ours = Path(tempfile.gettempdir(), f"stepwell-{os.getuid()}")
    return ours / hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:16]


def _made(project: Path) -> Path:
    """The same, made. Raises BadRequest where it can't be, or somebody else has made it."""
    try:
        place = _place(project)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        if _is_ours(place.parent):
            place.mkdir(exist_ok=True)
            return place
    except OSError as error:
        raise BadRequest(
            f"there is no folder for the log of the background: {error}",
            "Mount one at /tmp that can be written to, or set TMPDIR.",
        ) from None
    raise BadRequest(
        f"{place.parent} is not a folder of this user alone, so no log is safe in it",
        "Remove it, or set TMPDIR to another folder for temporary files.",
    )


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _is_locked(place: Path) -> bool:
    with (place / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write(place: Path, run: Run) -> None:
    fresh = place / f"run.{os.getpid()}"
    fresh.write_text(json.dumps(asdict(run)), encoding="utf-8")
    fresh.replace(place / "run.json")


def _follow(place: Path, arguments: Sequence[str]) -> int:
    """Run the command below this process, which is there to say how it ended, be it by kill -9."""
    # The lock is passed on, so that it is held until both have ended.
    command = subprocess.Popen([sys.executable, "-m", "stepwell", *arguments], close_fds=False)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    run = Run(command.pid, str(place / "log"), time.time())
    _write(place, run)
    code = command.wait()
    _write(place, replace(run, code=code))
    return code


if __name__ == "__main__":
    raise SystemExit(_follow(Path(sys.argv[1]), sys.argv[2:]))
