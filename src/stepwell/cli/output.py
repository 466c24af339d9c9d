"""What a person sees of a run: a line a script, one live line for a long statement, errors, or all of it as JSON."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.cli.arguments import VERBS_OF
from stepwell.databases.database import Activity
from stepwell.errors import StepwellError

if TYPE_CHECKING:
    from stepwell.schema import events

QUIET = 10.0
"""Seconds between two progress lines where the output is no terminal."""


class Output:
    """Prints; with `as_json`, only `result` and `error` do, one object each on standard output.

    All but lines of the result are sentences, whose commands are given the `--project` that the run was called with.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.project = Path()
        self._live = ""
        self._last_progress = 0.0
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def line(self, text: str = "") -> None:
        """A line of the result, as it is."""
        if not self.as_json:
            self._clear()
            print(text, flush=True)

    def sentence(self, text: str) -> None:
        """A line of the result that may be long, or names a command: at a terminal it is folded."""
        text = addressed(text, self.project)
        self.line(folded(text) if self._terminal else text)

    def paragraph(self, label: str, text: str, indent: int | None = None) -> None:
        """Lines of 80 columns behind a label, those after the first indented below it or by `indent`."""
        below = " " * (len(label) if indent is None else indent)
        for line in _filled(addressed(text, self.project), label, below, 80):
            self.line(line)

    def note(self, text: str) -> None:
        """A line about the run, not part of its result."""
        if not self.as_json:
            self._clear()
        text = addressed(text, self.project)
        print(folded(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)

    @property
    def can_ask(self) -> bool:
        """Whether a person sits at both ends, and no program reads."""
        return not self.as_json and sys.stdin.isatty() and sys.stdout.isatty()

    def ask(self, question: str) -> bool:
        """Put a question to the person at the terminal; no answer is a no."""
        self._clear()
        try:
            return input(folded(f"{question} [y/N] ")).strip().lower() in ("y", "yes")
        except EOFError:
            print()
            return False

    def result(self, value: dict[str, Any]) -> None:
        """The whole result for a program."""
        if self.as_json:
            _print_json(value)

    def error(self, error: StepwellError) -> None:
        if self.as_json:
            _print_json({"error": {name: addressed(text, self.project) for name, text in as_json(error).items()}})
        self._clear()
        text = addressed(f"error: {error}", self.project)
        print(folded(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)

    def table(self, rows: list[tuple[str, ...]]) -> None:
        """Rows in columns, the first being the heading."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line("  ".join(cells).rstrip())

    def tell(self, event: events.Event) -> None:
        """Print an event of a run, if it is one that a person wants to see."""
        from stepwell.schema import events  # a run with nothing to do has none

        match event:
            case events.Waiting(database, holder):
                self.note(f"waiting for the migration lock of {database}, held by {holder}")
            case events.WaitingForJob(reference, holder):
                self.note(f"waiting for {reference}, which is run by {holder}; a dead worker's lease ends by itself")
            case events.Started(reference, _, statements, _, resumed) if resumed:
                self.line(f"{reference}: going on behind statement {resumed} of {statements}")
            case events.Working(reference, position, activity):
                self.live(f"{reference}:{position}  {describe(activity)}")
            case events.Yielded(reference, position, holders, pause):
                by = "; ".join(holders) or "another session"
                self.note(f"{reference}:{position} gave way to {by}; again in {pause:.1f} s")
            case events.Settled(reference, position, finding):
                self.sentence(f"{reference}:{position} was in doubt, and is {finding.outcome.value}: {finding.reason}")
            case events.Finished(reference, direction, statements, seconds):
                verb = "" if direction == "up" else "undone, "
                self.line(f"{reference:<48} {verb}{plural(statements, 'statement')}, {duration(seconds)}")
            case events.Passed(reference, marked, why):
                self.line(f"{reference:<48} not run, {'recorded as applied' if marked else 'left'}: {why}")
            case events.Tolerated(reference, error):
                self.note(f"{reference} failed and may fail; going on without it\n{error}")
            case events.Accepted(reference, what):
                self.sentence(f"{reference} {what}: accepted")
            case events.Linted(errors, warnings):
                found = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"
                self.note(f"lint: {found} in what is applied now, see `stepwell lint`")
            case events.InStep(database, tool):
                self.note(f"{database}: kept in step with {tool}, whose table is written too")
            case events.Examined(warnings):
                for warning in warnings:
                    self.note(f"doctor: {warning}")
            case _:
                pass

    def live(self, text: str) -> None:
        """A line that the next one replaces; without a terminal one every ten seconds."""
        if self.as_json:
            return
        text = addressed(text, self.project)
        if self._terminal:
            import shutil  # what a run with nothing to do never needs

            width = shutil.get_terminal_size().columns - 1
            self._live = text[:width]
            print(f"\r\x1b[K{self._live}", end="", flush=True)
        elif time.monotonic() - self._last_progress >= QUIET:
            self._last_progress = time.monotonic()
            print(text, flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", flush=True)
            self._live = ""


def _print_json(value: dict[str, Any]) -> None:
    import json  # what a run with nothing to do never needs

    print(json.dumps(value, indent=2, default=str), flush=True)


def as_json(error: StepwellError) -> dict[str, str]:
    """An error for a program."""
    told = {"kind": error.kind, "what": error.what, "where": error.where, "said": error.said}
    return told | {"now": error.now, "do": error.do}


def addressed(text: str, project: Path) -> str:
    """The text with `--project` in each command of Stepwell's that it names, where the run was called with one.

    It stands behind the verb: where a command ends, a sentence does not tell.
    """
    if project == Path() or "stepwell " not in text:
        return text
    import re  # only such a text pays for both
    import shlex

    def called(command: re.Match[str]) -> str:
        verb, word = command.groups(default="")
        if verb == "init":  # it makes the project
            return command.group()
        named = f"stepwell {verb} {word}" if word in VERBS_OF.get(verb, ()) else f"stepwell {verb}"
        rest = command.group()[len(named) :]
        return f"{named} --project {shlex.quote(str(project))}{rest}"

    return re.sub(r"\bstepwell ([a-z]+)(?: ([a-z]+))?\b", called, text)


def folded(text: str) -> str:
    """Lines as wide as the terminal at most, indented as they were; a command to paste stays on one line."""
    import re  # only trouble at a terminal pays for both
    import shutil

    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.splitlines():
        label = re.match(r"  (?:at|said|now|do) +|error: | *", line)
        assert label is not None
        fits = len(line) <= width
        lines += [line] if fits else _filled(line[label.end() :], label.group(), " " * label.end(), width)
    return "\n".join(lines)


def _filled(text: str, label: str, below: str, width: int) -> list[str]:
    """The words of a text behind a label, in lines of a width where they allow it; `below` begins the others."""
    import re  # what a run with nothing to do never needs

    lines, row = [], label
    # What stands between backticks is a command, and what begins a line, or stands behind a colon or a gap.
    for word in re.findall(r"`[^`]+`\S*|(?:^|(?<=: )|(?<=  ))stepwell(?: \S+)+|\S+", text):
        if row not in (label, below) and len(row) + len(word) > width:
            lines.append(row.rstrip())
            row = below
        row += f"{word} "
    return [*lines, row.rstrip()]


def describe(activity: Activity) -> str:
    """A running statement in a few words: rows, share, time left."""
    parts = []
    if activity.stage:
        parts.append(activity.stage)
    if activity.rows:
        total = f" of {activity.total:,}" if activity.total else ""
        parts.append(f"{activity.rows:,}{total} rows")
    if activity.share is not None:
        parts.append(f"{activity.share:.0%}")
    parts.append(duration(activity.elapsed))
    if activity.share and 0.01 < activity.share < 1:
        parts.append(f"{duration(activity.elapsed * (1 - activity.share) / activity.share)} left")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Seconds since 1970 as a person reads them."""
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """0.04 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count:,} {word}s"
