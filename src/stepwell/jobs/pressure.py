"""Being gentle: what a database may bear before a job holds back.

A job holds while a signal of a database that it uses is above its threshold, and begins again by itself. Near a
threshold it slows down, so that it settles below rather than running into it and waiting again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from stepwell.config import FILE, Config
from stepwell.databases.database import Database
from stepwell.databases.pressure import Signal
from stepwell.errors import BadProject, did_you_mean

LOOK = 1.0
"""Seconds between two looks at the databases."""

NEAR = 0.8
"""The share of a threshold from which on a job slows down."""

SLOWEST = 4.0
"""How many batches' durations a job pauses after a batch, just below a threshold."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The most that a database may show while a job goes on; `inf` for what never holds.

    The defaults suit a busy production server: nothing of its usual day passes them. Lag and transactions are seconds,
    shares are of what the server can take: of the parts at which ClickHouse delays inserts, of its threads
    for merges, of its memory.
    """

    replica_lag: float = 10
    running_threads: float = 50
    lock_waits: float = 10
    longest_transaction: float = 900
    parts_per_partition: float = 0.5
    merges: float = 0.9
    memory: float = 0.8
    replication_queue: float = 500

    def limit(self, signal: Signal) -> float:
        """The threshold of a signal."""
        found: float = getattr(self, signal.name.replace(" ", "_"))
        return found


def read_thresholds(config: Config) -> dict[str, Thresholds]:
    """Every database's thresholds: `[pressure]` for all of them, `[pressure.DATABASE]` for one. Raises BadProject."""
    names = [threshold.name.replace("_", "-") for threshold in fields(Thresholds)]
    shared = {key: value for key, value in config.pressure.items() if not isinstance(value, dict)}
    for key in config.pressure.keys() - shared.keys() - config.databases.keys():
        raise _unknown(config, key, "[pressure]", [*names, *config.databases])
    general = _read(config, "[pressure]", shared, names, Thresholds())
    return {
        name: _read(config, f"[pressure.{name}]", config.pressure.get(name, {}), names, general)
        for name in config.databases
    }


def _read(config: Config, place: str, table: Mapping[str, Any], names: list[str], base: Thresholds) -> Thresholds:
    for key, value in table.items():
        if key not in names:
            raise _unknown(config, key, place, names)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
            where = str(config.folder / FILE)
            raise BadProject(f"{key!r} in {place} must be a number, 0 or above, or inf", where=where)
    return replace(base, **{key.replace("-", "_"): float(value) for key, value in table.items()})


def _unknown(config: Config, key: str, place: str, known: Iterable[str]) -> BadProject:
    return BadProject(
        f"unknown key {key!r} in {place}{did_you_mean(key, known)}",
        where=str(config.folder / FILE),
        do=f"Known keys are {', '.join(known)}.",
    )


def held_by(database: str, signals: Iterable[Signal], thresholds: Thresholds) -> str:
    """The first signal above its threshold in words, 'replica lag of state is 42 s, limit 10 s'; '' for none."""
    for signal in signals:
        limit = thresholds.limit(signal)
        if signal.value > limit:
            return f"{signal.name} of {database} is {_words(signal.value, signal)}, limit {_words(limit, signal)}"
    return ""


def slowing(signals: Iterable[Signal], thresholds: Thresholds) -> float:
    """How many batches' durations to pause after a batch: 0 far from all thresholds, SLOWEST at one."""
    nearest = max((signal.value / limit for signal in signals if (limit := thresholds.limit(signal)) > 0), default=0.0)
    return SLOWEST * max(0.0, min(1.0, (nearest - NEAR) / (1 - NEAR)))


def _words(value: float, signal: Signal) -> str:
    if signal.unit == "share":
        return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
    return f"{value:.2f}".rstrip("0").rstrip(".") + f" {signal.unit}"


@dataclass(slots=True)
class Governor:
    """Says before each batch whether it may begin.

    `used` are the databases that the job uses by now, each with a connection of the job's; `show` is told a new reason
    for holding back, and '' when there is none any more. Not for several threads at once.
    """

    thresholds: Mapping[str, Thresholds]
    used: Callable[[], Mapping[str, Database]]
    show: Callable[[str], None]
    reason: str = ""
    _looked: float = float("-inf")
    _slowing: float = 0.0
    _ended: float = field(default_factory=time.monotonic)
    _rest: float = 0.0

    def lets_begin(self, pause: float = 0.0) -> bool:
        """Whether the next batch may begin now, `pause` seconds after the one before at the earliest.

        Looks at the databases, but no oftener than once in LOOK seconds.
        """
        if time.monotonic() - self._looked >= LOOK:
            self._look()
        return not self.reason and time.monotonic() >= self._ended + max(pause, self._rest)

    def ended(self, seconds: float, turn: float = 0.0) -> None:
        """Take into account that a batch ended which took so long; `turn` seconds are left to others in any case."""
        self._ended = time.monotonic()
        self._rest = max(turn, seconds * self._slowing)

    def _look(self) -> None:
        reasons, slower = [], [0.0]
        for name, database in self.used().items():
            signals = database.pressure()
            thresholds = self.thresholds.get(name, Thresholds())
            reasons.append(held_by(name, signals, thresholds))
            slower.append(slowing(signals, thresholds))
        self._slowing = max(slower)
        self._looked = time.monotonic()
        reason = next(filter(None, reasons), "")
        if reason != self.reason:
            self.reason = reason
            self.show(reason)
