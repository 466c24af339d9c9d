"""Reading stepwell.toml."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.errors import BadProject, did_you_mean

if TYPE_CHECKING:
    from stepwell.window import Window

FILE = "stepwell.toml"
_WINDOW = 'Write hours = "22:00-05:00", and zone = "Europe/Berlin" if it is not UTC.'
_DATABASE_KEYS = ("url", "scripts", "cluster", "format", "contexts", "labels")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """One `[databases.NAME]`. The URL holds a secret: show `databases.url.parse(url)` instead.

    `format` is that of the scripts, '' where it is to be recognised; `contexts` and `labels` choose among the
    changesets of a Liquibase changelog.
    """

    name: str
    url: str = field(repr=False)
    scripts: str
    cluster: str = ""
    format: str = ""
    contexts: str = ""
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Doctor:
    """How the age of the last backup is known. `backup_age` is the seconds that it may be old."""

    backup_command: str = field(default="", repr=False)
    backup_marker: str = ""
    backup_age: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of a release: apprise's URLs, which hold secrets, and the person on standby.

    `stuck_after` is after how many seconds without progress, again and again; those of `escalate` are told, too, from
    the second time on.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    escalate: tuple[str, ...] = field(default=(), repr=False)
    standby: str = ""
    stuck_after: float = 900.0


@dataclass(frozen=True, slots=True)
class Config:
    """A project's configuration. `ledger` names the database that remembers what spans several.

    `pressure` is as written; `jobs.pressure.read_thresholds` knows what may be in it. `scheduler` is the address of the
    Dask scheduler that batches go through; '' for threads of the job's own process. `lint_up` is what `up` makes of
    the linter's findings: off, warn or stop. `window` is when scripts may begin, and batches of jobs without their own.
    `ledger_named` is False where no `[ledger]` names it, and the first database is taken.
    """

    folder: Path
    databases: dict[str, DatabaseConfig]
    ledger: str
    variables: dict[str, str]
    pressure: Mapping[str, Any] = field(default_factory=dict)
    scheduler: str = ""
    lint_up: str = "warn"
    doctor: Doctor = Doctor()
    window: Window | None = None
    notify: Notify | None = None
    ledger_named: bool = True


def find(start: Path) -> Path:
    """The nearest folder from `start` upwards that holds a stepwell.toml. Raises BadProject."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise BadProject(f"no {FILE} in {start} or above it", do="Go to your project's folder, or make one: stepwell init")


