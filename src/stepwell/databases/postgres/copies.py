"""A copy of a PostgreSQL database: by the server itself where nobody is connected, else through pg_dump."""

from __future__ import annotations

from pathlib import Path

from stepwell.databases import copies
from stepwell.databases import url as urls
from stepwell.databases.database import Database
from stepwell.databases.piping import find, pipe
from stepwell.databases.postgres.names import quote

PLACE = "SELECT system_identifier, current_database() FROM pg_control_system()"
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def place(database: Database) -> str:
    return str(database.query(PLACE)[0])


def copy(original: Database, url: str, name: str, root: Path) -> tuple[str, str]:
    parsed, address = urls.parse(url), copies.at(url, name)
    alone = original.query(OTHERS)[0][0] == 0
    if alone:
        # A database is no template while anybody is connected to it, we included.
        from stepwell.databases import open_database
        from stepwell.errors import StepwellError

        original.close()
        server = open_database(original.name, copies.at(url, "postgres"), root)
        try:
            server.connect()
            server.query(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(parsed.database)}")
            return address, "by CREATE DATABASE … TEMPLATE"
        except StepwellError:
            original.connect()  # somebody came meanwhile, or there is no database postgres
        finally:
            server.close()
    original.query(f"CREATE DATABASE {quote(name)}")
    environment = {"PGPASSWORD": parsed.password}
    where = ["--host", parsed.host, "--port", str(parsed.port or 5432), "--username", parsed.user]
    dump = [find("pg_dump", "/usr/lib/postgresql/*/bin"), *where, "--no-owner", "--no-privileges", parsed.database]
    load = [find("psql", "/usr/lib/postgresql/*/bin"), *where, "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", name]
    try:
        pipe(dump, load, environment)
    except copies.Unfit:
        drop(original, name, root)
        raise
    return address, "by pg_dump, for others are connected"


def drop(original: Database, name: str, root: Path) -> None:
    original.query(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")
