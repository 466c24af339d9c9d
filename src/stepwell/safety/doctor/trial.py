"""Trying what our user may: the migration lock, and what scripts and jobs do, on a table made for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

from stepwell.databases.database import Command, Database
from stepwell.databases.locks import in_order
from stepwell.errors import LockHeld, Refused, shorten
from stepwell.safety.doctor.finding import Finding, Level

TABLE = "stepwell_scratch"
"""Only the holder of the lock makes it, and drops what a trial that was killed has left."""


def trial(databases: Sequence[Database]) -> Iterator[Finding]:
    """Take the locks as a run does, and under them make, fill, change and drop a table in every database."""
    holders: list[Database] = []
    with ExitStack() as stack:
        for database in in_order(databases):
            name = database.name
            try:
                under = [holder for holder in holders if holder.session_lock]
                stack.enter_context(database.lock(0.0, lambda holder: None, under))
            except LockHeld as error:
                what = f"the migration lock is {error.said or 'held'}"
                yield Finding("lock", Level.WARNING, name, what, "Let that run end; a release would wait for it.")
                return
            except Refused as error:
                what = f"the migration lock can't be taken: {error.said}"
                yield Finding("lock", Level.BLOCKER, name, what, error.do)
                return
            holders.append(database)
            yield Finding("lock", Level.OK, name, "the migration lock is free")
        for database in databases:
            yield from _scratch(database)


def _scratch(database: Database) -> Iterator[Finding]:
    statements = [*database.scratch(TABLE), f"DROP TABLE {TABLE}"]
    drop = Command(text=f"DROP TABLE IF EXISTS {TABLE}")
    denied: list[tuple[str, Refused]] = []
    with suppress(Refused):
        database.run(drop)
    for text in statements:
        try:
            database.run(Command(text=text))
        except Refused as error:
            denied.append((text, error))
            if text is statements[0]:
                break  # without the table the others would fail for that alone
    if denied:
        with suppress(Refused):
            database.run(drop)
    for text, refusal in denied:
        what = f"our user may not: {shorten(text)}: {refusal.said.splitlines()[0]}"
        yield Finding("privileges", Level.BLOCKER, database.name, what, "Grant what the server names to our user.")
    if not denied:
        what = f"our user may create, fill, change and drop a table (tried on {TABLE})"
        yield Finding("privileges", Level.OK, database.name, what)
