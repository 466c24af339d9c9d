"""What can be measured of a database while something is tried on it: its size, and the locks that others hold."""

from __future__ import annotations

from stepwell.databases.database import Database
from stepwell.databases.lexing import unquote
from stepwell.errors import StepwellError

SIZE = {
    "postgres": "SELECT pg_database_size(current_database())",
    "mysql": "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()",
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "clickhouse": "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = ?",
}
# Locks that keep somebody's reading or writing out. The tool's own tables are nobody else's.
LOCKS = {
    "postgres": (
        """
        SELECT c.relname, l.mode
        FROM pg_locks l
        JOIN pg_class c ON c.oid = l.relation
        WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.granted
          AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
          AND c.relkind IN ('r', 'p', 'm')
          AND c.relnamespace <> 'pg_catalog'::regnamespace
        """,
    ),
    "mysql": (
        """
        SELECT table_name, lock_mode
        FROM information_schema.metadata_lock_info
        WHERE table_schema = DATABASE()
          AND lock_mode IN ('MDL_EXCLUSIVE', 'MDL_SHARED_NO_WRITE', 'MDL_SHARED_NO_READ_WRITE')
        """,
        """
        SELECT object_name, lock_type
        FROM performance_schema.metadata_locks
        WHERE object_schema = DATABASE()
          AND lock_status = 'GRANTED'
          AND lock_type IN ('EXCLUSIVE', 'SHARED_NO_WRITE', 'SHARED_NO_READ_WRITE')
        """,
        "SELECT 'rows', 'of a transaction' FROM information_schema.innodb_trx WHERE trx_rows_locked > 0",
    ),
}


def size(database: Database) -> int:
    """Bytes on disk, by the server's own account."""
    place = (unquote(database.home()),) if database.engine == "clickhouse" else ()
    return int(database.query(SIZE[database.engine], place)[0][0] or 0)


def locks(database: Database) -> list[tuple[str, str]]:
    """Tables that are locked against others now, and how. The first look that the server can answer is taken."""
    for text in LOCKS.get(database.engine, ()):
        try:
            found = database.query(text)
        except StepwellError:
            continue
        return [
            (str(table), str(mode)) for table, mode in found if not str(table).startswith(("schema_mig", "stepwell_"))
        ]
    return []
