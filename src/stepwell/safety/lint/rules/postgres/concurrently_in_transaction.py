"""CONCURRENTLY inside a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.databases.lexing import Kind
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ALONE = r"(?:CREATE|DROP|REINDEX|ALTER TABLE|REFRESH)\b.*? CONCURRENTLY\b"
_IN_BODY = re.compile(r"\b(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+INDEX)\s+CONCURRENTLY\b", re.IGNORECASE)


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if reading.front.transaction and change.match(_ALONE) and not change.match("REFRESH"):
            yield remark(
                change,
                "PostgreSQL refuses CONCURRENTLY in a transaction, and this script asks for one.",
                "Take `transaction: true` away: Stepwell then journals the statements one by one.",
            )
        elif change.match(r"DO\b|CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)"):
            for token in change.tokens:
                if token.kind is Kind.STRING and (found := _IN_BODY.search(token.text)):
                    yield remark(
                        change,
                        "PostgreSQL refuses CONCURRENTLY in the body of a block or a function: it is a transaction.",
                        "Write it as a statement of its own, outside of the block.",
                        token.offset + found.start(),
                    )


RULE = Rule(
    name="concurrently-in-transaction",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
`CREATE INDEX CONCURRENTLY` and its like make transactions of their own, so PostgreSQL refuses them inside one: in a
script with `transaction: true`, in a `DO` block, in a function. By itself it is no trouble: Stepwell sees the word
and journals the script instead.
""",
    bad="""
DO $$
BEGIN
    CREATE INDEX CONCURRENTLY orders_day ON orders (day);
END
$$;
""",
    good="""
CREATE INDEX CONCURRENTLY orders_day ON orders (day);
""",
    find=find,
)
