"""Values as JSON texts that are exact, whoever writes them: the server that has the values, or we when they came here.

What a server writes is told in `databases/recording.py`; what SQLite and ClickHouse hand over is written here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stepwell.databases.recording import Encoding, too_long
from stepwell.jobs.sources import plain, rich


def selected(encoding: Encoding | None, columns: Sequence[str]) -> list[str]:
    """SQL for what is asked of columns: their values' texts where the server writes them, else the values."""
    return [encoding.expression(column) for column in columns] if encoding else list(columns)


def texts(encoding: Encoding | None, came: Sequence[Any]) -> tuple[str, ...]:
    """The texts of what was selected. Raises Refused for values that are too long for the server to write."""
    if encoding is None:
        return tuple(map(dump_value, came))
    if None in came:
        raise too_long()
    return tuple(map(str, came))


def dump_value(value: Any) -> str:
    """A value that a driver handed over as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def load_value(text: str) -> Any:
    """What a statement's parameter must be to give a column the value of this text."""
    return rich(json.loads(text))
