"""Letting ClickHouse fetch rows from PostgreSQL or MySQL by itself: several times as fast as through Python.

Its table functions `postgresql()` and `mysql()` take a query, so the other server spells every value as text, exactly
as it does for Python; of its own reading of their types ClickHouse is not asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from stepwell.databases.clickhouse.names import literal
from stepwell.databases.database import Database
from stepwell.errors import ConnectionLost, Denied, Refused

if TYPE_CHECKING:
    from stepwell.databases.mysql import MysqlDatabase
    from stepwell.databases.postgres import PostgresDatabase


class OutOfReach(Exception):
    """ClickHouse can't fetch these rows itself, or they might not be the same; the message says why."""


Query = Callable[[str, Sequence[Any]], str]
"""Wraps a SELECT of the other server, with its parameters, into a table function that yields its rows."""


@contextmanager
def reached(source: Database, target: Database) -> Iterator[Query]:
    """How ClickHouse reaches the very server that we are connected to. Raises OutOfReach."""
    if source.engine not in ("postgres", "mysql"):
        raise OutOfReach(f"{source.engine} is no server")
    server = cast("PostgresDatabase | MysqlDatabase", source)
    url = server.url
    if not url.password or not url.host or url.options:
        raise OutOfReach("its URL has no password, or has options that ClickHouse does not know")
    function, port = ("postgresql", 5432) if source.engine == "postgres" else ("mysql", 3306)
    place = f"{url.host}:{url.port or port}"

    def query(text: str, parameters: Sequence[Any] = ()) -> str:
        asked = f"query({literal(server.bound(text, parameters))})"
        account = f"{literal(url.user)}, {literal(url.password)}"
        return f"{function}({literal(place)}, {literal(url.database)}, {asked}, {account})"

    sight = _postgres_sight if source.engine == "postgres" else _mysql_sight
    with sight(source) as look:
        try:
            seen = target.query(f"SELECT * FROM {query(look)}")
        except Refused as error:
            if isinstance(error, ConnectionLost):
                raise
            raise OutOfReach(error.said.replace(url.password, "***")) from None
    if not seen or not seen[0][0]:
        raise OutOfReach(f"{place} is another server, seen from there")
    yield query


@contextmanager
def _postgres_sight(source: Database) -> Iterator[str]:
    """A query that is true on the server, and for the user, of our own session alone."""
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


@contextmanager
def _mysql_sight(source: Database) -> Iterator[str]:
    if cast("MysqlDatabase", source).in_transaction and _has_written(source):
        raise OutOfReach("the open transaction has written, and only its own connection sees that")
    name = f"stepwell {uuid.uuid4()}"
    source.query("SELECT GET_LOCK(?, 0)", (name,))
    try:
        yield f"SELECT IS_USED_LOCK('{name}') IS NOT NULL AS seen"
    finally:
        source.query("SELECT RELEASE_LOCK(?)", (name,))


def _has_written(source: Database) -> bool:
    """Whether the open transaction has changed rows; yes where the server does not tell."""
    try:
        rows = source.query(
            """
            SELECT 1 FROM information_schema.INNODB_TRX
            WHERE trx_mysql_thread_id = CONNECTION_ID() AND trx_rows_modified > 0
            """
        )
    except Denied:  # the view asks for the privilege PROCESS
        return True
    return bool(rows)
