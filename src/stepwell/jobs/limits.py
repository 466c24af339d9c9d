"""Limits that a person sets while a job runs, kept in the job's row and obeyed from the next batch on that is cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from stepwell import durations
from stepwell.errors import BadRequest, did_you_mean

MOST_WORKERS = 64
"""How many batches of a job may be under way at once in one process."""

_RANGES = {"size": (1, 1_000_000), "target": (0.001, 3600), "workers": (1, MOST_WORKERS), "pause": (0, 3600)}


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `size` rows a batch, `target` seconds for one, `workers` batches at once, `pause` seconds after each.

    None leaves what the job's definition says.
    """

    size: int | None = None
    target: float | None = None
    workers: int | None = None
    pause: float | None = None

    @classmethod
    def load(cls, text: str) -> Limits:
        """The limits in a job's row."""
        written = json.loads(text) if text else {}
        return cls(**{limit.name: written[limit.name] for limit in fields(cls) if limit.name in written})

    @property
    def chosen(self) -> dict[str, float]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def dump(self) -> str:
        """As text for a job's row; '' when nothing is limited."""
        return json.dumps(self.chosen) if self.chosen else ""

    def change(self, assignments: Sequence[str]) -> Limits:
        """These limits with `size=500` or `pause=500ms` set; `size=` takes one away. Raises BadRequest."""
        values = asdict(self)
        for assignment in assignments:
            name, equals, written = assignment.partition("=")
            if name not in _RANGES:
                known = ", ".join(_RANGES)
                raise BadRequest(f"unknown limit {name!r}{did_you_mean(name, _RANGES)}", f"Known are {known}.")
            if not equals:
                raise BadRequest(f"{name} is to be what?", f"Write {name}=VALUE; `{name}=` takes the limit away.")
            values[name] = _value(name, written) if written else None
        return Limits(**values)


def _value(name: str, written: str) -> float:
    least, most = _RANGES[name]
    value: float | None
    if name in ("size", "workers"):
        value = int(written) if written.isdecimal() else None
        form = f"a whole number from {least} to {most:,}"
    else:
        value = durations.seconds(written)
        form = "100ms, 5s or 1min, an hour at most" + (f", {least * 1000:.0f}ms at least" if least else "")
    if value is None or not least <= value <= most:
        raise BadRequest(f"{name} can't be {written!r}", f"Write {form}.")
    return value
