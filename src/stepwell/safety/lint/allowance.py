"""`-- lint: allow RULE because …`: findings that somebody has looked at and takes the responsibility for.

At the very top of a file, among the front matter, it is for the whole file; elsewhere for the statement that it stands
in, behind, or before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stepwell.databases.lexing import Kind, Unterminated, tokens
from stepwell.errors import did_you_mean
from stepwell.safety.lint.finding import Finding
from stepwell.safety.lint.rule import Level
from stepwell.scripts.script import Script, Statement

NAME = "allow"
"""The rule about these comments themselves."""

_COMMENT = re.compile(r"(?:--|#|//|/\*)[ \t]*lint[ \t]*:[ \t]*(?P<said>.*?)(?:\*/)?\s*\Z", re.DOTALL)
_ALLOW = re.compile(
    r"allow\s+(?P<rules>[a-z][a-z/-]*(?:\s*,\s*[a-z][a-z/-]*)*)(?:\s+because\s+(?P<reason>\S.*))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """One rule, allowed in the lines from `first` to `last`; `last` None: in the whole file."""

    rule: str
    line: int
    first: int
    last: int | None

    def covers(self, finding: Finding) -> bool:
        return self.rule == finding.rule and (self.last is None or self.first <= finding.line <= self.last)


def settle(script: Script, findings: Sequence[Finding], known: Sequence[str]) -> list[Finding]:
    """The findings that nothing allows, and those about allowances: without a reason, unknown, of no use."""
    if "lint" not in script.text:
        return list(findings)
    allowances: list[Allowance] = []
    wrong: list[Finding] = []

    def complain(line: int, what: str, do: str, level: Level = Level.ERROR) -> None:
        wrong.append(Finding(NAME, level, script.path, line, script.reference, what, do))

    for line, said in _comments(script):
        found = _ALLOW.fullmatch(said)
        if not found:
            complain(line, f"`lint: {said}` is not understood.", f"Write `-- {FORM}`.")
            continue
        if not found["reason"]:
            complain(line, "It allows something and gives no reason.", f"Write why it is safe here: `-- {FORM}`.")
            continue
        for rule in re.split(r"\s*,\s*", found["rules"]):
            if rule in known or rule.startswith("squawk/"):
                allowances.append(_allowance(script, rule, line))
            else:
                complain(line, f"There is no rule {rule!r}{did_you_mean(rule, known)}.", "docs/lint.md lists them.")
    left = [finding for finding in findings if not any(one.covers(finding) for one in allowances)]
    for one in allowances:
        if not one.rule.startswith("squawk/") and not any(one.covers(finding) for finding in findings):
            complain(one.line, f"{one.rule} finds nothing here to allow.", "Take the comment out.", Level.WARNING)
    return [*left, *wrong]


FORM = "lint: allow RULE because REASON"


def _comments(script: Script) -> Iterator[tuple[int, str]]:
    """Each comment for the linter: its line, and what it says."""
    if script.is_python:
        for line in range(1, _top(script) + 1):
            if found := _COMMENT.fullmatch(script.text.split("\n")[line - 1]):
                yield line, found["said"]
        return
    shift = _shift(script)
    try:
        for token in tokens(script.text, script.engine):
            if token.kind is Kind.COMMENT and (found := _COMMENT.fullmatch(token.text)):
                yield script.text.count("\n", 0, token.offset) + 1 + shift, " ".join(found["said"].split())
    except Unterminated:
        return


def _shift(script: Script) -> int:
    """How many lines of the file stand before the script's text: some formats have several scripts in a file."""
    if script.is_python:
        return 0
    first = script.sections.up[0]
    return first.line - 1 - script.text.count("\n", 0, max(script.text.find(first.text), 0))


def _top(script: Script) -> int:
    """How many lines of comment the script begins with."""
    mark = "#" if script.is_python else "--"
    lines = script.text.split("\n")
    return next((number for number, line in enumerate(lines) if not line.startswith(mark)), len(lines))


def _allowance(script: Script, rule: str, line: int) -> Allowance:
    if line - _shift(script) <= _top(script):
        return Allowance(rule, line, 1, None)
    statements: list[Statement] = [*script.sections.up, *(script.sections.down or ())]
    for statement in statements:
        last = statement.line + statement.text.count("\n")
        if last >= line:
            return Allowance(rule, line, statement.line, last)
    return Allowance(rule, line, line, line)
