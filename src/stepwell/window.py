"""Low hours: when what weighs on a running system may begin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MINUTE = timedelta(minutes=1)
_HOURS = re.compile(r"(\d\d?):(\d\d)\s*[-–]\s*(\d\d?):(\d\d)(?:\s+(\S+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours in which a job may start batches, or `up` scripts: `22:00` to `05:00`, in a zone such as Europe/Berlin."""

    opens: time
    closes: time
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def open_at(self, moment: datetime) -> bool:
        """Whether an aware moment lies in the window; one that closes before it opens spans midnight."""
        clock = moment.astimezone(self.zone).time()
        if self.opens <= self.closes:
            return self.opens <= clock < self.closes
        return clock >= self.opens or clock < self.closes

    def opening(self, moment: datetime) -> datetime:
        """The first full minute after this moment that lies in the window; the moment itself if it does."""
        if self.open_at(moment):
            return moment
        # By the minute, so that clocks that are put forward or back over an end of it need no thought.
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while not self.open_at(minute):
            minute += MINUTE
        return minute

    def waits(self, moment: datetime | None = None) -> str:
        """What is waited for outside the window, in words: its name, and how long until it opens; '' inside it."""
        moment = moment or datetime.now(UTC)
        if self.open_at(moment):
            return ""
        minutes = -((moment - self.opening(moment)) // MINUTE)  # rounded up: never too early
        hours, rest = divmod(minutes, 60)
        span = f"{hours} h {rest:02} min" if hours else f"{rest} min"
        return f"the window {self}, opens in {span}"

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}–{self.closes:%H:%M} {self.zone.key}"


def parse(written: str) -> Window:
    """The window that `22:00-05:00 Europe/Berlin` means, UTC without a zone. Raises ValueError: what to write."""
    found = _HOURS.fullmatch(written.strip())
    if not found:
        raise ValueError("Write it as 22:00-05:00, with a time zone behind it if it is not UTC.")
    try:
        zone = ZoneInfo(found[5] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no such name, no name at all, a folder of them
        raise ValueError(f"{found[5]!r} is no time zone; write one such as Europe/Berlin.") from None
    try:
        opens, closes = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    except ValueError:
        raise ValueError("Hours go from 00:00 to 23:59.") from None
    if opens == closes:
        raise ValueError("A window that opens must close, so it closes at another time than it opens.")
    return Window(opens, closes, zone)
