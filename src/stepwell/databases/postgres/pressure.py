"""How hard the server is at work, in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.databases.pressure import Signal

if TYPE_CHECKING:
    from stepwell.databases.postgres.session import Session

# A replica that stands still has a lag that grows; one that has nothing to replay has none (NULL). Without the
# privilege pg_monitor other users' sessions are NULL here, and so not counted.
PRESSURE = """
SELECT (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication),
       (SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL),
       count(*) FILTER (WHERE state = 'active'),
       count(*) FILTER (WHERE wait_event_type = 'Lock'),
       extract(epoch FROM clock_timestamp() - min(xact_start))::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND starts_with(application_name, 'stepwell ') IS NOT TRUE
"""


def read(observer: Session) -> list[Signal]:
    """Signals of all sessions but Stepwell's own. A transaction is long for what it keeps VACUUM from removing."""
    lag, replicas, active, waiting, longest = observer.query(PRESSURE)[0]
    return [
        *([Signal("replica lag", lag or 0.0, "s")] if replicas else []),
        Signal("running threads", active, "threads"),
        Signal("lock waits", waiting, "threads"),
        Signal("longest transaction", max(0.0, longest or 0.0), "s"),
    ]
