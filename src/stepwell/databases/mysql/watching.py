"""Looking at the server from a second connection: who holds locks, and how far a statement is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from stepwell.databases.database import Activity
from stepwell.databases.mysql.connection import Connection, comment, connect
from stepwell.databases.mysql.replicas import Replicas
from stepwell.databases.url import Url
from stepwell.errors import Refused, StepwellError

if TYPE_CHECKING:
    from stepwell.databases.pressure import Signal

T = TypeVar("T")

READ_SECONDS = 5.0

# Transactions are dated in the server's own time zone.
SETTINGS = "time_zone = 'SYSTEM', lock_wait_timeout = 2"

SESSIONS = """
SELECT p.id, p.user, p.host, p.command, p.time, p.info,
  (SELECT TIMESTAMPDIFF(SECOND, t.trx_started, NOW())
   FROM information_schema.innodb_trx t
   WHERE t.trx_mysql_thread_id = p.id
   LIMIT 1)
FROM information_schema.processlist p
WHERE p.id IN ({ids})
ORDER BY p.id
"""

LOCK_HOLDER = "SELECT IS_USED_LOCK(?)"

# --- at work ----------------------------------------------------------------------------------------------

MARIADB_WORK = """
SELECT time_ms / 1000, state, examined_rows, stage, max_stage, progress
FROM information_schema.processlist
WHERE command <> 'Sleep' AND {which}
"""
MARIADB_TAGGED = "id <> CONNECTION_ID() AND LEFT(info, CHAR_LENGTH(?)) = ?"
MARIADB_OWN = "id = ?"

MYSQL_WORK = """
SELECT t.processlist_time, t.processlist_state, s.work_completed, s.work_estimated
FROM performance_schema.threads t
LEFT JOIN performance_schema.events_stages_current s ON s.thread_id = t.thread_id
WHERE t.processlist_command <> 'Sleep' AND {which}
"""
MYSQL_TAGGED = "t.processlist_id <> CONNECTION_ID() AND LEFT(t.processlist_info, CHAR_LENGTH(?)) = ?"
MYSQL_OWN = "t.processlist_id = ?"

# --- in the way -------------------------------------------------------------------------------------------

WAITING = "SELECT state FROM information_schema.processlist WHERE id = ? AND command <> 'Sleep'"

MARIADB_ROW_LOCKS = """
SELECT DISTINCT b.trx_mysql_thread_id
FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
WHERE r.trx_mysql_thread_id = ?
"""
# The plugin lists locks that are granted, not those waited for: the tables that our statement names must do.
MARIADB_TABLE_LOCKS = """
SELECT DISTINCT l.thread_id
FROM information_schema.metadata_lock_info l
JOIN information_schema.processlist me ON me.id = ?
WHERE l.thread_id <> me.id AND LOCATE(l.table_name, me.info) > 0
"""
MYSQL_ROW_LOCKS = "SELECT DISTINCT blocking_pid FROM sys.innodb_lock_waits WHERE waiting_pid = ?"
MYSQL_TABLE_LOCKS = """
SELECT DISTINCT blocking_pid
FROM sys.schema_table_lock_waits
WHERE waiting_pid = ? AND blocking_pid <> waiting_pid
"""
OPEN_TRANSACTIONS = """
SELECT DISTINCT trx_mysql_thread_id
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id NOT IN (0, ?)
"""


class Watch:
    """A second connection, opened when first needed. Safe from several threads; it answers, never raises."""

    def __init__(self, name: str, url: Url) -> None:
        self._name, self._url = name, url
        self._connection: Connection | None = None
        self._replicas = Replicas(name, url, SETTINGS, READ_SECONDS)
        self._turn = threading.Lock()

    def activity(self, tag: str, own: int) -> Activity | None:
        """The statement of this tag; with an empty one, what connection `own` is doing."""
        return self._ask(lambda connection: _activity(connection, tag, own), None)

    def holders(self, blocked: int) -> list[str]:
        """The sessions that connection `blocked` waits for, in words."""
        return self._ask(lambda connection: _holders(connection, blocked), [])

    def pressure(self, own: int) -> list[Signal]:
        """How hard the server is at work, besides connection `own`."""
        from stepwell.databases.mysql import pressure

        return self._ask(lambda connection: pressure.read(connection, self._replicas, own), [])

    def close(self) -> None:
        with self._turn:
            self._forget()
            self._replicas.close()

    def _ask(self, question: Callable[[Connection], T], otherwise: T) -> T:
        with self._turn:
            for _ in range(2):  # a connection from before the server restarted fails once
                try:
                    if self._connection is None:
                        self._connection = connect(self._name, self._url, SETTINGS, READ_SECONDS)
                    return question(self._connection)
                except StepwellError:
                    self._forget()
            return otherwise

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def sessions(connection: Connection, ids: Sequence[int]) -> list[str]:
    """One line for each session: who it is and what it does."""
    if not ids:
        return []
    rows = connection.query(SESSIONS.format(ids=", ".join(str(int(number)) for number in ids)))
    seen = {int(row[0]): _described(*row) for row in rows}
    return [seen.get(number, f"connection {number}") for number in ids]


def lock_holder(connection: Connection, lock: str) -> str:
    """The session that holds a GET_LOCK lock, in words; '' when nobody does."""
    holder = connection.query(LOCK_HOLDER, (lock,))[0][0]
    return sessions(connection, [holder])[0] if holder is not None else ""


def _described(
    number: int, user: str, host: str, command: str, seconds: int, info: str | None, transaction: int | None
) -> str:
    who = f"connection {number} {user}@{host.rpartition(':')[0] or host}"
    if command == "Sleep":
        doing = f"sleeping for {seconds} s"
        if transaction is not None:
            doing = f"sleeping, in transaction for {transaction} s"
    else:
        doing = f"running for {seconds} s: {' '.join((info or command).split())[:100]}"
    return f"{who}: {doing}"


def _activity(connection: Connection, tag: str, own: int) -> Activity | None:
    if connection.mariadb:
        text, tagged, ours = MARIADB_WORK, MARIADB_TAGGED, MARIADB_OWN
    else:
        text, tagged, ours = MYSQL_WORK, MYSQL_TAGGED, MYSQL_OWN
    marker = comment(tag)
    rows = (
        connection.query(text.format(which=tagged), (marker, marker))
        if tag
        else connection.query(text.format(which=ours), (own,))
    )
    if not rows:
        return None
    elapsed, state, *progress = rows[0]
    work = _mariadb_progress(*progress) if connection.mariadb else _mysql_progress(*progress)
    return Activity(elapsed=float(elapsed or 0), stage=state or "", **work)


def _mariadb_progress(examined: int, stage: int, stages: int, percent: Any) -> dict[str, Any]:
    share = (stage - 1 + float(percent) / 100) / stages if stages else None
    return {"rows": examined or None, "share": share}


def _mysql_progress(completed: int | None, estimated: int | None) -> dict[str, Any]:
    return {"share": min(1.0, completed / estimated) if completed is not None and estimated else None}


def _holders(connection: Connection, blocked: int) -> list[str]:
    state = connection.query(WAITING, (blocked,))
    if not state:
        return []
    ids = _ids(connection, MARIADB_ROW_LOCKS if connection.mariadb else MYSQL_ROW_LOCKS, blocked)
    if not ids and "lock" in (state[0][0] or ""):
        ids = _ids(connection, MARIADB_TABLE_LOCKS if connection.mariadb else MYSQL_TABLE_LOCKS, blocked)
        ids = ids or _ids(connection, OPEN_TRANSACTIONS, blocked)
    return sessions(connection, ids)


def _ids(connection: Connection, text: str, blocked: int) -> list[int]:
    """The sessions a query finds; none where the server has no such table or does not let us read it."""
    try:
        return [int(number) for (number,) in connection.query(text, (blocked,))]
    except Refused:
        return []
