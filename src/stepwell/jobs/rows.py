"""Rows that a job adds and removes beside those of its batches, and the way back of both.

Each is recorded whole: an added row has no old values, a removed one no new ones. Undo removes the added row if it is
still as the job left it, and adds the removed one if nothing has taken its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell.databases import recording
from stepwell.databases.database import Command, Database
from stepwell.jobs.encoding import load_value, selected, texts
from stepwell.jobs.sources import among, dump_key, load_key
from stepwell.ledger.changes import Change, dump_values, load_values


@dataclass(frozen=True, slots=True)
class Place:
    """A row by its table and the values of its key."""

    table: str
    key: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """What `str` wrote; None for the key of a row of the job's own batches."""
        _, end = json.JSONDecoder().raw_decode(text)
        if end == len(text):
            return None
        table, _, columns = text[end:].removeprefix(OF).rpartition(" by ")
        return cls(table, dict(zip(columns.split(", "), load_key(text[:end]), strict=True)))

    def __str__(self) -> str:
        return f"{dump_key(tuple(self.key.values()))}{OF}{self.table} by {', '.join(self.key)}"


OF = " of "
"""Between the key and the table where a row is not of the job's own batches."""


def values_of(database: Database, place: Place) -> dict[str, str]:
    """The row's values as JSON texts by column; empty where there is none. Locked where it is in a transaction."""
    columns = database.columns(place.table)
    names = _quoted(database, columns)
    encoding = recording.encoding(database, place.table, names)
    found = among(tuple(place.key), [tuple(place.key.values())])
    asked = ", ".join(selected(encoding, names))
    text = f"SELECT {asked} FROM {place.table} WHERE {found.text} {database.for_update}"
    rows = database.query(text, found.parameters)
    if not rows:
        return {}
    return load_values(dump_values(dict(zip(columns, texts(encoding, rows[0]), strict=True))))


def add(database: Database, place: Place, like: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Add a row: as the one with the key `like` is, but for its own key and these values."""
    given = {**values, **place.key}
    if not like:
        database.insert(place.table, list(given), [list(given.values())])
        return
    columns = database.columns(place.table)
    names = _quoted(database, columns)
    values_or_names = ("?" if column in given else name for column, name in zip(columns, names, strict=True))
    found = among(tuple(like), [tuple(like.values())])
    text = f"""
        INSERT INTO {place.table} ({", ".join(names)})
        SELECT {", ".join(values_or_names)}
        FROM {place.table}
        WHERE {found.text}
    """
    bound = [given[column] for column in columns if column in given]
    database.run(Command(text=text, parameters=(*bound, *found.parameters)))


def _quoted(database: Database, columns: Sequence[str]) -> list[str]:
    """The names of columns in SQL, whatever words they are."""
    from stepwell.databases import transfer

    quote = transfer.of(database).quote
    return [quote(column) for column in columns]


def remove(database: Database, place: Place) -> None:
    found = among(tuple(place.key), [tuple(place.key.values())])
    database.run(Command(text=f"DELETE FROM {place.table} WHERE {found.text}", parameters=found.parameters))


def take_back(database: Database, place: Place, change: Change) -> bool:
    """Undo one addition or removal; False where somebody has changed the row since."""
    holds = values_of(database, place)
    if holds == change.old:
        return True
    if holds != change.new:
        return False
    if holds:
        remove(database, place)
    else:
        values = {column: load_value(text) for column, text in change.old.items()}
        database.insert(place.table, list(values), [list(values.values())])
    return True
