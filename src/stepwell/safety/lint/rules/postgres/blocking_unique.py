"""Keys whose index is built under the strongest lock."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import Phrase
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ADD = r"ADD (?:CONSTRAINT (?P<name>\S+) )?(?P<kind>PRIMARY KEY|UNIQUE|EXCLUDE)\b(?! USING INDEX)"
_COLUMN = r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!CONSTRAINT\b)\S+ .*\b(?P<kind>UNIQUE|PRIMARY KEY)\b"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        for part in () if change.fresh else change.alters:
            if found := part.match(_ADD) or part.match(_COLUMN):
                what = (
                    f"{found['kind']} builds its index under an ACCESS EXCLUSIVE lock: nobody can read or write "
                    f"{change.table_written} until it is built."
                )
                yield remark(change, what, _do(part, change.table_written, found["kind"]), part.offset)


def _do(part: Phrase, table: str, kind: str) -> str:
    if kind == "EXCLUDE":
        return "There is no other way to add one: make a new table with it, and move the rows by a job."
    named = part.match(_ADD)
    name = part.written(named, "name") if named and named["name"] else f"{table.rpartition('.')[2]}_key"
    columns = part.search(r"(?:KEY|UNIQUE) (?P<columns>\( .*? \))")
    written = part.written(columns, "columns") if columns else "(…)"
    return (
        f"First, in a script of its own: CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} {written};\n"
        f"then: ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};"
    )


RULE = Rule(
    name="blocking-unique",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
`ADD PRIMARY KEY`, `ADD UNIQUE` and `ADD EXCLUDE` build an index while an ACCESS EXCLUSIVE lock shuts out readers too.
An index that was built `CONCURRENTLY` beforehand becomes the constraint's in no time, with `USING INDEX`. A primary
key also makes its columns NOT NULL, which reads the table: see [not-null](#not-null).
""",
    bad="""
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE (email);
""",
    good="""
CREATE UNIQUE INDEX CONCURRENTLY customers_email ON customers (email);
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE USING INDEX customers_email;
""",
    find=find,
)
