"""The commands about what a job changed: why, undo, reassess."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict

from stepwell.cli.jobs import MOST_SHOWN, stop_on_signals
from stepwell.cli.output import Output, clock, duration, plural
from stepwell.errors import BadRequest, shorten
from stepwell.jobs.definition import Definition
from stepwell.jobs.undo import UndoReport
from stepwell.ledger import changes, packs
from stepwell.ledger.changes import Change
from stepwell.project import Project

WIDEST = 28
"""Characters of a value in a table; `--json` has all of it."""


def why(project: Project, options: argparse.Namespace, output: Output) -> int:
    definition = project.job(options.name)
    found = project.why(options.name, *options.key)
    key = ", ".join(options.key)
    if not found:
        place = f"{definition.source.database}.{definition.source.table}"
        output.sentence(f"{definition.reference} changed nothing in row {key} of {place}, as far as it is recorded")
        if not definition.records:
            output.line("  it has no `records`: only what its migrate tells by batch.change is")
    for change in found:
        verb = "changed" if change.old and change.new else "removed" if change.old else "added"
        output.sentence(f"{definition.reference} {verb} row {key} of {change.place} on {clock(change.at)}")
        output.table(
            [
                ("  COLUMN", "OLD", "NEW"),
                *(
                    (f"  {name}", _value(change.old.get(name, "-")), _value(change.new.get(name, "-")))
                    for name in {**change.old, **change.new}
                ),
            ]
        )
        output.paragraph("  because  ", change.reason or "(its migrate gave no reason)")
        output.paragraph("  by       ", f"{_batch(change)}, {change.made_by}")
        if change.undone:
            output.line(f"  undone   {clock(change.undone)}")
    output.result({"job": definition.name, "key": options.key, "changes": [_as_json(change) for change in found]})
    return 0


def _value(text: str) -> str:
    return shorten(text, WIDEST)


def _batch(change: Change) -> str:
    """Keys that were asked for one by one are no batches of a run."""
    return "when the key was asked for" if change.batch < 0 else f"batch {change.batch}"


def _as_json(change: Change) -> dict[str, object]:
    values: dict[str, dict[str, object]] = {}
    for moment, held in (("old", change.old), ("new", change.new)):
        for name, text in held.items():
            values.setdefault(name, {})[moment] = json.loads(text)
    return {
        "place": change.place,
        "key": change.key,
        "columns": values,
        "reason": change.reason,
        "at": change.at,
        "batch": change.batch,
        "by": change.made_by,
        "undone": change.undone or None,
    }


def undo(project: Project, options: argparse.Namespace, output: Output) -> int:
    definition = project.job(options.name)
    if not options.dry_run and not options.yes and not _agreed(project, definition, output):
        output.line("nothing was changed")
        return 1
    words = ("would be given back", "would be left") if options.dry_run else ("given back", "left")
    stop = stop_on_signals()
    code = _back(
        definition,
        output,
        lambda tell: project.undo_job(options.name, tell, stop, options.dry_run),
        words,
        f"stepwell job undo {definition.name}",
    )
    return 0 if options.dry_run else code


def reassess(project: Project, options: argparse.Namespace, output: Output) -> int:
    definition = project.job(options.name)
    stop = stop_on_signals()
    return _back(
        definition,
        output,
        lambda tell: project.reassess_job(options.name, tell, stop),
        ("will be judged again by its next run", "left"),
        f"stepwell job reassess {definition.name}",
    )


def _agreed(project: Project, definition: Definition, output: Output) -> bool:
    """Ask on a terminal. Raises BadRequest where nobody can answer."""
    with project.ledger() as ledger:
        packs.unpack(ledger, definition.name)
        count = changes.count_changed(ledger, definition.name)
    what = f"give {plural(count, 'row')} of {definition.place} their old values back"
    if definition.undo:
        what = "take back all that it did by its own undo"
    if not output.can_ask:
        raise BadRequest(
            f"undo would {what}, and nobody is there to agree", "Say --yes; --dry-run shows what would be done."
        )
    return output.ask(f"{definition.reference} will {what}. Go on?")


def _back(
    definition: Definition,
    output: Output,
    verb: Callable[[Callable[[UndoReport], None]], UndoReport],
    words: tuple[str, str],
    again: str,
) -> int:
    started = time.monotonic()

    def tell(report: UndoReport) -> None:
        done = max(0, report.restored) + len(report.left)
        if done < report.total:
            output.live(f"{definition.reference}  {done:,} of {report.total:,} rows, {done / report.total:.0%}")

    report = verb(tell)
    took = duration(time.monotonic() - started)
    if report.restored < 0:
        output.line(f"{definition.reference}: all of it {words[0]} by its own undo, {took}")
    else:
        left = f", {len(report.left):,} {words[1]}" if report.left else ""
        output.sentence(f"{definition.reference}: {plural(report.restored, 'row')} {words[0]}{left}, {took}")
    if report.left:
        output.line("  these do not hold any more what the job left there, and stay as they are:")
        for key in report.left[:MOST_SHOWN]:
            output.line(f"    {key}")
        if len(report.left) > MOST_SHOWN:
            output.line(f"    and {len(report.left) - MOST_SHOWN:,} more; --json names all")
    for column in report.dropped:
        text = f"{definition.place} has no such column any more; what it held stays in `stepwell job why`"
        output.paragraph(f"  {column}: ", text)
    if not report.complete:
        output.sentence(f"  stopped before its end; `{again}` goes on")
    output.result(asdict(report))
    return 0 if report.complete and not report.left and not report.dropped else 1
