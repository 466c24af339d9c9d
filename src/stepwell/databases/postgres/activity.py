"""What the server is doing, read over a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.databases.database import Activity

if TYPE_CHECKING:
    from stepwell.databases.postgres.session import Session

AT_WORK = """
SELECT extract(epoch FROM clock_timestamp() - a.query_start)::float8,
       coalesce(i.tuples_done, y.tuples_processed, c.heap_tuples_written),
       i.tuples_total,
       coalesce(nullif(i.blocks_done, 0), v.heap_blks_scanned, c.heap_blks_scanned, y.bytes_processed),
       coalesce(nullif(i.blocks_total, 0), v.heap_blks_total, c.heap_blks_total, y.bytes_total),
       coalesce(i.phase, v.phase, c.phase, y.command),
       i.current_locker_pid,
       a.wait_event_type = 'Lock'
FROM pg_stat_activity a
LEFT JOIN pg_stat_progress_create_index i USING (pid)
LEFT JOIN pg_stat_progress_vacuum v USING (pid)
LEFT JOIN pg_stat_progress_cluster c USING (pid)
LEFT JOIN pg_stat_progress_copy y USING (pid)
WHERE a.state = 'active' AND a.datname = current_database() AND pid <> pg_backend_pid()
"""
BY_TAG = AT_WORK + "AND starts_with(a.query, ?)"
BY_PID = AT_WORK + "AND pid = ?"

BLOCKERS = """
SELECT pid, usename, coalesce(host(client_addr), 'local'), application_name,
       left(regexp_replace(query, '\\s+', ' ', 'g'), 80),
       extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM unnest(pg_blocking_pids(?)) AS blocker (pid) LEFT JOIN pg_stat_activity USING (pid)
ORDER BY xact_start NULLS LAST
"""


def mark(tag: str) -> str:
    """The comment that a tagged statement begins with."""
    return f"/* {tag.replace('*', '_')} */ "


def at_work(observer: Session, tag: str, pid: int) -> Activity | None:
    """The statement of `tag`; without a tag, what the backend `pid` works at."""
    rows = observer.query(BY_TAG, (mark(tag),)) if tag else observer.query(BY_PID, (pid,))
    if not rows:
        return None
    elapsed, rows_done, rows_total, done, total, phase, locker, blocked = rows[0]
    if rows_total:
        done, total = rows_done, rows_total
    stage = phase or ("waiting for a lock" if blocked else "")
    return Activity(
        elapsed,
        rows_done or None,
        rows_total or None,
        min(1.0, done / total) if total else None,
        f"{stage} (pid {locker})" if locker else stage,
    )


def blockers(observer: Session, pid: int) -> list[str]:
    """Who holds the locks that the backend `pid` waits for, the longest transaction first."""
    return [_blocker(*row) for row in observer.query(BLOCKERS, (pid,))]


def _blocker(
    pid: int,
    user: str | None,
    address: str,
    application: str | None,
    query: str | None,
    seconds: float | None,
) -> str:
    if pid == 0:
        return "a prepared transaction (SELECT * FROM pg_prepared_xacts)"
    since = f", in transaction for {seconds:.0f} s" if seconds is not None else ""
    return f'pid {pid} {user}@{address} application "{application}": {query}{since}'
