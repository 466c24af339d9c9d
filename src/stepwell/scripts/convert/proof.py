"""Whether a converted script says the same as the one it was: the statements as they would be sent, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepwell.errors import BadScript
from stepwell.scripts.convert.told import Told
from stepwell.scripts.front import Guard
from stepwell.scripts.script import Script


def difference(told: Told, new: Script, variables: Mapping[str, str]) -> str:
    """In what the new script differs from the old one, in words; '' where in nothing. Raises BadScript."""
    old = told.script
    values = {**{name: f"value of {name}" for name in told.names}, **variables}
    if new.reversible != (told.down is not None):
        return "one of them has a way back"
    for direction in ("up", "down"):
        before, after = _sent(told, direction, values), _sends(new, direction, values)
        for index, (one, other) in enumerate(zip(before, after, strict=False), start=1):
            if one != other:
                return f"statement {index} {direction} would come out as {other[:100]!r}"
        if len(before) != len(after):
            return f"{len(before)} statements {direction} would come out as {len(after)}"
    if [*map(_asked, _filled(old, values))] != [*map(_asked, _filled(new, values))]:
        return "a guard would come out otherwise"
    front = new.front
    if (front.repeat, front.may_fail) != (old.front.repeat, old.front.may_fail):
        return "its front matter would come out otherwise"
    if not new.is_python and front.transaction != told.transaction:
        return "its transaction would come out otherwise"
    return ""


def same_order(old: Sequence[Script], new: Sequence[Script]) -> None:
    """Refuse a folder that reads back in another order than it was written in. Raises BadScript."""
    for one, other in zip(old, new, strict=True):
        if one.version != other.front.was:
            raise BadScript(one.path, 0, f"it would come at the place of {other.version}", "Rename the file.")


def _sent(told: Told, direction: str, values: Mapping[str, str]) -> list[str]:
    script = told.script
    if script.delegate:
        return [one.text for one in (told.sections.up if direction == "up" else told.sections.down or ())]
    return [one.text for one in script.statements(direction, values)]


def _sends(script: Script, direction: str, values: Mapping[str, str]) -> list[str]:
    if not script.is_python:
        return [one.text for one in script.statements(direction, values)]
    function = script.function(direction)
    recorder = _Recorder(script.engine, values)
    if function:
        function(recorder)
    return recorder.sent


class _Recorder:
    """The `db` of a Python script that was written by `writing`, which does nothing but execute."""

    def __init__(self, engine: str, variables: Mapping[str, str]) -> None:
        self.engine, self.variables = engine, variables
        self.sent: list[str] = []

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        assert not parameters
        self.sent.append(text)


def _filled(script: Script, values: Mapping[str, str]) -> list[tuple[Guard, str]]:
    return [(guard, script.fill(guard.query, script.engine, values)) for guard in script.front.guards]


def _asked(asked: tuple[Guard, str]) -> tuple[str, str, str, str]:
    guard, query = asked
    return query, guard.expected, guard.otherwise, guard.on_error
