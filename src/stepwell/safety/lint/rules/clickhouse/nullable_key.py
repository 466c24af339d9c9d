"""Nullable columns in the key of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.safety.lint.phrase import Phrase, key
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_COLUMN = r"(?P<name>\S+) (?:NULLABLE \(|LOWCARDINALITY \( NULLABLE \()"
_KEY = (
    r"(?:ORDER BY|PRIMARY KEY|PARTITION BY) (?P<key>.+?)"
    r"(?= (?:ORDER BY|PRIMARY KEY|PARTITION BY|TTL|SETTINGS|SAMPLE BY|COMMENT|AS) |$)"
)
_WORD = re.compile(r"""[A-Z_][A-Z0-9_]*|["`][^"`]+["`]""")


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        nullable = {key(found["name"]) for part in change.columns if (found := part.match(_COLUMN))}
        words = [word for found in _behind_columns(change).all(_KEY) for word in _WORD.findall(found["key"])]
        if taken := [word for word in words if key(word) in nullable]:
            yield remark(
                change,
                f"The key has {taken[0].lower()}, which is Nullable: the server refuses the table, or, with "
                "allow_nullable_key, keeps a second column for it and reads more for every query.",
                "Make the column plain, with a default that stands for nothing: '' or 0.",
            )


def _behind_columns(change: Change) -> Phrase:
    if not change.columns:
        return Phrase([])
    last = change.columns[-1].tokens[-1].offset
    return Phrase([token for token in change.tokens if token.offset > last])


RULE = Rule(
    name="nullable-key",
    level=Level.ERROR,
    engines=("clickhouse",),
    about="""
A key is what ClickHouse skips rows by, and NULL has no place in an order. The server refuses a Nullable column in a
sorting, primary or partition key unless `allow_nullable_key` is set, which costs on every read. An empty string or 0
says the same.
""",
    bad="""
CREATE TABLE visits (id UInt64, page Nullable(String)) ENGINE = MergeTree ORDER BY (page, id);
""",
    good="""
CREATE TABLE visits (id UInt64, page String DEFAULT '') ENGINE = MergeTree ORDER BY (page, id);
""",
    find=find,
)
