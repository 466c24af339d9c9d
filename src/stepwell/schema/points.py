"""The three points of a release that expands first and contracts last: which servers can live at each.

An expand script only adds, so the server of the release before lives on. The new server needs what it adds, filled by
the jobs. A contract script takes away what the old server uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stepwell.schema.plan import Options, Target, find_needs
from stepwell.scripts.script import Script


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a release. `waits_for` is what is not complete then and the new server needs.

    `old` is None where nobody has said whether the old server can live there: a script has no phase.
    """

    name: str
    old: bool | None
    waits_for: list[str]

    @property
    def new(self) -> bool:
        return not self.waits_for

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"new": self.new}


@dataclass(frozen=True, slots=True)
class Release:
    """What is pending now, without what comes `later`: behind a contract script that is not applied.

    `unmarked` are its scripts without a phase. Without any script that has one there are no points.
    """

    points: list[Point]
    unmarked: list[str]
    later: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"points": [point.as_json() for point in self.points]}


def release(targets: Sequence[Target], options: Options) -> Release:
    """The points of what is pending. Reads only. Raises UnknownReference."""
    needs = find_needs(targets, options.others)
    pending = {
        script.reference: script
        for target in targets
        for script in target.scripts
        if script.version not in target.history.applied and (script.front.phase or not script.front.repeat)
    }
    contracts = {reference for reference, script in pending.items() if script.front.phase == "contract"}
    behind = {reference: _behind(reference, needs) for reference in needs}
    later = {reference for reference in pending.keys() - contracts if behind[reference] & contracts}
    later |= {reference for reference in contracts if behind[reference] & later}
    mine = {reference: script for reference, script in pending.items() if reference not in later}
    jobs = _jobs(targets, options, behind, mine, contracts | later)
    first = not any(target.history.applied for target in targets)  # there is no old server
    if first or not (jobs or any(script.front.phase for script in mine.values())):
        return Release([], [], sorted(later))
    expand = [reference for reference in mine if reference not in contracts]
    unmarked = [reference for reference, script in mine.items() if not script.front.phase]
    before = False if _contracting(targets, contracts) else None if unmarked else True
    points = [
        Point("now", before is not False, [*expand, *jobs]),
        Point("after expand", before, jobs),
        Point("after the data migration", before, []),
        Point("after contract", False if contracts - later else before, []),
    ]
    return Release(points, unmarked, sorted(later))


def _jobs(
    targets: Sequence[Target],
    options: Options,
    behind: Mapping[str, set[str]],
    mine: Iterable[str],
    following: set[str],
) -> list[str]:
    """The release's jobs that are not complete: what its scripts require, and what requires an expand script."""
    required = set[str]().union(*(behind[reference] for reference in mine))
    expand = {script.reference for target in targets for script in target.scripts if script.front.phase == "expand"}
    return [
        f"{step.reference} ({step.note})" if step.note else step.reference
        for step in options.others
        if step.reference.startswith("job/")
        and not step.complete
        and not behind[step.reference] & following
        and (step.reference in required or behind[step.reference] & expand)
    ]


def _behind(reference: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    """Everything that must be complete before a step."""
    found: set[str] = set()
    waiting = list(needs[reference])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting.extend(needs[other])
    return found


def _contracting(targets: Sequence[Target], contracts: set[str]) -> bool:
    """Whether one of the contract scripts has begun, or one that stands right before them is applied."""
    for target in targets:
        before: Script | None = None
        for script in target.scripts:
            if script.reference in contracts and (
                target.history.attempt(script.version, "up")
                or (before and before.front.phase == "contract" and before.version in target.history.applied)
            ):
                return True
            before = script
    return False
