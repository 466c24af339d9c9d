"""Drops in an expand phase."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule, remark

_COLUMN = r"DROP (?:COLUMN )?(?:IF EXISTS )?(?P<name>(?!CONSTRAINT|INDEX|KEY|PRIMARY|FOREIGN|PROJECTION|PARTITION)\S+)"
_TABLE = r"DROP (?:TABLE|VIEW|MATERIALIZED VIEW) (?:IF EXISTS )?(?P<name>\S+)"


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.phase != "expand":
        return
    made = {change.table for change in reading.changes if change.creates_table}
    for change in reading.changes:
        if (found := change.match(_TABLE)) and key(found["name"]) not in made:
            yield remark(change, f"{change.written(found)} in an expand phase{_WHY}", _DO)
        for part in () if change.fresh else change.alters:
            if found := part.match(_COLUMN):
                what = f"DROP COLUMN {part.written(found, 'name')} in an expand phase{_WHY}"
                yield remark(change, what, _DO, part.offset)


_WHY = ": the release that is running now still reads it, and fails from this moment on."
_DO = "Move it to a script with `-- phase: contract` that requires the job and the check: `-- requires: job/NAME`."

RULE = Rule(
    name="early-drop",
    level=Level.ERROR,
    engines=EVERY,
    about="""
An expand phase only adds: both the old and the new release run on what it leaves. A dropped column or table is still
named in the queries of the old one, which fail until the last old process has ended; many libraries keep the column
list from when they started, so even unused columns are named.
""",
    bad="""
-- phase: expand

ALTER TABLE orders DROP COLUMN note;
""",
    good="""
-- phase: expand

ALTER TABLE orders ADD COLUMN remark varchar(200);
""",
    find=find,
)
