"""How the linter's findings are shown: to people, to GitHub, to what reads SARIF."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from stepwell import __version__
from stepwell.cli.output import Output, plural
from stepwell.project import Project

if TYPE_CHECKING:
    from stepwell.safety.lint.finding import Finding

WIDTH = 80
_CODE = re.compile(r"`[^`]*`")
FOUND = 2
"""The exit code where there are errors: a script is not as it must be."""


def lint(options: argparse.Namespace, output: Output) -> int:
    report = Project.load(options.project).lint(options.database, options.paths)
    warnings = len(report.findings) - report.errors
    match options.format:
        case "github":
            for finding in report.findings:
                output.line(_annotation(finding))
        case "sarif":
            output.line(json.dumps(sarif(report.findings), indent=2))
        case _:
            for finding in report.findings:
                output.line(described(finding) + "\n")
            found = f"{plural(report.errors, 'error')}, {plural(warnings, 'warning')}"
            output.line(f"{found} in {plural(report.scripts, 'script')}")
    output.result(
        {
            "findings": [finding.as_json() for finding in report.findings],
            "errors": report.errors,
            "warnings": warnings,
            "scripts": report.scripts,
        }
    )
    return FOUND if report.errors else 0


def described(finding: Finding) -> str:
    """A finding for people, at most 80 columns wide but for what is to be copied."""
    lines = [f"{_shown(finding.path)}:{finding.line}: {finding.level.value}: {finding.rule}"]
    lines += [f"  {line}" for line in _wrapped(finding.what, WIDTH - 2)]
    do = [line for paragraph in finding.do.split("\n") for line in _wrapped(paragraph, WIDTH - 6)]
    lines += [f"  {'  ' if index else 'do'}  {line}" for index, line in enumerate(do)]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; what stands in backquotes is kept together, to be copied."""
    kept = _CODE.sub(lambda code: code.group().replace(" ", "\0"), text)
    lines = wrap(kept, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def _shown(path: Path) -> Path:
    """The path from here, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _annotation(finding: Finding) -> str:
    """A workflow command of GitHub Actions: shown in the pull request, beside the line."""
    text = _escaped(f"{finding.what}\n{finding.do}")
    place = f"file={_property(str(_shown(finding.path)))},line={finding.line},title={_property(finding.rule)}"
    return f"::{finding.level.value} {place}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as SARIF 2.1.0 (OASIS), with the rules that they are about."""
    from stepwell.safety.lint.rules import RULES  # not before it is known that sqlglot is installed

    about = {rule.name: " ".join(rule.about.split()) for rule in RULES}
    names = sorted({finding.rule for finding in findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "stepwell",
                        "version": __version__,
                        "rules": [{"id": name, "fullDescription": {"text": about.get(name, name)}} for name in names],
                    }
                },
                "results": [
                    {
                        "ruleId": finding.rule,
                        "level": finding.level.value,
                        "message": {"text": f"{finding.what}\n{finding.do}"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": _shown(finding.path).as_posix()},
                                    "region": {"startLine": finding.line},
                                }
                            }
                        ],
                    }
                    for finding in findings
                ],
            }
        ],
    }
