"""The look before a release."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from stepwell.cli.output import Output, plural
from stepwell.project import Project
from stepwell.safety.doctor.finding import Finding, Level

BLOCKED = 8
"""The exit code where something stands in a release's way."""


def doctor(options: argparse.Namespace, output: Output) -> int:
    """Show every finding: what it is, and what to do where that is anything."""
    found = Project.load(options.project).doctor(*options.names)
    for finding in found:
        _show(finding, output)
    counts = {level: sum(one.level is level for one in found) for level in Level}
    output.line(
        f"{counts[Level.OK]} ok, {plural(counts[Level.WARNING], 'warning')}, {plural(counts[Level.BLOCKER], 'blocker')}"
    )
    output.result(
        {
            "findings": [asdict(one) | {"level": one.level.value} for one in found],
            "counts": {level.value: count for level, count in counts.items()},
        }
    )
    return BLOCKED if counts[Level.BLOCKER] else 0


def _show(finding: Finding, output: Output) -> None:
    level = finding.level.value if finding.level is Level.OK else finding.level.value.upper()
    output.paragraph(f"{level:<8} {finding.item:<13} ", finding.words)
    if finding.do:
        output.paragraph(f"{'':<23}do: ", finding.do)
