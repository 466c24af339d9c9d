"""How hard the server is at work. Each question needs a privilege of its own; what is refused is left out."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.databases.mysql.connection import Connection
from stepwell.databases.mysql.replicas import Replicas
from stepwell.databases.pressure import Signal
from stepwell.errors import ConnectionLost, Refused

THREADS = "SHOW GLOBAL STATUS LIKE 'Threads_running'"

# innodb_trx needs the privilege PROCESS. Statements that wait for a table say so in their state alone.
TRANSACTIONS = """
SELECT
  (SELECT count(*)
   FROM information_schema.innodb_trx
   WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id <> ?),
  (SELECT count(*)
   FROM information_schema.processlist
   WHERE state LIKE 'Waiting for table%lock' AND id <> ?),
  (SELECT max(TIMESTAMPDIFF(SECOND, trx_started, NOW()))
   FROM information_schema.innodb_trx
   WHERE trx_mysql_thread_id NOT IN (0, ?))
"""


def read(connection: Connection, replicas: Replicas, own: int) -> list[Signal]:
    """Signals of all sessions but this one and connection `own`."""
    found: list[Signal] = []
    questions: tuple[Callable[[], list[Signal]], ...] = (
        lambda: _threads(connection),
        lambda: _transactions(connection, own),
        lambda: _lag(connection, replicas),
    )
    for question in questions:
        try:
            found += question()
        except ConnectionLost:
            raise
        except Refused:
            continue
    return found


def _threads(connection: Connection) -> list[Signal]:
    running = int(connection.query(THREADS)[0][1])
    return [Signal("running threads", max(0, running - 1), "threads")]


def _transactions(connection: Connection, own: int) -> list[Signal]:
    rows, tables, longest = connection.query(TRANSACTIONS, (own, own, own))[0]
    return [
        Signal("lock waits", rows + tables, "threads"),
        Signal("longest transaction", float(longest or 0), "s"),
    ]


def _lag(connection: Connection, replicas: Replicas) -> list[Signal]:
    lags = replicas.lag(connection)
    return [Signal("replica lag", max(lags), "s")] if lags else []
