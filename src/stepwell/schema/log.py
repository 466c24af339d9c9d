"""Every act of a run as one line for `logging`, under the logger `stepwell`; silent unless the program sets it up."""

from __future__ import annotations

import logging
from dataclasses import fields

from stepwell.schema import events

LOGGER = logging.getLogger("stepwell")

_NOISE = (events.Begun, events.Working, events.Returned)


def logged(tell: events.Listener) -> events.Listener:
    """A listener that logs each event and passes it on. Statements' texts are left out: they may hold secrets."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return tell

    def log_and_tell(event: events.Event) -> None:
        level = logging.DEBUG if isinstance(event, _NOISE) else logging.INFO
        if LOGGER.isEnabledFor(level):
            shown = (f"{f.name}={getattr(event, f.name)!r}" for f in fields(event) if f.repr)
            LOGGER.log(level, "%s %s", type(event).__name__.lower(), " ".join(shown))
        tell(event)

    return log_and_tell
