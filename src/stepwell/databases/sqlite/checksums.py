"""SQLite's checksums of rows (`databases/checksums.py`).

SQLite has neither MD5 nor types to go by, so its connection is given functions in Python. A value is spelled by what
it is, in the form of the other side.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stepwell.databases.checksums import BOUNDED, LONG, Family, Form, Spelled, Typed
from stepwell.databases.lexing import Reader

if TYPE_CHECKING:
    from stepwell.databases.sqlite import SqliteDatabase

DIGEST = 8 << 20
"""Bytes of rows in one digest."""

# A hidden column of kind 1 belongs to a virtual table's machinery; 2 and 3 are generated columns.
COLUMNS = """
SELECT name, type, "notnull" = 0 AND pk = 0
FROM pragma_table_xinfo({place})
WHERE hidden <> 1
"""
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?)? ?(?:(Z|UTC)|([+-])(\d\d):?(\d\d))?", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")


def prepare(database: SqliteDatabase) -> int:
    """Give the connection its functions."""
    database.add_function("stepwell_text", 3, _text)
    database.add_function("stepwell_md5", 1, _md5)
    database.add_function("stepwell_frame", 2, _frame)
    database.add_aggregate("stepwell_digest", 1, _Digest)
    database.add_aggregate("stepwell_sum", 1, _Sum)
    database.query("PRAGMA query_only = ON")
    return DIGEST


def columns(database: SqliteDatabase, table: str) -> list[Typed]:
    """The columns of a table, spelled as in SQL. Integers and blobs are those that hold nothing else."""
    *schema, name = Reader(table, "sqlite").name()
    found = database.query(COLUMNS.format(place=", ".join("?" for _ in (name, *schema))), (name, *schema))
    return [
        Typed(column, declared, _family(database, table, column, declared), bool(nullable), None)
        for column, declared, nullable in found
    ]


def _family(database: SqliteDatabase, table: str, column: str, declared: str) -> Family:
    for word, stored, family in (("INT", "integer", Family.INTEGER), ("BLOB", "blob", Family.BYTES)):
        if word in declared.upper():
            stray = f"SELECT 1 FROM {table} WHERE typeof({quote(column)}) NOT IN ('{stored}', 'null') LIMIT 1"
            return Family.ANY if database.query(stray) else family
    return Family.ANY


def relation(database: SqliteDatabase, table: str) -> str:
    """The table itself."""
    return table


def estimate(database: SqliteDatabase, table: str) -> int:
    """The number itself: there are no statistics."""
    return int(database.query(f"SELECT count(*) FROM {table}")[0][0])


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(spelled: Spelled) -> str:
    """SQL for the text of a column's value."""
    scale = "NULL" if spelled.scale is None else spelled.scale
    return f"stepwell_text({quote(spelled.column.name)}, '{spelled.form.name}', {scale})"


def row(columns: Sequence[Spelled]) -> str:
    """SQL for the text of a row."""
    return " || ',' || ".join(f"stepwell_frame({text(c)}, {int(c.form in BOUNDED)})" for c in columns)


def digests(row: str, key: str, found: str, ranges: Sequence[tuple[int, int]], most: int) -> str:
    """Range by range, each in the order of the key's index."""
    return "UNION ALL".join(
        f"""
        SELECT {place}, count(*), stepwell_digest(stepwell_row)
        FROM (
          SELECT {row} AS stepwell_row
          {found} AND {key} BETWEEN {low} AND {high}
          ORDER BY {key}
          LIMIT {most + 1}
        )
        """
        for place, (low, high) in enumerate(ranges)
    )


def position(row: str) -> str:
    """SQL for the MD5 of a key's text."""
    return f"stepwell_md5({row})"


def bucket(position: str, digits: int) -> str:
    """SQL for the first digits of a position."""
    return f"substr({position}, 1, {digits})"


def buckets(row: str, bucket: str, found: str) -> str:
    """Rows in groups by their bucket."""
    return f"""
        SELECT {bucket}, count(*), stepwell_sum({row})
        {found}
        GROUP BY 1
    """


# --- what SQLite calls ----------------------------------------------------------------------------------------


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _frame(text: str | None, bounded: int) -> str:
    if text is None:
        return "N"
    if bounded and "," not in text and text != "N":
        return text
    length = len(text.encode(errors="surrogatepass"))
    return f"{length},{_md5(text) if length > LONG else text}"


class _Digest:
    """The MD5 of texts, one behind the other."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._between = b""

    def step(self, row: str) -> None:
        self._md5.update(self._between + row.encode(errors="surrogatepass"))
        self._between = b";"

    def finalize(self) -> str:
        return self._md5.hexdigest()


class _Sum:
    """The sum of texts' MD5s, as text: SQLite has no numbers of that size."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, row: str) -> None:
        self._sum += int(_md5(row)[:16], 16)

    def finalize(self) -> str:
        return str(self._sum)


def _text(value: Any, form: str, scale: int | None) -> str | None:
    if value is None:
        return None
    if form == Form.BYTES.name:
        return (value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")).hex()
    if isinstance(value, bytes):
        if form == Form.UUID.name and len(value) == 16:
            return value.hex()
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return f"\0bytes {value.hex()}"  # no text of another engine begins so
    match Form[form]:
        case Form.ANY if isinstance(value, str):
            return f"text {value}" if value.startswith("text ") or _NUMBER.fullmatch(value) else value
        case Form.ANY | Form.DECIMAL | Form.INTEGER:
            return _number(value, scale)
        case Form.FLOAT:
            return _float(value)
        case Form.MOMENT | Form.DATE:
            return _moment(str(value), form == Form.DATE.name)
        case Form.UUID:
            return str(value).replace("-", "").lower()
        case Form.PADDED:
            return str(value).rstrip(" ")
    return str(value)


def _number(value: Any, scale: int | None) -> str:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return value
    if isinstance(value, float) and value - value != 0:
        return repr(value)
    number = Decimal(repr(value) if isinstance(value, float) else value)
    if number == 0:
        number = Decimal(0)
    digits = f"{number:f}"
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0")
    if scale is not None:
        fraction = fraction.ljust(scale, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _float(value: Any) -> str:
    try:
        text = repr(float(value) + 0.0)
    except ValueError:
        return str(value)
    return text.removesuffix(".0").replace("e+", "e")


def _moment(value: str, day: bool) -> str:
    found = _MOMENT.fullmatch(value)
    if not found:
        return value
    date, minute, second, fraction, _, sign, hours, minutes = found.groups()
    moment = f"{date} {minute or '00:00'}:{second or '00'}"
    if sign:
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        try:
            at = datetime.fromisoformat(moment)
            moment = str(at - shift if sign == "+" else at + shift)
        except (ValueError, OverflowError):
            return value
    fraction = (fraction or "").rstrip("0")
    if day and moment.endswith(" 00:00:00") and not fraction:
        return moment[:10]
    return f"{moment}.{fraction}" if fraction else moment
