"""Scripts without a way back."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.phase == "contract" or reading.script.reversible:
        return
    end = (
        "a function `down(db)`" if reading.script.is_python else "a line `-- down` and what undoes the script below it"
    )
    yield Remark(
        reading.changes[0].statement.line if reading.changes else 1,
        "There is no way back: `stepwell down` refuses, and a bad release can only be taken back by a backup.",
        f"Write {end}.",
    )


RULE = Rule(
    name="irreversible",
    level=Level.WARNING,
    engines=EVERY,
    about="""
A script without `-- down`. The way back is easiest to write on the day of the script, and is wanted on the worst day.
Scripts of `phase: contract` are left alone: what they drop can't be brought back, which is why they wait for a job
and a check. Files from before Stepwell that nobody will ever undo are best left out: lint the new ones by naming
them.
""",
    bad="""
ALTER TABLE orders ADD COLUMN discount integer;
""",
    good="""
ALTER TABLE orders ADD COLUMN discount integer;

-- down
ALTER TABLE orders DROP COLUMN discount;
""",
    find=find,
)
