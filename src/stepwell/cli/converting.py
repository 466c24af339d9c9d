"""How `stepwell convert` shows what it wrote."""

from __future__ import annotations

import argparse

from stepwell.cli.output import Output, plural
from stepwell.project import Project
from stepwell.schema.plan import Options


def convert(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    name = project.with_database(Options(database=options.database)).database or ""
    done = project.convert(name, options.to, options.on)
    for one in done.scripts:
        output.line(f"{one.script.reference:<48} {one.path.name}")
        for variable in one.filled:
            output.sentence(f"  {variable} stands there as its default: stepwell.toml gives it no value")
    for left in done.left_out:
        output.sentence(f"left out, for Stepwell does not run it here: {left}")
    up, down = (sum(getattr(one, way) for one in done.scripts) for way in ("up", "down"))
    home = project.config.folder
    where = done.folder.relative_to(home) if done.folder.is_relative_to(home) else done.folder
    output.sentence(
        f"converted {plural(len(done.scripts), 'script')}, read back the same: {up} statements, {down} back"
    )
    if done.proof:
        output.sentence(done.proof)
    entry = project.config.databases[name]
    gone = [key for key in ("format", "contexts", "labels") if getattr(entry, key)]
    output.line(f"\nNow write below [databases.{name}] in stepwell.toml, in place of what stands there:")
    output.line(f'  scripts = "{where}"')
    if gone:
        output.line(f"and take away: {', '.join(gone)}")
    output.sentence("What is applied stays applied: `stepwell up` goes on from there.")
    output.result(
        {
            "folder": str(where),
            "scripts": [
                {"was": one.script.reference, "file": one.path.name, "filled": list(one.filled)} for one in done.scripts
            ],
            "left_out": done.left_out,
            "statements": up,
            "statements_back": down,
            "proof": done.proof,
        }
    )
    return 0
