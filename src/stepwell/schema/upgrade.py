"""The runs: `up` brings every database to its next version, `down` takes steps back, both under the locks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from stepwell.errors import BadRequest, ConnectionLost, NotAgreed, StatementFailed, StillRequired
from stepwell.schema import history
from stepwell.schema.history import History
from stepwell.schema.plan import (
    Difference,
    Options,
    Target,
    differences,
    find_needs,
    gone_halfway,
    make_plan,
    refuse_differences,
    refuse_unadopted,
)
from stepwell.scripts.folder import rank
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.schema import events
    from stepwell.schema.apply import Runner


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did: references applied (or undone), how many were applied before, what waits for what."""

    applied: list[str] = field(default_factory=list)
    skipped: int = 0
    waiting: dict[str, list[str]] = field(default_factory=dict)


Review = Callable[[Sequence[Target], Sequence[Script], Options, "events.Listener"], list[str]]
"""Looks at databases and scripts before the first of these is applied; raises to stop the run.

Gives what would have stopped it, had `options.override` not said otherwise: in words, for the history.
"""


Before = Callable[[Sequence[Target], Sequence[Script]], None]
"""Told which scripts are about to be applied, or undone, when the locks are held."""


def up(targets: Sequence[Target], options: Options, tell: events.Listener, review: Review, before: Before) -> Result:
    """Apply every script that is ready.

    Raises what `apply` and `review` raise, HistoryDiffers, NotAdopted, LockHeld, LockLost.
    """
    plan = make_plan(targets, options)
    refuse_differences(plan.differences, options.accept)
    behind = _behind(targets, plan.ready)
    if plan.nothing_to_do and not plan.gated and not behind:
        return Result([], plan.skipped, plan.waiting)
    from stepwell.schema.running import accept, check, locked, look, overrule, run  # not for a run with nothing to do

    refuse_unadopted(targets, options)
    check(targets, plan.half_undone, "down", options)
    check(targets, plan.ready, "up", options)
    overridden = review(targets, plan.ready, options, tell)
    with locked(targets, options, tell) as (targets, runner_of):
        _catch_up(targets)
        plan = make_plan(targets, options)
        accept(refuse_differences(plan.differences, options.accept), runner_of)
        overrule(overridden, plan, runner_of)
        for script in plan.half_undone:
            run(runner_of(script.database), script, "down")
        if plan.half_undone:
            targets = [replace(target, history=history.read(target.database, target.scripts)) for target in targets]
            plan = make_plan(targets, options)
        ran: list[str] = []
        tried: set[str] = set()
        held: dict[str, list[str]] = {}
        while True:
            ready = [script for script in plan.ready if script.reference not in tried]
            before(targets, ready)
            for script, following in zip_longest(ready, ready[1:]):
                if options.closed:
                    break
                runner = replace(runner_of(script.database), hurried=hurried(script, following, options))
                if _apply(runner, script, tell):
                    ran.append(script.reference)
                tried.add(script.reference)
            gated = next((reference for reference in plan.gated if reference not in held), None)
            if gated is None or options.closed:
                break
            held[gated] = look(gated, plan.gated[gated], options, runner_of)
            if not held[gated]:
                options = replace(options, admitted=options.admitted | {gated})
            targets = [replace(target, history=history.read(target.database, target.scripts)) for target in targets]
            count = None if options.count is None else options.count - len(tried)
            plan = make_plan(targets, replace(options, count=count))
            check(targets, plan.ready, "up", options)
        if options.closed:  # it was open when the run began
            targets = [replace(target, history=history.read(target.database, target.scripts)) for target in targets]
            plan = replace(make_plan(targets, options), skipped=plan.skipped)
    waiting = plan.waiting | {reference: held[reference] for reference in plan.waiting if held.get(reference)}
    return Result(ran, plan.skipped, waiting)


def hurried(script: Script, following: Script | None, options: Options) -> bool:
    """Whether the commit of a script need not wait for the disk, because the next one does so for both.

    It does where the `following` script is SQL for the same database. Applied, begun in the journal or failed,
    something of it is committed, and no server has that on its disk without all before it. What has effects elsewhere
    (another database, Python, another tool) must find this script on the disk; guards or a window may let nothing
    follow it. Where either speaks of the setting itself, it is left to them.
    """
    return (
        following is not None
        and following.database == script.database
        and "synchronous_commit" not in f"{script.text} {following.text}".lower()
        and not (following.is_python or following.delegate or following.front.guards)
        and options.window is None
    )


