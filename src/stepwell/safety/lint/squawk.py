"""Squawk's rules, where its wheel is installed: a linter for PostgreSQL alone, in Rust, on PostgreSQL's own grammar.

Each script's way forth is written to a file of as many lines, so that Squawk's lines are ours; one process reads all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stepwell.errors import BadScript
from stepwell.safety.lint.finding import Finding
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level

EXCLUDED = frozenset({
    # Stepwell sets a lock timeout, begins the transaction, and goes on after a failure by its journal.
    "require-lock-timeout", "require-timeout-settings", "require-statement-timeout", "prefer-robust-stmts",
    "transaction-nesting", "ban-concurrent-index-creation-in-transaction", "ban-uncommitted-transaction",
    # These are rules of ours, which know what earlier scripts have done.
    "require-concurrent-index-creation", "require-concurrent-reindex", "adding-foreign-key-constraint",
    "constraint-missing-not-valid", "adding-not-nullable-field", "adding-required-field", "adding-field-with-default",
    "changing-column-type", "renaming-column", "renaming-table", "disallowed-unique-constraint",
    "adding-serial-primary-key-field",
    # Matters of taste about new tables, where nothing runs yet.
    "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity", "prefer-text-field",
    "prefer-timestamp-tz", "prefer-repack", "ban-char-field", "require-table-schema",
    # The first step of taking a column out of use.
    "ban-drop-not-null",
    # The splitter has read the script, and the server will judge its grammar.
    "syntax-error",
})  # fmt: skip


def executable() -> str | None:
    """Squawk's program, beside this Python or on the path."""
    return shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")


def findings(readings: Sequence[Reading], folder: Path) -> list[Finding]:
    """What Squawk says of PostgreSQL scripts; nothing where it is not installed or can't be run.

    Runs in the project's folder, so a .squawk.toml there counts.
    """
    program = executable()
    chosen = [reading for reading in readings if reading.engine == "postgres" and not reading.script.is_python]
    if not program or not chosen:
        return []
    with tempfile.TemporaryDirectory(prefix="stepwell-squawk-") as temporary:
        files = _write(chosen, Path(temporary))
        command = [program, "--reporter", "json", "--assume-in-transaction", *files]
        ended = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        said = json.loads(ended.stdout)
    except json.JSONDecodeError:
        return []
    return [_finding(files[one["file"]], one) for one in said if one["rule_name"] not in EXCLUDED]


def _write(readings: Sequence[Reading], folder: Path) -> dict[str, Reading]:
    """The files' names, and what each is a copy of."""
    files: dict[str, Reading] = {}
    for number, reading in enumerate(readings):
        try:
            statements = reading.script.sections.up
        except BadScript:
            continue
        text, line = "", 1
        for statement in statements:
            text += "\n" * (statement.line - line) + f"{statement.text};"
            line = max(statement.line, line) + statement.text.count("\n")
        path = folder / f"{number}.sql"
        path.write_text(text, encoding="utf-8")
        files[str(path)] = reading
    return files


def _finding(reading: Reading, said: dict[str, str | int | None]) -> Finding:
    return Finding(
        f"squawk/{said['rule_name']}",
        Level.WARNING,
        reading.script.path,
        int(said["line"] or 0) + 1,
        reading.script.reference,
        str(said["message"]),
        str(said["help"] or f"https://squawkhq.com/docs/{said['rule_name']}"),
    )
