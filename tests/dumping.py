"""What a database holds, read with nothing of Stepwell's: the oracle of every test of exactness.

`dump` gives all definitions and all rows as text, by name. Left out is what differs between two runs that are both
right: the journal, the lock's tables, times and run ids in `schema_migrations`, columns that the clock fills.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pymysql

Dump = dict[str, str]

_OURS = re.compile(r"(?:schema|stepwell)_migrations_journal|stepwell_lock_\d+")
_CLOCK = re.compile(r"\bnow\b|now64|now\(|current_timestamp|localtimestamp", re.IGNORECASE)


def dump(url: str) -> Dump:
    """All definitions and rows of the database that a Stepwell URL names."""
    return {name: text for name, text in _READERS[scheme(url)](url) if not _OURS.search(name)}


def scheme(url: str) -> str:
    return urllib.parse.urlsplit(url).scheme


def versions(url: str) -> list[str]:
    """The versions that the database says are applied, each as often as it says so."""
    return query(url, "SELECT version FROM schema_migrations ORDER BY version")


def query(url: str, text: str) -> list[str]:
    """Run one statement on a connection of its own; its rows as text, columns parted by tabs."""
    return _QUERIES[scheme(url)](url, text)


def at_work(url: str, text: str) -> bool:
    """Whether the server works at a statement of this database that contains `text`."""
    return query(url, _AT_WORK[scheme(url)].format(text=text)) != ["0"]


def _text(rows: list[tuple[Any, ...]]) -> list[str]:
    return ["\t".join(map(str, row)) for row in rows]


def _rows(rows: list[str]) -> str:
    return "\n".join(sorted(rows))


# --- PostgreSQL -------------------------------------------------------------------------------------------

_POSTGRES_DEFINITIONS = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, data_type, udt_name, is_nullable, column_default,
               character_maximum_length, numeric_precision, identity_generation, generation_expression
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "relations": """
        SELECT relname, relkind, relpersistence, reloptions FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
    """,
    "views": """
        SELECT relname, relkind, pg_get_viewdef(oid) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')
    """,
    "indexes": """
        SELECT pg_get_indexdef(indexrelid), indisvalid, indisready, indisunique, indisprimary
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace
    """,
    "constraints": """
        SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    """,
    "triggers": "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal",
    "functions": """
        SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
    """,
    "types": """
        SELECT typname, enumlabel, enumsortorder FROM pg_type LEFT JOIN pg_enum ON enumtypid = pg_type.oid
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
    """,
    "extensions": "SELECT extname FROM pg_extension",
}


def _postgres_query(url: str, text: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return _text(cursor.fetchall()) if cursor.description else []


def _postgres(url: str) -> Iterator[tuple[str, str]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for name, text in _POSTGRES_DEFINITIONS.items():
            found = _text(connection.execute(text.encode()).fetchall())
            yield f"all {name}", _rows([line for line in found if not _OURS.search(line)])
        columns = connection.execute(
            """
            SELECT table_name, column_name, coalesce(column_default, '') FROM information_schema.columns
            JOIN information_schema.tables USING (table_schema, table_name)
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
            ORDER BY table_name, ordinal_position
            """
        ).fetchall()
        for table, names in _readable(columns, '"'):
            yield (
                f"rows of {table}",
                _rows(_text(connection.execute(f'SELECT {names} FROM "{table}"'.encode()).fetchall())),
            )


def _readable(columns: list[tuple[Any, ...]], mark: str) -> Iterator[tuple[str, str]]:
    """Each table, and the list of its columns but those that the clock fills."""
    tables: dict[str, list[str]] = {}
    for table, column, default in columns:
        chosen = tables.setdefault(table, [])
        if table in ("schema_migrations", "stepwell_migrations"):
            if column in ("version", "checksum"):
                chosen.append(column)
        elif not _CLOCK.search(str(default)):
            chosen.append(column)
    for table, names in tables.items():
        yield table, ", ".join(f"{mark}{name}{mark}" for name in names) or "1"


# --- MySQL and MariaDB ------------------------------------------------------------------------------------

_MYSQL_DEFINITIONS = {
    "triggers": """
        SELECT trigger_name, event_manipulation, event_object_table, action_timing, action_statement
        FROM information_schema.triggers WHERE trigger_schema = database()
    """,
    "routines": """
        SELECT routine_name, routine_type, routine_definition FROM information_schema.routines
        WHERE routine_schema = database()
    """,
    "events": "SELECT event_name, event_definition FROM information_schema.events WHERE event_schema = database()",
    "views": "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = database()",
}


@contextlib.contextmanager
def _mysql_cursor(url: str) -> Iterator[Any]:
    parts = urllib.parse.urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.removeprefix("/"),
        autocommit=True,
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _mysql_query(url: str, text: str) -> list[str]:
    with _mysql_cursor(url) as cursor:
        cursor.execute(text)
        return _text(list(cursor.fetchall()))


def _mysql(url: str) -> Iterator[tuple[str, str]]:
    database = urllib.parse.urlsplit(url).path.removeprefix("/")
    with _mysql_cursor(url) as cursor:
        for name, text in _MYSQL_DEFINITIONS.items():
            cursor.execute(text)
            # A view's stored text names its database.
            yield f"all {name}", _rows(_text(cursor.fetchall())).replace(f"`{database}`.", "")
        cursor.execute(
            """
            SELECT table_name, column_name, concat(coalesce(column_default, ''), ' ', extra)
            FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
            WHERE table_schema = database() AND table_type = 'BASE TABLE'
            ORDER BY table_name, ordinal_position
            """
        )
        for table, names in _readable(list(cursor.fetchall()), "`"):
            cursor.execute(f"SHOW CREATE TABLE `{table}`")
            yield f"definition of {table}", re.sub(r" AUTO_INCREMENT=\d+", "", cursor.fetchone()[1])
            cursor.execute(f"SELECT {names} FROM `{table}`")
            yield f"rows of {table}", _rows(_text(cursor.fetchall()))


# --- SQLite -----------------------------------------------------------------------------------------------


def _sqlite_query(url: str, text: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(path(url), isolation_level=None)) as connection:
        return _text(connection.execute(text).fetchall())


def _sqlite(url: str) -> Iterator[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(path(url))) as connection:
        found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        yield "definitions", _rows([line for line in _text(found) if not _OURS.search(line)])
        columns = connection.execute(
            """
            SELECT m.name, c.name, coalesce(c.dflt_value, '') FROM sqlite_master AS m, pragma_table_info(m.name) AS c
            WHERE m.type = 'table' ORDER BY m.name, c.cid
            """
        ).fetchall()
        for table, names in _readable(columns, '"'):
            yield f"rows of {table}", _rows(_text(connection.execute(f'SELECT {names} FROM "{table}"').fetchall()))


def path(url: str) -> str:
    """The file or folder of an embedded engine's URL: absolute, as the tests write it."""
    return urllib.parse.urlsplit(url).path.replace("//", "/")


