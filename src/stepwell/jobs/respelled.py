"""Recorded values as their columns, as they are now, would spell them: a script may have changed a column's type since.

The server itself tells: the values go into an empty table with the column's type, and are read from it as rows are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from stepwell.databases import recording
from stepwell.databases.database import Database
from stepwell.errors import Refused
from stepwell.jobs.encoding import load_value, selected, texts
from stepwell.jobs.work import passes
from stepwell.ledger.changes import canonical

SPELLED = "stepwell_spelled"
"""The temporary table."""

Respelled = Mapping[tuple[str, str], str | None]
"""By column and JSON text, how the column spells this value now; None for one that it can't hold."""


def respelled(database: Database, table: str, recorded: Mapping[str, set[str]]) -> Respelled:
    """Of values that were recorded, by column, those that are spelled otherwise now.

    None where the engine has no temporary tables that rows can be put into (ClickHouse), or our user may make none.
    """
    found: dict[tuple[str, str], str | None] = {}
    if not database.transactional:
        return found
    for column, known in recorded.items():
        with _table_of(database, table, column) as there:
            if there:
                found |= {(column, text): now for text, now in _spelled(database, sorted(known)) if now != text}
    return found


@contextmanager
def _table_of(database: Database, table: str, column: str) -> Iterator[bool]:
    """A temporary table with a column of this one's type; False where it can't be made."""
    try:
        # Behind an outer join a column may be NULL, whatever it says of itself.
        database.query(
            f"""
            CREATE TEMPORARY TABLE {SPELLED} AS
            SELECT 0 AS number, t.{column} AS spelled
            FROM (SELECT 1 AS one) AS one
            LEFT JOIN {table} AS t ON 1 = 0
            WHERE 1 = 0
            """
        )
    except Refused:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(Refused):  # it goes with the connection
            database.query(f"DROP TABLE {SPELLED}")


def _spelled(database: Database, known: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each text, and how its value is spelled; of values that are refused together the half that is not is found."""
    try:
        return list(zip(known, _written_and_read(database, known), strict=True))
    except Refused as error:
        if passes(error):
            raise
    if len(known) == 1:
        return [(known[0], None)]
    middle = len(known) // 2
    return [*_spelled(database, known[:middle]), *_spelled(database, known[middle:])]


def _written_and_read(database: Database, known: Sequence[str]) -> list[str]:
    database.query(f"DELETE FROM {SPELLED}")
    database.insert(SPELLED, ["number", "spelled"], [[number, load_value(text)] for number, text in enumerate(known)])
    encoding = recording.encoding(database, SPELLED, ["spelled"])
    asked = ", ".join(selected(encoding, ["spelled"]))
    rows = database.query(f"SELECT {asked} FROM {SPELLED} ORDER BY number")
    return [canonical(text) for row in rows for text in texts(encoding, row)]
