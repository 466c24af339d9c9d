"""The result of a query as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result. `kind` is one of `values.KINDS`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Stream:
    """The rows of a SELECT as they come, never all of them in memory."""

    fields: tuple[Field, ...]
    rows: Iterator[tuple[Any, ...]]
