"""Index keys that are longer than InnoDB allows."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import Phrase, key
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark
from stepwell.safety.lint.rules.mysql import widths

MOST = 3_072
"""Bytes of an InnoDB index key, with the row formats DYNAMIC and COMPRESSED."""

_KEY = r"(?:CONSTRAINT (?:(?!PRIMARY|UNIQUE)\S+ )?)?(?:PRIMARY KEY|UNIQUE(?: KEY| INDEX)?|KEY|INDEX)\b.*?\("
_OWN = r"(?P<column>\S+) .*\b(?:PRIMARY KEY|UNIQUE|KEY)\b"
_PART = r"(?P<column>\S+)(?: \( (?P<prefix>\d+) \))?"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        columns = {key(part.shape.split()[0]): part for part in change.columns}
        sizes = {name: widths.of_column(part, change) for name, part in columns.items()}
        for part in change.columns:
            keyed = [_size(one, sizes) for one in part.inside()] if part.match(_KEY) else []
            if not keyed and part.match(_OWN):
                keyed = [sizes[key(part.shape.split()[0])]]
            if sum(keyed) > MOST:
                yield remark(
                    change,
                    f"This key takes {sum(keyed):,} bytes, and {MOST:,} is the most: MySQL refuses it, and "
                    "MariaDB makes another key of it without an error.",
                    "Index a shorter beginning of the column, e.g. (email(191)), or a hash in a column of its own.",
                    part.offset,
                )


def _size(part: Phrase, sizes: dict[str, int]) -> int:
    found = part.match(_PART)
    if not found:
        return 0
    whole = sizes.get(key(found["column"]), 0)
    return min(whole, int(found["prefix"]) * 4) if found["prefix"] else whole


RULE = Rule(
    name="key-length",
    level=Level.ERROR,
    engines=("mysql",),
    about="""
The key of an InnoDB index has 3072 bytes at most, and a character of utf8mb4 counts four: 768 characters, all columns
together. MySQL refuses a longer one. MariaDB refuses it as a primary key; a plain key it shortens, with a warning that
nobody reads, and a unique one it makes a hash, which finds equal values only and serves no order and no range. Looked
at are the keys of `CREATE TABLE`, for there the types stand beside them; where no character set is named, a character
counts one byte.
""",
    bad="""
CREATE TABLE pages (id BIGINT PRIMARY KEY, url VARCHAR(1000), UNIQUE KEY pages_url (url))
    DEFAULT CHARACTER SET utf8mb4;
""",
    good="""
CREATE TABLE pages (id BIGINT PRIMARY KEY, url VARCHAR(1000), UNIQUE KEY pages_url (url(191)))
    DEFAULT CHARACTER SET utf8mb4;
""",
    find=find,
)
