"""Constraints that are checked while they are added."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ADD = r"ADD (?:CONSTRAINT (?P<name>\S+) )?(?P<kind>CHECK|FOREIGN KEY)\b"
_COLUMN = r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!CONSTRAINT\b)\S+ .*\b(?P<kind>REFERENCES|CHECK)\b"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        table = change.table_written
        for part in () if change.fresh else change.alters:
            if (found := part.match(_ADD)) and not part.search(r"\bNOT VALID\b"):
                name = part.written(found, "name") if found["name"] else "NAME"
                readers = "writers of both tables are" if found["kind"] == "FOREIGN KEY" else "all others are"
                yield remark(
                    change,
                    f"{found['kind']} reads all of {table} to prove itself, and {readers} locked out meanwhile.",
                    "Add it with NOT VALID, which is instant and holds for new rows, and prove it in a script of its "
                    f"own, beside the traffic: ALTER TABLE {table} VALIDATE CONSTRAINT {name};",
                    part.offset,
                )
            elif (found := part.match(_COLUMN)) and part.search(r"\bDEFAULT (?!NULL\b)"):
                yield remark(
                    change,
                    f"A new column with a default and {found['kind']} reads all of {table} to prove itself.",
                    "Add the column alone, then the constraint with NOT VALID, and VALIDATE it in a script of its own.",
                    part.offset,
                )
            elif (found := part.match(r"VALIDATE CONSTRAINT (?P<name>\S+)")) and _added_here(reading, found["name"]):
                yield remark(
                    change,
                    "Added and validated in one transaction: the strong lock of ADD is kept while the table is read.",
                    "Validate it in a script of its own, or say `-- transaction: false` at the top of this one.",
                    part.offset,
                )


def _added_here(reading: Reading, name: str) -> bool:
    """Whether the constraint is added in the same transaction."""
    return reading.in_transaction and any(
        part.match(rf"ADD CONSTRAINT {name.replace('$', '[$]')} ")
        for change in reading.changes
        for part in change.alters
    )


RULE = Rule(
    name="validated-constraint",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
`ADD CHECK` reads the whole table under an ACCESS EXCLUSIVE lock, `ADD FOREIGN KEY` under a lock that stops the
writers of both tables. With `NOT VALID` either is instant and holds for every new or changed row; `VALIDATE
CONSTRAINT` then reads the table under a lock that stops nobody. The two belong in two transactions: in one, the first
lock is kept while the second reads.

A new column that `REFERENCES` another table and has no default is all NULL, which PostgreSQL does not look at:
nothing is said.
""",
    bad="""
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id);
""",
    good="""
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;
""",
    find=find,
)
