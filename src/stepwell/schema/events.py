"""What a run tells while it works. The command line prints it, the log keeps it, tests kill at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from stepwell.databases.database import Activity, Finding


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run waits for the migration lock that somebody else holds."""

    database: str
    holder: str


@dataclass(frozen=True, slots=True)
class WaitingForJob:
    """The way back waits for the worker that holds a job's lease."""

    reference: str
    holder: str


@dataclass(frozen=True, slots=True)
class Started:
    """A script is about to be applied (`up`) or undone (`down`). `resumed` counts statements done before."""

    reference: str
    direction: str
    statements: int
    in_transaction: bool
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """A statement is recorded as begun, where it is recorded at all, and about to be sent."""

    reference: str
    position: int
    line: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Working:
    """A statement is at work on the server."""

    reference: str
    position: int
    activity: Activity


@dataclass(frozen=True, slots=True)
class Returned:
    """The server has answered a statement; nothing is recorded yet."""

    reference: str
    position: int


@dataclass(frozen=True, slots=True)
class Done:
    """A statement is recorded as done, or will be together with its script. `seconds` is its duration."""

    reference: str
    position: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Yielded:
    """A statement met a lock, gave way, and is tried again after `pause` seconds."""

    reference: str
    position: int
    holders: tuple[str, ...]
    pause: float


@dataclass(frozen=True, slots=True)
class Settled:
    """A statement that was in doubt is so no longer."""

    reference: str
    position: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Finished:
    """A script is applied (`up`) or undone (`down`), and that is recorded. `seconds` is its whole duration."""

    reference: str
    direction: str
    statements: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person accepted that the history and the files differ; it is recorded with their name."""

    reference: str
    what: str


@dataclass(frozen=True, slots=True)
class InStep:
    """The own table of another tool is kept in step with this database's history."""

    database: str
    tool: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A script was not run, as its guards ask: recorded as applied (`marked`), or left for the next run."""

    reference: str
    marked: bool
    why: str


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A script failed that may fail; the run goes on without it, and the next run tries it again."""

    reference: str
    error: str


@dataclass(frozen=True, slots=True)
class Linted:
    """The linter has something to say of the scripts that are about to be applied."""

    errors: int
    warnings: int


@dataclass(frozen=True, slots=True)
class Examined:
    """The look before a release found what a person should know, a line each; it does not stop the release."""

    warnings: tuple[str, ...]


Event = (
    Waiting
    | WaitingForJob
    | Linted
    | Examined
    | Started
    | Begun
    | Working
    | Returned
    | Done
    | Yielded
    | Settled
    | Finished
    | Accepted
    | InStep
    | Passed
    | Tolerated
)
Listener = Callable[[Event], None]
