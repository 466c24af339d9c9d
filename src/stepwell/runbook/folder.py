"""The folder of runbooks. What is wrong in one is said at once, with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell import graph
from stepwell.errors import BadRunbook, did_you_mean
from stepwell.runbook.definition import KINDS, SIGNED, Item, Phase, Runbook

TOP = ("title", "about", "phases", "criteria", "risks", "contacts", "rollback")
PHASE = ("name", "about", "items")
ITEM = ("do", "undo", "about", "by", "text")

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_PLACE = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True, slots=True)
class Known:
    """What the project has that a runbook may refer to: full references of scripts, and names of the other kinds."""

    scripts: Collection[str]
    names: Mapping[str, Collection[str]]


def load(folder: Path, known: Known) -> dict[str, Runbook]:
    """All runbooks of a folder, by name. Raises BadRunbook."""
    return {path.stem: _Reading(path, known).read() for path in sorted(folder.glob("*.toml"))}


@dataclass(slots=True)
class _Reading:
    """A file on its way to being a runbook. `at` is the line that was read last: TOML itself keeps no lines."""

    path: Path
    known: Known
    lines: list[str] = field(default_factory=list)
    at: int = 0
    signed: dict[str, int] = field(default_factory=dict)

    def wrong(self, line: int, what: str, do: str) -> BadRunbook:
        return BadRunbook(self.path, line, what, do)

    def read(self) -> Runbook:
        try:
            text = self.path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except UnicodeDecodeError as error:
            raise self.wrong(0, f"it is not UTF-8, byte {error.start}", "Save it as UTF-8.") from None
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            what = f"it is not valid TOML: {error}"
            raise self.wrong(int(place[1]) if place else 0, what, "Correct that line.") from None
        self.lines = text.split("\n")
        self.keys("the runbook", content, TOP)
        phases = self.tables(content, "phases")
        if not phases:
            raise self.wrong(1, "it has no phases", 'Begin one by [[phases]], with name = "…" and items = [ … ].')
        return Runbook(
            self.path.stem,
            self.path,
            self.text(content, "title") or self.path.stem,
            self.text(content, "about"),
            tuple(self.phase(phase, number) for number, phase in enumerate(phases)),
            self.section("Success criteria", {"items": content.get("criteria", [])}, r"criteria\s*="),
            self.section("Rollback", content.get("rollback", {}), r"\[rollback\]", back=True),
            self.pairs(content, "risks", "risk", "then"),
            self.pairs(content, "contacts", "who", "reach"),
        )

    # --- parts ---

    def phase(self, table: Mapping[str, Any], number: int) -> Phase:
        starts = [at for at, line in enumerate(self.lines) if re.match(r"\s*\[\[phases\]\]", line)]
        self.at = starts[number] if number < len(starts) else 0
        self.keys("a phase", table, PHASE)
        name = self.text(table, "name")
        if not name:
            raise self.wrong(self.at + 1, "this phase has no name", 'Add name = "…".')
        return Phase(name, self.text(table, "about"), self.items(table))

    def section(self, name: str, table: Any, head: str, *, back: bool = False) -> Phase:
        self.at = next((at for at, line in enumerate(self.lines) if re.match(rf"\s*{head}", line)), 0)
        if not isinstance(table, dict):
            raise self.wrong(self.at + 1, f"{name.lower()} must be a table", "Write [rollback] with items = [ … ].")
        self.keys(name.lower(), table, ("about", "items"))
        return Phase(name, self.text(table, "about"), self.items(table, back))

    def items(self, table: Mapping[str, Any], back: bool = False) -> tuple[Item, ...]:
        written = table.get("items", [])
        if not isinstance(written, list):
            raise self.wrong(self.at + 1, "`items` must be a list", "Write items = [ … ].")
        return tuple(self.item(one, back) for one in written)

    def item(self, written: Any, back: bool) -> Item:
        if isinstance(written, str):
            written = {"do": written}
        if not isinstance(written, dict):
            do = 'Write a reference such as "check/items-match", or a table { do = "…", about = "…" }.'
            raise self.wrong(self.at + 1, f"an item can't be {written!r}", do)
        word = next((key for key in ("do", "undo", "text") if key in written), "")
        self.at = self.find(str(written.get(word) or next(iter(written.values()), "")))
        line = self.at + 1
        self.keys("an item", written, ITEM)
        if not word or sum(key in written for key in ("do", "undo", "text")) > 1:
            raise self.wrong(line, "an item says one of `do`, `undo` and `text`", 'Write { do = "REFERENCE" }.')
        about, by = self.text(written, "about"), written.get("by", [])
        if word == "text":
            return Item("", line, self.text(written, "text"))
        undo = word == "undo"
        reference = self.reference(self.text(written, word), line, undo)
        found = Item(reference, line, about, tuple(map(str, by)) if isinstance(by, list) else (str(by),), undo)
        if undo and not back:
            raise self.wrong(line, f"{found.label} stands outside of the way back", "Move it below [rollback].")
        if found.by and found.kind not in SIGNED:
            do = "Take `by` away, or write a sign-off beside it."
            raise self.wrong(line, f"{reference} ticks itself, so nobody can sign it", do)
        if found.kind in SIGNED:
            first = self.signed.setdefault(reference, line)
            if first != line:
                do = "Give one of them another name."
                raise self.wrong(line, f"{reference} is asked for on line {first} already", do)
            if found.kind == "manual" and not about:
                do = f'Write {{ do = "{reference}", about = "…" }}.'
                raise self.wrong(line, f"{reference} does not say what is to be done", do)
        return found

    def reference(self, text: str, line: int, undo: bool) -> str:
        """The full reference. Raises BadRunbook for one that the project does not have."""
        kind, slash, name = text.partition("/")
        if not slash or not name:
            do = f"Write DATABASE/VERSION, or KIND/NAME with {', '.join(KINDS)}."
            raise self.wrong(line, f"{text!r} is no reference{did_you_mean(text, KINDS)}", do)
        if undo and kind in KINDS and kind != "job":
            raise self.wrong(line, f"{text} is nothing that can be undone", "Scripts and jobs can.")
        if kind in SIGNED:
            if not _NAME.fullmatch(name):
                do = "Write its name in small letters, digits and hyphens: signoff/go-live."
                raise self.wrong(line, f"{text!r} is no name to sign under", do)
            return text
        if kind in KINDS:
            names = self.known.names.get(kind, ())
            if name not in names:
                do = f"There are {', '.join(names)}." if names else f"The project has no {kind} at all."
                raise self.wrong(line, f"there is no {kind} {name!r}{did_you_mean(name, names)}", do)
            return text
        matches = graph.find(text, self.known.scripts)
        if len(matches) != 1:
            close = did_you_mean(text, [*self.known.scripts, *(f"{kind}/{name}" for kind in KINDS)])
            what = f"{text!r} could be {', '.join(matches)}" if matches else f"there is no step {text!r}{close}"
            raise self.wrong(line, what, f"A script is DATABASE/VERSION; the other kinds are {', '.join(KINDS)}.")
        return matches[0]

    # --- values ---

    def find(self, text: str) -> int:
        """The line from the last one on that holds a value, else the last one."""
        start = text.split("\n")[0]
        for at in range(self.at, len(self.lines)):
            if start and start in self.lines[at]:
                return at
        return self.at

    def keys(self, place: str, table: Mapping[str, Any], known: Collection[str]) -> None:
        for key in table:
            if key not in known:
                line = next(
                    (n for n, text in enumerate(self.lines[self.at :], self.at + 1) if key in text), self.at + 1
                )
                do = f"Known keys are {', '.join(known)}."
                raise self.wrong(line, f"unknown key {key!r} in {place}{did_you_mean(key, known)}", do)

    def text(self, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(self.at + 1, f"`{key}` must be text in quotes", f'Write {key} = "…".')
        return value.strip()

    def tables(self, content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        found = content.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            line = next((at for at, line in enumerate(self.lines, 1) if key in line), 1)
            raise self.wrong(line, f"`{key}` must be tables", f"Write each as [[{key}]].")
        return found

    def pairs(self, content: Mapping[str, Any], key: str, *words: str) -> tuple[tuple[str, str], ...]:
        self.at = next((at for at, line in enumerate(self.lines) if re.match(rf"\s*(\[\[)?{key}\b", line)), 0)
        found = []
        for table in self.tables(content, key):
            self.keys(key, table, words)
            one, other = (self.text(table, word) for word in words)
            found.append((one, other))
        return tuple(found)
