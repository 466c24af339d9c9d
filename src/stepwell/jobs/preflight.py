"""Before a job's first batch: can its table be gone through by the key that its batches name?

The catalog answers nearly all of it. Rows are read only for what it leaves open: whether a column that may be NULL is,
and whether a key that is not declared unique is so in fact.
"""

from __future__ import annotations

import json
import re

from stepwell.databases.database import Database
from stepwell.databases.keys import INDEX
from stepwell.errors import KeyChanged, NoTransactions, UnfitKey, did_you_mean
from stepwell.jobs.definition import Definition, Groups
from stepwell.jobs.sources import Range, among, condition, dump_key, load_key
from stepwell.ledger import databases
from stepwell.ledger.jobs import Ledger

OTHER = "Go by another key: a number, a text, a date, a date with its time, or a UUID."

TRIES = 3
"""How often a first row is looked for again: somebody may delete it between the two looks."""


def check(definition: Definition, database: Database) -> None:
    """Look whether the key is there, indexed, never NULL where the job goes, and unique.

    Raises UnfitKey, NoTransactions, Refused.
    """
    source = definition.source
    table, columns = source.table, ", ".join(source.keys)

    def unfit(what: str, do: str, said: str = "") -> UnfitKey:
        where = f"{definition.path}:{definition.line}"
        return UnfitKey(definition.reference, where, what, said, do)

    known = database.columns(table)
    if not known:
        do = "Correct the name, or let the job require the script that makes the table."
        raise unfit(f"there is no table {table} in database {source.database!r}", do)
    facts = database.key_facts(table, source.keys)
    for column in facts.missing:
        do = "Correct the name, or let the job require the script that adds the column."
        raise unfit(f"{table} has no column {column}{did_you_mean(column, known)}", do, f"it has {', '.join(known)}")
    for column in facts.unfaithful:
        raise unfit(
            f"values of {table}.{column} do not come back as they are, or sort otherwise than they compare",
            OTHER,
            f"{column} is of type {facts.types[column]}",
        )
    if facts.kept_by:
        raise NoTransactions(definition.reference, f"{definition.path}:{definition.line}", table, facts.kept_by)
    if not facts.indexed and not definition.unindexed:
        said = ", ".join(f"({', '.join(index)})" for index in facts.indexes)
        raise unfit(
            f"no index of {table} begins with {columns}, so every batch would read the whole table",
            _index(definition, database.engine),
            f"there are indexes by {said}" if said else "it has no index that rows can be read along",
        )
    if facts.nullable:
        null = " OR ".join(f"{column} IS NULL" for column in facts.nullable)
        found = condition(source, Range(None, None)).and_also(null)
        count = 0
        # What the job's own condition asks may take long.
        if database.query(f"SELECT 1 FROM {table} WHERE {null} LIMIT 1"):
            [(count,)] = database.query(f"SELECT count(*) FROM {table} WHERE {found.text}", found.parameters)
        if count:
            also = f" AND ({source.where})" if source.where else ""
            raise unfit(
                f"{count:,} of its rows have no {' or no '.join(facts.nullable)}, and would never be in a batch",
                f"Give them one, or leave them out with `where`: NOT ({null}).\n"
                f"They are found by: SELECT * FROM {table} WHERE ({null}){also}",
            )
    # What is not unique in ClickHouse stays together: rows with the same key are always in one batch.
    if not isinstance(source, Groups) and database.transactional and not facts.unique:
        twice = f"SELECT {columns}, count(*) FROM {table} GROUP BY {columns} HAVING count(*) > 1"
        if rows := database.query(f"{twice} LIMIT 1"):
            *key, count = rows[0]
            raise unfit(
                f"{columns} is not unique in {table}",
                f"Go by a key that is, such as several columns, or use groups.\nAll such keys: {twice}",
                f"{count} rows have {', '.join(map(str, key))}",
            )
    if not _comes_back(database, definition):
        raise unfit(
            f"values of {columns} do not come back as they are, so a batch could not find its rows again",
            OTHER,
            ", ".join(f"{column} is of type {kind}" for column, kind in facts.types.items()),
        )


def walk(definition: Definition) -> str:
    """By what a job goes through its rows, for the ledger."""
    source = definition.source
    return json.dumps([type(source).__name__.lower(), source.table, source.keys, definition.row_keys])


def require_same_rows(definition: Definition, ledger: Ledger, database: Database) -> None:
    """What is kept of a job that names rows is of this database, by the key that the job goes by now.

    Raises LedgerOfAnother, KeyChanged.
    """
    databases.refuse_another(ledger.database, [database])
    state, now = ledger.read(definition.name), walk(definition)
    if state is None or state.walk in ("", now) or not ledger.names_rows(definition.name):
        return
    (kind, table, *keys), (kind_now, table_now, *keys_now) = json.loads(state.walk), json.loads(now)
    renamed = table != table_now and not database.columns(table)
    if [kind, keys] == [kind_now, keys_now] and renamed:
        return
    where = f"{definition.path}:{definition.line}"
    raise KeyChanged(definition.reference, where, _shown(kind, table, *keys), _shown(kind_now, table_now, *keys_now))


def _shown(kind: str, table: str, keys: list[str], row_keys: list[str]) -> str:
    rows = f" (row-key {', '.join(row_keys)})" if row_keys != keys else ""
    return f"{kind} {table} by {', '.join(keys)}{rows}"


def _comes_back(database: Database, definition: Definition) -> bool:
    """Whether the first row is found again by its key after the key was in the ledger, as text."""
    source = definition.source
    columns = ", ".join(source.keys)
    there = " AND ".join(f"{column} IS NOT NULL" for column in source.keys)
    for _ in range(TRIES):
        rows = database.query(f"SELECT {columns} FROM {source.table} WHERE {there} ORDER BY {columns} LIMIT 1")
        if not rows:
            return True
        try:
            key = load_key(dump_key(tuple(rows[0])))
        except TypeError:  # no text stands for it
            return False
        found = among(source.keys, [key])
        if database.query(f"SELECT 1 FROM {source.table} WHERE {found.text} LIMIT 1", found.parameters):
            return True
    return False


def _index(definition: Definition, engine: str) -> str:
    """What to do where no index gives rows in the order of the key."""
    source = definition.source
    accept = 'unindexed = "accept"' if definition.path.suffix == ".py" else "-- unindexed: accept"
    if engine not in INDEX:
        return f"Go by columns that its sorting key (ORDER BY) begins with; or, for a small table, say {accept}"
    name = "_".join(re.sub(r"\W+", "_", part).strip("_") for part in (source.table, *source.keys))
    statement = INDEX[engine].format(name=name, table=source.table, columns=", ".join(source.keys))
    return f"Add one by a script that the job requires:\n{statement}\nFor a small table say {accept} instead."
