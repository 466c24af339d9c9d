"""`new --three-point`: the files of a change in three points."""

from __future__ import annotations

import argparse
from pathlib import Path

from stepwell.cli.output import Output
from stepwell.project import Project


def write(options: argparse.Namespace, output: Output) -> int:
    """Write the files, show where they are and what comes next."""
    project = Project.load(options.project)
    made, notes = project.new_three_point(options.three_point, options.on_database or options.database)
    here = Path.cwd()
    short = [path.relative_to(here) if path.is_relative_to(here) else path for path in made]
    for path in short:
        output.line(f"made {path}")
    for note in notes:
        output.paragraph("note ", note)
    output.sentence("\nread them, then: stepwell lint, stepwell plan")
    output.result({"made": list(map(str, short)), "notes": list(notes)})
    return 0
