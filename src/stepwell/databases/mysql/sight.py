"""Whether another server that reads from MySQL by itself reads from the very one that we are connected to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from stepwell.databases.database import Database
from stepwell.databases.transfer import OutOfReach
from stepwell.errors import Denied

if TYPE_CHECKING:
    from stepwell.databases.mysql import MysqlDatabase


@contextmanager
def sight(source: Database) -> Iterator[str]:
    """A query that is true on the server of our own session alone. Raises OutOfReach."""
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
