"""What MySQL and MariaDB tell of themselves. Each question needs a privilege of its own."""

from __future__ import annotations

from stepwell.databases.health import Health, Size, Transaction, older, space_here
from stepwell.databases.lexing import Reader
from stepwell.databases.mysql.connection import Connection
from stepwell.databases.mysql.names import ENGINE
from stepwell.databases.mysql.replicas import stopped
from stepwell.errors import ConnectionLost, Refused

OLDEST = {True: (10, 6), False: (8, 0)}
"""Of MariaDB, and of MySQL: from here on a change of one object is atomic."""

SERVER = """
SELECT VERSION(),
       UNIX_TIMESTAMP(SYSDATE(6)),
       @@global.read_only,
       IF(@@global.time_zone = 'SYSTEM', @@system_time_zone, @@global.time_zone),
       TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone)),
       @@datadir,
       CURRENT_USER()
"""

# Transactions are dated in the server's own time zone. One without a session is an XA transaction that was prepared.
TRANSACTIONS = """
SELECT IF(t.trx_mysql_thread_id = 0, 'a prepared XA transaction',
          CONCAT(p.user, '@', p.host, ' (id ', p.id, ', ', LOWER(p.command), ')')),
       TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')),
       (SELECT COUNT(*) FROM {waits} AS w WHERE w.{blocking} = t.trx_id)
FROM information_schema.innodb_trx AS t
LEFT JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
WHERE t.trx_mysql_thread_id <> CONNECTION_ID()
ORDER BY t.trx_started
LIMIT 10
"""
WAITS = {
    True: ("information_schema.innodb_lock_waits", "blocking_trx_id"),
    False: ("performance_schema.data_lock_waits", "blocking_engine_transaction_id"),
}
"""Who waits for whose row locks: where MariaDB and MySQL tell it."""

SIZE = """
SELECT data_length + index_length, table_rows
FROM information_schema.tables
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND table_type = 'BASE TABLE'
"""

SCRATCH = (
    "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB",
    "INSERT INTO {table} (id) VALUES (1)",
    "ALTER TABLE {table} ADD COLUMN note INT",
    "CREATE INDEX stepwell_note ON {table} (note)",
    "DELETE FROM {table}",
)


def read(connection: Connection, host: str) -> Health:
    """The server's health, by one that is reached at `host`. Raises Refused."""
    version, clock, read_only, zone, offset, folder, user = connection.query(SERVER)[0]
    mariadb = connection.mariadb
    transactions: tuple[Transaction, ...] | None = None
    replication: tuple[str, ...] | None = None
    hidden = []
    try:
        waits, blocking = WAITS[mariadb]
        found = connection.query(TRANSACTIONS.format(waits=waits, blocking=blocking))
        transactions = tuple(
            Transaction(str(who or "a session"), float(seconds or 0), int(blocks)) for who, seconds, blocks in found
        )
    except ConnectionLost:
        raise
    except Refused:
        grant = "PROCESS ON *.*" if mariadb else "PROCESS, SELECT ON *.*"
        hidden.append(f"other users' transactions: GRANT {grant} TO {account(user)}")
    try:
        replication = stopped(connection)
    except ConnectionLost:
        raise
    except Refused:
        grant = "SLAVE MONITOR" if mariadb else "REPLICATION CLIENT"
        hidden.append(f"replication: GRANT {grant} ON *.* TO {account(user)}")
    return Health(
        f"{'MariaDB' if mariadb else 'MySQL'} {version.split('-')[0]}",
        float(clock),
        str(zone),
        int(offset or 0),
        needs=f"{'.'.join(map(str, OLDEST[mariadb]))} or later" if older(version, OLDEST[mariadb]) else "",
        read_only="" if str(read_only) in ("0", "OFF") else "read_only is on",
        space=space_here(str(folder), host),
        transactions=transactions,
        replication=replication,
        hidden=tuple(hidden),
    )


def account(user: str) -> str:
    """An account as statements spell it: name@host is 'name'@'host'."""
    name, _, host = user.rpartition("@")
    return f"'{name}'@'{host}'"


def size(connection: Connection, table: str) -> Size | None:
    """About how large a table is; None where there is none of this name."""
    *schema, name = Reader(table, ENGINE).name() or (table,)
    rows = connection.query(SIZE, (schema[-1] if schema else None, name))
    return Size(int(rows[0][0] or 0), None if rows[0][1] is None else int(rows[0][1])) if rows else None
