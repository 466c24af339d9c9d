"""The rows that ClickHouse reads from the text behind `INSERT … FORMAT name`, and where they end."""

from __future__ import annotations

import re

from stepwell.scripts.pieces import Unsplittable

FORMATS = re.compile(
    r"JSON\w*|NDJSON|BSON\w*|CSV\w*|TSV\w*|TabSeparated\w*|TSKV|CustomSeparated\w*|Template\w*|Regexp|Line\w*|Raw\w*"
    r"|Native|RowBinary\w*|Parquet\w*|ORC|Avro\w*|Arrow\w*|Protobuf\w*|CapnProto|MsgPack|MySQLDump|Markdown|Form|Npy",
    re.IGNORECASE,
)

_BLANK = re.compile(r"\s*(?:;|\Z)")
_JSON = re.compile(r'(?:[^";]++|"[^"\\]*+(?:\\.[^"\\]*+)*")*', re.DOTALL)
# A quote opens only at the beginning of a field; an apostrophe inside one is itself.
_CSV = re.compile(r'(?:[^";]++|(?<=[,\s])"[^"]*+(?:""[^"]*+)*"(?!")|(?<![,\s])")*')
_END_OF_LINE = re.compile(r";[ \t\r]*(?:--[^\n]*)?(?:\n|\Z)")


def data_end(text: str, start: int, name: str) -> int:
    """Where the data of format `name` that begins at `start` ends: before its `;`, or at the end of the text.

    Raises Unsplittable where that can't be told.
    """
    if blank := _BLANK.match(text, start):
        return blank.end() - text[start : blank.end()].endswith(";")
    is_csv = name.upper().startswith("CSV")
    if not is_csv and "JSON" not in name.upper():
        raise Unsplittable(
            text,
            start,
            f"inline data of format {name}: its end can't be told from its content",
            "Write the rows as INSERT … VALUES or FORMAT JSONEachRow.",
        )
    data = (_CSV if is_csv else _JSON).match(text, start)
    assert data is not None  # both match nothing at least
    end = data.end()
    if text.startswith('"', end):
        raise Unsplittable(text, end, "the quote that opens here in inline data is never closed", "Close it.")
    if is_csv and text.startswith(";", end) and not _END_OF_LINE.match(text, end):
        raise Unsplittable(
            text,
            end,
            "a `;` inside inline data: it may be part of a value or the end of the statement",
            "Put the value in double quotes, or the `;` at the end of its line.",
        )
    return end
