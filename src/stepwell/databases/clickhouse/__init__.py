"""ClickHouse, as a server over HTTP(S) or as chDB, the same engine in this process.

connection.py  the adapter: each verb of `Database`
opening.py     opening the driver's client, over HTTP or in this process
refusal.py     the driver's errors in Stepwell's words
statement.py   what a statement is about
names.py       names and values as ClickHouse reads them
rewriting.py   what is added to a statement before it is sent
catalog.py     what the server's system tables tell
keys.py        what the sorting key is good for
evidence.py    what is read before a statement runs, and what became of it
probe.py       what a statement would have made
inserts.py     an INSERT that is exact in spite of kill -9
missing.py     how much of a table's groups another table has
folder.py      a chDB folder, which one process at a time may open
lock.py        a lock where there is no relational database to have one
pressure.py    how hard the server is at work
tracking.py    the tables in which a database remembers its own schema
"""

from stepwell.databases.clickhouse.connection import ClickhouseDatabase

__all__ = ["ClickhouseDatabase"]
