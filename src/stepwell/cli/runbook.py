"""The commands about runbooks: how far one is, answering for an item, writing it down, and the way back."""

from __future__ import annotations

import argparse
import time
from typing import Any

from stepwell.cli.output import Output, duration
from stepwell.errors import BadRequest
from stepwell.project import Project
from stepwell.runbook.evidence import Mark, Progress, Status
from stepwell.runbook.rollback import Move

MOST_ACTS = 1000
"""Acts that a written runbook lists."""

INDENT = 8
"""Columns that hold the mark of an item."""


def runbook(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    match options.runbook_command:
        case "show":
            return _show(project, options.name, output)
        case "export":
            return _export(project, options, output)
        case "rollback":
            return _roll_back(project, options, output)
    return _answer(project, options, output)


# --- how far it is --------------------------------------------------------------------------------------------


def _show(project: Project, name: str, output: Output) -> int:
    found = project.runbooks()
    if not name and len(found) > 1:
        rows = [(one.name, one.title) for one in found.values()]
        output.table([("RUNBOOK", "TITLE"), *rows])
        output.result({"runbooks": [{"name": name, "title": title} for name, title in rows]})
        return 0
    progress = project.runbook(name)
    book = progress.runbook
    output.line(f"{book.title}: {progress.done} of {len(progress.to_do)} done")
    for phase, statuses in progress.sections:
        output.line(f"\n{phase.name}")
        if phase.about:
            output.paragraph("  ", phase.about)
        for status in statuses:
            _line(status, output)
    _next(progress, output)
    output.result(as_json(progress))
    return 0


def _line(status: Status, output: Output) -> None:
    item, mark = status.item, status.mark
    if mark is Mark.TEXT:
        output.paragraph(" " * INDENT, item.about)
        return
    shown = mark.value.upper() if mark is Mark.FAILS else mark.value
    output.line(f"  {shown:<{INDENT - 2}}{item.label}")
    if item.about and not mark.settled:
        output.paragraph(" " * INDENT, item.about)
    if status.words:
        output.paragraph(" " * INDENT, status.words)


def _next(progress: Progress, output: Output) -> None:
    following = progress.next
    if following is None:
        output.line("\nall of it is done")
        return
    output.line(f"\nnext: {following.item.label}")
    if following.command:
        output.sentence(f"  {following.command}")


def as_json(progress: Progress) -> dict[str, Any]:
    """A runbook and how it stands, for a program."""

    def one(status: Status) -> dict[str, Any]:
        item = status.item
        told = {"words": status.words, "at": status.at or None, "who": status.who, "command": status.command}
        return {"item": item.label, "about": item.about, "by": list(item.by), "state": status.mark.value} | told

    following = progress.next
    return {
        "runbook": progress.runbook.name,
        "title": progress.runbook.title,
        "done": progress.done,
        "of": len(progress.to_do),
        "next": following.item.label if following else None,
        "sections": [
            {"name": phase.name, "items": [one(status) for status in statuses]} for phase, statuses in progress.sections
        ],
    }


# --- answering ------------------------------------------------------------------------------------------------


def _answer(project: Project, options: argparse.Namespace, output: Output) -> int:
    yes = options.runbook_command == "sign"
    reference = project.sign(options.item, options.note, yes)
    output.line(f"{reference} is {'signed' if yes else 'refused'}")
    output.result({"item": reference, "answer": "yes" if yes else "no"})
    return 0


# --- written down ---------------------------------------------------------------------------------------------


def _export(project: Project, options: argparse.Namespace, output: Output) -> int:
    from stepwell.runbook import export

    progress = project.runbook(options.name)
    written = export.document(progress, project.history(limit=MOST_ACTS), time.time())
    form = options.format or ("html" if options.file and options.file.suffix in (".html", ".htm") else "markdown")
    text = export.html(written) if form == "html" else export.markdown(written)
    if options.file is None:
        output.line(text)
    else:
        options.file.write_text(text, encoding="utf-8")
        output.line(f"wrote {options.file}: {written.summary}")
    output.result(as_json(progress) | {"file": str(options.file) if options.file else None, "format": form})
    return 0


# --- the way back ---------------------------------------------------------------------------------------------


def _roll_back(project: Project, options: argparse.Namespace, output: Output) -> int:
    moves = project.way_back_of(options.name)
    if not options.yes or options.dry_run:
        output.line("the way back:")
        for number, move in enumerate(moves, start=1):
            _planned(number, move, output)
    if options.dry_run:
        output.result({"would_do": [_as_json(move) for move in moves]})
        return 0
    if not options.yes and not _agreed(output):
        output.line("nothing was changed")
        return 1
    started, gone = time.monotonic(), []

    def done(move: Move) -> None:
        gone.append(move)
        item = move.status.item
        if item.reference:
            output.line(f"{item.label:<60} {_gone(move)}")

    project.roll_back(options.name, done, output.tell)
    output.line(f"rolled back, {duration(time.monotonic() - started)}")
    output.result({"did": [_as_json(move) for move in gone]})
    return 0


def _gone(move: Move) -> str:
    if move.status.item.kind == "check":
        return "holds"
    return "done" if move.does else "was done already"


def _planned(number: int, move: Move, output: Output) -> None:
    item = move.status.item
    words = item.about if move.status.mark is Mark.TEXT else move.does or f"{item.label}: done, {move.status.words}"
    output.paragraph(f"  {number:>2}  ", words)


def _agreed(output: Output) -> bool:
    """Ask on a terminal. Raises BadRequest where nobody can answer."""
    if not output.can_ask:
        raise BadRequest("the way back would be gone, and nobody is there to agree", "Say --yes.")
    return output.ask("Go this way back?")


def _as_json(move: Move) -> dict[str, Any]:
    return {"item": move.status.item.label, "does": move.does, "state": move.status.mark.value} | {
        "words": move.status.words
    }
