"""Renames of what a running release uses."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule, remark

_PAIR = r"(?:IF EXISTS )?(?P<old>\S+) TO (?P<new>\S+)"
_COLUMN = r"RENAME (?:COLUMN )?(?:IF EXISTS )?(?!TO\b|AS\b|INDEX\b|KEY\b|CONSTRAINT\b)(?P<old>\S+) TO (?P<new>\S+)"
_CHANGED = r"CHANGE (?:COLUMN )?(?:IF EXISTS )?(?P<old>\S+) (?P<new>\S+)"


def find(reading: Reading) -> Iterator[Remark]:
    pairs = [(change, *pair) for change in reading.changes for pair in _tables(change)]
    filled = {key(new) for *_, new in pairs} | set(map(key, _made(reading)))
    for change, old, new in pairs:
        if key(old) not in filled:
            what = f"Table {old} is called {new} from one moment to the next: the running release still says {old}."
            yield remark(change, what, _TABLE)
    for change in reading.changes:
        for part in () if change.fresh else change.alters:
            found = part.match(_COLUMN) or part.match(_CHANGED)
            if found and key(found["old"]) != key(found["new"]):
                old, new = part.written(found, "old"), part.written(found, "new")
                what = (
                    f"Column {old} is called {new} from one moment to the next: the running release still says {old}."
                )
                yield remark(change, what, _COLUMN_DO.format(old=old, new=new), part.offset)


def _made(reading: Reading) -> Iterator[str]:
    """The tables and views that the script makes."""
    for change in reading.changes:
        if found := change.match(r"CREATE (?:OR REPLACE )?(?:\S+ )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?(?P<name>\S+)"):
            yield found["name"]


def _tables(change: Change) -> Iterator[tuple[str, str]]:
    """Old and new names of the tables that a statement renames, as written."""
    if found := change.match(r"RENAME TABLES? "):
        for part in change.behind(found).parts():
            if pair := part.match(_PAIR):
                yield part.written(pair, "old"), part.written(pair, "new")
    for part in change.alters:
        if pair := part.match(r"RENAME (?:TO |AS |= )?(?P<new>\S+)$"):
            yield change.table_written, part.written(pair, "new")


_TABLE = (
    "Keep the name. Or in one script rename the table and create a view of the old name over it, deploy, and drop the "
    "view in a later release."
)
_COLUMN_DO = (
    "Keep the name, or: add {new}, let the application write both, fill it by a job, read {new}, and drop {old} in a "
    "contract script."
)

RULE = Rule(
    name="rename",
    level=Level.ERROR,
    engines=EVERY,
    about="""
Between this statement and the end of the last old process, one of the two releases asks for a name that is not there.
No order of deploying avoids that. What is meant is usually a new name in the code, which costs the database nothing.

Nothing is said where the script itself gives the old name to another table (a copy that takes the place of the
original), or made the table.
""",
    bad="""
ALTER TABLE orders RENAME COLUMN total TO amount;
""",
    good="""
ALTER TABLE orders ADD COLUMN amount integer;
""",
    find=find,
)
