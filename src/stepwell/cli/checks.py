"""The commands about checks, snapshots and what was done."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

from stepwell.checks.run import Result
from stepwell.checks.service import Outcome
from stepwell.checks.snapshots import moment
from stepwell.cli import beside
from stepwell.cli.output import Output, duration, plural
from stepwell.databases.values import Canonical, show
from stepwell.errors import BadRequest
from stepwell.project import Project

FAILS = 7
"""The exit code where a check does not hold; one that could not be run ends with the code of its trouble."""

AGAIN = 5.0
"""Seconds between two rounds of `check --watch`."""

WIDTH = 80


def check(options: argparse.Namespace, output: Output) -> int:
    """Run checks once, or again and again until all of them hold."""
    project = Project.load(options.project)

    def tell(outcome: Outcome) -> None:
        for line in _lines(outcome):
            (output.sentence if outcome.error else output.line)(line)

    while True:
        outcomes = project.check(*options.names, tell=tell)
        if not outcomes:
            raise BadRequest("this project has no check", "Checks are files in the folder checks.")
        failing = sum(not outcome.holds for outcome in outcomes)
        output.line(f"{plural(len(outcomes), 'check')}: {len(outcomes) - failing} hold, {failing} do not")
        if not outcomes:
            output.note("checks are files in the folder checks; there is none")
        output.result({"checks": [_as_json(outcome) for outcome in outcomes]})
        if not (options.watch and failing):
            return _code(outcomes)
        time.sleep(AGAIN)


def snapshot(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    if options.snapshot_command == "take":
        taken = project.take_snapshot(options.name, options.replace)
        for name, rows in taken.items():
            output.line(f"check/{name:<42} {rows:,} rows kept")
        output.line(f"snapshot {options.name} is taken")
        output.result({"snapshot": options.name, "rows": taken})
        return 0
    found = project.snapshots(getattr(options, "name", ""))
    for name, kept in groupby(found, lambda one: one.name):
        first, *more = kept
        output.sentence(f"{name}: taken {moment(first.at)} by {first.who}@{first.host}, at {first.applied}")
        for one in (first, *more):
            output.line(f"  {f'check/{one.check}':<46} {plural(one.rows, 'row')}")
    if not found:
        output.line("no snapshot was taken")
    output.result({"snapshots": [asdict(one) for one in found]})
    return 0


def history(options: argparse.Namespace, output: Output) -> int:
    acts = Project.load(options.project).history(options.step or "", options.limit)
    for act in acts:
        output.line(f"{moment(act.at)}  {act.step}  {act.act}  {act.who}")
        if act.note:
            output.sentence(f"  {act.note}")
    if not acts:
        output.note(f"nothing was done yet{f' to {options.step}' if options.step else ''}")
    output.result({"acts": [asdict(act) for act in acts]})
    return 0


def _code(outcomes: Iterable[Outcome]) -> int:
    """The worst of all: trouble, then a check that does not hold."""
    code = 0
    for outcome in outcomes:
        if outcome.error:
            return outcome.error.exit_code
        if not outcome.holds:
            code = FAILS
    return code


def _as_json(outcome: Outcome) -> dict[str, object]:
    if outcome.result:
        return outcome.result.as_json()
    error = outcome.error
    assert error is not None
    said = {"kind": error.kind, "what": error.what, "where": error.where, "said": error.said, "do": error.do}
    return {"check": outcome.check, "verdict": "error", "summary": outcome.words, "error": said}


def _lines(outcome: Outcome) -> list[str]:
    reference = f"check/{outcome.check}"
    if outcome.error:
        return [f"{reference}: ERROR", *(f"  {line}" for line in str(outcome.error).splitlines())]
    result = outcome.result
    assert result is not None
    head = f"{reference}: {'holds' if result.holds else 'FAILS'}: {result.summary}, {duration(result.seconds)}"
    return [head, *(f"  {line}" for line in rows_of(result))]


# --- differing rows beside each other -------------------------------------------------------------------------


def rows_of(result: Result) -> list[str]:
    """The first offending rows of a result as a table of at most 80 columns, its sides beside each other."""
    if not result.rows:
        return []
    if len(result.sides) == 1:
        table = [list(result.columns), *(list(map(show, row)) for (row,) in result.rows if row is not None)]
    else:
        table = [[", ".join(result.key), "column", *result.sides]]
        for rows, changed in zip(result.rows, result.changed, strict=True):
            table += _differing(result, rows, changed)
    widths = _widths(table, WIDTH - 2)
    return [beside.row(line, widths) for line in table]


def _differing(result: Result, rows: Sequence[tuple[Canonical, ...] | None], changed: Sequence[str]) -> list[list[str]]:
    present = next(row for row in rows if row is not None)
    named = result.key or (result.columns if None in rows else ())
    label = ", ".join(show(present[result.columns.index(name)]) for name in named)
    if None in rows:
        return [[label, "row", *("missing" if row is None else "there" for row in rows)]]
    lines = []
    for name in changed:
        at = result.columns.index(name)
        lines.append([label, name, *beside.apart([show(row[at]) for row in rows if row is not None])])
        label = ""
    return lines


def _widths(table: Sequence[Sequence[str]], most: int) -> list[int]:
    """Widths of the columns that fit into `most` characters: the widest give way first."""
    widths = [max(len(line[at]) for line in table) for at in range(len(table[0]))]
    room = most - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1
    return widths
