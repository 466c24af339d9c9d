"""Limits that a person sets while a job runs, kept in the job's row and obeyed from the next batch on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from stepwell.errors import BadRequest, did_you_mean

MOST_WORKERS = 64
"""How many batches of a job may be under way at once in one process."""

_KINDS = {"size": int, "target": float, "workers": int, "pause": float}


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

    def dump(self) -> str:
        """As text for a job's row; '' when nothing is limited."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(chosen) if chosen else ""

    def change(self, assignments: Sequence[str]) -> Limits:
        """These limits with `size=500` or `pause=0.5` set; `size=` takes one away. Raises BadRequest."""
        values = asdict(self)
        known = [limit.name for limit in fields(self)]
        for assignment in assignments:
            name, equals, written = assignment.partition("=")
            if name not in known:
                raise BadRequest(f"unknown limit {name!r}{did_you_mean(name, known)}", f"Known are {', '.join(known)}.")
            values[name] = _value(name, written) if written or not equals else None
        return Limits(**values)


def _value(name: str, written: str) -> float:
    least = {"size": 1, "workers": 1, "pause": 0, "target": 0.001}[name]
    most = {"workers": MOST_WORKERS, "pause": 3600.0}.get(name, 1_000_000)
    try:
        value: float = _KINDS[name](written)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        kind = "a whole number" if _KINDS[name] is int else "seconds"
        raise BadRequest(f"{name} can't be {written!r}", f"Write {kind} from {least} to {most}.")
    return value
