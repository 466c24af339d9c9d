"""What `plan` and `status` show: reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stepwell.databases.database import Conduct
from stepwell.schema import points
from stepwell.schema.apply import one_transaction, survey
from stepwell.schema.history import was_stopped
from stepwell.schema.plan import Difference, Options, Plan, Target, differences, make_plan, refuse_unadopted
from stepwell.schema.session import separable
from stepwell.scripts.script import Script
from stepwell.secrets import hide


@dataclass(frozen=True, slots=True)
class Coming:
    """A script that `up` would apply: its statements, the way they run, and what its author should know."""

    reference: str
    statements: list[str]
    way: str
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `up` would do now."""

    scripts: list[Coming]
    waiting: dict[str, list[str]]
    differences: list[Difference]
    skipped: int
    release: points.Release

    def as_json(self) -> dict[str, Any]:
        return {
            "would_apply": [asdict(script) for script in self.scripts],
            "waiting": self.waiting,
            "differences": [asdict(difference) for difference in self.differences],
            "would_skip": self.skipped,
            "release": self.release.as_json(),
        }


def outlook(targets: Sequence[Target], options: Options) -> Outlook:
    """What `up` would do, script by script. Raises what reading the scripts raises, NotAdopted."""
    refuse_unadopted(targets, options)
    plan = make_plan(targets, options)
    coming = [_coming(targets, script, options) for script in plan.ready]
    return Outlook(coming, plan.waiting, plan.differences, plan.skipped, points.release(targets, options))


def _coming(targets: Sequence[Target], script: Script, options: Options) -> Coming:
    target = next(target for target in targets if target.database.name == script.database)
    if script.is_python:
        _ = script.reversible  # reads the file: what is wrong in it is told by `plan` already
        return Coming(script.reference, [], script.delegate.command if script.delegate else "Python", [])
    statements = script.statements("up", options.variables)
    attempt = target.history.attempt(script.version, "up")
    conducts = survey(target.database, script, statements)
    if one_transaction(target.database, script, statements, conducts) and not attempt:
        way = "one transaction"
    elif attempt:
        way = f"journalled, {len(attempt.done)} done"
    else:
        way = "journalled"
    warnings = [
        f"statement {statement.index} (line {statement.line}) may need `stepwell resolve` if its end gets lost"
        for statement, conduct in zip(statements, conducts, strict=True)
        if conduct is Conduct.OPAQUE
    ]
    if way != "one transaction":
        warnings += [
            f"statement {statement.index} (line {statement.line}) needs {needs}: "
            "it can't be resumed without a person if the run is interrupted between the two"
            for statement, needs in separable(target.database.engine, statements, conducts)
        ]
    return Coming(script.reference, [hide(statement.text) for statement in statements], way, warnings)


@dataclass(frozen=True, slots=True)
class State:
    """One script as `status` shows it. `since` is when it was applied, `detail` what stands in its way."""

    reference: str
    state: str
    since: str = ""
    by: str = ""
    detail: str = field(default="")

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def status(targets: Sequence[Target], options: Options) -> list[State]:
    """Every script, and every applied version without one, in order. Raises NotAdopted."""
    refuse_unadopted(targets, options)
    plan = make_plan(targets, replace(options, database=None, to=None, count=None))
    return [
        state
        for target in targets
        if options.database in (None, target.database.name)
        for state in _states(target, plan)
    ]


def _states(target: Target, plan: Plan) -> list[State]:
    wrong = {difference.reference: difference for difference in differences(target)}
    states = [_state(target, script, plan, wrong) for script in target.scripts]
    known = {script.version for script in target.scripts}
    for version, applied in target.history.applied.items():
        if version not in known:
            reference = f"{target.database.name}/{version}"
            gone = wrong.get(reference)
            states.append(State(reference, "gone", applied.at, applied.by, gone.what if gone else ""))
    halfway = (difference for difference in wrong.values() if difference.kind == "gone halfway")
    return [*states, *(State(difference.reference, "gone", detail=difference.what) for difference in halfway)]


def _state(target: Target, script: Script, plan: Plan, wrong: dict[str, Difference]) -> State:
    history, reference = target.history, script.reference
    difference = wrong.get(reference)
    detail = difference.what if difference else ""
    direction = "down" if script.version in history.applied else "up"
    attempt = history.attempt(script.version, direction)
    if attempt.doubts:
        place = ", ".join(str(position) for position in sorted(attempt.doubts))
        if stopped := next((entry for entry in attempt.doubts.values() if was_stopped(entry)), None):
            return State(reference, "in doubt", detail=f"statement {stopped.position} was not sent: it {stopped.note}")
        detail = f"statement {place} was begun and is not recorded as done; `stepwell up` finds out what became of it"
        return State(reference, "in doubt", detail=detail)
    if attempt.done:
        state = "applied in part" if direction == "up" else "undone in part"
        last = "; ".join(entry.note for entry in attempt.failed.values())
        done = "1 statement is" if len(attempt.done) == 1 else f"{len(attempt.done)} statements are"
        return State(reference, state, detail=f"{done} done{f'; last: {last}' if last else ''}")
    if applied := history.applied.get(script.version):
        if history.due(script):
            return State(reference, "pending", applied.at, applied.by, f"runs again: repeat is {script.front.repeat}")
        return State(reference, difference.kind if difference else "applied", applied.at, applied.by, detail)
    if difference:
        return State(reference, difference.kind, detail=detail)
    if attempt.failed:
        entry = next(iter(attempt.failed.values()))
        return State(reference, "failed", entry.at, entry.who, f"statement {entry.position}: {entry.note}")
    if reference in plan.waiting:
        return State(reference, "waiting", detail=f"waits for {', '.join(plan.waiting[reference])}")
    return State(reference, "pending")
