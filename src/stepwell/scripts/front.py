"""The front matter of a script: what its first comment lines ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell import durations
from stepwell.errors import BadScript, did_you_mean


@dataclass(frozen=True, slots=True)
class Guard:
    """A query that is asked before a script is begun: it must give one value, written as `expected`.

    `otherwise` says what becomes of the script when it gives another, and `on_error` when it fails: `halt` the run,
    `skip` the script until the next run, `mark` it as applied without running it, or `run` it all the same.
    """

    query: str
    expected: str
    line: int
    otherwise: str = "halt"
    on_error: str = "halt"


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a script asks for beside its statements. `timeout` and `lock_timeout` are seconds, None: not said.

    `requires` are references as written, and `requires_lines` the lines they stand on. `key` names columns that
    make the rows the script inserts unique, and new to the target; `writers` is `none` when nobody else writes
    to those targets meanwhile.

    `repeat` is `changed` for a script that runs again whenever its text has changed, and `always` for one that every
    run runs. `guards` stand before the script, and one that `may_fail` does not stop the run. `was` is the version
    that it had in another tool's format, and `seal` tells whether it still says what it said there; `any`: it need not.
    """

    requires: tuple[str, ...] = ()
    requires_lines: tuple[int, ...] = ()
    phase: str = ""
    transaction: bool | None = None
    timeout: float | None = None
    lock_timeout: float | None = None
    key: tuple[str, ...] = ()
    writers: str = ""
    repeat: str = ""
    guards: tuple[Guard, ...] = ()
    may_fail: bool = False
    was: str = ""
    seal: str = ""


NOTHING = FrontMatter()

_KEY_LINE = re.compile(r"\s*([a-z][a-z-]*)[ \t]*:(?!//)\s*(.*?)\s*\Z")
_GUARD = re.compile(r"""("[^"]*"|'[^']*'|[^\s=]+)\s*=\s*(\S.*)""")
_WAS = re.compile(r"(\S.*?)[ \t]+([0-9a-f]{64}|any)")
_CONDUCTS: dict[str, str | bool] = {word: word for word in ("halt", "skip", "mark", "run")}
_YES_OR_NO: dict[str, str | bool] = {"true": True, "yes": True, "false": False, "no": False}
_CHOICES: dict[str, dict[str, str | bool]] = {
    "phase": {"expand": "expand", "contract": "contract"},
    "transaction": _YES_OR_NO,
    "writers": {"none": "none"},
    "repeat": {"changed": "changed", "always": "always"},
    "may-fail": _YES_OR_NO,
    "guard-fails": _CONDUCTS,
    "guard-errors": _CONDUCTS,
}
_KEYS = ("requires", "timeout", "lock-timeout", "key", "guard", "was", *_CHOICES)


def parse(text: str, path: Path, mark: str) -> FrontMatter:
    """Read the block of comments that `text` begins with; `mark` opens a comment. Raises BadScript."""
    if not text.startswith(mark):
        return NOTHING
    said: dict[str, Any] = {}
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith(mark):
            break
        found = _KEY_LINE.match(line, len(mark))
        if found is None:
            continue
        key, written = found.groups()
        if key == "lint":
            continue  # `lint: allow …` is read by the linter
        value = _value(key, written, path, number, mark)
        if key == "requires":
            lines += [number] * len(value)
            value = said.get("requires", ()) + value
        elif key == "guard":
            value = (*said.get("guard", ()), value)
        elif key in said:
            raise BadScript(path, number, f"`{key}` is said a second time", "Keep one of the two lines.")
        said[key] = value
    said["was"], said["seal"] = said.get("was", ("", ""))
    fails, errors = (said.pop(key, "halt") for key in ("guard-fails", "guard-errors"))
    said["guards"] = tuple(Guard(query, expected, at, fails, errors) for query, expected, at in said.pop("guard", ()))
    return FrontMatter(requires_lines=tuple(lines), **{key.replace("-", "_"): said[key] for key in said})


def _value(key: str, written: str, path: Path, line: int, mark: str) -> Any:
    if key in ("requires", "key"):
        return _names(key, written, path, line)
    if key in ("timeout", "lock-timeout"):
        return _seconds(key, written, path, line)
    if key == "guard":
        return _guard(written, path, line)
    if key == "was":
        return _was(written, path, line)
    if choices := _CHOICES.get(key):
        if written in choices:
            return choices[written]
        what = f"`{key}` can't be {written!r}{did_you_mean(written, choices)}"
        raise BadScript(path, line, what, f"Write {' or '.join(choices)}.")
    raise BadScript(
        path,
        line,
        f"unknown key {key!r}{did_you_mean(key, _KEYS)}",
        f"The keys are {', '.join(_KEYS)}. If this is an ordinary comment, begin it with a capital letter, "
        f"`{mark} {key.capitalize()}: …`, or leave a blank line above it.",
    )


def _names(key: str, value: str, path: Path, line: int) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise BadScript(path, line, f"`{key}` lacks a name", f"Write `{key}: one` or `{key}: one, another`.")
    return names


def _guard(value: str, path: Path, line: int) -> tuple[str, str, int]:
    found = _GUARD.fullmatch(value)
    if found is None:
        do = "Write what the query must give, and the query: `guard: 0 = SELECT count(*) FROM …`."
        raise BadScript(path, line, f"can't read the guard {value!r}", do)
    expected, query = found.groups()
    return query.rstrip("; \t"), expected.strip("\"'"), line


def _was(value: str, path: Path, line: int) -> tuple[str, str]:
    found = _WAS.fullmatch(value)
    if found is None:
        do = "Put the line back as `stepwell convert` wrote it: a version, and 64 digits."
        raise BadScript(path, line, f"can't read {value!r}", do)
    return found.group(1), found.group(2)


def _seconds(key: str, value: str, path: Path, line: int) -> float:
    seconds = durations.seconds(value)
    if not seconds:
        what = f"`{key}` is not a span of time: {value!r}"
        raise BadScript(path, line, what, "Write it as 250ms, 30s, 5min or 2h; a plain number means seconds.")
    return seconds
