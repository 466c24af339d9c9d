"""The adapter for MySQL 8 and MariaDB, through PyMySQL.

    database.py       the adapter: each verb of `Database`
    connection.py     one connection: opening it, placeholders, the driver's errors in Stepwell's words
    names.py          names, as people write them and as they stand in a statement
    statement.py      what there is to know of a statement
    reading.py        reading it from the text: rows and the session
    schema_change.py  the same for schema objects and accounts
    definitions.py    what the server says of a statement's objects, before and after it
    settling.py       what became of a statement, from these two looks
    tracking.py       the tables in which a database remembers its own schema
    watching.py       who holds locks and what is at work, seen from a second connection

A schema change here ends the open transaction, so a script with one is never a single transaction. What saves
us: each change of one object is atomic (InnoDB since MySQL 8.0 and MariaDB 10.6) and can be read back; and the
migration lock is GET_LOCK, which the server keeps for a dead client until the statement it sent has ended.
"""

from stepwell.databases.mysql.database import MysqlDatabase

__all__ = ["MysqlDatabase"]
