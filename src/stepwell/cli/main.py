"""The commands, their options, and what each ends with."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from stepwell import __version__
from stepwell.cli import commands
from stepwell.cli.output import Output
from stepwell.errors import StepwellError

EXIT_CODES = """
exit codes:
  0  done, or nothing to do
  1  a statement failed; nothing after it was started
  2  the call, the project's files or a script are not as they must be
  3  the files are not what was applied: edited, gone, or out of order
  4  a statement is in doubt and needs `stepwell resolve`
  5  the migration lock is held by another run, or was lost
  6  a database can't be reached or used
  7  a check does not hold, or tables differ
  8  the doctor found what stands in a release's way
  9  the schema is too old or too new for the server that would start
 10  `up` is not done within its --wait-budget, and goes on in the background
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    options = _parser().parse_args(arguments)
    output = Output(as_json=options.json)
    try:
        code: int = options.run(options, output)
        return code
    except StepwellError as error:
        output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        output.note("interrupted; `stepwell up` goes on from here")
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough, as `| head` does
        sys.stderr.close()
        return 0


def _terminated(_signal: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does, so that locks are given back; what is in doubt is settled by the next run."""
    raise SystemExit(143)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepwell",
        description="Takes a relational database and ClickHouse to their next version together.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stepwell {__version__}")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    every.add_argument("--project", type=Path, default=Path(), metavar="FOLDER", help="the project's folder")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--database", metavar="NAME", help="work on this database only")
    chosen.add_argument("--to", metavar="VERSION", help="stop at this version, e.g. state/0042 or 0042")
    chosen.add_argument("--count", type=_positive, metavar="N", help="at most this many scripts")
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument(
        "--lock-wait", type=float, default=900.0, metavar="SECONDS", help="wait for another run (default 900)"
    )
    # With `prog` said, argparse need not build a usage text to find it.
    verbs = parser.add_subparsers(prog=parser.prog, dest="command", required=True, metavar="COMMAND")

    def verb(
        name: str, run: Callable[[Any, Output], int], about: str, *shared: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=about, parents=[every, *shared])
        added.set_defaults(run=run)
        return added

    init = verb("init", commands.init, "make a project in a folder")
    init.add_argument("folder", nargs="?", type=Path, default=Path())
    init.add_argument("--from", dest="bundle", metavar="EXAMPLE", help="start from a bundled project: opik, agent_runs")
    new = verb("new", commands.new, "make the next script of a database")
    new.add_argument("database", nargs="?", default="")
    new.add_argument("name", nargs="?", default="", help="in a few words, e.g. add_tenant_index")
    new.add_argument(
        "--three-point", metavar="SENTENCE", default="",
        help="write all files of a change that old and new servers live through, "
        "e.g. \"rename users.name to users.full_name\"",
    )  # fmt: skip
    new.add_argument("--database", dest="on_database", default="", metavar="NAME", help="with --three-point")
    verb("plan", commands.plan, "show what `up` would do; changes nothing", chosen)
    up = verb("up", commands.up, "apply every script that is ready", chosen, running)
    up.add_argument(
        "--accept", action="append", default=[], metavar="STEP",
        help="accept that this applied file was edited or is gone, or that this new one comes late; is recorded",
    )  # fmt: skip
    up.add_argument(
        "--override", action="append", default=[], metavar="ITEM",
        help="begin in spite of this finding of `stepwell doctor`, e.g. disk-space; is recorded",
    )  # fmt: skip
    up.add_argument("--yes", action="store_true", help="do not ask; without a terminal it never does")
    up.add_argument("--dry-run", action="store_true", help="show the statements; change nothing")
    down = verb("down", commands.down, "undo the last script of a database", chosen, running)
    down.add_argument("--dry-run", action="store_true", help="show the statements; change nothing")
    verb("status", commands.status, "show every script and its state", chosen)
    resolve = verb("resolve", commands.resolve, "say what became of a statement in doubt", running)
    resolve.add_argument("statement", metavar="STEP:N", help="e.g. analytics/0006_tenant_columns:2")
    resolve.add_argument("answer", choices=["done", "not-done"])
    base = verb("baseline", commands.baseline, "record scripts as applied without running them", running)
    base.add_argument("reference", help="the last that is there, e.g. state/0042; only `state`: make the tables alone")
    take = verb("adopt", commands.adopt, "take over what another tool has applied", running)
    take.add_argument("database")
    take.add_argument("--from", dest="tool", default="", metavar="TOOL", help="where there are tables of several")
    take.add_argument("--as-is", action="store_true", help="though files differ from what was applied, or are gone")
    take.add_argument(
        "--keep-in-step", dest="in_step", action=argparse.BooleanOptionalAction,
        help="write the tool's own table too from now on, so that there is a way back to it",
    )  # fmt: skip
    take.add_argument("--dry-run", action="store_true", help="show what would be taken over; change nothing")
    turn = verb(
        "convert", commands.convert, "write another tool's files in Stepwell's own format, proven to be the same"
    )
    turn.add_argument("--database", metavar="NAME", help="the database whose scripts are meant")
    turn.add_argument(
        "--on", default="", metavar="URL", help="a server to apply both on, in two databases made for it, and compare"
    )
    turn.add_argument("--to", metavar="FOLDER", default="", help="a new folder (default migrations/NAME-native)")
    up.add_argument("--wait", action="store_true", help="run the release's jobs too, and go on until all is done")
    up.add_argument("--outside-window", action="store_true", help="do not wait for the low hours; is recorded")
    up.add_argument("--wait-budget", type=_span, metavar="TIME", help="after it (25s, 2min), go on in the background")
    up.add_argument(
        "--needs", action="append", default=[], metavar="STEP", help="with a budget: this is enough to end with 0"
    )
    guard = verb("guard", commands.guard, "refuse to start a server on a schema too old or too new for it")
    guard.add_argument("--needs", action="append", default=[], metavar="STEP", help="what must be applied or complete")
    guard.add_argument(
        "--tolerates-contract", choices=["no", "known", "yes"], default="known",
        help="contract scripts it can do with: none, those it has a file of (default), all",
    )  # fmt: skip
    manifests = verb("deploy", commands.deploy, "write the manifests that run this project somewhere")
    manifests.add_argument("way", choices=["kubernetes", "helm", "compose", "systemd", "github-actions"])
    manifests.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="default deploy/WAY")
    manifests.add_argument("--image", default="app:latest", help="the container image that holds the project in /app")
    jobs = verbs.add_parser("job", help="look at the jobs, run and steer them")
    job_verbs = jobs.add_subparsers(prog=jobs.prog, dest="job_command", required=True, metavar="VERB")
    for name, about in (
        ("list", "every job and how far it is"),
        ("show", "one job: what it does, its failed rows"),
        ("run", "run one job in the foreground to its end"),
        ("watch", "show a job's progress while somebody else runs it"),
        ("pause", "start no further batch until `resume`"),
        ("resume", "let a paused or cancelled job go on"),
        ("cancel", "stop a job for good; what it has done stays"),
        ("retry", "try the rows again that failed by themselves"),
        ("set", "show or set limits that hold from the next batch on"),
        ("why", "what the job changed in a row, and why"),
        ("undo", "give the rows back what they held before the job, unless others wrote since"),
        ("reassess", "have the rows judged again that were judged by default"),
    ):
        one = job_verbs.add_parser(name, help=about, description=about, parents=[every])
        one.set_defaults(run=commands.job)
        if name != "list":
            one.add_argument("name")
        if name == "set":
            one.add_argument("limits", nargs="*", metavar="LIMIT=VALUE",
                             help="size=500 target=100ms workers=2 pause=1s; `size=` takes one away")  # fmt: skip
        if name == "why":
            one.add_argument("key", nargs="+", help="the row's key, one argument a column")
        if name == "undo":
            one.add_argument("--yes", action="store_true", help="do not ask")
            one.add_argument("--dry-run", action="store_true", help="count and name rows; change nothing")
    verb("work", commands.work, "run all enabled jobs, cycle after cycle, until SIGTERM")
    lint = verb("lint", commands.lint, "say what the scripts would do to a running system; connects to nothing")
    lint.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="only these scripts, or those in a folder")
    lint.add_argument("--database", metavar="NAME", help="only the scripts of this database")
    lint.add_argument(
        "--format", choices=["text", "github", "sarif"], default="text", help="how to print what is found"
    )
    examine = verb("doctor", commands.doctor, "look whether a release can be begun on these databases now")
    examine.add_argument("names", nargs="*", metavar="ITEM", help="only this, e.g. disk-space")
    check = verb("check", commands.check, "look whether what must hold does")
    check.add_argument("names", nargs="*", metavar="NAME", help="these checks only")
    check.add_argument("--watch", action="store_true", help="again every few seconds, until all hold")
    diff = verb("diff", commands.diff, "show what differs between two tables, row by row")
    diff.add_argument("left", metavar="DATABASE.TABLE")
    diff.add_argument("right", metavar="DATABASE.TABLE")
    diff.add_argument(
        "--key", required=True, metavar="NAME,…", help="rows are paired by it; id=item_id: named so there"
    )
    diff.add_argument("--columns", default="", metavar="NAME,…", help="compare these (default: all with one name)")
    diff.add_argument("--where", default="", metavar="CONDITION", help="rows for which this holds, on both sides")
    diff.add_argument("--limit", type=_positive, default=100, metavar="N", help="end after N differences (default 100)")
    diff.add_argument("--resume", type=Path, metavar="FILE", help="keep in FILE what is finished, and go on from it")
    snapshots = verbs.add_parser("snapshot", help="keep what checks compare with later")
    snapshot_verbs = snapshots.add_subparsers(dest="snapshot_command", required=True, metavar="VERB")
    for name, about in (("take", "keep the rows as they are now"), ("list", "what was kept"), ("show", "one of them")):
        one = snapshot_verbs.add_parser(name, help=about, description=about, parents=[every])
        one.set_defaults(run=commands.snapshot)
        if name != "list":
            one.add_argument("name")
        if name == "take":
            one.add_argument("--replace", action="store_true", help="in place of the one that is there")
    _runbook(verbs, every)
    rehearse = verb("rehearse", commands.rehearse, "run the whole release and its way back on copies")
    rehearse.add_argument(
        "--on", action="append", default=[], metavar="NAME=URL", help="a copy that you have made; else one is made here"
    )
    history = verb("history", commands.history, "what was done, by whom, when")
    history.add_argument("--step", metavar="REF", help="of this step only, e.g. state/0042 or job/items-total")
    history.add_argument("--limit", type=_positive, default=50, metavar="N", help="the last N acts (default 50)")
    demo = verb("demo", commands.demo, "run a bundled example in a folder, with data, to its end")
    demo.add_argument("example", choices=["opik"])
    demo.add_argument("folder", nargs="?", type=Path)
    demo.add_argument("--scale", type=float, default=1.0, help="1.0: about 20,000 items; 100: two million")
    demo.add_argument("--seed", type=int, default=1)
    demo.add_argument("--live", action="store_true", help="let an application write while it is upgraded")
    return parser


def _runbook(verbs: Any, every: argparse.ArgumentParser) -> None:
    books = verbs.add_parser("runbook", help="the phases of a careful release: what is done, by which evidence")
    book_verbs = books.add_subparsers(prog=books.prog, dest="runbook_command", required=True, metavar="VERB")
    for name, about in (
        ("show", "what is done, by which evidence, and what is next"),
        ("sign", "say yes to a sign-off, or that a manual item is done"),
        ("refuse", "say no, which takes back a yes"),
        ("export", "write all of it down, with times, evidence and names"),
        ("rollback", "go the way back that the runbook describes; shows it and asks"),
    ):
        one = book_verbs.add_parser(name, help=about, description=about, parents=[every])
        one.set_defaults(run=commands.runbook)
        if name in ("sign", "refuse"):
            one.add_argument("item", help="e.g. signoff/go-live")
            one.add_argument("--note", default="", help="a word to it, for the record")
            continue
        if name == "export":
            one.add_argument("--name", default="", help="which runbook, where there are several")
            one.add_argument(
                "--format", choices=["markdown", "html"], default="", help="by the file's ending if left out"
            )
            one.add_argument("file", nargs="?", type=Path, help="where to write it; standard output if left out")
            continue
        one.add_argument("name", nargs="?", default="", help="which, where there are several")
        if name == "rollback":
            one.add_argument("--yes", action="store_true", help="do not ask")
            one.add_argument("--dry-run", action="store_true", help="show what would be done; change nothing")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _span(text: str) -> float:
    from stepwell import durations

    seconds = durations.seconds(text)
    if seconds is None:
        raise argparse.ArgumentTypeError("write it as 25s, 2min or 1h")
    return seconds
