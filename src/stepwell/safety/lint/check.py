"""Looking at scripts with every rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from stepwell.errors import BadScript
from stepwell.safety.lint import allowance
from stepwell.safety.lint.finding import Finding
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level
from stepwell.safety.lint.rules import RULES
from stepwell.scripts.script import Script

UNREADABLE = "unreadable"
"""The rule for a script that Stepwell itself would refuse."""

NAMES = (*(rule.name for rule in RULES), allowance.NAME, UNREADABLE)


def readings(scripts: Iterable[Script], cluster: str = "") -> list[Reading]:
    """The scripts of one database in their order, each knowing those before it. Nothing is read yet."""
    found: list[Reading] = []
    for script in scripts:
        # An alternative for another engine has other ones before it.
        earlier = [before for before in found if before.engine == script.engine]
        found.append(Reading(script, cluster, earlier))
    return found


def check(chosen: Iterable[Reading], more: Sequence[Finding] = ()) -> list[Finding]:
    """What there is to say of each, script after script. `more` holds what another linter has found in them."""
    others: dict[tuple[Path, str], list[Finding]] = {}
    for finding in more:
        others.setdefault((finding.path, finding.reference), []).append(finding)
    return [
        finding
        for reading in chosen
        for finding in _check_one(reading, others.get((reading.script.path, reading.script.reference), ()))
    ]


def _check_one(reading: Reading, more: Collection[Finding]) -> list[Finding]:
    script = reading.script
    try:
        found = [
            Finding(rule.name, rule.level, script.path, remark.line, script.reference, remark.what, remark.do)
            for rule in RULES
            if reading.engine in rule.engines
            for remark in rule.find(reading)
        ]
        left = allowance.settle(script, [*found, *more], NAMES)
    except BadScript as error:
        left = [Finding(UNREADABLE, Level.ERROR, script.path, error.line or 1, script.reference, error.what, error.do)]
    return sorted(left, key=lambda finding: (finding.line, finding.level.value, finding.rule))
