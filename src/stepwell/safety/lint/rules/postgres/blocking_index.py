"""Indexes built with the table's writers shut out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stepwell.safety.lint.reading import Change, Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_CREATE = r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY\b)"
_REINDEX = r"REINDEX (?!.*\bCONCURRENTLY\b)(?:\( .*? \) )?(?:INDEX|TABLE|SCHEMA) (?P<name>\S+)"
_OBJECT = re.compile(r"\b(?:INDEX|TABLE|SCHEMA)\b", re.IGNORECASE)


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if change.match(_CREATE) and not change.fresh and not change.search(r" ON ONLY "):
            table = change.table_written
            yield remark(
                change,
                f"Nobody can write to {table} until this index is built: minutes on a large table.",
                f"Build it beside the traffic: {_concurrently(change)}",
            )
        elif found := change.match(_REINDEX):
            name = change.written(found, "name")
            yield remark(
                change,
                f"REINDEX keeps every writer out of {name} until it is done, and readers that need the index.",
                f"Build it beside the traffic: {_concurrently(change)}",
            )


def _concurrently(change: Change) -> str:
    """The statement on one line with the word that is missing, as far as that is short."""
    line = " ".join(_OBJECT.sub(r"\g<0> CONCURRENTLY", change.text, count=1).split())
    return f"{line};" if len(line) < 120 else f"{line[:100]} …"


RULE = Rule(
    name="blocking-index",
    level=Level.ERROR,
    engines=("postgres",),
    about="""
`CREATE INDEX` takes a SHARE lock: reads go on, every INSERT, UPDATE and DELETE waits until the index is built. The
lock timeout does not help, for the lock is granted at once. `CONCURRENTLY` reads the table twice and locks nobody
out; it can't be part of a transaction, so Stepwell journals the script's statements one by one, and removes an
invalid index that a crash left. A unique index built so may find duplicates and fail; it does no harm.

On a partitioned table `CONCURRENTLY` does not exist: create the index `ON ONLY` the parent, which is instant, build
it `CONCURRENTLY` on each partition, and `ALTER INDEX … ATTACH PARTITION`. Nothing is said of `ON ONLY`, nor of a
table that the script made.
""",
    bad="""
CREATE INDEX orders_day ON orders (day);
""",
    good="""
CREATE INDEX CONCURRENTLY orders_day ON orders (day);
""",
    find=find,
)
