"""In which order the locks of several databases are taken."""

from __future__ import annotations

from collections.abc import Iterable

from stepwell.databases.database import Database


def in_order(databases: Iterable[Database]) -> list[Database]:
    """The same order for everybody, so that two runners never hold one lock each and wait for the other's.

    Session locks first: a lock that outlives its holder is taken under them.
    """
    return sorted(databases, key=lambda database: (not database.session_lock, database.name))
