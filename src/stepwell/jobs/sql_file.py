"""Jobs in SQL: front matter, statements that say `${batch}`, and below a line `-- undo` the way back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from stepwell import durations
from stepwell.databases.lexing import Kind, Unterminated, tokens
from stepwell.errors import BadJob, did_you_mean
from stepwell.jobs.batch import MARK, Batch
from stepwell.jobs.definition import Drain, Exclude, Flag, Groups, Keyset, Missing, Source
from stepwell.jobs.draft import Draft
from stepwell.scripts import native
from stepwell.scripts.script import Statement
from stepwell.window import Window, parse

WORDS = (
    "batches", "where", "exclude", "size", "target", "requires", "flag", "cycle", "startup-delay", "timeout", "window",
    "workers", "records", "row-key", "unindexed", "checks",
)  # fmt: skip

_LINE = re.compile(r"--\s*([a-z][a-z-]*)\s*:(?!//)\s*(.*?)\s*")
_SOURCE = re.compile(r"(keyset|drain|groups)\s+(\S+?)\.(\S+(?:\s+FINAL)?)\s+by\s+(.+)")
_MISSING = re.compile(r"missing from (\S+) by (.+?)(?: where (.+))?")
_FLAG = re.compile(r"([A-Za-z_]\w*)(?:\s*=\s*(true|false))?", re.ASCII)
_EXCLUDE = re.compile(r"(\S+)\s+in\s+\$\{([A-Za-z_]\w*)\}", re.ASCII)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def draft(text: str, path: Path, engines: Mapping[str, str]) -> Draft:
    """The job of a file; `engines` are those of the project's databases. Raises BadJob, BadScript."""
    about, said, lines = _front(text, path)
    if "batches" not in said:
        raise BadJob(path, 1, "`batches` is missing", "Write `-- batches: keyset database.table by id` at the top.")
    source: Source = said["batches"]
    if source.database not in engines:
        hint = did_you_mean(source.database, engines)
        what = f"no database {source.database!r} in this project{hint}"
        raise BadJob(path, lines["batches"], what, f"There are {', '.join(engines)}.")
    engine = engines[source.database]
    sections = native.sections(text, path, engine, "undo")
    _check_marks(sections.up, sections.down or (), path, engine)
    statements = tuple(statement.text for statement in sections.up)

    def migrate(batch: Batch) -> None:
        for statement in statements:
            batch.execute(statement)

    return Draft(
        name=path.stem.replace("_", "-"),
        path=path,
        line=1,
        about=about,
        said=said,
        lines=lines,
        migrate=migrate,
        undo=tuple(statement.text for statement in sections.down or ()),
    )


# --- statements -----------------------------------------------------------------------------------------------


def _check_marks(up: Sequence[Statement], undo: Sequence[Statement], path: Path, engine: str) -> None:
    """`${batch}` is said where it counts, and no other variable: a job's statements have none. Raises BadJob."""
    found = False
    for statement in (*up, *undo):
        for name in _variables(statement.text, engine):
            if name != "batch":
                what = f"there is no variable ${{{name}}} in a job{did_you_mean(name, ['batch'])}"
                raise BadJob(path, statement.line, what, f"`{MARK}` is all that is filled in.")
        count = _variables(statement.text, engine).count("batch")
        if statement in undo and count:
            what = f"`{MARK}` below `-- undo`: a way back is of the whole job"
            raise BadJob(path, statement.line, what, "Say by a condition of its own which rows are meant.")
        if statement.text.count(MARK) > count:
            what = f"`{MARK}` in a comment or a string, where it finds no rows"
            raise BadJob(path, statement.line, what, "Take it away.")
        found = found or count > 0
    if not found:
        what = f"no statement says `{MARK}`, so each batch would change all rows"
        raise BadJob(path, up[0].line, what, f"Write `WHERE {MARK}` where the batch's rows are meant.")


def _variables(statement: str, engine: str) -> list[str]:
    """The names of all `${name}` outside of comments, strings and quoted names."""
    silent = (Kind.COMMENT, Kind.STRING, Kind.QUOTED)
    try:
        spelled = "".join(token.text if token.kind not in silent else " " for token in tokens(statement, engine))
    except Unterminated:
        spelled = statement  # inline data of ClickHouse has quotes by rules of its own
    return _VARIABLE.findall(spelled)


# --- front matter ---------------------------------------------------------------------------------------------


def _front(text: str, path: Path) -> tuple[str, dict[str, Any], dict[str, int]]:
    """What the first comment lines say: the first that is no key, values by the names of Job, and their lines."""
    about = ""
    written: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith("--"):
            break
        if (found := _LINE.fullmatch(line)) is None:
            about = about or line.lstrip("- ").rstrip()
            continue
        key, value = found.groups()
        if key not in WORDS:
            raise BadJob(
                path,
                number,
                f"unknown key {key!r}{did_you_mean(key, WORDS)}",
                f"Known are {', '.join(WORDS)}. If this is an ordinary comment, begin it with a capital letter.",
            )
        if key == "requires" and key in written:
            value = f"{written[key]}, {value}"
        elif key in written:
            what = f"`{key}` is said a second time; the first is on line {lines[key]}"
            raise BadJob(path, number, what, "Keep one of the two lines.")
        written[key], lines[key] = value, number
    said = {key: _value(key, value, path, lines[key]) for key, value in written.items()}
    if "batches" in said:
        said["batches"] = _source(said["batches"], said.pop("where", ""), said.pop("size", None))
    names = {"flag": "enabled"}
    return (
        about,
        {names.get(key, key.replace("-", "_")): value for key, value in said.items()},
        {names.get(key, key.replace("-", "_")): line for key, line in lines.items()},
    )


def _source(written: tuple[str, str, str, str], where: str, size: int | None) -> Source:
    kind, database, table, key = written
    made = {"keyset": Keyset, "drain": Drain, "groups": Groups}[kind]
    missing = _MISSING.fullmatch(where)
    condition = Missing(*missing.groups("")) if missing else where
    found: Source = made(database, table, key, condition, *([] if size is None else [size]))
    return found


def _value(key: str, written: str, path: Path, line: int) -> Any:
    def wrong(do: str) -> NoReturn:
        raise BadJob(path, line, f"`{key}` can't be {written!r}", do)

    match key:
        case "batches":
            if not (source := _SOURCE.fullmatch(written)):
                wrong("Write keyset, drain or groups, then database.table by column.")
            return source.groups()
        case "requires" | "checks" | "records" | "row-key":
            return [part.strip() for part in written.split(",")]
        case "size" | "workers":
            if not (written.isascii() and written.isdigit() and int(written)):
                wrong("Write a whole number above zero.")
            return int(written)
        case "target" | "cycle" | "startup-delay" | "timeout":
            if (span := durations.seconds(written)) is None:
                wrong("Write it as 250ms, 30s, 5min or 2h.")
            return span
        case "flag":
            if not (flag := _FLAG.fullmatch(written)):
                wrong("Write VARIABLE, or VARIABLE = false for one that is off by default.")
            return Flag(flag[1], flag[2] != "false")
        case "exclude":
            if not (exclude := _EXCLUDE.fullmatch(written)):
                wrong("Write it as column in ${VARIABLE}; the variable holds values, separated by commas.")
            return Exclude(exclude[1], exclude[2])
        case "window":
            return _window(written, wrong)
    return written


def _window(written: str, wrong: Callable[[str], NoReturn]) -> Window:
    try:
        return parse(written)
    except ValueError as error:
        wrong(str(error))
