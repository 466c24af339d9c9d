"""One adapter an engine behind one interface (`database.py`): connect, run, look, lock, settle."""

from __future__ import annotations

from pathlib import Path

from stepwell.databases import url as urls
from stepwell.databases.database import Database


def open_database(name: str, url: str, root: Path, cluster: str = "", patience: float = 900.0) -> Database:
    """The adapter for a URL, not connected yet. `root` is the folder that embedded engines' paths start from.

    `patience` is how many seconds `connect` may wait for a chDB folder that another process has. Raises BadUrl.
    """
    parsed = urls.parse(url)
    # Imported here, so that a project pays for the engines it uses only.
    if parsed.engine == "postgres":
        from stepwell.databases.postgres import PostgresDatabase

        return PostgresDatabase(name, parsed)
    if parsed.engine == "mysql":
        from stepwell.databases.mysql import MysqlDatabase

        return MysqlDatabase(name, parsed)
    if parsed.engine == "sqlite":
        from stepwell.databases.sqlite import SqliteDatabase

        return SqliteDatabase(name, parsed, root)
    from stepwell.databases.clickhouse import ClickhouseDatabase

    return ClickhouseDatabase(name, parsed, root, cluster, patience)
