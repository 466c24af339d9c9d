"""What each command calls and how its result is shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.cli.output import Output, plural
from stepwell.errors import BadRequest
from stepwell.project import Project
from stepwell.schema.plan import Options

if TYPE_CHECKING:
    from stepwell.schema.outlook import Outlook
    from stepwell.scripts.script import Script


def _options(options: argparse.Namespace) -> Options:
    return Options(
        database=options.database,
        to=options.to,
        count=options.count,
        accept=tuple(getattr(options, "accept", ())),
        lock_wait=getattr(options, "lock_wait", 0.0),
        override=tuple(getattr(options, "override", ())),
    )


def up(options: argparse.Namespace, output: Output) -> int:
    if options.dry_run:
        return plan(options, output, statements=True)
    project = Project.load(options.project)
    if options.outside_window:
        project = project.outside_window()
    if options.wait_budget is not None:
        from stepwell.cli import serving

        return serving.up_within_budget(project, options, output)
    if options.needs:
        raise BadRequest("--needs says what is enough within a budget, and there is none", "Add --wait-budget 25s.")
    ask = output.can_ask and not options.yes

    def agree(outlook: Outlook) -> bool:
        from stepwell.ledger.actor import actor  # what a run with nothing to do never needs

        _show_plan(outlook, output)
        return output.ask(f"Apply {plural(len(outlook.scripts), 'script')} as {actor()}?")

    result, code = project.up(_options(options), output.tell, agree if ask else None), 0
    if options.wait:
        from stepwell.cli import jobs

        result, code = jobs.up_to_the_end(project, _options(options), result, output)
    _waiting(result.waiting, output)
    output.line(f"applied {len(result.applied)}, skipped {result.skipped}")
    output.result({"applied": result.applied, "skipped": result.skipped, "waiting": result.waiting})
    return code


def plan(options: argparse.Namespace, output: Output, statements: bool = False) -> int:
    project = Project.load(options.project)
    outlook = project.outlook(_options(options))
    _formats(project, output)
    _show_plan(outlook, output, statements)
    output.line(f"would apply {len(outlook.scripts)}, skip {outlook.skipped}")
    if outlook.release.points:
        from stepwell.cli import points

        points.show(outlook.release, output)
    output.result(outlook.as_json())
    return 0


def _show_plan(outlook: Outlook, output: Output, statements: bool = False) -> None:
    for script in outlook.scripts:
        output.line(f"{script.reference:<48} {plural(len(script.statements), 'statement')}, {script.way}")
        for warning in script.warnings:
            output.sentence(f"  {warning}")
        if statements:
            for text in script.statements:
                output.line(f"\n{text};")
            output.line()
    for difference in outlook.differences:
        output.sentence(f"{difference.reference} {difference.what}: `up` will stop unless it is accepted")
    _waiting(outlook.waiting, output)


def down(options: argparse.Namespace, output: Output) -> int:
    project = Project.load(options.project)
    chosen = project.with_database(_options(options))
    if options.dry_run:
        scripts = project.way_back(chosen)
        for script, texts in scripts:
            output.line(f"{script.reference:<48} {plural(len(texts), 'statement')}")
            for text in texts:
                output.line(f"\n{text};")
            output.line()
        output.line(f"would undo {len(scripts)}")
        output.result({"would_undo": [script.reference for script, _ in scripts]})
        return 0

    def agree(scripts: Sequence[Script]) -> bool:
        from stepwell.ledger.actor import actor

        for script in scripts:
            output.line(script.reference)
        return output.ask(f"Undo {plural(len(scripts), 'script')} as {actor()}?")

    result = project.down(chosen, output.tell, agree if output.can_ask and not options.yes else None)
    output.line(f"undone {len(result.applied)}")
    output.result({"undone": result.applied})
    return 0


def status(options: argparse.Namespace, output: Output) -> int:
    from stepwell.hosting import background
    from stepwell.schema import events

    project = Project.load(options.project)
    in_step: dict[str, str] = {}

    def tell(event: events.Event) -> None:
        if isinstance(event, events.InStep):
            in_step[event.database] = event.tool
        output.tell(event)

    states = project.status(_options(options), tell)
    _formats(project, output)
    output.table([("STEP", "STATE", "SINCE"), *((s.reference, s.state, s.since[:16]) for s in states)])
    for state in states:
        if state.detail:
            output.line()
            output.sentence(f"{state.reference}: {state.detail}")
    behind = background.look(project.config.folder)
    if behind:
        output.sentence(f"\n{background.describe(behind)}")
    output.result(
        {
            "steps": [state.as_json() for state in states],
            "in_step": in_step,
            "background": asdict(behind) if behind else None,
        }
    )
    return 0


def resolve(options: argparse.Namespace, output: Output) -> int:
    reference, _, position = options.statement.rpartition(":")
    if not position.isdigit() or "/" not in reference:
        raise BadRequest(
            f"can't read {options.statement!r}", "Write DATABASE/VERSION:STATEMENT, e.g. analytics/0006:2."
        )
    full = Project.load(options.project).resolve(reference, int(position), options.answer == "done", output.tell)
    output.sentence(f"{full}:{position} is recorded as {options.answer}; `stepwell up` goes on from there")
    output.result({"resolved": f"{full}:{position}", "as": options.answer})
    return 0


def baseline(options: argparse.Namespace, output: Output) -> int:
    database, _, version = options.reference.partition("/")
    project = Project.load(options.project)
    run = Options(database=database, lock_wait=options.lock_wait)
    recorded = project.baseline(run, options.reference if version else None, output.tell)
    for reference in recorded:
        output.line(f"{reference:<48} recorded as applied, not run")
    output.line(f"recorded {len(recorded)}")
    output.result({"recorded": recorded})
    return 0


def adopt(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import adopting

    return adopting.adopt(options, output)


def convert(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import converting

    return converting.convert(options, output)


def init(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli.starting import make_project

    made = make_project(options.folder, options.bundle)
    for path in made:
        output.line(f"made {path}")
    output.result({"made": [str(path) for path in made]})
    return 0


def new(options: argparse.Namespace, output: Output) -> int:
    if options.three_point:
        from stepwell.cli import threepoint

        return threepoint.write(options, output)
    if not options.name:
        raise BadRequest("which database, and what is the script called?", "stepwell new DATABASE NAME")
    from stepwell.cli.starting import make_script

    path = make_script(Project.load(options.project), options.database, options.name)
    output.line(f"made {_short(path)}")
    output.result({"made": str(path)})
    return 0


def demo(options: argparse.Namespace, output: Output) -> int:
    import shlex
    import shutil

    from stepwell.bundles.opik import demo as opik

    folder = options.folder or Path("opik-demo")
    facts = opik.run(folder, options.scale, options.seed, output.tell, output.line, live=options.live)
    output.table([("", "COUNT", "EXPECTED", ""), *((f.label, *f.shown(), "ok" if f.ok else "WRONG") for f in facts)])
    called = Path(sys.argv[0])
    stepwell = "stepwell" if called.name != "stepwell" or shutil.which("stepwell") else _short(called.absolute())
    output.line(f"\nlook around: {stepwell} status --project {shlex.quote(str(folder))}")
    output.result({"facts": [{"label": f.label, "value": f.value, "expected": f.expected} for f in facts]})
    return 0 if all(fact.ok for fact in facts) else 1


def deploy(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import deploy as deploying

    return deploying.deploy(options, output)


def guard(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import serving

    return serving.guard(options, output)


def job(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import jobs

    return jobs.job(options, output)


def work(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import jobs

    return jobs.work(options, output)


def lint(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import lint as linting

    return linting.lint(options, output)


def doctor(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import doctor as examining

    return examining.doctor(options, output)


def runbook(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import runbook as running

    return running.runbook(options, output)


def rehearse(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import rehearsing

    return rehearsing.rehearse(options, output)


def check(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import checks

    return checks.check(options, output)


def diff(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import diff as comparing

    return comparing.diff(options, output)


def snapshot(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import checks

    return checks.snapshot(options, output)


def history(options: argparse.Namespace, output: Output) -> int:
    from stepwell.cli import checks

    return checks.history(options, output)


def _waiting(waiting: dict[str, list[str]], output: Output) -> None:
    for reference, others in waiting.items():
        output.sentence(f"{reference} waits for {', '.join(others)}")


def _formats(project: Project, output: Output) -> None:
    for line in project.recognised():
        output.note(line)


def _short(path: Path) -> Path:
    """The path from here, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
