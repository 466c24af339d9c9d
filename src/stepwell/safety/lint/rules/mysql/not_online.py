"""ALTER TABLE that copies the table and shuts writers out."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import Phrase
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_COPIES = {
    r"MODIFY (?:COLUMN )?(?:IF EXISTS )?\S+ ": "a changed column definition",
    r"CHANGE (?:COLUMN )?(?:IF EXISTS )?(?P<old>\S+) (?P<new>\S+) (?!$)": "a changed column definition",
    r"DROP PRIMARY KEY$": "a dropped primary key",
    r"ORDER BY": "ORDER BY",
    r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?\S+ .*\b(?:STORED|PERSISTENT)\b": "a stored generated column",
    r"(?:ENGINE|PARTITION BY|REMOVE PARTITIONING|ALGORITHM = COPY)\b": "this",
    r"ADD (?:FULLTEXT|SPATIAL)\b": "the first such index",
}
_PROMISED = r"ALGORITHM =? ?(?:INSTANT|NOCOPY)$"
_INPLACE = r"ALGORITHM =? ?INPLACE$"
_UNLOCKED = r"LOCK =? ?NONE$"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if change.fresh or promised(change.alters):
            continue
        replaces_key = any(part.match("ADD (?:CONSTRAINT \\S+ )?PRIMARY KEY") for part in change.alters)
        for part in change.alters:
            for pattern, what in _COPIES.items():
                if not part.match(pattern) or (replaces_key and "PRIMARY" in pattern):
                    continue
                yield remark(
                    change,
                    f"For {what} the server may copy all of {change.table_written}, and nobody can write to it until "
                    "the copy is complete. It does not say so beforehand.",
                    "Have it refuse instead: end the ALTER with `, ALGORITHM=INPLACE, LOCK=NONE` (or `, "
                    "ALGORITHM=INSTANT`). If it does refuse: a new column, a job that fills it, a contract script.",
                    part.offset,
                )
                break


def promised(commands: list[Phrase]) -> bool:
    """Whether an ALTER says that it must neither copy nor lock: the server refuses rather than do so."""
    instant = any(part.match(_PROMISED) for part in commands)
    inplace = any(part.match(_INPLACE) for part in commands)
    return instant or (inplace and any(part.match(_UNLOCKED) for part in commands))


RULE = Rule(
    name="not-online",
    level=Level.ERROR,
    engines=("mysql",),
    about="""
MySQL and MariaDB choose how they do an ALTER, and fall back to a copy of the whole table, writers shut out, without a
word. `ALGORITHM=INSTANT`, or `ALGORITHM=INPLACE, LOCK=NONE`, makes them refuse instead. Asked for are statements of
which a copy must be feared: `MODIFY` and `CHANGE`, a dropped primary key, stored generated columns, `ORDER BY`,
`ENGINE`, partitioning, full-text and spatial indexes. Added and dropped columns, and ordinary indexes, are done
online by all versions in use. Whether a `MODIFY` copies depends on the old definition, which no file tells for
certain; so it is asked for each.
""",
    bad="""
ALTER TABLE orders MODIFY total BIGINT;
""",
    good="""
ALTER TABLE orders MODIFY note VARCHAR(120), ALGORITHM=INPLACE, LOCK=NONE;
""",
    find=find,
)
