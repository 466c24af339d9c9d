"""Numbers of a job that the environment sets: operators know these by the names of their own installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from stepwell.errors import BadJob, did_you_mean
from stepwell.jobs.definition import Definition, Groups

COUNTS = ("size", "largest", "workers")
SECONDS = ("target", "cycle", "startup_delay", "timeout", "lock_timeout")


def with_variables(definition: Definition, names: Mapping[str, str], environment: Mapping[str, str]) -> Definition:
    """The job with those numbers set whose variable is; `names` are the variables by number. Raises BadJob."""

    def wrong(what: str, do: str) -> BadJob:
        return BadJob(definition.path, definition.line, f"job {definition.name}: {what}", do)

    known = (*COUNTS, *SECONDS)
    found: dict[str, Any] = {}
    for name, variable in names.items():
        if name not in known:
            raise wrong(f"no variable can set {name!r}{did_you_mean(name, known)}", f"Known are {', '.join(known)}.")
        written = environment.get(variable, "").strip()
        if not written:
            continue
        number = _number(written, whole=name in COUNTS)
        if number is None:
            meant = "a whole number above zero" if name in COUNTS else "seconds, such as 30"
            raise wrong(f"{variable} can't be {written!r}", f"Set it to {meant}.")
        found[name] = number
    if size := found.pop("size", None):
        source = definition.source
        found["source"] = replace(source, **{"rows" if isinstance(source, Groups) else "size": size})
    return replace(definition, **found)


def _number(written: str, whole: bool) -> float | None:
    try:
        number: float = int(written) if whole else float(written)
    except ValueError:
        return None
    return number if isfinite(number) and number >= (1 if whole else 0) else None
