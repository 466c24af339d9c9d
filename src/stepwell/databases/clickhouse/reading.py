"""The rows of a SELECT as ClickHouse has them: the driver's own reading loses what it can't hold.

It gives strings that are no UTF-8 as hexadecimal digits, cuts times to microseconds and drops their zone, and shows
a Float32 with the digits of a double. So strings are asked for as bytes and times as the numbers they are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from stepwell.databases.stream import Field, Stream

FORMATS = {"String": "bytes", "FixedString": "native", "DateTime*": "int", "Date*": "int"}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Convert = Callable[[Any], Any]

_WRAPPED = re.compile(r"^(?:(?:Nullable|LowCardinality)\()+")

_KINDS = (
    (("Int", "UInt", "Float", "Decimal", "BFloat"), "number"),
    (("FixedString",), "padded"),
    (("String", "Enum"), "text"),
    (("Date",), "time"),
    (("UUID",), "uuid"),
    (("JSON", "Object", "Map", "Array", "Tuple", "Nested"), "json"),
    (("Bool",), "boolean"),
)


def stream(blocks: Any, described: Sequence[Sequence[Any]]) -> Stream:
    """The rows of the driver's stream of blocks; of one without any, the columns as DESCRIBE tells them."""
    if described:
        fields = tuple(Field(str(name), _kind(_WRAPPED.sub("", str(written)))) for name, written, *_ in described)
        return Stream(fields, iter(()))
    types = blocks.source.column_types
    fields = tuple(
        Field(name, _kind(kind.base_type)) for name, kind in zip(blocks.source.column_names, types, strict=True)
    )
    converts = [(place, convert) for place, kind in enumerate(types) if (convert := _convert(kind))]
    return Stream(fields, _rows(blocks, converts))


def _rows(blocks: Any, converts: Sequence[tuple[int, Convert]]) -> Iterator[tuple[Any, ...]]:
    for block in blocks:
        if not converts:
            yield from block
            continue
        for row in block:
            values = list(row)
            for place, convert in converts:
                if values[place] is not None:
                    values[place] = convert(values[place])
            yield tuple(values)


def _kind(base: str) -> str:
    return next((kind for names, kind in _KINDS if base.startswith(names)), "")


def _convert(kind: Any) -> Convert | None:
    """What makes the driver's value of a type exact; None where it is."""
    base = kind.base_type
    if base == "Array":
        each = _convert(kind.element_type)
        return None if each is None else lambda values: [None if v is None else each(v) for v in values]
    if base == "DateTime64":
        scale = 10**kind.scale
        return lambda ticks: _instant(ticks // scale, ticks % scale * (10**9 // scale))
    if base == "DateTime":
        return lambda seconds: EPOCH + timedelta(seconds=seconds)
    if base.startswith("Date"):
        return lambda days: EPOCH + timedelta(days=days)
    return _shortest if base == "Float32" else None


def _instant(seconds: int, nanoseconds: int) -> str:
    moment = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    return f"{moment.isoformat()}.{nanoseconds:09}Z"


def _shortest(value: float) -> float:
    """The double with the fewest digits that is this single."""
    if value - value != 0:  # infinite, or not a number
        return value
    packed = struct.pack("f", value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == packed:
            return short
    return value
