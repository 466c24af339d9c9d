"""Versions that another tool runs, inside Stepwell's lock and order.

The tool works on a connection of its own, so its record and Stepwell's can't commit together. Its own record tells what
became of a version that was begun: where that commits with the change it is exact; elsewhere a version that was begun
and is not recorded may be half done, and a person has to look.
"""

from __future__ import annotations

import time

from stepwell.errors import BadScript, InDoubt
from stepwell.schema import events
from stepwell.schema.apply import Runner, Work, close
from stepwell.scripts.script import Delegate, Script, Statement


def apply_delegated(runner: Runner, script: Script, direction: str, delegate: Delegate) -> None:
    """Have the tool bring one version to its end, and record it. Raises InDoubt, BadScript."""
    attempt = runner.history.attempt(script.version, direction)
    statement = Statement(f"{delegate.command} {direction}", 1, 1)
    work = Work(runner, script, direction, attempt, 1)
    runner.tell(events.Started(script.reference, direction, 1, False, len(attempt.done)))
    wanted = direction == "up"
    if delegate.applied() != wanted:
        if attempt.done:
            delegate.record(direction)  # a person said that it is done
        else:
            if attempt.doubts and not delegate.atomic:
                reason = f"{delegate.command} was begun; its own table does not have it, and it is no transaction here"
                raise InDoubt(script.reference, 1, str(script.path), statement.text, reason)
            _run(work, statement, delegate)
    work.write("done", statement)
    close(work, 1)
    runner.tell(events.Finished(script.reference, direction, 1, time.monotonic() - work.started))


def _run(work: Work, statement: Statement, delegate: Delegate) -> None:
    runner, reference = work.runner, work.script.reference
    runner.assert_locked()
    work.write("begun", statement)
    runner.tell(events.Begun(reference, 1, 1, statement.text))
    try:
        delegate.run(work.direction)
    except BadScript:
        if delegate.atomic:
            work.write("undone", statement, note="rolled back")
        raise
    runner.tell(events.Returned(reference, 1))
