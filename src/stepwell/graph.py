"""Steps, what they require of each other, and the order that follows."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from stepwell.errors import RequirementCycle, UnknownReference


@dataclass(frozen=True, slots=True)
class Step:
    """One node: its reference (`state/0042_items`), what it requires as written, and where: a file, and the `lines`.

    A `complete` step needs no more what it requires. `note` ('63 %') is of steps that no database's history tells
    about, such as jobs. A `gate` is looked at when a step that requires it would start, and no sooner. `holds` are
    gates without which it does not count as complete: who requires it requires them, too. `was` is a reference that
    it had before.
    """

    reference: str
    requires: tuple[str, ...] = ()
    where: str = ""
    lines: tuple[int, ...] = ()
    complete: bool = False
    note: str = ""
    gate: bool = False
    holds: tuple[str, ...] = ()
    was: str = ""

    def place(self, index: int = 0) -> str:
        """Where the requirement of this index is written."""
        return f"{self.where}:{self.lines[index]}" if self.lines else self.where


def find(text: str, references: Iterable[str]) -> list[str]:
    """The references that `text` may stand for: itself, or those whose number it is (`state/0042`)."""
    known = list(references)
    if text in known:
        return [text]
    return [reference for reference in known if reference.startswith(f"{text}_")]


def requirements(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Every step's requirements as full references. Raises UnknownReference."""
    known = {step.reference for step in steps}
    before = {step.was: step.reference for step in steps if step.was and step.was not in known}
    holds = {step.reference: step.holds for step in steps if step.holds}
    found: dict[str, list[str]] = {}
    for step in steps:
        found[step.reference] = []
        for text in step.holds:
            if text not in known:
                raise UnknownReference(step.reference, text, step.where, [], sorted(known - {step.reference}))
        for index, text in enumerate(step.requires):
            matches = [text] if text in known else find(text, known) or [before[was] for was in find(text, before)]
            if not matches and step.complete:
                continue  # it was there when it was needed: what is done with may be taken away
            if len(matches) != 1:
                others = sorted(known - {step.reference})
                raise UnknownReference(step.reference, text, step.place(index), sorted(matches), others)
            found[step.reference] += matches
        for required in tuple(found[step.reference]) if holds else ():
            found[step.reference] += holds.get(required, ())
    return found


def lacking(
    reference: str, needs: Mapping[str, Sequence[str]], done: Container[str], gates: Container[str]
) -> list[str]:
    """What a step waits for: its requirements that are not done, a gate behind what that waits for itself."""
    found: list[str] = []
    for other in needs[reference]:
        if other not in done:
            found += [*(lacking(other, needs, done, gates) if other in gates else ()), other]
    return list(dict.fromkeys(found))


def order(needs: Mapping[str, Sequence[str]], steps: Sequence[Step] = ()) -> list[str]:
    """The steps so that each comes after all it requires, else in the given order. Raises RequirementCycle.

    What makes a circle is shown at the places that `steps` know.

    Kahn's algorithm with a heap on the given positions, so that the result is the same on every run.
    """
    position = {reference: index for index, reference in enumerate(needs)}
    dependents: dict[str, list[str]] = {reference: [] for reference in needs}
    missing = {reference: len(set(required)) for reference, required in needs.items()}
    for reference, required in needs.items():
        for other in set(required):
            dependents[other].append(reference)
    ready = [index for reference, index in position.items() if missing[reference] == 0]
    names = list(needs)
    ordered: list[str] = []
    while ready:
        reference = names[heappop(ready)]
        ordered.append(reference)
        for dependent in dependents[reference]:
            missing[dependent] -= 1
            if missing[dependent] == 0:
                heappush(ready, position[dependent])
    if len(ordered) < len(names):
        cycle = _cycle(needs, set(names) - set(ordered))
        raise RequirementCycle(cycle, [step.place() for step in steps if step.requires and step.reference in cycle])
    return ordered


def _cycle(needs: Mapping[str, Sequence[str]], left: set[str]) -> list[str]:
    path = [min(left)]
    while True:
        following = next(other for other in needs[path[-1]] if other in left)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
