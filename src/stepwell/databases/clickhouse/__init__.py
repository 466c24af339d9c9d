"""ClickHouse, as a server over HTTP(S) or as chDB, the same engine in this process.

`statement.py` reads what a statement is about; `evidence.py` says what is read before it runs and how it is settled;
`inserts.py` makes an INSERT exact in spite of kill -9; `connection.py` is the adapter; `lock.py` the substitute for a
lock where there is no relational database.
"""

from stepwell.databases.clickhouse.connection import ClickhouseDatabase

__all__ = ["ClickhouseDatabase"]
