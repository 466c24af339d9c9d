"""Type changes that write the table anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ALTER = r"ALTER (?:COLUMN )?(?P<column>\S+) (?:SET DATA )?TYPE (?P<type>\S+(?: VARYING)?(?: \( [\d ,]+ \))?)"
_DEFINED = r"(?:ADD (?:COLUMN )?(?:IF NOT EXISTS )?)?(?P<column>\S+) (?P<type>\S+(?: VARYING)?(?: \( [\d ,]+ \))?)"
_TEXT = re.compile(r"(?:(?P<varchar>VARCHAR|CHARACTER VARYING)(?: \( (?P<length>\d+) \))?|TEXT)$")
_NUMBER = re.compile(r"(?:NUMERIC|DECIMAL)(?: \( (?P<digits>\d+)(?: , (?P<scale>\d+))? \))?$")


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        for part in () if change.fresh else change.alters:
            if (found := part.match(_ALTER)) and not _in_place(
                _type_of(reading, change, found["column"]), found["type"]
            ):
                column, table = part.written(found, "column"), change.table_written
                yield remark(
                    change,
                    f"The new type of {column} rewrites {table} and its indexes under an ACCESS EXCLUSIVE lock: nobody "
                    "can read or write it until that is done.",
                    f"Add a column of the new type, let the application write both, fill it by a job, read the new "
                    f"one, and drop {column} in a contract script.",
                    part.offset,
                )


def _type_of(reading: Reading, change: Change, column: str) -> str:
    """The column's type before a statement, as the scripts before it tell; '' where they don't."""
    known = ""
    for before in reading.before(change):
        if before.table != change.table:
            continue
        for part in (*before.columns, *before.alters):
            found = part.match(_ALTER) or part.match(_DEFINED)
            if found and key(found["column"]) == key(column):
                known = found["type"]
    return known


def _in_place(old: str, new: str) -> bool:
    """Whether the rows stay as they are: longer or unlimited text, more digits at the same scale."""
    if (was := _TEXT.match(old)) and (to := _TEXT.match(new)):
        return to["length"] is None or (was["length"] is not None and int(was["length"]) <= int(to["length"]))
    if (was := _NUMBER.match(old)) and (to := _NUMBER.match(new)):
        if to["digits"] is None:
            return True
        same = (was["scale"] or "0") == (to["scale"] or "0")
        return was["digits"] is not None and same and int(was["digits"]) <= int(to["digits"])
    return False


RULE = Rule(
    name="rewriting-type",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
Most changes of a column's type write the whole table and its indexes anew while nobody can read or write. Exceptions
are varchar made longer or unlimited, varchar to text, and numeric with more digits at the same scale. Nothing is said
of these where an earlier script of the database tells the old type; where none does, the change is taken for a
rewrite.
""",
    bad="""
ALTER TABLE orders ALTER COLUMN total TYPE bigint;
""",
    good="""
ALTER TABLE orders ADD COLUMN total_big bigint;
""",
    find=find,
)
