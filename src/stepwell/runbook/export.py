"""A runbook written down, with times, evidence and names: for those who were not there.

One document is made, as sections with tables; two writers make Markdown and HTML of it. The HTML stands alone: it
loads nothing, prints well, and needs no script.
"""

from __future__ import annotations

import html as web
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stepwell.checks.snapshots import moment
from stepwell.ledger.events import Event
from stepwell.runbook.evidence import Mark, Progress, Status

_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a paragraph, and a table: its first row is the heading, its first column the mark where `marked`."""

    title: str
    about: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    about: str
    summary: str
    sections: tuple[Section, ...]


def document(progress: Progress, acts: Sequence[Event], at: float) -> Document:
    """The runbook as it stands at a time, seconds since 1970, with the acts that led there, newest first."""
    book, following = progress.runbook, progress.next
    summary = f"{progress.done} of {len(progress.to_do)} done on {moment(at)}."
    summary += f" Next: {following.item.label}." if following else " All of it is done."
    sections = [
        Section(phase.name, phase.about, (("", "Item", "Evidence", "When", "Who"), *map(_row, statuses)), marked=True)
        for phase, statuses in progress.sections
    ]
    if book.risks:
        sections.append(Section("Risks", table=(("What may go wrong", "What then"), *book.risks)))
    if book.contacts:
        sections.append(Section("Contacts", table=(("Who", "How"), *book.contacts)))
    done = [(moment(act.at), act.step, act.act, act.who, act.note) for act in acts]
    if done:
        sections.append(Section("What was done", "Newest first.", (("When", "Step", "Act", "Who", "Note"), *done)))
    return Document(book.title, book.about, summary, tuple(sections))


def _row(status: Status) -> tuple[str, ...]:
    item = status.item
    if status.mark is Mark.TEXT:
        return "", "", item.about, "", ""
    label = f"{item.label}: {item.about}" if item.about else item.label
    return status.mark.value, label, status.words, moment(status.at) if status.at else "", status.who


# --- Markdown -------------------------------------------------------------------------------------------------


def markdown(document: Document) -> str:
    """The document as Markdown."""
    lines = [f"# {_flat(document.title)}", ""]
    lines += [_flat(document.about), ""] if document.about else []
    lines += [f"**{document.summary}**", ""]
    for section in document.sections:
        lines += [f"## {_flat(section.title)}", ""]
        lines += [_flat(section.about), ""] if section.about else []
        if section.table:
            head, *rows = section.table
            lines += [_cells(head), _cells("---" for _ in head), *map(_cells, rows), ""]
    return "\n".join(lines)


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_flat(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _flat(text: str) -> str:
    """Text on one line: of the marks of Markdown and HTML in it only those of code mean anything."""
    line = " ".join(text.split())
    for mark in "\\*_<>[]#":
        line = line.replace(mark, f"\\{mark}")
    return line


# --- HTML -----------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; break-after: avoid; }
p { margin: .3rem 0; max-width: 48rem; }
.summary { font-weight: 600; border-left: .25rem solid #2a7d4f; background: var(--soft); padding: .5rem .8rem; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; font-size: .9rem; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: .35rem .7rem .35rem 0; vertical-align: top; overflow-wrap: anywhere; }
td { border-bottom: 1px solid var(--line); }
td.mark { width: 4rem; }
td.when { white-space: nowrap; }
tr { break-inside: avoid; }
code { font: .92em ui-monospace, monospace; }
.about { opacity: .75; }
.mark span { font-weight: 600; border-radius: .2rem; padding: .05rem .4rem; color: #fff; background: #767676; }
.mark .done { background: #2a7d4f; }
.mark .look { background: #9a6700; }
.mark .fails { background: #b3261e; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  .mark span { color: inherit; background: none; padding: 0; text-transform: uppercase; }
}
"""


def html(document: Document) -> str:
    """The document as an HTML page that stands alone."""
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{web.escape(document.title)}</title>",
        f"<style>{STYLE}</style></head>",
        "<body>",
        f"<h1>{web.escape(document.title)}</h1>",
        f"<p>{_text(document.about)}</p>" if document.about else "",
        f'<p class="summary">{web.escape(document.summary)}</p>',
    ]
    for section in document.sections:
        parts.append(f"<h2>{web.escape(section.title)}</h2>")
        parts.append(f"<p>{_text(section.about)}</p>" if section.about else "")
        if section.table:
            head, *rows = section.table
            parts += ["<table><thead>", _tr(head, "th", _plain), "</thead><tbody>"]
            parts += [_tr(row, "td", _marked if section.marked else _plain) for row in rows]
            parts.append("</tbody></table>")
    return "\n".join([*filter(None, parts), "</body></html>", ""])


def _tr(cells: Sequence[str], tag: str, cell: Callable[[int, str], str]) -> str:
    inner = (f"<{tag}{_class(tag, text, at)}>{cell(at, text)}</{tag}>" for at, text in enumerate(cells))
    return f"<tr>{''.join(inner)}</tr>"


def _class(tag: str, text: str, at: int) -> str:
    if tag == "td" and text.endswith(" UTC") and len(text) == len("2026-01-31 12:00:00 UTC"):
        return ' class="when"'
    return ' class="mark"' if tag == "td" and at == 0 and text in {mark.value for mark in Mark} else ""


def _plain(_at: int, text: str) -> str:
    return _text(text)


def _text(text: str) -> str:
    """Text as HTML, what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", web.escape(text))


def _marked(at: int, text: str) -> str:
    if at == 0 and text:
        return f'<span class="{text}">{text}</span>'
    if at == 1 and text:
        label, _, about = text.partition(": ")
        more = f'<br><span class="about">{_text(about)}</span>' if about else ""
        return f"<code>{web.escape(label)}</code>{more}"
    return _text(text)
