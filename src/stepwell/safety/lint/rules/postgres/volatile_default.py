"""New columns whose value must be written into every row."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ADD = r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!CONSTRAINT\b)(?P<column>\S+) "
_REASONS = {
    r".*\bDEFAULT .*?(?P<why>\b(?:\S+\.)?(?:RANDOM|GEN_RANDOM_UUID|GEN_RANDOM_BYTES|UUID_GENERATE_V[1-5]\w*|UUIDV[47]|"
    r"CLOCK_TIMESTAMP|TIMEOFDAY|NEXTVAL|TXID_CURRENT|PG_CURRENT_XACT_ID|SETVAL) \()": "its default differs row by row",
    r"(?P<why>(?:SMALL|BIG)?SERIAL[248]?\b)": "it takes a number from a sequence for each row",
    r".*\b(?P<why>AS IDENTITY)\b": "it takes a number from a sequence for each row",
    r".*\b(?P<why>STORED)\b": "its stored value is computed for each row",
}


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        for part in () if change.fresh else change.alters:
            for pattern, why in _REASONS.items():
                if found := part.match(_ADD + pattern):
                    column, table = part.written(found, "column"), change.table_written
                    yield remark(
                        change,
                        f"Adding {column} rewrites all of {table} under an ACCESS EXCLUSIVE lock, for {why}.",
                        f"Add {column} without it. ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT … is instant "
                        "and holds for new rows; fill the old ones by a job.",
                        part.offset,
                    )
                    break


RULE = Rule(
    name="volatile-default",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
Since PostgreSQL 11 a new column with a constant default is instant, and `now()` counts as constant: it is computed
once. A default that differs row by row (`gen_random_uuid()`, `random()`, `clock_timestamp()`, `nextval()`, serial
types, identity) and a `STORED` generated column are written into every row: the table and its indexes are rebuilt
while nobody can read. Of functions that are not known nothing is said.
""",
    bad="""
ALTER TABLE orders ADD COLUMN public_id uuid DEFAULT gen_random_uuid();
""",
    good="""
ALTER TABLE orders ADD COLUMN public_id uuid;
ALTER TABLE orders ALTER COLUMN public_id SET DEFAULT gen_random_uuid();
ALTER TABLE orders ADD COLUMN seen_at timestamptz DEFAULT now();
""",
    find=find,
)
