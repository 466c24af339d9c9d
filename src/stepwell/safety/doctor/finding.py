"""What the doctor finds: about one thing, on one database or on all together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ITEMS = {
    "connection": "the database can be reached",
    "version": "its version is one that Stepwell supports",
    "writable": "it takes writes",
    "lock": "nobody else holds the migration lock",
    "privileges": "our user may do what scripts and jobs do, and see what is looked at",
    "disk-space": "there is room for the tables that the release copies",
    "replication": "replicas follow",
    "transactions": "no transaction has been open for long",
    "mutations": "no change of ClickHouse's parts is unfinished",
    "parts": "merges keep up with inserts",
    "clock": "clocks and time zones agree",
    "backup": "there is a backup that is young enough",
    "jobs": "how long the release's jobs will take",
}
"""What is looked at, in this order, by the name that `--override` and runbooks know it by."""


class Level(Enum):
    OK = "ok"
    WARNING = "warning"
    BLOCKER = "blocker"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found on a database ('' for all together), on a line, and what to do about it."""

    item: str
    level: Level
    database: str
    what: str
    do: str = ""

    @property
    def words(self) -> str:
        """The finding with the database it is about."""
        return f"{self.database}: {self.what}" if self.database else self.what


def size(count: float) -> str:
    """Bytes as a person reads them: 512 B, 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def span(seconds: float) -> str:
    """Seconds as a person reads them: 12 s, 3 min, 5 h, 4 days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"
