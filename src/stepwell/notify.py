"""Telling people of a release: that it starts, stands still, failed, asks for a sign-off, is done.

Through apprise, and never in the way: messages go out from a thread of their own, and one that can't be sent is shown
and forgotten. They name steps and what to do, and quote neither statements nor what a database says, for both may
hold people's data.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

from stepwell.config import Notify
from stepwell.errors import StepwellError
from stepwell.ledger.actor import actor, host
from stepwell.schema import events
from stepwell.secrets import hide

LOGGER = logging.getLogger("stepwell")

PATIENCE = 10.0
"""Seconds that a run's end waits for the last messages to go out."""

TICK = 0.2
"""Seconds between two looks at whether the run stands still."""


class Herald:
    """Tells what a run does. `tell` is the run's own listener, which hears everything first."""

    def __init__(self, settings: Notify, name: str, tell: events.Listener) -> None:
        self._settings, self._name, self._tell = settings, name, tell
        self._messages: Queue[tuple[str, str]] = Queue()
        self._over = threading.Event()
        self._at = ""
        self._seen: object = None
        self._moved = time.monotonic()
        self._held: set[str] = set()
        self._thread = threading.Thread(target=self._send_all, name="stepwell notify", daemon=True)

    def hear(self, event: events.Event) -> None:
        """Pass an event on, and tell people if it is one for them."""
        self._tell(event)
        if isinstance(event, events.Working):
            # The same numbers again are no progress.
            seen = (event.reference, event.position, event.activity.rows, event.activity.share, event.activity.stage)
            if seen == self._seen:
                return
            self._seen = seen
        self._moved = time.monotonic()
        match event:
            case events.Started(reference):
                if not self._at:
                    self.say("starts", f"Begun by {actor()} on {host()}, with {reference}.")
                self._at = reference
            case events.Yielded(reference, position, holders) if reference not in self._held:
                self._held.add(reference)
                self.say(
                    "is held up", f"{reference}:{position} waits for a lock of {'; '.join(holders) or 'a session'}."
                )
            case _:
                pass

    def say(self, what: str, more: str) -> None:
        """Tell people: a few words as title, and what to know or do."""
        standby = f"\nOn standby: {self._settings.standby}" if self._settings.standby else ""
        self._messages.put((hide(f"{self._name} {what}"), hide(f"{more}{standby}")))

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let the last messages go out; those that do not within the patience are given up."""
        self._over.set()
        self._thread.join(PATIENCE)

    def _send_all(self) -> None:
        while True:
            try:
                title, body = self._messages.get(timeout=TICK)
            except Empty:
                if self._over.is_set():
                    return
                self._look()
                continue
            for url in self._settings.urls:
                self._send(url, title, body)

    def _look(self) -> None:
        still = time.monotonic() - self._moved
        if self._at and still >= self._settings.stuck_after:
            self._moved = time.monotonic()
            self.say("is stuck", f"{self._at} made no progress for {still:.0f} s. Look: stepwell status")

    def _send(self, url: str, title: str, body: str) -> None:
        service = url.partition("://")[0]
        why = "it did not take the message"
        try:
            import apprise

            logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would log the URL
            found = apprise.Apprise.instantiate(url)
            if found is None:
                why = "apprise does not know such a URL"
            elif found.notify(title=title, body=body):
                return
        except ImportError:
            why = 'apprise is not installed: pip install "stepwell[notify]"'
        except Exception as error:
            why = type(error).__name__  # its text may hold the URL
        LOGGER.warning("notify: %s: %s", service, why)
        self._tell(events.NotTold(service, why))


@contextmanager
def notifying(settings: Notify, name: str, tell: events.Listener) -> Iterator[Herald]:
    """A herald for a run, which the block is; a failure of it is told."""
    herald = Herald(settings, name, tell)
    herald.begin()
    try:
        yield herald
    except StepwellError as error:
        herald.say("failed", f"{error.what}. {error.now}\nLook: stepwell status")
        raise
    finally:
        herald.end()
