"""How `stepwell adopt` shows what it takes over."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from stepwell.cli.output import Output
from stepwell.project import Project
from stepwell.schema.adopt.takeover import Takeover


def adopt(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    if options.in_step is False:
        project.keep_in_step(options.database, keep=False, tell=output.tell)
        output.line(f"{options.database}: no other tool's table is kept in step any more")
        output.result({"in_step": ""})
        return 0
    takeover = project.adopt(
        options.database,
        options.tool,
        as_is=options.as_is,
        dry_run=options.dry_run,
        lock_wait=options.lock_wait,
        tell=output.tell,
    )
    output.line(
        f"{options.database}: {takeover.tool}, table {takeover.table}{'' if options.in_step else ' (only read)'}"
    )
    for line in _lines(takeover):
        output.sentence(line)
    verb = "would take over" if options.dry_run else "took over"
    output.sentence(f"{verb} {len(takeover.applied)}, known {len(takeover.known)}; the history is in {takeover.home}")
    kept = ""
    if options.in_step and not options.dry_run:
        kept = project.keep_in_step(options.database, options.tool, tell=output.tell)
        output.sentence(f"from now on {takeover.table} is written too, as {kept} would write it")
    output.result({**_as_json(takeover), "in_step": kept})
    return 0


def _lines(takeover: Takeover) -> Iterator[str]:
    for record in takeover.applied:
        if record.script:
            since = f" {record.at[:16]}" if record.at else ""
            yield f"{record.script.reference:<48} applied{since}{'; ' + record.edited if record.edited else ''}"
    for record, doubts in takeover.failed:
        if record.script:
            reference = record.script.reference
            yield f"{reference:<48} {record.failed}"
            for doubt in doubts:
                index, line = doubt.statement.index, doubt.statement.line
                yield f"  statement {index} (line {line}) may be done: {doubt.shows}"
                yield f"  stepwell resolve {reference}:{index} done | not-done"
            if not doubts:
                yield "  nothing of it is there; `stepwell up` runs it"
    for record in takeover.missing:
        yield f"{record.said:<48} applied, and there is no such file"


def _as_json(takeover: Takeover) -> dict[str, object]:
    return {
        "tool": takeover.tool,
        "table": takeover.table,
        "history": takeover.home,
        "applied": [record.script.reference for record in takeover.applied if record.script],
        "known": [record.script.reference for record in takeover.known if record.script],
        "failed": [
            {
                "reference": record.script.reference,
                "why": record.failed,
                "in_doubt": [doubt.statement.index for doubt in doubts],
            }
            for record, doubts in takeover.failed
            if record.script
        ],
        "missing": [record.said for record in takeover.missing],
    }
