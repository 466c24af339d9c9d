"""A project's checks together: which are meant, running one with all it is compared with, and recording the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepwell.checks import snapshots
from stepwell.checks.definition import Check
from stepwell.checks.run import Open, Result, run
from stepwell.databases.database import Database
from stepwell.errors import BadRequest, LedgerNotRelational, StepwellError, did_you_mean
from stepwell.ledger import checks as results
from stepwell.ledger import events
from stepwell.ledger.jobs import Ledger

BROKEN = "not run to its end"
"""What history calls a check that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a check: its result, or the trouble that kept it from one."""

    check: str
    result: Result | None = None
    error: StepwellError | None = None

    @property
    def holds(self) -> bool:
        return self.result is not None and self.result.holds

    @property
    def words(self) -> str:
        """How it came out, on one line."""
        if self.result:
            return self.result.summary
        assert self.error is not None
        said = self.error.said.splitlines()
        return f"could not be run: {said[0] if said else self.error.what}"


@dataclass(frozen=True, slots=True)
class Site:
    """Where checks run: how databases are opened, the ledger (None where it is ClickHouse), and which release it is."""

    open: Open
    ledger: Database | None
    release: str


def chosen(checks: Mapping[str, Check], names: Sequence[str]) -> list[Check]:
    """The checks of these names, or all. Raises BadRequest."""
    wanted = [name.removeprefix("check/") for name in names]
    for name in wanted:
        if name not in checks:
            known = f"There are {', '.join(checks)}." if checks else "Checks are files in the folder checks."
            raise BadRequest(f"no check {name!r} in this project{did_you_mean(name, checks)}", known)
    return [checks[name] for name in wanted] if wanted else list(checks.values())


def look(check: Check, site: Site, step: str = "") -> Outcome:
    """Run a check, for a step that waits for it or for a person. One that came to its end is recorded.

    It is dated by its beginning: of what was changed while it ran it may have seen nothing.
    """
    try:
        began = Ledger(site.ledger).clock() if site.ledger is not None else 0.0
        kept = None
        if check.snapshot:
            if site.ledger is None:
                raise LedgerNotRelational(check.sides[0].database)
            kept = snapshots.kept(site.ledger, check, site.release)
        result = run(check, site.open, kept)
    except StepwellError as error:
        outcome = Outcome(check.name, error=error)
        if site.ledger is not None:  # else the result before this one would still stand for how it is
            events.add(site.ledger, check.reference, BROKEN, outcome.words)
        return outcome
    if site.ledger is not None:
        results.add(
            site.ledger,
            check.name,
            began,
            check.checksum,
            step,
            result.verdict,
            result.summary,
            result.compared,
            result.seconds,
        )
    return Outcome(check.name, result)
