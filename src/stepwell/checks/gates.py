"""Checks and sign-offs as steps of the graph: what others wait for at the moment they would start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from stepwell.checks.definition import Check
from stepwell.databases.database import Database
from stepwell.errors import Refused
from stepwell.graph import Step
from stepwell.ledger import signoffs

SIGNOFF = "signoff/"


def steps(
    wanted: Iterable[str],
    checks: Mapping[str, Check],
    ledger: Database,
    signers: Callable[[], Mapping[str, Collection[str]]],
) -> list[Step]:
    """A step for every check, and one for every sign-off that is wanted.

    A sign-off is complete if the latest answer is a yes, of one of its `signers` where they are named.
    """
    found = [Step(check.reference, check.requires, check.where(), gate=True) for check in checks.values()]
    names = {text for text in wanted if text.startswith(SIGNOFF)}
    names |= {text for check in checks.values() for text in check.requires if text.startswith(SIGNOFF)}
    answers = _answers(ledger) if names else {}
    may_sign = signers() if answers else {}
    for name in sorted(names):
        answer = answers.get(name.removeprefix(SIGNOFF))
        note = _objection(answer, may_sign.get(name)) if answer else ""
        found.append(Step(name, complete=bool(answer) and not note, note=note))
    return found


def _objection(answer: signoffs.Signoff, by: Collection[str] | None) -> str:
    """Why an answer lets nothing go; '' where it does."""
    if answer.answer == signoffs.NO:
        return f"refused by {answer.who}"
    if by is not None and answer.who not in by:
        return f"signed by {answer.who}, but it is for {', '.join(by) or 'nobody'}"
    return ""


def _answers(ledger: Database) -> dict[str, signoffs.Signoff]:
    if ledger.engine == "clickhouse":
        return {}
    try:
        return signoffs.latest(ledger)
    except Refused:
        if ledger.columns("stepwell_signoff"):
            raise
        return {}
