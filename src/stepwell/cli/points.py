"""The three points of a release, as `plan` shows them."""

from __future__ import annotations

from stepwell.cli.output import Output
from stepwell.schema.points import Point, Release

NAMED = 3
"""Steps that are named for each point; `--json` names all."""


def show(release: Release, output: Output) -> None:
    """Which server can live at each point, and what the new one waits for, in 80 columns."""
    output.line(f"\n{'':<26}{'OLD SERVER':<12}NEW SERVER")
    for point in release.points:
        old = {True: "yes", False: "no", None: "unknown"}[point.old]
        output.paragraph(f"{point.name:<26}{old:<12}", _new(point))
    if release.unmarked:
        output.paragraph("", f"unknown: {_some(release.unmarked)} without a phase; write one at the top, "
                             "`-- phase: expand` or `-- phase: contract`")  # fmt: skip
    if release.later:
        output.paragraph("", f"not part of this release, for it comes behind a contract script: {_some(release.later)}")


def _new(point: Point) -> str:
    return f"no, waits for {_some(point.waits_for)}" if point.waits_for else "yes"


def _some(references: list[str]) -> str:
    more = len(references) - NAMED
    return ", ".join(references[:NAMED]) + (f" and {more} more" if more > 0 else "")
