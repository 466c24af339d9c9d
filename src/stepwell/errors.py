"""Every kind of trouble Stepwell can meet: one class a kind, its message built here and nowhere else.

A message answers, in this order: what happened, where, what the database said, what state things are in now,
and what to do. `exit_code` is what the command line ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar


class StepwellError(Exception):
    """Base of all errors that are meant for a person."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", said: str = "", now: str = "", do: str = "") -> None:
        self.what, self.where, self.said, self.now, self.do = what, where, said, now, do
        super().__init__(what)

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        parts = (("at", self.where), ("said", self.said), ("now", self.now), ("do", self.do))
        lines = [self.what]
        for label, text in parts:
            if text:
                first, *more = text.splitlines()
                lines.append(f"  {label:<5}{first}")
                lines.extend(f"       {line}" for line in more)
        return "\n".join(lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' for the closest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


# --- what a database says -------------------------------------------------------------------------------------


class Refused(StepwellError):
    """A statement failed on the server.

    `position` is the offset in the statement's text that the server points at, if it does.
    """

    advice: ClassVar[str] = "Correct the statement and run `stepwell up` again; it goes on from here."

    def __init__(self, said: str, *, code: str = "", position: int | None = None) -> None:
        self.code, self.position = code, position
        super().__init__("the database refused a statement", said=said, do=self.advice)


class LockTimeout(Refused):
    """Another session kept a lock that the statement needs for longer than the lock timeout."""

    advice = "End or wait for the sessions named above, or raise `lock-timeout`, and run `stepwell up` again."


class ConnectionLost(Refused):
    """The connection ended while a statement was under way."""

    advice = "Run `stepwell up` again once the server answers; it finds out by itself what was done."


class StatementTimeout(Refused):
    """The server ended the statement because its own time limit was over."""

    advice = "Raise `timeout` in the script's front matter, or do the work in smaller pieces."


class DiskFull(Refused):
    """The server has no space left for what the statement writes."""

    advice = "Free or add disk space on the server and run `stepwell up` again; it goes on from here."


class MemoryLimit(Refused):
    """The server ended the statement because it needed more memory than it may use."""

    advice = "Raise the server's memory limit or do the work in smaller pieces, then run `stepwell up` again."


class Denied(Refused):
    """The user lacks a privilege."""

    advice = "Grant the privilege named above to Stepwell's user and run `stepwell up` again."


# --- reaching and locking a database --------------------------------------------------------------------------


class CannotConnect(StepwellError):
    """The database can't be reached or used: no server, wrong password, no such database, no driver."""

    exit_code = 6

    def __init__(self, name: str, url: str, said: str, do: str) -> None:
        super().__init__(
            f"can't use database {name!r} ({url})", said=said, now="nothing was changed in it by this run", do=do
        )


class BadUrl(StepwellError):
    """A database URL that says too little, or something unknown."""

    exit_code = 2

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"can't read the database URL {url}: {why}",
            do="Write it as postgresql://user@host:5432/name, mysql://user@host:3306/name, sqlite:///file, "
            "clickhouse://user@host:8123/name, clickhouses://… (TLS) or chdb:///folder?database=name.",
        )


class LockHeld(StepwellError):
    """Another runner holds the migration lock and kept it for longer than we may wait."""

    exit_code = 5

    def __init__(self, name: str, seconds: float, holder: str) -> None:
        super().__init__(
            f"waited {seconds:.0f} s for the migration lock of database {name!r}",
            said=f"held by {holder}" if holder else "",
            now="this run changed nothing that it had not reported",
            do="Let the other run finish (`stepwell status` shows its state), or wait longer with --lock-wait SECONDS.",
        )


class LockLost(StepwellError):
    """The connection that held the migration lock is gone, so somebody else may be running now."""

    exit_code = 5

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the migration lock of database {name!r} was lost",
            now="stopped before the next statement; what was done is recorded",
            do="Run `stepwell up` again: it takes the lock anew and goes on from here.",
        )
