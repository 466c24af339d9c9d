"""Scripts in Python: `up(db)` and `down(db)`.

Where the engine's DDL is transactional the whole function runs in one transaction. Elsewhere every `db.execute` is
journalled like a statement of an SQL file, in the order of the calls: after a crash the function runs again from its
beginning, and calls that are done already are passed over. So it must make the same calls again; one that differs
from what was sent before stops the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.databases.database import Command, Conduct
from stepwell.errors import BadScript, EditedHalfway, NoWayBack, Refused, StepwellError
from stepwell.schema import events
from stepwell.schema.apply import Runner, Work, apply_statement, close, in_transaction
from stepwell.scripts.script import Script, Statement


class ScriptDatabase:
    """The `db` that a Python script works with."""

    def __init__(self, work: Work, send: Callable[[Statement], None]) -> None:
        self._work, self._send, self._index = work, send, 0

    @property
    def engine(self) -> str:
        """postgres, mysql, sqlite or clickhouse."""
        return self._work.runner.database.engine

    @property
    def variables(self) -> Mapping[str, str]:
        """The project's variables, as `${NAME}` finds them in SQL files."""
        return self._work.runner.variables

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows; `?` stands for a parameter. Not journalled: use it to look, never to change."""
        return self._work.runner.database.query(text, parameters)

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement that changes something; `?` stands for a parameter."""
        self._index += 1
        line = sys._getframe(1).f_lineno
        self._send(Statement(text, line, self._index, tuple(parameters)))


def apply_python(runner: Runner, script: Script, direction: str = "up") -> None:
    """Bring a Python script to its end and record it. Raises what `apply` raises."""
    function = script.function(direction)
    if function is None:
        raise NoWayBack(script.reference, str(script.path))
    attempt = runner.history.attempt(script.version, direction)
    whole = runner.database.conduct(Command(text="CREATE TABLE t (a INT)")) is Conduct.TRANSACTIONAL
    whole = whole and script.front.transaction is not False and not attempt
    work = Work(runner, script, direction, attempt, 0)
    runner.tell(events.Started(script.reference, direction, 0, whole, len(attempt.done)))
    sent = 0

    def plain(statement: Statement) -> None:
        nonlocal sent
        sent = statement.index
        runner.tell(events.Begun(script.reference, sent, statement.line, statement.text))
        try:
            runner.database.run(replace(work.command(statement), tag=""))
        except Refused as error:
            error.statement = statement
            raise
        runner.tell(events.Returned(script.reference, sent))

    def journalled(statement: Statement) -> None:
        nonlocal sent
        sent = statement.index
        known = attempt.done.get(sent) or attempt.doubts.get(sent)
        if known and known.checksum != statement.checksum:
            state = "applied" if sent in attempt.done else "in doubt"
            raise EditedHalfway(script.reference, sent, work.where(statement), state)
        apply_statement(work, statement)

    def together() -> None:
        with runner.database.transaction():
            function(ScriptDatabase(work, plain))
            work.record(sent)

    try:
        if whole:
            in_transaction(work, Statement("", 1, 0), together, "rolled back: nothing of this script remains")
        else:
            function(ScriptDatabase(work, journalled))
            close(work, sent)
    except StepwellError:
        raise
    except Exception as error:
        line = _line_in(script, error)
        now = "rolled back: nothing of it remains" if whole else f"{sent} statements of it are done and recorded"
        raise BadScript(script.path, line, f"{type(error).__name__}: {error} ({now})", "Correct the script.") from error
    runner.tell(events.Finished(script.reference, direction, sent, time.monotonic() - work.started))


def _line_in(script: Script, error: BaseException) -> int:
    """The line of the script's own code that the error passed through last."""
    line, trace = 1, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(script.path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
