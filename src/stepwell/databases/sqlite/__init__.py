"""The adapter for SQLite, through the module of the standard library.

    database.py   the adapter: each verb of `Database`
    keys.py       what is known of columns that rows are read along
    columns.py    a table's columns, for a change in three points
    twins.py      the triggers that keep two columns alike
    checksums.py  checksums of rows, by functions that Python gives the connection
    copies.py     a copy of a database, for a rehearsal
    health.py     what the doctor asks for

The database is a file; whoever writes to it keeps out all others that would.
"""

from stepwell.databases.sqlite.database import SqliteDatabase

__all__ = ["SqliteDatabase"]