def load(folder: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read the project's configuration. `${NAME}` and `${NAME:-default}` come from the environment.

    Raises BadProject for what is missing, unknown or of the wrong type.
    """
    environment = os.environ if environment is None else environment
    path = folder / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadProject(f"{FILE} is not valid TOML: {error}", where=str(path), do="Correct that line.") from None
    except UnicodeDecodeError as error:
        raise BadProject(f"{FILE} is not UTF-8", where=f"{path}, byte {error.start}") from None
    sections = ("databases", "ledger", "variables", "pressure", "jobs", "lint", "doctor", "window", "notify")
    _check(path, "", content, dict.fromkeys(sections, dict))
    _refuse_unset(path, content, environment)
    databases = {}
    for name, table in content.get("databases", {}).items():
        section = f"databases.{name}"
        if not isinstance(table, dict) or "/" in name:
            raise BadProject(f"[{section}] must be a table, its name without '/'", where=str(path))
        _check(path, section, table, dict.fromkeys(_DATABASE_KEYS, str))
        if "url" not in table:
            raise BadProject(f"[{section}] has no url", where=str(path), do='Add url = "${DATABASE_URL}".')
        databases[name] = DatabaseConfig(
            name,
            _expand(table["url"], environment),
            table.get("scripts", f"migrations/{name}"),
            *(table.get(key, "") for key in _DATABASE_KEYS[2:]),
        )
    if not databases:
        raise BadProject(
            f"{FILE} names no database",
            where=str(path),
            do='Add [databases.state] with url = "${DATABASE_URL}".',
        )
    ledger = content.get("ledger", {})
    _check(path, "ledger", ledger, {"database": str})
    chosen = ledger.get("database", next(iter(databases)))
    if chosen not in databases:
        raise BadProject(
            f"[ledger] database = {chosen!r} is none of the databases{did_you_mean(chosen, databases)}",
            where=str(path),
        )
    variables = {name: _expand(str(value), environment) for name, value in content.get("variables", {}).items()}
    scheduler = _scheduler(path, content.get("jobs", {}), environment)
    lint_up = _lint_up(path, content.get("lint", {}))
    doctor = _doctor(path, content.get("doctor", {}), environment)
    window = _window(path, content["window"]) if "window" in content else None
    notify = _notify(path, content["notify"], environment) if "notify" in content else None
    return Config(
        folder, databases, chosen, variables, content.get("pressure", {}), scheduler, lint_up, doctor, window, notify,
        ledger_named="database" in ledger,
    )  # fmt: skip


def _notify(path: Path, table: Mapping[str, Any], environment: Mapping[str, str]) -> Notify:
    from stepwell.durations import seconds

    _check(path, "notify", table, {"urls": list, "escalate": list, "standby": str, "stuck-after": str})
    stuck = seconds(table.get("stuck-after", "15min"))
    if not stuck:
        raise BadProject(
            f"[notify] stuck-after can't be {table['stuck-after']!r}", where=str(path), do='Write it as "15min".'
        )
    urls, escalate = (
        tuple(_expand(str(url), environment) for url in table.get(key, ())) for key in ("urls", "escalate")
    )
    return Notify(urls, escalate, _expand(table.get("standby", ""), environment), stuck)


def _window(path: Path, table: Mapping[str, Any]) -> Window:
    from stepwell.window import parse

    _check(path, "window", table, {"hours": str, "zone": str})
    try:
        return parse(f"{table.get('hours', '')} {table.get('zone', '')}")
    except ValueError as error:
        said = ", ".join(f"{key} = {table[key]!r}" for key in table)
        raise BadProject(f"[window] {said or 'has no hours'}: {error}", where=str(path), do=_WINDOW) from None


def _doctor(path: Path, table: Mapping[str, Any], environment: Mapping[str, str]) -> Doctor:
    if not table:
        return Doctor()
    _check(path, "doctor", table, dict.fromkeys(("backup-command", "backup-marker", "backup-age"), str))
    if "backup-command" in table and "backup-marker" in table:
        raise BadProject("[doctor] has a backup-command and a backup-marker", where=str(path), do="Keep one of them.")
    from stepwell.durations import seconds

    age = seconds(table.get("backup-age", "24h"))
    if not age:
        raise BadProject(
            f"[doctor] backup-age can't be {table['backup-age']!r}", where=str(path), do='Write it as "24h" or "90min".'
        )
    command = _expand(table.get("backup-command", ""), environment)
    marker = _expand(table.get("backup-marker", ""), environment)
    return Doctor(command, marker, age)


def _lint_up(path: Path, lint: Mapping[str, Any]) -> str:
    _check(path, "lint", lint, {"up": str})
    chosen: str = lint.get("up", "warn")
    known = ("off", "warn", "stop")
    if chosen not in known:
        raise BadProject(
            f"[lint] up = {chosen!r} is not known{did_you_mean(chosen, known)}",
            where=str(path),
            do='Write "off", "warn" or "stop".',
        )
    return chosen


def _scheduler(path: Path, jobs: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    _check(path, "jobs", jobs, {"executor": str, "scheduler": str})
    executor = jobs.get("executor", "threads")
    if executor not in ("threads", "dask"):
        raise BadProject(
            f"[jobs] executor = {executor!r} is not known{did_you_mean(executor, ('threads', 'dask'))}",
            where=str(path),
            do='Write "threads" or "dask".',
        )
    if (executor == "dask") != ("scheduler" in jobs):
        raise BadProject(
            '[jobs] executor = "dask" and `scheduler` belong together',
            where=str(path),
            do='Write both, with scheduler = "tcp://HOST:8786", or neither.',
        )
    return _expand(jobs.get("scheduler", ""), environment)


def _check(path: Path, section: str, table: Mapping[str, Any], known: Mapping[str, type]) -> None:
    place = f"[{section}]" if section else FILE
    for key, value in table.items():
        if key not in known:
            raise BadProject(
                f"unknown key {key!r} in {place}{did_you_mean(key, known)}",
                where=str(path),
                do=f"Known keys are {_listed(known)}.",
            )
        if not isinstance(value, known[key]):
            kinds: dict[type, str] = {dict: "a table", list: 'a list: ["…"]'}
            kind = kinds.get(known[key], "text in quotes")
            raise BadProject(f"{key!r} in {place} must be {kind}", where=str(path))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _refuse_unset(path: Path, content: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """All variables that are missing at once: who sets one after the other starts the command anew for each."""
    unset: dict[str, str] = {}
    for key, text in _texts(content, ""):
        for found in VARIABLE.finditer(text):
            if found[2] is None and not environment.get(found[1]):
                unset.setdefault(found[1], key)
    if unset:
        first = next(iter(unset))
        raise BadProject(
            "not set in the environment: " + "; ".join(f"{name}, which {key} needs" for name, key in unset.items()),
            where=str(path),
            do=f"Set it (export {first}=…), or give a default in the file: ${{{first}:-value}}.",
        )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in a table, with its dotted key."""
    match value:
        case str():
            yield key, value
        case list():
            for each in value:
                yield from _texts(each, key)
        case dict():
            for name, each in value.items():
                yield from _texts(each, f"{key}.{name}" if key else name)


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """A text with its variables filled in; none is without a value by now."""
    return VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", text)