# --- ClickHouse -------------------------------------------------------------------------------------------

_COLLAPSING = ("Replacing", "Summing", "Aggregating", "Collapsing")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _over_http(url: str) -> Callable[[str], str]:
    parts = urllib.parse.urlsplit(url)
    settings = urllib.parse.urlencode({"database": parts.path.removeprefix("/") or "default"})

    def ask(text: str) -> str:
        try:
            with urllib.request.urlopen(
                f"http://{parts.netloc.rpartition('@')[2]}/?{settings}", text.encode()
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from None

    return ask


@contextlib.contextmanager
def _clickhouse_ask(url: str) -> Iterator[Callable[[str], str]]:
    if scheme(url) == "clickhouse":
        yield _over_http(url)
        return
    import chdb

    engine: Any = chdb
    with contextlib.closing(engine.connect(path(url))) as connection:
        database = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)).get("database", "default")
        connection.query(f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic")
        connection.query(f"USE {database}")
        yield lambda text: str((connection.query(text, "TSV").bytes() or b"").decode())


def _clickhouse_query(url: str, text: str) -> list[str]:
    with _clickhouse_ask(url) as ask:
        return ask(text).splitlines()


def _clickhouse(url: str) -> Iterator[tuple[str, str]]:
    with _clickhouse_ask(url) as ask:
        database = ask("SELECT currentDatabase()").strip()
        columns: list[tuple[Any, ...]] = [
            tuple(line.split("\t"))
            for line in ask(
                """
                SELECT table, name, default_expression FROM system.columns WHERE database = currentDatabase()
                ORDER BY table, position
                """
            ).splitlines()
        ]
        readable = dict(_readable(columns, "`"))
        tables = ask(
            """
            SELECT name, engine, create_table_query FROM system.tables WHERE database = currentDatabase()
            ORDER BY name
            """
        )
        for line in tables.splitlines():
            name, engine, definition = line.split("\t")
            shown = _UUID.sub("UUID", name)
            yield f"definition of {shown}", _UUID.sub("UUID", definition).replace(f"{database}.", "")
            if engine.endswith("MergeTree") or engine in ("Memory", "Log", "TinyLog", "StripeLog"):
                # Until parts are merged such a table may hold a row in several versions; when, is up to the server.
                final = " FINAL" if engine.startswith(_COLLAPSING) else ""
                yield f"rows of {shown}", ask(f"SELECT {readable[name]} FROM `{name}`{final} ORDER BY ALL")


_AT_WORK = {
    "postgresql": """
        SELECT count(*) FROM pg_stat_activity
        WHERE state = 'active' AND query LIKE '%{text}%' AND pid <> pg_backend_pid() AND datname = current_database()
    """,
    "mysql": """
        SELECT count(*) FROM information_schema.processlist
        WHERE info LIKE '%{text}%' AND id <> connection_id() AND db = database()
    """,
    "clickhouse": """
        SELECT count() FROM system.processes
        WHERE query LIKE '%{text}%' AND query NOT LIKE '%system.processes%' AND current_database = currentDatabase()
    """,
}
_READERS = {
    "postgresql": _postgres,
    "mysql": _mysql,
    "sqlite": _sqlite,
    "clickhouse": _clickhouse,
    "chdb": _clickhouse,
}
_QUERIES = {
    "postgresql": _postgres_query,
    "mysql": _mysql_query,
    "sqlite": _sqlite_query,
    "clickhouse": _clickhouse_query,
    "chdb": _clickhouse_query,
}
