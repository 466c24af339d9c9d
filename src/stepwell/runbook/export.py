"""A runbook written down, with times, evidence and names: for those who were not there.

One document is made, as sections with tables; two writers make Markdown and HTML of it. The HTML stands alone: it
loads nothing, prints well, and needs no script.
"""

from __future__ import annotations

import html as web
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stepwell.checks.snapshots import moment
from stepwell.ledger.events import Event
from stepwell.runbook.evidence import Mark, Progress, Status

_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a paragraph, and a table whose first row is its heading. `kind` is items, pairs or acts."""

    title: str
    kind: str
    table: tuple[tuple[str, ...], ...]
    about: str = ""


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
        Section(phase.name, "items", (("", "Item", "Evidence"), *map(_row, statuses)), phase.about)
        for phase, statuses in progress.sections
    ]
    if book.risks:
        sections.append(Section("Risks", "pairs", (("What may go wrong", "What then"), *book.risks)))
    if book.contacts:
        sections.append(Section("Contacts", "pairs", (("Who", "How"), *book.contacts)))
    done = [(moment(act.at), act.step, act.act, act.who, act.note) for act in acts]
    if done:
        sections.append(
            Section("What was done", "acts", (("When", "Step", "Act", "Who", "Note"), *done), "Newest first.")
        )
    return Document(book.title, book.about, summary, tuple(sections))


def _row(status: Status) -> tuple[str, ...]:
    item = status.item
    if status.mark is Mark.TEXT:
        return "", item.about, ""
    label = f"{item.label}: {item.about}" if item.about else item.label
    return status.mark.value, label, status.words


# --- Markdown -------------------------------------------------------------------------------------------------


def markdown(document: Document) -> str:
    """The document as Markdown."""
    lines = [f"# {_flat(document.title)}", ""]
    lines += [_flat(document.about), ""] if document.about else []
    lines += [f"**{document.summary}**", ""]
    for section in document.sections:
        lines += [f"## {_flat(section.title)}", ""]
        lines += [_flat(section.about), ""] if section.about else []
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
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; break-after: avoid; }
p { margin: .3rem 0; max-width: 48rem; }
.summary { font-weight: 600; border-left: .25rem solid #2a7d4f; background: var(--soft); padding: .5rem .8rem; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; margin-top: .5rem; font-size: .9rem; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: .35rem .8rem .35rem 0; vertical-align: top; overflow-wrap: anywhere; }
td { border-bottom: 1px solid var(--line); }
td p { margin: .1rem 0 0; }
tr { break-inside: avoid; }
code { font: .92em ui-monospace, monospace; }
.items th:nth-child(1) { width: 4rem; }
.items th:nth-child(2) { width: 46%; }
.pairs th:nth-child(1) { width: 40%; }
.acts th:nth-child(1) { width: 17%; }
.acts th:nth-child(2) { width: 26%; }
.acts th:nth-child(3), .acts th:nth-child(4) { width: 12%; }
span { font-weight: 600; border-radius: .2rem; padding: .05rem .4rem; color: #fff; background: #6b6b6b; }
span.done { background: #2a7d4f; }
span.look { background: #8a5d00; }
span.fails { background: #b3261e; }
@media print {
  body { font-size: 9.5pt; max-width: none; margin: 0; padding: 0; }
  span[class] { color: inherit; background: none; padding: 0; text-transform: uppercase; }
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
        head, *rows = section.table
        parts += [f'<table class="{section.kind}"><thead>', _tr("th", map(_text, head)), "</thead><tbody>"]
        parts += [_tr("td", _item(row) if section.kind == "items" else map(_text, row)) for row in rows]
        parts.append("</tbody></table>")
    return "\n".join([*filter(None, parts), "</body></html>", ""])


def _tr(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def _item(row: Sequence[str]) -> Iterator[str]:
    """The cells of an item: its mark, its reference with what it is about below, and its evidence."""
    mark, what, evidence = row
    yield f'<span class="{mark}">{mark}</span>' if mark else ""
    label, _, about = what.partition(": ") if mark else ("", "", what)
    yield (f"<code>{_text(label)}</code>" if mark else "") + (f"<p>{_text(about)}</p>" if about else "")
    yield _text(evidence)


def _text(text: str) -> str:
    """Text as HTML, what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", web.escape(text))
