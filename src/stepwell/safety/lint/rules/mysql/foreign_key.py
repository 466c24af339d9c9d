"""Foreign keys on tables that are in use."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark
from stepwell.safety.lint.rules.mysql.not_online import promised


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if change.fresh or promised(change.alters):
            continue
        for part in change.alters:
            if part.match(r"ADD (?:CONSTRAINT (?:(?!FOREIGN)\S+ )?)?FOREIGN KEY"):
                yield remark(
                    change,
                    f"FOREIGN KEY copies all of {change.table_written} to prove itself, with its writers shut out, and "
                    "locks the table it refers to.",
                    "SET foreign_key_checks = 0; in the line before it, and `, ALGORITHM=INPLACE, LOCK=NONE` at its "
                    "end: instant, and it holds for new rows. Look for orphans by a check.",
                    part.offset,
                )


RULE = Rule(
    name="foreign-key",
    level=Level.ERROR,
    engines=("mysql",),
    about="""
With `foreign_key_checks` on, a new foreign key is only done by copying the table. With it off the key is added in
place, and old rows are not looked at: a [check](scripts.md) for orphans belongs to it. Every write to the child then
locks a row of the parent, which is why tools that copy tables beside traffic refuse tables with foreign keys.
""",
    bad="""
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id);
""",
    good="""
SET foreign_key_checks = 0;
ALTER TABLE orders
    ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id), ALGORITHM=INPLACE, LOCK=NONE;
""",
    find=find,
)
