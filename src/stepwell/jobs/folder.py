"""The folder of jobs: Python files with a class, SQL files with front matter. What is wrong in one is said at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stepwell.errors import BadJob, BadScript, did_you_mean
from stepwell.jobs import python_file, sql_file
from stepwell.jobs.definition import Definition, Drain, Exclude, Flag, Groups, Keyset, Missing, Says, Source
from stepwell.jobs.draft import Draft
from stepwell.jobs.variables import with_variables
from stepwell.scripts.source import read
from stepwell.window import Window

LONGEST_NAME = 150
"""Characters of a job's name that the ledger keeps."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def load(folder: Path, engines: Mapping[str, str], environment: Mapping[str, str]) -> list[Definition]:
    """All jobs of a folder, by name; none where there is no folder. `engines` are those of the project's databases.

    Raises BadJob.
    """
    if not folder.is_dir():
        return []
    found: dict[str, Definition] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.suffix not in (".py", ".sql"):
            continue
        for draft in _drafts(path, engines):
            # Databases compare the names that the ledger keeps, and some do not tell capitals from small letters.
            if other := found.get(draft.name.lower()):
                raise draft.wrong("", f"{other.name} is also in {other.path.name}:{other.line}", "Rename one.")
            found[draft.name.lower()] = _definition(draft, engines, environment)
    return sorted(found.values(), key=lambda definition: definition.name)


def _drafts(path: Path, engines: Mapping[str, str]) -> list[Draft]:
    try:
        text, _ = read(path)
        return python_file.drafts(text, path) if path.suffix == ".py" else [sql_file.draft(text, path, engines)]
    except BadScript as error:  # what its text has in common with a script: encoding, quotes, statements
        raise BadJob(path, error.line, error.what, error.do) from None


def _definition(draft: Draft, engines: Mapping[str, str], environment: Mapping[str, str]) -> Definition:
    if not _NAME.fullmatch(draft.name) or len(draft.name) > LONGEST_NAME:
        do = f"Name it with letters, digits and dashes, {LONGEST_NAME} at most."
        raise draft.wrong("", f"{draft.name!r} can't be a job's name", do)
    for name, value in draft.said.items():
        fits, do = _WORDS[name]
        if not fits(value):
            raise draft.cannot_be(name, value, do)
    _check_source(draft, engines)
    said = dict(draft.said)
    variables = said.pop("variables", {})
    source: Source = said.pop("batches")
    if exclude := said.pop("exclude", None):
        source = replace(source, excluded=exclude.read(environment))
    if said.get("records") and isinstance(source, Groups) and not said.get("row_key"):
        do = 'Name the table\'s key: row_key = ["id"], or `-- row-key: id`.'
        raise draft.wrong("records", "a group has many rows, and nothing tells them apart", do)
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    definition = Definition(
        name=draft.name,
        path=draft.path,
        line=draft.line,
        about=draft.about,
        source=source,
        migrate=draft.migrate,
        undo=draft.undo,
        reopen=draft.reopen,
        flag=fields.pop("enabled", None),
        **fields,
    )
    return with_variables(definition, variables, environment)


