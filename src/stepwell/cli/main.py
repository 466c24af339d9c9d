"""The commands, and what each ends with."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from stepwell import __version__
from stepwell.cli import arguments, commands
from stepwell.cli.output import Output
from stepwell.errors import BadRequest, StepwellError, did_you_mean

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


class Verb(NamedTuple):
    """A command: what runs it, what it does, what gives its parser the arguments, and what to know after Ctrl-C."""

    run: Callable[[argparse.Namespace, Output], int]
    about: str
    arguments: Callable[[argparse.ArgumentParser], None]
    interrupted: str = "the same command goes on from here"


LOOKED = "nothing was changed"
AGAIN = "the same command begins anew"
COPIES = "the copies were removed; the databases are as they were"

VERBS = {
    "init": Verb(commands.init, "make a project in a folder", arguments.init),
    "new": Verb(commands.new, "make the next script of a database", arguments.new),
    "plan": Verb(commands.plan, "show what `up` would do; changes nothing", arguments.plan, LOOKED),
    "up": Verb(commands.up, "apply every script that is ready", arguments.up),
    "down": Verb(commands.down, "undo the last script of a database", arguments.down),
    "status": Verb(commands.status, "show every script and its state", arguments.status, LOOKED),
    "resolve": Verb(commands.resolve, "say what became of a statement in doubt", arguments.resolve),
    "baseline": Verb(commands.baseline, "record scripts as applied without running them", arguments.baseline),
    "adopt": Verb(commands.adopt, "take over what another tool has applied", arguments.adopt),
    "convert": Verb(
        commands.convert,
        "write another tool's files in Stepwell's own format, proven equal",
        arguments.convert,
    ),
    "job": Verb(commands.job, "look at the jobs, run and steer them", arguments.job),
    "work": Verb(commands.work, "run all enabled jobs, cycle after cycle, until SIGTERM", arguments.work),
    "lint": Verb(
        commands.lint, "say what the scripts would do to a running system; connects to nothing", arguments.lint, LOOKED
    ),
    "doctor": Verb(
        commands.doctor, "look whether a release can be begun on these databases now", arguments.doctor, LOOKED
    ),
    "rehearse": Verb(commands.rehearse, "run the whole release and its way back on copies", arguments.rehearse, COPIES),
    "check": Verb(commands.check, "look whether what must hold does", arguments.check, AGAIN),
    "diff": Verb(commands.diff, "show what differs between two tables, row by row", arguments.diff, LOOKED),
    "snapshot": Verb(commands.snapshot, "keep what checks compare with later", arguments.snapshot, AGAIN),
    "runbook": Verb(
        commands.runbook, "the phases of a careful release: what is done, by which evidence", arguments.runbook
    ),
    "history": Verb(commands.history, "what was done, by whom, when", arguments.history, LOOKED),
    "guard": Verb(
        commands.guard, "refuse to start a server on a schema too old or too new for it", arguments.guard, LOOKED
    ),
    "deploy": Verb(commands.deploy, "write the manifests that run this project somewhere", arguments.deploy),
    "demo": Verb(commands.demo, "run a bundled example in a folder, with data, to its end", arguments.demo),
}


def main(given: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    given = sys.argv[1:] if given is None else given
    if not given:
        _parser(given).print_help(sys.stderr)
        return 2
    output = Output(as_json="--json" in given)
    logging.lastResort = _Warnings(output)
    try:
        return _run(given, output)
    except KeyboardInterrupt:
        verb = VERBS.get(given[0])
        output.note(f"interrupted; {verb.interrupted if verb else LOOKED}")
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough, as `| head` does
        sys.stderr.close()
        return 0


def _run(given: Sequence[str], output: Output) -> int:
    try:
        _look_up(given)
        options, unknown = _parser(given).parse_known_args(given)
        output.project = options.project
        if unknown:
            called = " ".join(["stepwell", *given[: 2 if given[0] in arguments.VERBS_OF else 1]])
            raise BadRequest(f"`{called}` does not take {' '.join(unknown)}", f"See {called} --help")
        code: int = options.run(options, output)
        return code
    except StepwellError as error:
        output.error(error)
        return error.exit_code


class _Warnings(logging.Handler):
    """Shows warnings as notes, where nobody has said what becomes of them."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self.output = output

    def emit(self, record: logging.LogRecord) -> None:
        self.output.note(record.getMessage())


def _terminated(_signal: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does, so that locks are given back; what is in doubt is settled by the next run."""
    raise SystemExit(143)


def _look_up(given: Sequence[str]) -> None:
    """Raise BadRequest for a command that does not exist: argparse would answer with a line of all that do."""
    called = "stepwell"
    for word, known in zip(given, (list(VERBS), list(arguments.VERBS_OF.get(given[0], ()))), strict=False):
        if known and word not in known and not word.startswith("-"):
            raise BadRequest(f"no command `{called} {word}`{did_you_mean(word, known)}", f"See {called} --help")
        called += f" {word}"


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of all commands, or of the one that is called: to make the others takes longer than to read files."""
    parser = argparse.ArgumentParser(
        prog="stepwell",
        description="Takes a relational database and ClickHouse to their next version together.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stepwell {__version__}")
    # With `prog` said, argparse need not build a usage text to find it.
    verbs = parser.add_subparsers(prog=parser.prog, dest="command", required=True, metavar="COMMAND")
    called = given[0] if given and given[0] in VERBS else ""
    for name, verb in VERBS.items():
        if called in ("", name):
            added = verbs.add_parser(name, help=verb.about, description=verb.about)
            added.set_defaults(run=verb.run)
            verb.arguments(added)
    return parser
