"""Values of different engines made comparable: one canonical form for what each driver gives.

A canonical value is None, a number (int or Decimal) or bytes; two values are the same when their forms are equal. What
a value is compared as, its column's kind, is decided once for all databases that are compared: the most telling
type wins, so that text beside a uuid is read as a uuid, and text beside a time as a time. What can't be read so keeps
the form it has, and differs.

- Numbers compare by value: 1.50 is 1.5, true is 1. A float is the shortest decimal that reads back as it. NaN is NaN.
- Times are instants: one without a zone is UTC, a date is its midnight; every digit of the fraction counts.
- Text and bytes are their bytes: nothing is folded, trimmed or composed. Where a type pads (CHAR, BINARY,
  FixedString), spaces and zero bytes at the end do not count.
- JSON compares by what it says: order of keys, white space and 1.0 for 1 do not count. Arrays and maps are JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

Canonical = int | Decimal | bytes | None

KINDS = ("uuid", "json", "time", "boolean", "number", "padded", "bytes", "text", "")
"""What a column holds, the most telling first; '' where the engine does not say."""

_UUID = re.compile(rb"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_NUMBER = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")
_BOOLEAN = {b"true": 1, b"t": 1, b"false": 0, b"f": 0, b"1": 1, b"0": 0}
_TIME = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    rb" ?(?:(Z|z|UTC)|([+-])(\d\d):?(\d\d)?(?::?(\d\d))?)?)?"
)


def most_telling(kinds: Iterable[str]) -> str:
    """What columns of these kinds are compared as."""
    return min(kinds, key=KINDS.index)


def reader(kind: str) -> Callable[[Any], Canonical]:
    """The function that gives a value of a column of this kind its canonical form."""
    if kind == "json":
        return _json_form

    def read(value: Any) -> Canonical:
        return value if type(value) is int else canonical(value, kind)  # most are, and it is by far the fastest

    return read


def canonical(value: Any, kind: str = "") -> Canonical:
    """The canonical form of what a driver gave, read as `kind`."""
    match value:
        case None:
            return None
        case bool() | int():
            return int(value)
        case str():
            return _read(value.encode(errors="surrogatepass"), kind)
        case bytes() | bytearray() | memoryview():
            return _read(bytes(value), kind)
        case float():
            return _number(Decimal(repr(value)))
        case Decimal():
            return _number(value)
        case UUID():
            return str(value).encode()
        case datetime():
            return _instant(value, value.microsecond * 1000)
        case date():
            return _instant(datetime.combine(value, time()), 0)
        case timedelta():
            return _span(value)
        case list() | tuple() | dict():
            return _json_form(value)
        case _:
            return str(value).encode()


def order(value: Canonical) -> tuple[int, Any]:
    """Sorts canonical values of any sort: NULL first, then numbers, then bytes."""
    if value is None:
        return (0, 0)
    return (2, value) if isinstance(value, bytes) else (1, value)


def dump(row: Iterable[Canonical]) -> str:
    """Canonical values as JSON: a number in brackets, bytes that are no text as hexadecimal digits."""
    return json.dumps([_dumped(value) for value in row], ensure_ascii=False)


def load(text: str) -> tuple[Canonical, ...]:
    """The values that `dump` wrote."""
    return tuple(_loaded(value) for value in json.loads(text))


def show(value: Canonical) -> str:
    """A value as a person reads it; what can't be printed is escaped."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return f"0x{value.hex()}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"{value:f}" if isinstance(value, Decimal) and abs(value.adjusted()) < 40 else str(value)


def _dumped(value: Canonical) -> object:
    if value is None:
        return None
    if not isinstance(value, bytes):
        return [str(value)]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def _loaded(value: Any) -> Canonical:
    match value:
        case [number]:
            return Decimal(number)
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case str():
            return value.encode()
    return None


def _number(value: Decimal) -> Canonical:
    return b"NaN" if value.is_nan() else value


def _read(value: bytes, kind: str) -> Canonical:
    """Text or bytes, read as what stands beside it."""
    if kind == "uuid":
        if _UUID.fullmatch(value):
            return str(UUID(value.decode())).encode()
        return str(UUID(bytes=value)).encode() if len(value) == 16 else value
    if kind == "number" and _NUMBER.fullmatch(value):
        return Decimal(value.decode())
    if kind == "boolean":
        return _BOOLEAN.get(value.lower(), value)
    if kind == "time":
        return _time(value)
    return value.rstrip(b"\0 ") if kind == "padded" else value


def _time(value: bytes) -> bytes:
    found = _TIME.fullmatch(value)
    if not found:
        return value
    year, month, day, hour, minute, second, fraction, _, sign, *offset = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        if sign:
            hours, minutes, seconds = (int(part or 0) for part in offset)
            shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            moment = moment - shift if sign == b"+" else moment + shift
    except (ValueError, OverflowError):
        return value
    return _instant(moment, int((fraction or b"0").ljust(9, b"0")))


def _instant(moment: datetime, nanoseconds: int) -> bytes:
    """2026-01-31T12:00:00.123Z, with no more digits than it needs."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}Z".encode()


def _span(value: timedelta) -> bytes:
    """-838:59:59.5, as MySQL writes a TIME."""
    sign = "-" if value < timedelta() else ""
    seconds, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}".encode()


def _json_form(value: Any) -> Canonical:
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value, parse_float=Decimal)
        except ValueError:
            return value.encode() if isinstance(value, str) else value
    return _json(value).encode(errors="surrogatepass")


def _json(value: Any) -> str:
    match value:
        case None | bool():
            return json.dumps(value)
        case dict():
            members = sorted((str(_plain(key)), _json(member)) for key, member in value.items())
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{member}" for key, member in members) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_json, value)) + "]"
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, str) else _digits(plain)


def _plain(value: Any) -> str | int | Decimal:
    """What is inside an array or a map, as text or a number."""
    form = canonical(value)
    if isinstance(form, bytes):
        return form.decode(errors="surrogateescape")
    return "null" if form is None else form


def _digits(value: int | Decimal) -> str:
    """A number with no more digits than it needs. Not Decimal.normalize, which rounds to 28 of them."""
    if isinstance(value, int) or not value.is_finite() or abs(value.adjusted()) > 400:
        return str(value)
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