def _check_source(draft: Draft, engines: Mapping[str, str]) -> None:
    source = draft.said.get("batches")
    if not isinstance(source, (Keyset, Drain, Groups)):
        raise draft.wrong("batches", "`batches` is missing", 'Write batches = Keyset("database", "table", key="id").')
    missing = source.where if isinstance(source.where, Missing) else None
    texts: dict[str, Any] = {"database": source.database, "table": source.table, "key": source.key}
    texts |= (
        {f"missing {name}": value for name, value in asdict(missing).items()} if missing else {"where": source.where}
    )
    for name, text in texts.items():
        if not isinstance(text, str):
            raise draft.wrong("batches", f"its batches' {name} can't be {text!r}", "Write it as one text, in quotes.")
    if source.database not in engines:
        hint = did_you_mean(source.database, engines)
        what = f"no database {source.database!r} in this project{hint}"
        raise draft.wrong("batches", what, f"There are {', '.join(engines)}.")
    if not source.table.strip() or not all(source.keys):
        do = "Say by which column: unique, not NULL, indexed."
        raise draft.wrong("batches", "its batches name no table, or no key", do)
    if len(set(source.keys)) < len(source.keys):
        raise draft.wrong("batches", f"its batches name a column twice: {', '.join(source.keys)}", "Take one away.")
    if missing and not (isinstance(source, Groups) and engines[source.database] == "clickhouse"):
        do = "Write the condition in SQL: NOT EXISTS (SELECT 1 FROM …)."
        raise draft.wrong("batches", "only groups in ClickHouse can be `missing from` a table", do)
    if missing and not (missing.table.strip() and all(part.strip() for part in missing.key.split(","))):
        do = "Say from which table, and by which columns a row is known there."
        raise draft.wrong("batches", "what its batches' rows are missing from has no name, or no key", do)
    if isinstance(source, Drain) and not source.where.strip():
        do = "Say which rows are still to be migrated."
        raise draft.wrong("batches", "a drain without `where` would never be empty", do)
    size = source.rows if isinstance(source, Groups) else source.size
    if not _is_count(size):
        raise draft.wrong("batches", f"its batches can't have {size!r} rows", "Write a whole number above zero.")


# --- what a word may be ---------------------------------------------------------------------------------------


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) and name.strip() for name in value)


def _is_references(value: Any) -> bool:
    return _is_names(value) and all(re.fullmatch(r"[^/\s]+/\S+", name) for name in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def _is_flag(value: Any) -> bool:
    return value is None or (isinstance(value, Flag) and _is_variable(value.name) and isinstance(value.default, bool))


def _is_exclude(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Exclude) and _is_names([value.column]) and _is_variable(value.variable)


def _is_variables(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_variable, value.values()))


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and bool(_VARIABLE.fullmatch(value))


_REFERENCES = "Write a list of references, such as state/0042, job/other or signoff/go-live."
_COLUMNS = "Write a list of columns."
_SECONDS = "Write seconds above zero; in SQL also 250ms, 30s, 5min or 2h."
_WORDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "batches": (lambda value: isinstance(value, (Keyset, Drain, Groups)), "Write a Keyset, a Drain or Groups."),
    "requires": (_is_references, _REFERENCES),
    "checks": (_is_names, "Write a list of checks, such as items-match."),
    "enabled": (_is_flag, "Name one environment variable, of letters, digits and underscores."),
    "exclude": (_is_exclude, 'Write Exclude("column", "VARIABLE"), or in SQL: column in ${VARIABLE}.'),
    "target": (lambda value: value is None or _is_seconds(value), _SECONDS),
    "cycle": (_is_seconds, _SECONDS),
    "startup_delay": (lambda value: value == 0 or _is_seconds(value), "Write seconds, or 0 for none."),
    "timeout": (lambda value: value is None or _is_seconds(value), _SECONDS),
    "window": (
        lambda value: value is None or (isinstance(value, Window) and value.opens != value.closes),
        "Write it as 22:00-05:00: hours from 00:00 to 23:59, and it closes at another time than it opens.",
    ),
    "workers": (_is_count, "Write a whole number above zero."),
    "records": (_is_names, _COLUMNS),
    "row_key": (_is_names, _COLUMNS),
    "largest": (lambda value: value is None or _is_count(value), "Write a whole number above zero."),
    "lock_timeout": (lambda value: value is None or _is_seconds(value), _SECONDS),
    "variables": (_is_variables, 'Name an environment variable for each: {"size": "TOTALS_BATCH_SIZE"}.'),
    "says": (lambda value: isinstance(value, Says), 'Write Says(starting="…").'),
    "unindexed": (lambda value: value in ("", "accept"), "Write accept, or take the line away."),
}
"""By the names of Job: whether a value fits, and what to do where it does not."""
