"""Who may answer for what."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stepwell.errors import BadRequest, NotASigner, did_you_mean
from stepwell.ledger.actor import actor
from stepwell.runbook.definition import SIGNED, Item, Runbook


def signers(runbooks: Mapping[str, Runbook]) -> dict[str, tuple[str, ...]]:
    """Who may answer for an item, by reference: those whom all runbooks name that name anybody."""
    found: dict[str, tuple[str, ...]] = {}
    for runbook in runbooks.values():
        for phase in runbook.sections:
            for item in phase.items:
                if item.by:
                    known = found.get(item.reference, item.by)
                    found[item.reference] = tuple(who for who in known if who in item.by)
    return found


def to_sign(runbooks: Mapping[str, Runbook], text: str, required: Collection[str]) -> str:
    """The reference of the sign-off or manual item that `text` means: one of a runbook, or that a step requires.

    Raises BadRequest, NotASigner.
    """
    known: dict[str, list[tuple[Runbook, Item]]] = {reference: [] for reference in sorted(required)}
    others: dict[str, str] = {}
    for runbook in runbooks.values():
        for phase in runbook.sections:
            for item in phase.items:
                if item.kind in SIGNED:
                    known.setdefault(item.reference, []).append((runbook, item))
                elif item.reference:
                    others.setdefault(item.reference, runbook.where(item))
    found = [reference for reference in known if text in (reference, reference.partition("/")[2])]
    if text in others:
        raise BadRequest(f"{text} ({others[text]}) ticks itself, so nobody can sign it", "See `stepwell runbook show`.")
    if len(found) != 1:
        names = [*known, *(reference.partition("/")[2] for reference in known)]
        what = f"could be {' or '.join(found)}" if found else f"is in no runbook{did_you_mean(text, names)}"
        files = ", ".join(str(runbook.path) for runbook in runbooks.values()) or "the folder runbooks, which is empty"
        raise BadRequest(f"{text!r} {what}; looked in {files}", f"To sign: {', '.join(known) or 'nothing'}.")
    for runbook, item in known[found[0]]:
        if item.by and actor() not in item.by:
            raise NotASigner(item.reference, runbook.where(item), actor(), item.by)
    return found[0]
