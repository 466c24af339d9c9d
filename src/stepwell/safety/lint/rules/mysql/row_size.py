"""Rows that are longer than MySQL allows."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark
from stepwell.safety.lint.rules.mysql import widths

MOST = 65_535
"""Bytes of a row without its TEXT and BLOB columns, whatever the storage engine."""


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        size = sum(widths.of_column(column, change) for column in change.columns)
        if size > MOST:
            yield remark(
                change,
                f"A row of {change.table_written} may take {size:,} bytes, and {MOST:,} is the most: the server "
                "refuses the table, or turns columns into TEXT where sql_mode is not strict.",
                "Make the long columns TEXT, which counts 12 bytes at most, or shorter.",
            )


RULE = Rule(
    name="row-size",
    level=Level.ERROR,
    engines=("mysql",),
    about="""
All columns of a row but TEXT and BLOB share 65,535 bytes, and a character of utf8mb4 counts four. Two columns of
VARCHAR(10000) are too much. Counted is what the definitions tell for certain: where no character set is named, one
byte a character. It shows at the first server whose default is utf8mb4, rather than on the developer's.
""",
    bad="""
CREATE TABLE letters (id BIGINT PRIMARY KEY, subject VARCHAR(9000), body VARCHAR(9000)) DEFAULT CHARACTER SET utf8mb4;
""",
    good="""
CREATE TABLE letters (id BIGINT PRIMARY KEY, subject VARCHAR(900), body TEXT) DEFAULT CHARACTER SET utf8mb4;
""",
    find=find,
)
