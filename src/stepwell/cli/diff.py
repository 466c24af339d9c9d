"""The command that shows what differs between two tables."""

from __future__ import annotations

import argparse
import json
import os
import signal
from dataclasses import asdict
from typing import Any, NoReturn

from stepwell.checks.diff.rows import Difference, Finished, Found, shown
from stepwell.checks.diff.run import Begun, Request, Summary
from stepwell.cli import beside
from stepwell.cli.output import Output, as_json, duration, plural
from stepwell.errors import BadRequest, StepwellError
from stepwell.project import Project

DIFFER = 7
"""The exit code where rows differ, as for a check that does not hold."""

WIDTHS = (18, 16, 19, 19)
"""Characters for the key, the column and both sides. Rows are shown as they are found, so none is known before."""

INDENT = "  "


def diff(options: argparse.Namespace, output: Output) -> int:
    """Compare two tables. With --json the object is written as the differences come, one a line."""
    request = Request(
        left=options.left,
        right=options.right,
        key=_names(options.key),
        columns=_names(options.columns),
        where=options.where,
        limit=options.limit,
        progress=options.resume,
    )
    signal.signal(signal.SIGINT, _ended)
    show: _Text | _Json = _Json(output) if options.json else _Text(request, output)
    try:
        summary = Project.load(options.project).diff(request, show.tell)
    except StepwellError as error:
        show.broken(error)
        return error.exit_code
    show.end(summary)
    return DIFFER if summary.differing else 0


def _ended(*_: object) -> NoReturn:
    """End at once: nothing is changed, and the threads that ask the servers would wait for their statements' ends."""
    os.write(2, b"\ninterrupted; nothing was changed\n")
    os._exit(130)


def _names(text: str) -> dict[str, str]:
    """`id, name=title` as {'id': 'id', 'name': 'title'}. Raises BadRequest."""
    names = {}
    for part in text.split(",") if text.strip() else ():
        ours, equals, theirs = (word.strip() for word in part.partition("="))
        if not ours or (equals and not theirs):
            raise BadRequest(f"can't read {text!r}", "Write names with commas between; id=item_id: named so there.")
        names[ours] = theirs or ours
    return names


class _Text:
    """Differences as lines of a table, while a line below tells how far the comparison is."""

    def __init__(self, request: Request, output: Output) -> None:
        self._request, self._output = request, output
        self._key: tuple[str, ...] = ()
        self._expected = self._passed = 0
        self._headed = False

    def tell(self, event: Begun | Found) -> None:
        match event:
            case Begun(pairs, rows):
                self._key = tuple(pair.name for pair in pairs.key)
                self._expected = rows
                for name, alone in zip((self._request.left, self._request.right), pairs.alone, strict=True):
                    if alone:
                        self._output.note(f"not compared, for only {name} has it: {', '.join(alone)}")
            case Finished(_, left, right):
                self._passed += max(left, right)
                if self._passed < self._expected:
                    self._output.live(f"{self._passed:,} of about {self._expected:,} rows")
            case Difference():
                self._head()
                for line in _lines(event):
                    if len(line[0]) > WIDTHS[0]:  # a key is never cut: somebody will look for it
                        self._output.line(INDENT + line[0])
                        line[0] = ""
                    self._output.line(INDENT + beside.row(line, WIDTHS))

    def end(self, summary: Summary) -> None:
        counts = ", ".join(f"{summary.kinds[kind]:,} {kind}" for kind in ("missing", "extra", "changed"))
        if summary.kinds["repeated"]:
            counts += f", {summary.kinds['repeated']:,} repeated"
        if not summary.whole:
            self._output.sentence(
                f"stopped after {plural(summary.differing, 'difference')}: {counts}; --limit N for more"
            )
        else:
            rows = f"{summary.left:,} and {summary.right:,} rows"
            self._output.line(f"{rows}: {counts if summary.differing else 'the same'}, {duration(summary.seconds)}")

    def broken(self, error: StepwellError) -> None:
        self._output.error(error)

    def _head(self) -> None:
        if not self._headed:
            heading = [", ".join(self._key), "column", self._request.left, self._request.right]
            self._output.line(INDENT + beside.row(heading, WIDTHS))
        self._headed = True


def _lines(difference: Difference) -> list[list[str]]:
    key = ", ".join(map(shown, difference.key))
    match difference.kind:
        case "missing":
            return [[key, "row", "there", "missing"]]
        case "extra":
            return [[key, "row", "missing", "there"]]
        case "repeated":
            return [[key, "rows", f"{difference.left:,}", f"{difference.right:,}"]]
    lines = []
    for change in difference.changes:
        lines.append([key, change.column, *beside.apart([shown(change.left), shown(change.right)])])
        key = ""
    return lines


class _Json:
    """One JSON object, whose differences are written as they come: there may be more than memory holds."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begun = False

    def tell(self, event: Begun | Found) -> None:
        if isinstance(event, Difference):
            print(
                ",\n" if self._begun else '{"differences": [\n', json.dumps(asdict(event)), sep="", end="", flush=True
            )
            self._begun = True

    def end(self, summary: Summary) -> None:
        self._close(
            {
                "rows": [summary.left, summary.right],
                **{kind: summary.kinds[kind] for kind in ("missing", "extra", "changed", "repeated")},
                "whole": summary.whole,
                "seconds": round(summary.seconds, 3),
            }
        )

    def broken(self, error: StepwellError) -> None:
        if self._begun:
            self._close({"error": as_json(error)})
            self._output.note(f"error: {error}")
        else:
            self._output.error(error)

    def _close(self, facts: dict[str, Any]) -> None:
        print("\n]," if self._begun else '{"differences": [],', json.dumps(facts)[1:], flush=True)
