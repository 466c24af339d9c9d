"""Whether another server that reads from PostgreSQL by itself reads from the very one that we are connected to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stepwell.databases.database import Database
from stepwell.databases.transfer import OutOfReach


@contextmanager
def sight(source: Database) -> Iterator[str]:
    """A query that is true on the server, and for the user, of our own session alone. Raises OutOfReach."""
    usual = source.query(
        """
        SELECT
          bool_and(reset_val LIKE wanted),
          pg_current_xact_id_if_assigned() IS NULL,
          pg_backend_pid(),
          (SELECT extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid())
        FROM pg_settings
        JOIN (VALUES ('DateStyle', 'ISO%'), ('IntervalStyle', 'postgres'), ('extra_float_digits', '1'))
          AS usual (name, wanted)
        USING (name)
        """
    )
    plain, unchanged, pid, since = usual[0]
    if not plain:
        raise OutOfReach("a new session there has its own DateStyle, IntervalStyle or extra_float_digits")
    if not unchanged:
        raise OutOfReach("the open transaction has written, and only its own connection sees that")
    started = f"extract(epoch FROM backend_start)::text = '{since}'"
    yield f"SELECT count(*)::int AS seen FROM pg_stat_activity WHERE pid = {pid} AND {started}"
