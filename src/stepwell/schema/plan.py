"""What comes next: scripts compared with what the databases remember. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stepwell import graph
from stepwell.databases.database import Database
from stepwell.errors import HistoryDiffers
from stepwell.schema.history import History
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.window import Window

LOCK_WAIT = 900.0
"""Seconds to wait for another run, unless told otherwise."""


Gate = Callable[[str, str], tuple[bool, str]]
"""Looks at a gate, such as a check, for a step that would start: whether it holds, and that in words."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may do.

    `database` names the one to work on, `to` the last reference, `count` how many scripts at most; `accept` are
    references whose difference is accepted. `lock_wait` is seconds. `others` are the steps that are no scripts.
    `gate` looks at those of them that are gates; `admitted` are the scripts whose gates were found to hold. `override`
    names what the look before a release may find without stopping it. `left_out` are scripts that are not begun, though
    they may be ready.
    """

    database: str | None = None
    to: str | None = None
    count: int | None = None
    accept: tuple[str, ...] = ()
    lock_wait: float = LOCK_WAIT
    variables: Mapping[str, str] = field(default_factory=dict)
    others: tuple[graph.Step, ...] = ()
    gate: Gate | None = None
    admitted: frozenset[str] = frozenset()
    window: Window | None = None

    @property
    def closed(self) -> str:
        """What every script waits for outside the window, in words; '' inside it."""
        return self.window.waits() if self.window else ""

    override: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Target:
    """A database, its scripts in order, and what it remembers."""

    database: Database
    scripts: Sequence[Script]
    history: History


@dataclass(frozen=True, slots=True)
class Difference:
    """Where files and history disagree. `kind` is edited, gone, gone halfway or out of order."""

    reference: str
    kind: str
    what: str
    where: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `up` would do, in this order, and what stands against it. `gated` wait for nothing but these gates."""

    ready: list[Script] = field(default_factory=list)
    gated: dict[str, list[str]] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    half_undone: list[Script] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    skipped: int = 0

    @property
    def nothing_to_do(self) -> bool:
        return not (self.ready or self.half_undone or self.differences)


def make_plan(targets: Sequence[Target], options: Options) -> Plan:
    """Compare, and put what is pending in order. Raises UnknownReference, RequirementCycle."""
    chosen = [target for target in targets if options.database in (None, target.database.name)]
    scripts = {script.reference: script for target in targets for script in target.scripts}
    needs, ordered = order(targets, options.others)
    again = {s.reference for t in targets for s in t.scripts if s.version in t.history.applied and t.history.due(s)}
    done = {f"{target.database.name}/{version}" for target in targets for version in target.history.applied} - again
    done |= {step.reference for step in options.others if step.complete}
    gates = {step.reference for step in options.others if step.gate}
    histories = {target.database.name: target.history for target in targets}
    notes = {step.reference: f" ({step.note})" for step in options.others if step.note}
    plan = Plan(
        differences=[difference for target in chosen for difference in differences(target)],
        half_undone=[
            script
            for target in chosen
            for script in reversed(target.scripts)
            if script.version in target.history.applied and target.history.attempt(script.version, "down")
        ],
        skipped=sum(s.version in t.history.applied and s.reference not in again for t in chosen for s in t.scripts),
    )
    closed = options.closed
    wanted = _wanted(needs, options.to) if options.to else set(ordered)
    for reference in ordered:
        script = scripts.get(reference)
        if script is None or reference in done or reference in options.left_out or reference not in wanted:
            continue
        if options.database not in (None, script.database):
            continue
        lacking = graph.lacking(reference, needs, done, gates)
        if lacking and gates.issuperset(lacking):
            # One that has begun is past its gates: what it did so far may be what they would object to.
            if reference in options.admitted or histories[script.database].attempt(script.version, "up"):
                lacking = []
            elif not closed and (options.count is None or len(plan.ready) < options.count):
                plan.gated[reference] = lacking
        if lacking:
            plan.waiting[reference] = [other + notes.get(other, "") for other in lacking]
        elif closed:
            plan.waiting[reference] = [closed]
        elif options.count is None or len(plan.ready) < options.count:
            plan.ready.append(script)
            done.add(reference)
    return plan


def references(targets: Sequence[Target]) -> tuple[list[str], list[str]]:
    """What is applied, by reference, and what is not."""
    applied = [f"{target.database.name}/{version}" for target in targets for version in target.history.applied]
    pending = [s.reference for t in targets for s in t.scripts if s.version not in t.history.applied]
    return applied, pending


def order(targets: Sequence[Target], others: Sequence[graph.Step]) -> tuple[dict[str, list[str]], list[str]]:
    """Every step's requirements, and the steps in their order. Raises UnknownReference, RequirementCycle."""
    steps = [*_steps(targets), *others]
    needs = _needs(targets, steps)
    return needs, graph.order(needs, steps)


