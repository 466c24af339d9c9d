"""How old the last backup is, by what stepwell.toml says of it."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stepwell.config import Doctor
from stepwell.safety.doctor.finding import Finding, Level, span

PATIENCE = 10.0
"""Seconds that the command may take."""


def backup(config: Doctor, folder: Path) -> Iterator[Finding]:
    """One finding about the last backup, by the command or the marker file of `[doctor]`."""
    if not (config.backup_command or config.backup_marker):
        do = "Say in stepwell.toml, below [doctor], backup-marker = FILE or backup-command = COMMAND."
        yield Finding("backup", Level.WARNING, "", "nothing tells when the last backup was made", do)
        return
    try:
        at = _command(config.backup_command, folder) if config.backup_command else _marker(folder, config.backup_marker)
    except _Untold as why:
        yield Finding("backup", Level.BLOCKER, "", f"nothing tells when the last backup was made: {why}", MAKE)
        return
    age = time.time() - at
    if age < -AHEAD:
        what = f"the last backup would be from the future, {span(-age)} ahead of this machine's clock"
        yield Finding(
            "backup", Level.BLOCKER, "", what, "Let its time be told in seconds since 1970, and set the clocks."
        )
        return
    what = f"the last backup is {span(max(0.0, age))} old"
    if age > config.backup_age:
        yield Finding("backup", Level.BLOCKER, "", f"{what}; it may be {span(config.backup_age)}", MAKE)
    else:
        yield Finding("backup", Level.OK, "", what)


MAKE = "Make a backup of every database, and try to restore it."


AHEAD = 300.0
"""Seconds that the clock of whoever made the backup may be ahead of this machine's."""


class _Untold(Exception):
    """The time of the last backup can't be told, and why."""


def _marker(folder: Path, marker: str) -> float:
    try:
        return (folder / marker).stat().st_mtime
    except OSError as error:
        raise _Untold(f"{marker}: {error.strerror}") from None


def _command(command: str, folder: Path) -> float:
    """Run the command; the last line that it prints is the time. It may hold a secret, so it is never shown."""
    try:
        ended = subprocess.run(
            command, shell=True, cwd=folder, capture_output=True, text=True, errors="replace",
            timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _Untold(f"backup-command was still at work after {PATIENCE:.0f} s") from None
    if ended.returncode:
        raise _Untold(f"backup-command ended with {ended.returncode}")
    lines = ended.stdout.strip().splitlines()
    return _moment(lines[-1].strip() if lines else "")


def _moment(text: str) -> float:
    """Seconds since 1970 of a number, or of a time such as 2026-01-31T02:00:00Z; one without a zone is UTC."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _Untold("the last line that backup-command printed is no time") from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise _Untold("the last line that backup-command printed is no time")
    return seconds
