"""The folder of jobs: Python files with a class, SQL files with front matter. What is wrong in one is said at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import time
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stepwell.errors import BadJob, did_you_mean
from stepwell.jobs.batch import MARK, Batch
from stepwell.jobs.definition import Definition, Drain, Flag, Groups, Job, Keyset, Source, Window
from stepwell.jobs.variables import with_variables

SQL_KEYS = (
    "batches", "where", "size", "target", "requires", "flag", "cycle", "startup-delay", "timeout", "window",
    "workers", "records",
)  # fmt: skip

_LINE = re.compile(r"--\s*([a-z][a-z-]*)\s*:\s*(.*?)\s*$")
_SOURCE = re.compile(r"(keyset|drain|groups)\s+(\S+?)\.(\S+)\s+by\s+(.+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_WINDOW = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)(?:\s+(\S+))?")
_FLAG = re.compile(r"([A-Za-z_]\w*)(?:\s*=\s*(true|false))?")

Splitter = Callable[[str, Path, str], Sequence[str]]
"""Cuts the text of an SQL job for an engine into statements."""


def load(
    folder: Path, engines: dict[str, str], split: Splitter, environment: Mapping[str, str] | None = None
) -> list[Definition]:
    """All jobs of a folder, by name; none where there is no folder. `engines` are the databases' engines.

    Raises BadJob.
    """
    if not folder.is_dir():
        return []
    found: dict[str, Definition] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.suffix not in (".py", ".sql"):
            continue
        definitions = [_sql(path, engines, split)] if path.suffix == ".sql" else _python(path, environment or {})
        for definition in definitions:
            if other := found.get(definition.name):
                raise BadJob(path, definition.line, f"{definition.name} is also in {other.path.name}", "Rename one.")
            _check(definition, engines)
            found[definition.name] = definition
    return [found[name] for name in sorted(found)]


def _check(definition: Definition, engines: dict[str, str]) -> None:
    def wrong(what: str, do: str) -> BadJob:
        return BadJob(definition.path, definition.line, f"job {definition.name}: {what}", do)

    source = definition.source
    if source.database not in engines:
        hint = did_you_mean(source.database, engines)
        raise wrong(f"no database {source.database!r} in this project{hint}", f"There are {', '.join(engines)}.")
    if not all(source.keys) or not source.table:
        raise wrong("its batches name no key", "Say by which column: unique, not NULL, indexed.")
    if isinstance(source, Drain) and not source.where:
        raise wrong("a drain without `where` would never be empty", "Say which rows are still to be migrated.")
    if definition.records and isinstance(source, Groups) and not definition.row_key:
        raise wrong("a group has many rows, and nothing tells them apart", 'Name the table\'s key: row_key = ["id"].')
    if definition.target <= 0 or definition.workers < 1:
        raise wrong("target and workers must be above zero", "Take the line away for the default.")


# --- Python ---------------------------------------------------------------------------------------------------


def _python(path: Path, environment: Mapping[str, str]) -> list[Definition]:
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        raise BadJob(path, error.lineno or 0, f"not valid Python: {error.msg}", "Correct it.") from None
    lines = {node.name: node.lineno for node in tree.body if isinstance(node, ast.ClassDef)}
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)  # a job is code that its project trusts
    except Exception as error:
        raise BadJob(path, 0, f"can't be loaded: {type(error).__name__}: {error}", "Correct it.") from error
    jobs = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Job) and value is not Job and value.__name__ in lines
    ]
    if not jobs:
        raise BadJob(path, 0, "there is no class that derives from Job in it", "Write `class Name(Job):`.")
    return [with_variables(_from_class(job, path, lines[job.__name__]), job.variables, environment) for job in jobs]


def _from_class(job: type[Job], path: Path, line: int) -> Definition:
    def wrong(what: str, do: str) -> BadJob:
        return BadJob(path, line, f"{job.__name__}: {what}", do)

    known = {name for name in (*vars(Job), *Job.__annotations__) if not name.startswith("__")}
    for name, value in vars(job).items():
        if not name.startswith("_") and name not in known and not callable(value):
            raise wrong(f"unknown name {name!r}{did_you_mean(name, known)}", f"Known are {', '.join(sorted(known))}.")
    source = getattr(job, "batches", None)
    if not isinstance(source, (Keyset, Drain, Groups)):
        raise wrong("`batches` is missing", 'Write batches = Keyset("database", "table", key="id").')
    if job.migrate is Job.migrate:
        raise wrong("`migrate` is missing", "Write def migrate(self, batch): …")
    instance = job()
    return Definition(
        name=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", job.__name__).lower(),
        path=path,
        line=line,
        about=(job.__doc__ or "").strip().split("\n")[0],
        source=source,
        migrate=instance.migrate,
        requires=tuple(job.requires),
        flag=job.enabled,
        target=job.target,
        cycle=job.cycle,
        startup_delay=job.startup_delay,
        timeout=job.timeout,
        window=job.window,
        workers=job.workers,
        records=tuple(job.records),
        row_key=tuple(job.row_key),
        undo=getattr(instance, "undo", ()),
        largest=job.largest,
        lock_timeout=job.lock_timeout,
        says=job.says,
    )


# --- SQL ------------------------------------------------------------------------------------------------------


def _sql(path: Path, engines: dict[str, str], split: Splitter) -> Definition:
    text = path.read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    about = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith("--"):
            break
        found = _LINE.match(line)
        if found is None:
            about = about or line.lstrip("- ").rstrip()
            continue
        key, written = found.groups()
        if key not in SQL_KEYS:
            raise BadJob(
                path, number, f"unknown key {key!r}{did_you_mean(key, SQL_KEYS)}", f"Known are {', '.join(SQL_KEYS)}."
            )
        said[key] = _value(key, written, path, number)
    if "batches" not in said:
        raise BadJob(path, 1, "`batches` is missing", "Write `-- batches: keyset database.table by id` at the top.")
    kind, database, table, key = said["batches"]
    if database not in engines:
        raise BadJob(path, 1, f"no database {database!r} in this project{did_you_mean(database, engines)}", "")
    statements = tuple(split(text, path, engines[database]))
    if not any(MARK in statement for statement in statements):
        raise BadJob(path, 1, f"no statement says `{MARK}`, so each batch would change all rows",
                     f"Write `WHERE {MARK}` where the batch's rows are meant.")  # fmt: skip

    def migrate(batch: Batch) -> None:
        for statement in statements:
            batch.execute(statement)

    return Definition(
        name=path.stem.replace("_", "-"),
        path=path,
        line=1,
        about=about,
        source=_source(kind, database, table, key, said),
        migrate=migrate,
        **{name.replace("-", "_"): value for name, value in said.items() if name not in ("batches", "where", "size")},
    )


def _source(kind: str, database: str, table: str, key: str, said: dict[str, Any]) -> Source:
    where = said.get("where", "")
    if kind == "groups":
        return Groups(database, table, key, where, said.get("size", 10_000))
    made = Keyset if kind == "keyset" else Drain
    return made(database, table, key, where, said.get("size", 1000))


def _value(key: str, written: str, path: Path, line: int) -> Any:
    def wrong(do: str) -> BadJob:
        return BadJob(path, line, f"`{key}` can't be {written!r}", do)

    if key == "batches":
        if not (source := _SOURCE.fullmatch(written)):
            raise wrong("Write keyset, drain or groups, then database.table by column.")
        return source.groups()
    if key in ("requires", "records"):
        return tuple(part.strip() for part in written.split(","))
    if key in ("size", "workers"):
        if not written.isdigit() or int(written) < 1:
            raise wrong("Write a whole number above zero.")
        return int(written)
    if key in ("target", "cycle", "startup-delay", "timeout"):
        if not (span := _DURATION.fullmatch(written)):
            raise wrong("Write it as 250ms, 30s, 5min or 2h.")
        return float(span.group(1)) * _SECONDS[span.group(2)]
    if key == "flag":
        if not (flag := _FLAG.fullmatch(written)):
            raise wrong("Write VARIABLE, or VARIABLE = false for one that is off by default.")
        return Flag(flag.group(1), flag.group(2) != "false")
    if key == "window":
        return _window(written, wrong)
    return written


def _window(written: str, wrong: Callable[[str], BadJob]) -> Window:
    if not (found := _WINDOW.fullmatch(written)):
        raise wrong("Write it as 22:00-05:00, with a time zone behind it if it is not UTC.")
    opens, closes = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
    try:
        window = Window(time(*opens), time(*closes), ZoneInfo(found[5] or "UTC"))
    except ValueError:
        raise wrong("Hours go from 00:00 to 23:59.") from None
    except ZoneInfoNotFoundError:
        raise wrong(f"{found[5]!r} is no time zone; write one such as Europe/Berlin.") from None
    if window.opens == window.closes:
        raise wrong("A window that closes when it opens never lets a job start.")
    return window