def find_needs(targets: Sequence[Target], others: Sequence[graph.Step]) -> dict[str, list[str]]:
    """Every step's requirements; a script also requires the one before it in its database.

    A contract script waits beside the others, for weeks perhaps: what stands behind it does not wait with it.
    """
    return _needs(targets, [*_steps(targets), *others])


def _needs(targets: Sequence[Target], steps: Sequence[graph.Step]) -> dict[str, list[str]]:
    needs = graph.requirements(steps)
    for target in targets:
        before: Script | None = None
        for script in target.scripts:
            if before:
                needs[script.reference].append(before.reference)
            if script.front.phase != "contract":
                before = script
    return needs


def _steps(targets: Sequence[Target]) -> list[graph.Step]:
    return [
        graph.Step(
            script.reference,
            script.front.requires,
            str(script.path),
            script.front.requires_lines,
            complete=script.version in target.history.applied,
            was=f"{script.database}/{script.front.was}" if script.front.was else "",
        )
        for target in targets
        for script in target.scripts
    ]


def _wanted(needs: Mapping[str, Sequence[str]], last: str) -> set[str]:
    """`last` and everything it requires."""
    wanted: set[str] = set()
    waiting = [last]
    while waiting:
        reference = waiting.pop()
        if reference not in wanted:
            wanted.add(reference)
            waiting.extend(needs[reference])
    return wanted


def differences(target: Target) -> list[Difference]:
    """Edited and missing files of applied versions, and new files that sort before an applied one."""
    history, name = target.history, target.database.name
    found: list[Difference] = []
    by_version = {script.version: script for script in target.scripts}
    # One that runs again and again comes last in its folder, or late; nothing sorts before it.
    once = history.applied.keys() & {script.version for script in target.scripts if not script.front.repeat}
    newest = max((index for index, script in enumerate(target.scripts) if script.version in once), default=-1)
    for index, script in enumerate(target.scripts):
        applied = history.applied.get(script.version)
        if applied is None:
            late = script.late or script.front.phase == "contract"
            if index < newest and not late and not history.attempt(script.version, "up"):
                last = target.scripts[newest].version
                what = f"is new, and sorts before {last}, which is applied"
                found.append(Difference(script.reference, "out of order", what, str(script.path), script.checksum))
        elif not script.front.repeat and applied.checksum not in ("", script.checksum):
            accepted = script.checksum in history.accepted(script.version)
            if accepted or not script.accepts.isdisjoint({"*", applied.checksum}):
                continue
            what = f"was edited after it was applied on {applied.at[:16]} by {applied.by}"
            found.append(Difference(script.reference, "edited", what, str(script.path), script.checksum))
    for version in history.applied:
        if version not in by_version and "gone" not in history.accepted(version):
            found.append(Difference(f"{name}/{version}", "gone", "is applied, but its file is gone", "", "gone"))
    for version, count in gone_halfway(target).items():
        done = "1 statement" if count == 1 else f"{count} statements"
        what = f"is applied in part ({done}), but no file has this name"
        found.append(Difference(f"{name}/{version}", "gone halfway", what, "", "gone"))
    return found


def gone_halfway(target: Target) -> dict[str, int]:
    """How many statements are done, or may be, of each version that has no file; but for those that were accepted.

    A file that has got another name would begin with its first statement once more.
    """
    history = target.history
    known = history.applied.keys() | {script.version for script in target.scripts}
    begun = {
        version: history.attempt(version, "up") for version in sorted({e.version for e in history.entries} - known)
    }
    return {
        version: len(attempt.done) + len(attempt.doubts)
        for version, attempt in begun.items()
        if attempt and "gone" not in history.accepted(version)
    }


def refuse_differences(
    found: Sequence[Difference], accept: Sequence[str], verb: Literal["up", "down"] = "up"
) -> Sequence[Difference]:
    """The differences, if `accept` covers all of them by reference. Raises HistoryDiffers for any other.

    What was accepted before is no difference any more, so a command line that accepts can be repeated.
    """
    left = [d for d in found if d.reference not in accept]
    if left:
        raise HistoryDiffers([(d.reference, d.kind, d.what, d.where) for d in left], verb)
    return found


def refuse_unadopted(targets: Sequence[Target], options: Options) -> None:
    """Refuse scripts that another tool has applied, where nobody has taken that over. Raises NotAdopted."""
    beginning = [t for t in targets if not t.history.exists and options.database in (None, t.database.name)]
    if beginning:
        from stepwell.schema.adopt import takeover  # what nearly no run needs

        for target in beginning:
            takeover.refuse_unadopted(target)
