"""How many bytes columns take, as far as their definitions tell for certain."""

from __future__ import annotations

from stepwell.safety.lint.phrase import Phrase
from stepwell.safety.lint.reading import Change

_BYTES = {
    "TINYINT": 1, "SMALLINT": 2, "MEDIUMINT": 3, "INT": 4, "INTEGER": 4, "BIGINT": 8, "FLOAT": 4, "DOUBLE": 8,
    "DATE": 3, "BOOLEAN": 1, "BOOL": 1,
}  # fmt: skip
_A_CHARACTER = {"utf8mb4": 4, "utf8mb3": 3, "utf8": 3, "latin1": 1, "ascii": 1, "binary": 1}
_CHARSET = r"(?:CHARACTER SET|CHARSET) =? ?(?P<set>\S+)"
_COLLATION = r"COLLATE =? ?(?P<set>[A-Z0-9]+?)_"
_SIZED = r"\S+ (?P<type>(?:NATIONAL )?(?:VAR)?CHAR|(?:VAR)?BINARY|CHARACTER VARYING) \( (?P<length>\d+) \)"


def of_column(column: Phrase, change: Change) -> int:
    """The most bytes that a value of a column in CREATE TABLE may take; 0 where its definition does not tell.

    Where neither column nor table names a character set a character counts as one byte: it has at least that.
    """
    if found := column.match(_SIZED):
        length = int(found["length"])
        return length if "BINARY" in found["type"] else length * _character(column, change)
    words = column.shape.split()
    return _BYTES.get(words[1], 0) if len(words) > 1 else 0


def _character(column: Phrase, change: Change) -> int:
    for place in (column, change.without_parentheses()):
        if found := place.search(_CHARSET) or place.search(_COLLATION):
            return _A_CHARACTER.get(found["set"].strip("'`").lower(), 1)
    return 1
