"""Whose ledger it is: that of one project, whose databases it knows by the run that began the history of each.

That run's id stands in the first line of a database's journal. It stays through a failover, another host name or
another URL, and comes back with a backup; a database that somebody else's migrations made has another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stepwell.databases.database import BESIDE, HISTORY, Database
from stepwell.errors import Denied, LedgerOfAnother, Refused

TABLE = "stepwell_database"


def refuse_another(ledger: Database, databases: Iterable[Database], names: Collection[str] = ()) -> None:
    """Compare what the ledger knows with databases that are connected, and the `names` of all that have scripts.

    A project gains databases and loses them. One that lacks what the ledger knows, and has what it does not know, is
    another. Raises LedgerOfAnother. Writes nothing.
    """
    known = _known(ledger)
    gone, new = [name for name in known if name not in names], [name for name in names if name not in known]
    if names and gone and new:
        raise LedgerOfAnother(ledger.name, gone[0], f"it knows {', '.join(gone)}, and not {', '.join(new)}")
    for database in databases:
        before = known.get(database.name)
        if before and (now := _began(database)) is not None and now != before:
            here = f"that of this one with run {now}" if now else "this one has none"
            said = f"the history of the one it knows began with run {before}, {here}"
            raise LedgerOfAnother(ledger.name, database.name, said)


def keep(ledger: Database, databases: Iterable[Database]) -> None:
    """Write down the databases that the ledger does not know yet and that have a history. None before it is made."""
    if not ledger.columns(_table(ledger)):
        return
    known = _known(ledger)
    for database in databases:
        if database.name not in known and (began := _began(database)):
            try:
                ledger.query(f"INSERT INTO {_table(ledger)} (name, began) VALUES (?, ?)", (database.name, began))
            except Refused:
                if database.name not in _known(ledger):  # else another was quicker
                    raise


def forget(ledger: Database, names: Iterable[str]) -> list[str]:
    """Know databases of these names no more, as a person says; those that were known."""
    found = [name for name in names if name in _known(ledger)]
    for name in found:
        ledger.query(f"DELETE FROM {_table(ledger)} WHERE name = ?", (name,))
    return found


def _known(ledger: Database) -> dict[str, str]:
    """The run that began the history of each database, by name; none before the ledger is made."""
    try:
        rows = ledger.query(f"SELECT name, began FROM {_table(ledger)}")
    except Refused:
        if ledger.columns(_table(ledger)):
            raise
        return {}
    return {str(name): str(began) for name, began in rows}


def _table(ledger: Database) -> str:
    return f"{ledger.home()}.{TABLE}"


def _began(database: Database) -> str | None:
    """The run that began a database's history; '' before that, None where our user may not read it."""
    home = database.home()
    try:
        for table in (f"{home}.{HISTORY}_journal", f"{home}.{BESIDE}_journal"):
            if database.columns(table):
                rows = database.query(f"SELECT run FROM {table} ORDER BY seq LIMIT 1")
                return str(rows[0][0]) if rows else ""
    except Denied:
        return None
    return ""
