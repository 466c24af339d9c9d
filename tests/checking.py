"""Projects with checks for tests."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import dumping
import projects
from projects import Project
from stepwell import project


def make(
    folder: Path, urls: Mapping[str, str], checks: Mapping[str, str], scripts: Mapping[str, str] | None = None
) -> Project:
    """A project's folder with checks by file name; a name without an ending gets .sql."""
    made = projects.make(folder / "project", urls, scripts or {})
    write(made, checks)
    return made


def write(made: Project, checks: Mapping[str, str]) -> None:
    (made.folder / "checks").mkdir(exist_ok=True)
    for name, text in checks.items():
        path = made.folder / "checks" / (name if Path(name).suffix else f"{name}.sql")
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def loaded(made: Project) -> project.Project:
    """The project in this process, for tests that run many checks."""
    return project.Project.load(made.folder, {projects.variable(name): url for name, url in made.urls.items()})


def results(url: str) -> list[str]:
    """What the ledger remembers of checks: name, for which step, verdict."""
    try:
        return dumping.query(url, "SELECT check_name, for_step, verdict FROM stepwell_check ORDER BY id")
    except Exception:  # each driver's own: there is no such table
        return []
