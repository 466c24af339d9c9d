"""Letting ClickHouse fetch rows from PostgreSQL or MySQL by itself: several times as fast as through Python.

Its table functions `postgresql()` and `mysql()` take a query, so the other server spells every value as text, exactly
as it does for Python; of its own reading of their types ClickHouse is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from stepwell.databases.clickhouse.names import literal
from stepwell.databases.database import Database
from stepwell.databases.transfer import OutOfReach
from stepwell.errors import ConnectionLost, Refused

if TYPE_CHECKING:
    from stepwell.databases.mysql import MysqlDatabase
    from stepwell.databases.postgres import PostgresDatabase


Query = Callable[[str, Sequence[Any]], str]
"""Wraps a SELECT of the other server, with its parameters, into a table function that yields its rows."""


@contextmanager
def reached(source: Database, target: Database) -> Iterator[Query]:
    """How ClickHouse reaches the very server that we are connected to. Raises OutOfReach."""
    # Imported here, so that a project pays for the engines it uses only.
    match source.engine:
        case "postgres":
            from stepwell.databases.postgres.sight import sight

            function, port = "postgresql", 5432
        case "mysql":
            from stepwell.databases.mysql.sight import sight

            function, port = "mysql", 3306
        case _:
            raise OutOfReach(f"{source.engine} is no server")
    server = cast("PostgresDatabase | MysqlDatabase", source)
    url = server.url
    if not url.password or not url.host or url.options:
        raise OutOfReach("its URL has no password, or has options that ClickHouse does not know")
    place = f"{url.host}:{url.port or port}"

    def query(text: str, parameters: Sequence[Any] = ()) -> str:
        asked = f"query({literal(server.bound(text, parameters))})"
        account = f"{literal(url.user)}, {literal(url.password)}"
        return f"{function}({literal(place)}, {literal(url.database)}, {asked}, {account})"

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