def _behind(targets: Sequence[Target], ready: Sequence[Script]) -> bool:
    """Whether another tool's table that is kept in step lacks something. Raises NotInStep."""
    found = False
    for target in targets:
        if target.history.in_step:
            from stepwell.schema.adopt import in_step

            in_step.refuse_strangers(target, ready)
            found = in_step.behind(target) or found
    return found


def _catch_up(targets: Sequence[Target]) -> None:
    for target in targets:
        if target.history.in_step and not target.database.transactional:
            from stepwell.schema.adopt import in_step

            in_step.catch_up(target)


def _apply(runner: Runner, script: Script, tell: events.Listener) -> bool:
    """Bring one script to its end, unless it may fail and does. Whether it ran."""
    from stepwell.schema import events
    from stepwell.schema.running import run

    try:
        return run(runner, script, "up")
    except StatementFailed as error:
        if not script.front.may_fail or isinstance(error.cause, ConnectionLost):
            raise
        tell(events.Tolerated(script.reference, str(error)))
        return False


def down(
    targets: Sequence[Target],
    options: Options,
    tell: events.Listener,
    before: Before,
    agree: Callable[[Sequence[Script]], bool] | None = None,
) -> Result:
    """Undo the last `count` scripts of a database, or all after `to`, newest first.

    Raises NotAgreed, and HistoryDiffers for one that was edited since: its way back may not be that of what it did.
    """
    from stepwell.schema.running import accept, check, locked, run

    chosen = to_undo(targets, options)
    _edited(targets, chosen, options)
    check(targets, chosen, "down", options)
    if agree and chosen and not agree(chosen):
        raise NotAgreed
    with locked(targets, options, tell) as (targets, runner_of):
        _catch_up(targets)
        # Another run may have been at it meanwhile: what is then the newest was not meant.
        scripts = [script for script in to_undo(targets, options) if script in chosen]
        accept(_edited(targets, scripts, options), runner_of)
        before(targets, scripts)
        for script in scripts:
            run(runner_of(script.database), script, "down")
    return Result([script.reference for script in scripts])


def _edited(targets: Sequence[Target], chosen: Sequence[Script], options: Options) -> Sequence[Difference]:
    """Those of the chosen that were edited after they were applied, and that is accepted. Raises HistoryDiffers."""
    references = {script.reference for script in chosen}
    found = [one for target in targets for one in differences(target) if one.reference in references]
    return refuse_differences(found, options.accept, "down")


def to_undo(targets: Sequence[Target], options: Options) -> list[Script]:
    """The scripts to undo, newest first. Raises BadRequest, StillRequired."""
    target = next(target for target in targets if target.database.name == options.database)
    present = [script for script in target.scripts if script.version in target.history.applied]
    gone = target.history.applied.keys() - {script.version for script in present}
    # What is run again and again and has no way back, such as a view's text, stays as it is.
    applied = [script for script in present if not script.front.repeat or script.reversible]
    half = [s.version for s in target.scripts if s not in present and target.history.attempt(s.version, "up")]
    half += gone_halfway(target)
    if half:
        raise BadRequest(
            f"{target.database.name}/{half[0]} is applied in part, so nothing before it can be undone",
            "Finish it with `stepwell up`, then undo it.",
        )
    if options.to is not None:
        places = [i for i, script in enumerate(applied) if script.reference == options.to]
        if not places:
            raise BadRequest(f"{options.to} is not applied, so there is no way back to it")
        chosen = applied[places[0] + 1 :]
    else:
        chosen = applied[len(applied) - min(len(applied), options.count or 1) :]
    later = sorted(version for version in gone if chosen and _came_after(version, chosen[0].version, target.history))
    if later:
        raise BadRequest(
            f"{target.database.name}/{later[0]} came after {chosen[0].reference} and is applied, but its file is gone",
            "Put the file back: what it builds on can't be undone before it.",
        )
    chosen = chosen[::-1]
    needs = find_needs(targets, options.others)
    ignored = {script.reference for script in (*chosen, *present) if script in chosen or script not in applied}
    alive = {f"{t.database.name}/{v}" for t in targets for v in t.history.applied} - ignored
    for script in chosen:
        by = sorted(other for other in alive if script.reference in needs.get(other, ()))
        if by:
            raise StillRequired(script.reference, by)
    return chosen


def _came_after(version: str, other: str, history: History) -> bool:
    """Whether a version may build on another: its place is behind, or it was applied later, as a late one is."""
    return rank(version) > rank(other) or history.applied[version].at > history.applied[other].at
