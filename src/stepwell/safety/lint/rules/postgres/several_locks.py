"""Strong locks on several tables in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

# These take an ACCESS EXCLUSIVE lock; VALIDATE, ATTACH and statistics make do with less.
_STRONG = r"ALTER TABLE|DROP TABLE|TRUNCATE|CLUSTER|LOCK TABLE"
_WEAK = r"VALIDATE CONSTRAINT|ATTACH PARTITION|SET \(|RESET \(|ALTER (?:COLUMN )?\S+ SET (?:STATISTICS|\()"


def find(reading: Reading) -> Iterator[Remark]:
    if not reading.in_transaction:
        return
    first: Change | None = None
    for change in reading.changes:
        if not change.table or change.fresh or not change.match(_STRONG):
            continue
        if change.alters and all(part.match(_WEAK) for part in change.alters):
            continue
        if first is None:
            first = change
        elif change.table != first.table:
            yield remark(
                change,
                f"{first.table_written} stays locked against all while this waits for {change.table_written}: traffic "
                "on both stands still, and a session that uses them in the other order is a deadlock.",
                "Put the two tables' changes into two scripts, or say `-- transaction: false` at the top.",
            )
            return


RULE = Rule(
    name="several-locks",
    level=Level.WARNING,
    engines=("postgres",),
    about="""
A transaction keeps each lock to its end. While the second `ALTER TABLE` waits for a long query on its table,
everybody waits for the first table too. Stepwell gives way after the lock timeout and begins anew, so it ends; but
each try holds up two tables instead of one. Of small changes to quiet tables it is a false alarm; a comment says so.
""",
    bad="""
ALTER TABLE orders ADD COLUMN currency text;
ALTER TABLE customers ADD COLUMN locale text;
""",
    good="""
-- transaction: false

ALTER TABLE orders ADD COLUMN currency text;
ALTER TABLE customers ADD COLUMN locale text;
""",
    find=find,
)
