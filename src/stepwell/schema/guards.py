"""Guards: what must hold before a script is begun, and what becomes of it where it does not."""

from __future__ import annotations

from stepwell.errors import GuardFailed, Refused
from stepwell.schema import events
from stepwell.schema.apply import Runner
from stepwell.scripts.front import Guard
from stepwell.scripts.script import Script


def passes(runner: Runner, script: Script) -> bool:
    """Whether a script is to be run now. One that its guards `mark` is recorded as applied. Raises GuardFailed."""
    for guard in script.front.guards:
        found, verdict = _asked(runner, script, guard)
        if not verdict:
            continue
        if verdict == "halt":
            raise GuardFailed(script.reference, f"{script.path}:{guard.line}", guard.query, guard.expected, found)
        if verdict != "run":
            note = f"{found} instead of {guard.expected}: {guard.query}"
            if verdict == "mark":
                runner.journal.record(script)
                runner.journal.write("applied", script.version, "up", checksum=script.checksum, note=f"guard: {note}")
            runner.tell(events.Passed(script.reference, verdict == "mark", note))
            return False
    return True


def _asked(runner: Runner, script: Script, guard: Guard) -> tuple[str, str]:
    """What the database answers, and what follows from it: '' where the guard holds."""
    query = script.fill(guard.query, script.engine, runner.variables)
    try:
        rows = runner.database.query(query)
    except Refused as error:
        return error.said, guard.on_error
    found = ", ".join(str(value) for row in rows for value in row) or "nothing"
    return found, "" if found == guard.expected else guard.otherwise
