"""`rehearse`: the release on copies, and what it took."""

from __future__ import annotations

import argparse
import os
from string import Template

from stepwell.checks.service import Outcome
from stepwell.cli.output import Output, duration, plural
from stepwell.errors import BadRequest
from stepwell.project import Project
from stepwell.safety.rehearse.report import Report, Step


def rehearse(options: argparse.Namespace, output: Output) -> int:
    """Run it and print the report. Ends with the code of what went wrong, 7 where a check does not hold."""
    on = {}
    for text in options.on:
        name, equals, url = text.partition("=")
        if not equals or "://" not in url:
            raise BadRequest("--on is not as expected", "Write --on NAME=URL, e.g. --on state=${STATE_COPY_URL}")
        on[name] = Template(url).safe_substitute(os.environ)  # a password on the command line is everybody's

    def tell(event: object) -> None:
        match event:
            case Step(reference, seconds, rows, failed):
                trouble = f", {plural(failed, 'row')} failed" if failed else ""
                output.line(f"{reference:<48} {plural(rows, 'row')}{trouble}, {duration(seconds)}")
            case Outcome():
                output.line(f"check/{event.check}: {event.words}")
            case _:
                output.tell(event)  # type: ignore[arg-type]  # an event of `up` or `down`, as all others are

    report = Project.load(options.project).rehearse(on, tell)
    _show(report, output)
    output.result(report.as_json())
    return report.exit_code


def _show(report: Report, output: Output) -> None:
    output.line()
    for name, how in report.copies.items():
        output.sentence(f"copy of {name}: {how}")
    if report.signed:
        output.paragraph("taken for given: ", ", ".join(report.signed))
    for reference, others in report.waiting.items():
        output.paragraph("never started: ", f"{reference} waits for {', '.join(others)}", indent=2)
    if report.locks:
        output.line()
        rows = [(f"{one.database} {one.table}", one.mode, duration(one.seconds), one.step) for one in report.locks[:10]]
        output.table([("LOCKED LONGEST", "HOW", "FOR", "BY"), *(tuple(cell[:26] for cell in row) for row in rows)])
    if report.disk:
        output.line()
        output.table(
            [("DISK", "BEFORE", "AFTER"), *((one.database, _size(one.before), _size(one.after)) for one in report.disk)]
        )
    output.line()
    if report.error:
        output.note(f"error: {report.error}")
    output.paragraph("", ("rehearsed: " if not report.exit_code else "not good: ") + report.summary)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 10_000:
            return f"{count:,} {unit}"
        count //= 1024
    return f"{count:,} TB"
