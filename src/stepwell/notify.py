"""Telling people of a release: that it starts, stands still, failed, asks for a sign-off, is done.

Through apprise, and never in the way: messages go out from a thread of their own, and one that can't be sent is shown
and forgotten. They name steps and what to do, and quote neither statements nor what a database says, for both may
hold people's data.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, Queue
from typing import TYPE_CHECKING

from stepwell.config import Notify
from stepwell.errors import CannotConnect, JobNotReady, LeaseHeld, LockHeld, NotAgreed, StepwellError
from stepwell.ledger.actor import actor, host
from stepwell.schema import events
from stepwell.secrets import hide

if TYPE_CHECKING:
    from stepwell.jobs.runner import Listener as JobListener
    from stepwell.jobs.runner import Outcome, Progress
    from stepwell.schema.upgrade import Result

LOGGER = logging.getLogger("stepwell")

PATIENCE = 10.0
"""Seconds that a run's end waits for the last messages to go out."""

TICK = 0.2
"""Seconds between two looks at whether the run stands still."""


NOT_BEGUN = (CannotConnect, JobNotReady, LeaseHeld, LockHeld, NotAgreed)
"""What ends a run that has begun nothing: nobody is called for it, least of all by each server that tries again."""


class Herald:
    """Tells what a run does.

    `told` is how the run of each name ended as far as people know; they are told of what is new.
    """

    def __init__(self, settings: Notify, name: str, told: dict[str, str]) -> None:
        self._settings, self._name, self._told = settings, name, told
        self._messages: Queue[tuple[str, str, tuple[str, ...]]] = Queue()
        self._over = threading.Event()
        self.at = ""
        """The step at work."""
        self._begun = False
        self._seen: object = None
        self._moved = self._warned = time.monotonic()
        self._held: set[str] = set()
        self._thread = threading.Thread(target=self._send_all, name="stepwell notify", daemon=True)

    def hear(self, event: events.Event) -> None:
        """Tell people of an event, if it is one for them."""
        seen: object = None
        match event:
            case events.Working(reference, position, activity):
                seen = (reference, position, activity.rows, activity.share, activity.stage)
                if self._seen in (None, seen):  # the first look at a statement is no progress either
                    self._seen = seen
                    return
            case events.Started(reference):
                if not self._begun:
                    self.say("starts", f"Begun by {actor()} on {host()}, with {reference}.")
                self.at = reference
            case events.Yielded(reference, position, holders) if reference not in self._held:
                self._held.add(reference)
                self.say(
                    "is held up", f"{reference}:{position} waits for a lock of {'; '.join(holders) or 'a session'}."
                )
            case _:
                pass
        self._seen = seen
        self.move()

    def move(self) -> None:
        """The step at work makes progress."""
        self._begun, self._moved = bool(self.at), time.monotonic()

    def say(self, what: str, more: str, escalated: bool = False) -> None:
        """Tell people: a few words as title, and what to know or do."""
        standby = f"\nOn standby: {self._settings.standby}" if self._settings.standby else ""
        urls = self._settings.urls + (self._settings.escalate if escalated else ())
        self._messages.put((hide(f"{self._name} {what}"), hide(f"{more}{standby}"), urls))

    def ended(self, how: str, more: str) -> None:
        """Tell how the run ended, unless people know."""
        if self._told.get(self._name) != how:
            self._told[self._name] = how
            self.say(how, more)

    def failed(self, error: StepwellError) -> None:
        """Tell of what ended the run, unless nothing was begun."""
        if self._begun or not isinstance(error, NOT_BEGUN):
            self.ended(f"failed: {error.what}", f"{error.now}\nLook: stepwell status")

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let the last messages go out; those that do not within the patience are given up."""
        self._over.set()
        self._thread.join(PATIENCE)

    def _send_all(self) -> None:
        while True:
            try:
                title, body, urls = self._messages.get(timeout=TICK)
            except Empty:
                if self._over.is_set():
                    return
                self._look()
                continue
            for url in urls:
                self._send(url, title, body)

    def _look(self) -> None:
        now, patience = time.monotonic(), self._settings.stuck_after
        if self.at and now - max(self._moved, self._warned) >= patience:
            again = self._warned > self._moved
            self._warned = now
            still = now - self._moved
            span = f"{still:.0f} s" if still < 120 else f"{still / 60:.0f} min"
            self.say("is stuck", f"{self.at} made no progress for {span}. Look: stepwell status", escalated=again)

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
        LOGGER.warning("notify: %s: not sent, %s; the run goes on", service, why)


@contextmanager
def notifying(settings: Notify, name: str, told: dict[str, str] | None = None) -> Iterator[Herald]:
    """A herald for a run, which the block is; a failure of it is told, unless by `told` people know."""
    herald = Herald(settings, name, {} if told is None else told)
    herald.begin()
    try:
        yield herald
    except StepwellError as error:
        herald.failed(error)
        raise
    finally:
        herald.end()


def release(
    settings: Notify,
    name: str,
    run: Callable[[events.Listener], Result],
    tell: events.Listener,
    newly_asked: Callable[[Mapping[str, Sequence[str]]], list[tuple[str, str]]],
) -> Result:
    """Run a release and tell people how it goes; `newly_asked` finds the sign-offs that nobody was asked for yet."""
    with notifying(settings, name) as herald:

        def hear(event: events.Event) -> None:
            tell(event)
            herald.hear(event)

        result = run(hear)
        if result.applied:
            waits = f", {len(result.waiting)} wait: stepwell status" if result.waiting else ""
            herald.say("is done", f"Applied {len(result.applied)}{waits}.")
        for reference, step in newly_asked(result.waiting):
            herald.say(f"asks for {reference}", f"{step} waits for it: `stepwell status` shows the rest.")
        return result


def job(
    settings: Notify, reference: str, run: Callable[[JobListener], Outcome], tell: JobListener, told: dict[str, str]
) -> Outcome:
    """Run a job, and tell people how it ended; `told` is what they know, so that they hear it once."""
    with notifying(settings, reference, told) as herald:

        def hear(progress: Progress) -> None:
            tell(progress)
            if progress.batch_rows:
                herald.move()

        herald.at = reference
        outcome = run(hear)
        if outcome.state != "stopped":  # whoever stopped it knows
            failed = f" except {outcome.failed:,} that failed" if outcome.failed else ""
            herald.ended(f"is {outcome.state}{failed}", f"Rows migrated: {outcome.rows_done:,}.")
        return outcome
