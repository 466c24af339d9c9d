"""When the linter looks: at a project's files when asked, at what comes next when a release is planned or applied."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.config import Config
from stepwell.errors import BadRequest, LintRefused, NoLinter
from stepwell.schema import events
from stepwell.schema.plan import Target
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.safety.lint.finding import Finding
    from stepwell.schema.outlook import Outlook

# Of the linter only this module is imported by a run that may have nothing to say: sqlglot costs 0.1 s.


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and in how many scripts it was looked for."""

    findings: list[Finding]
    scripts: int

    @property
    def errors(self) -> int:
        return _errors(self.findings)


def lint(config: Config, scripts: Mapping[str, Sequence[Script]], paths: Sequence[Path]) -> Report:
    """Look at scripts, given by their database. Raises NoLinter, BadRequest."""
    if not find_spec("sqlglot"):
        raise NoLinter
    from stepwell.safety.lint import check, squawk

    chosen = [
        reading for name, files in scripts.items() for reading in check.readings(files, config.databases[name].cluster)
    ]
    if paths:
        wanted = [path.resolve() for path in paths]
        chosen = [reading for reading in chosen if _is_in(reading.script.path.resolve(), wanted)]
        if not chosen:
            raise BadRequest(
                f"no script of this project in {', '.join(map(str, paths))}",
                "The folders of scripts are named in stepwell.toml.",
            )
    return Report(check.check(chosen, squawk.findings(chosen, config.folder)), len(chosen))


def before_up(config: Config, targets: Sequence[Target], ready: Sequence[Script], tell: events.Listener) -> None:
    """Tell how much there is to say of scripts about to be applied. Raises LintRefused where errors stop them."""
    findings = coming(config, targets, [script.reference for script in ready])
    if config.lint_up == "stop" and (found := [one for one in findings if one.level.value == "error"]):
        raise LintRefused([(one.rule, f"{one.path}:{one.line}") for one in found])
    if findings:
        errors = _errors(findings)
        tell(events.Linted(errors, len(findings) - errors))


def noted(outlook: Outlook, config: Config, targets: Sequence[Target]) -> Outlook:
    """The outlook with what is found in each script among its warnings."""
    findings = coming(config, targets, [script.reference for script in outlook.scripts])
    if not findings:
        return outlook
    notes: dict[str, list[str]] = {}
    for one in findings:
        notes.setdefault(one.reference, []).append(f"lint, line {one.line}: {one.rule} ({one.level.value})")
    return replace(
        outlook,
        scripts=[
            replace(script, warnings=[*script.warnings, *notes.get(script.reference, ())]) for script in outlook.scripts
        ],
    )


def coming(config: Config, targets: Sequence[Target], references: Collection[str]) -> list[Finding]:
    """What there is to say of scripts for databases that have a past: on a new one there is nothing to harm."""
    used = [
        target
        for target in targets
        if target.history.applied and any(script.reference in references for script in target.scripts)
    ]
    if config.lint_up == "off" or not used or not find_spec("sqlglot"):
        return []
    from stepwell.safety.lint import check

    found: list[Finding] = []
    for target in used:
        readings = check.readings(target.scripts, config.databases[target.database.name].cluster)
        found += check.check(reading for reading in readings if reading.script.reference in references)
    return found


def _is_in(path: Path, places: Sequence[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _errors(findings: Sequence[Finding]) -> int:
    return sum(finding.level.value == "error" for finding in findings)
