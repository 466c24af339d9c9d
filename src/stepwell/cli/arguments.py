"""What each command takes."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from pathlib import Path

JOB_VERBS = {
    "list": "every job and how far it is",
    "show": "one job: what it does, its failed rows",
    "run": "run one job in the foreground to its end",
    "watch": "show a job's progress while somebody else runs it",
    "pause": "start no further batch until `resume`",
    "resume": "let a paused or cancelled job go on",
    "cancel": "stop a job for good; what it has done stays",
    "retry": "try the rows again that failed by themselves",
    "set": "show or set limits that hold from the next batch on",
    "why": "what the job changed in a row, and why",
    "undo": "give the rows back what they held before the job, unless others wrote since",
    "reassess": "have the rows judged again that were judged by default",
}
SNAPSHOT_VERBS = {
    "take": "keep the rows as they are now",
    "list": "what was kept",
    "show": "one of them",
}
RUNBOOK_VERBS = {
    "show": "what is done, by which evidence, and what is next",
    "sign": "say yes to a sign-off, or that a manual item is done",
    "refuse": "say no, which takes back a yes",
    "export": "write all of it down, with times, evidence and names",
    "rollback": "go the way back that the runbook describes; shows it and asks",
}
VERBS_OF = {"job": JOB_VERBS, "snapshot": SNAPSHOT_VERBS, "runbook": RUNBOOK_VERBS}


def every(verb: ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    verb.add_argument("--project", type=Path, default=Path(), metavar="FOLDER", help="the project's folder")


def choosing(verb: ArgumentParser) -> None:
    verb.add_argument("--database", metavar="NAME", help="work on this database only")
    verb.add_argument("--to", metavar="VERSION", help="stop at this version, e.g. state/0042 or 0042")
    verb.add_argument("--count", type=_positive, metavar="N", help="at most this many scripts")


def waiting(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--lock-wait", type=float, default=900.0, metavar="SECONDS", help="wait for another run (default 900)"
    )


# --- projects and scripts -----------------------------------------------------------------------------------------


def init(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("folder", nargs="?", type=Path, default=Path())
    verb.add_argument("--from", dest="bundle", metavar="EXAMPLE", help="start from a bundled project: opik, agent_runs")


def new(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("database", nargs="?", default="")
    verb.add_argument("name", nargs="?", default="", help="in a few words, e.g. add_tenant_index")
    verb.add_argument(
        "--three-point", metavar="SENTENCE", default="",
        help="write all files of a change that old and new servers live through, "
        "e.g. \"rename users.name to users.full_name\"",
    )  # fmt: skip
    verb.add_argument("--database", dest="on_database", default="", metavar="NAME", help="with --three-point")


def plan(verb: ArgumentParser) -> None:
    every(verb)
    choosing(verb)


def agreeing(verb: ArgumentParser) -> None:
    verb.add_argument("--yes", action="store_true", help="do not ask; without a terminal it never does")


def accepting(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--accept", action="append", default=[], metavar="STEP",
        help="accept that this applied file was edited or is gone, or that this new one comes late; for `up` also "
        "that what the ledger remembers is true of the database of this name; is recorded",
    )  # fmt: skip


def up(verb: ArgumentParser) -> None:
    every(verb)
    choosing(verb)
    waiting(verb)
    accepting(verb)
    verb.add_argument(
        "--override", action="append", default=[], metavar="ITEM",
        help="begin in spite of this finding of `stepwell doctor`, e.g. disk-space; is recorded",
    )  # fmt: skip
    agreeing(verb)
    verb.add_argument("--dry-run", action="store_true", help="show the statements; change nothing")
    verb.add_argument("--wait", action="store_true", help="run the release's jobs too, and go on until all is done")
    verb.add_argument("--outside-window", action="store_true", help="do not wait for the low hours; is recorded")
    verb.add_argument("--wait-budget", type=_span, metavar="TIME", help="after it (25s, 2min), go on in the background")
    verb.add_argument(
        "--needs", action="append", default=[], metavar="STEP", help="with a budget: this is enough to end with 0"
    )


def down(verb: ArgumentParser) -> None:
    every(verb)
    choosing(verb)
    waiting(verb)
    accepting(verb)
    agreeing(verb)
    verb.add_argument("--dry-run", action="store_true", help="show the statements; change nothing")


def status(verb: ArgumentParser) -> None:
    every(verb)
    choosing(verb)


def resolve(verb: ArgumentParser) -> None:
    every(verb)
    waiting(verb)
    verb.add_argument("statement", metavar="STEP:N", help="e.g. analytics/0006_tenant_columns:2")
    verb.add_argument("answer", choices=["done", "not-done"])


def baseline(verb: ArgumentParser) -> None:
    every(verb)
    waiting(verb)
    verb.add_argument("reference", help="the last that is there, e.g. state/0042; only `state`: make the tables alone")


def adopt(verb: ArgumentParser) -> None:
    every(verb)
    waiting(verb)
    verb.add_argument("database")
    verb.add_argument("--from", dest="tool", default="", metavar="TOOL", help="where there are tables of several")
    verb.add_argument("--as-is", action="store_true", help="though files differ from what was applied, or are gone")
    verb.add_argument(
        "--keep-in-step", dest="in_step", action=argparse.BooleanOptionalAction,
        help="write the tool's own table too from now on, so that there is a way back to it",
    )  # fmt: skip
    verb.add_argument("--dry-run", action="store_true", help="show what would be taken over; change nothing")


def convert(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("--database", metavar="NAME", help="the database whose scripts are meant")
    verb.add_argument(
        "--on", default="", metavar="URL", help="a server to apply both on, in two databases made for it, and compare"
    )
    verb.add_argument("--to", metavar="FOLDER", default="", help="a new folder (default migrations/NAME-native)")


# --- jobs ---------------------------------------------------------------------------------------------------------


def job(verb: ArgumentParser) -> None:
    verbs = verb.add_subparsers(prog=verb.prog, dest="job_command", required=True, metavar="VERB")
    for name, about in JOB_VERBS.items():
        one = verbs.add_parser(name, help=about, description=about)
        every(one)
        if name != "list":
            one.add_argument("name")
        if name == "set":
            one.add_argument("limits", nargs="*", metavar="LIMIT=VALUE",
                             help="size=500 target=30ms workers=2 pause=1s; `size=` takes one away")  # fmt: skip
        if name == "why":
            one.add_argument("key", nargs="+", help="the row's key, one argument a column")
        if name == "undo":
            one.add_argument("--yes", action="store_true", help="do not ask")
            one.add_argument("--dry-run", action="store_true", help="count and name rows; change nothing")


def work(verb: ArgumentParser) -> None:
    every(verb)


# --- before, between and after ------------------------------------------------------------------------------------


def lint(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="only these scripts, or those in a folder")
    verb.add_argument("--database", metavar="NAME", help="only the scripts of this database")
    verb.add_argument(
        "--format", choices=["text", "github", "sarif"], default="text", help="how to print what is found"
    )


def doctor(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("names", nargs="*", metavar="ITEM", help="only this, e.g. disk-space")


def rehearse(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument(
        "--on", action="append", default=[], metavar="NAME=URL", help="a copy that you have made; else one is made here"
    )


def check(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("names", nargs="*", metavar="NAME", help="these checks only")
    verb.add_argument("--watch", action="store_true", help="again every few seconds, until all hold")


def diff(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("left", metavar="DATABASE.TABLE")
    verb.add_argument("right", metavar="DATABASE.TABLE")
    verb.add_argument(
        "--key", required=True, metavar="NAME,…", help="rows are paired by it; id=item_id: named so there"
    )
    verb.add_argument("--columns", default="", metavar="NAME,…", help="compare these (default: all with one name)")
    verb.add_argument("--where", default="", metavar="CONDITION", help="rows for which this holds, on both sides")
    verb.add_argument("--limit", type=_positive, default=100, metavar="N", help="end after N differences (default 100)")
    verb.add_argument("--resume", type=Path, metavar="FILE", help="keep in FILE what is finished, and go on from it")


def snapshot(verb: ArgumentParser) -> None:
    verbs = verb.add_subparsers(prog=verb.prog, dest="snapshot_command", required=True, metavar="VERB")
    for name, about in SNAPSHOT_VERBS.items():
        one = verbs.add_parser(name, help=about, description=about)
        every(one)
        if name != "list":
            one.add_argument("name")
        if name == "take":
            one.add_argument("--replace", action="store_true", help="in place of the one that is there")


def runbook(verb: ArgumentParser) -> None:
    verbs = verb.add_subparsers(prog=verb.prog, dest="runbook_command", required=True, metavar="VERB")
    for name, about in RUNBOOK_VERBS.items():
        one = verbs.add_parser(name, help=about, description=about)
        every(one)
        if name in ("sign", "refuse"):
            one.add_argument("item", help="e.g. signoff/go-live")
            one.add_argument("--note", default="", help="a word to it, for the record")
        elif name == "export":
            one.add_argument("--name", default="", help="which runbook, where there are several")
            one.add_argument(
                "--format", choices=["markdown", "html"], default="", help="by the file's ending if left out"
            )
            one.add_argument("file", nargs="?", type=Path, help="where to write it; standard output if left out")
        else:
            one.add_argument("name", nargs="?", default="", help="which, where there are several")
        if name == "rollback":
            one.add_argument("--yes", action="store_true", help="do not ask")
            one.add_argument("--dry-run", action="store_true", help="show what would be done; change nothing")


def history(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("--step", metavar="REF", help="of this step only, e.g. state/0042 or job/items-total")
    verb.add_argument("--limit", type=_positive, default=50, metavar="N", help="the last N acts (default 50)")


# --- where it runs ------------------------------------------------------------------------------------------------


def guard(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("--needs", action="append", default=[], metavar="STEP", help="what must be applied or complete")
    verb.add_argument(
        "--tolerates-contract", choices=["no", "known", "yes"], default="known",
        help="contract scripts it can do with: none, those it has a file of (default), all",
    )  # fmt: skip


def deploy(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("way", choices=["kubernetes", "helm", "compose", "systemd", "github-actions"])
    verb.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="default deploy/WAY")
    verb.add_argument("--image", default="app:latest", help="the container image that holds the project in /app")


def demo(verb: ArgumentParser) -> None:
    every(verb)
    verb.add_argument("example", choices=["opik"])
    verb.add_argument("folder", nargs="?", type=Path)
    verb.add_argument("--scale", type=float, default=1.0, help="1.0: about 20,000 items; 100: two million")
    verb.add_argument("--seed", type=int, default=1)
    verb.add_argument("--live", action="store_true", help="let an application write while it is upgraded")


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
