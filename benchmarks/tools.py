"""The tools that are compared, each with the same migrations: one CREATE TABLE a script.

A tool writes its files into a folder and answers with the command that brings a database up to date.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Command, Failed, run

Tool = Callable[[Path, str, int], Command]
"""Given an empty folder, the database's URL and how many scripts, makes them and answers with the command."""


def scripts(count: int) -> Iterator[tuple[str, str]]:
    """The name and the statement of each migration."""
    for number in range(1, count + 1):
        name = f"{number:04}_make_item_{number}"
        yield name, f"CREATE TABLE item_{number} (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL)"


def stepwell(folder: Path, url: str, count: int) -> Command:
    (folder / "stepwell.toml").write_text(f'[databases.state]\nurl = "{url}"\nscripts = "migrations"\n')
    _write_sql(folder / "migrations", "{statement};\n", count)
    return Command((sys.executable, "-m", "stepwell", "up"), folder)


LOOP = """
import pathlib
{connect}
cursor = connection.cursor()
cursor.execute("CREATE TABLE schema_migrations (version VARCHAR(255) PRIMARY KEY)")
connection.commit()
for path in sorted(pathlib.Path("migrations").iterdir()):
    cursor.execute(path.read_text())
    cursor.execute("INSERT INTO schema_migrations (version) VALUES (%s)", (path.stem,))
    connection.commit()
"""


def loop(folder: Path, url: str, count: int) -> Command:
    """No tool at all: a Python loop that sends each script, records it and commits."""
    _write_sql(folder / "migrations", "{statement};\n", count)
    return Command((sys.executable, "-c", LOOP.format(connect=connect(url))), folder)


JOURNALLED_LOOP = """
import pathlib
{connect}
cursor = connection.cursor()
cursor.execute("CREATE TABLE schema_migrations (version VARCHAR(255) PRIMARY KEY)")
cursor.execute("CREATE TABLE journal (seq INT PRIMARY KEY, version VARCHAR(255), event VARCHAR(8))")
for number, path in enumerate(sorted(pathlib.Path("migrations").iterdir())):
    cursor.execute("INSERT INTO journal VALUES (%s, %s, 'begun')", (number, path.stem))
    connection.commit()
    cursor.execute(path.read_text())
    cursor.execute("INSERT INTO schema_migrations (version) VALUES (%s)", (path.stem,))
connection.commit()
"""


def journalled_loop(folder: Path, url: str, count: int) -> Command:
    """No tool at all, but one that survives kill -9: no script is sent before the disk knows that it is begun.

    The record of each shares the commit that begins the next, as it may where DDL commits by itself (MySQL).
    """
    _write_sql(folder / "migrations", "{statement};\n", count)
    return Command((sys.executable, "-c", JOURNALLED_LOOP.format(connect=connect(url))), folder)


def connect(url: str) -> str:
    """Python code that imports the driver and opens `connection`."""
    if url.startswith("postgresql"):
        return f"import psycopg; connection = psycopg.connect({url!r})"
    user, password, host, port, database = url_parts(url)
    return (
        f"import pymysql; connection = pymysql.connect(host={host!r}, port={port}, user={user!r}, "
        f"password={password!r}, database={database!r})"
    )


def url_parts(url: str) -> tuple[str, str, str, str, str]:
    """User, password, host, port and database of one of our private servers' URLs."""
    account, _, place = url.partition("://")[2].partition("@")
    user, _, password = account.partition(":")
    address, _, database = place.partition("/")
    host, _, port = address.partition(":")
    return user, password, host, port, database


# --- peers ----------------------------------------------------------------------------------------------------


def install(folder: Path) -> dict[str, Tool]:
    """Install the peers into a folder; those that can't be had are named and left out."""
    peers: dict[str, Tool] = {}
    try:
        run(Command((_npm(), "install", "--silent", "--prefix", str(folder), "@dbmate/linux-x64"), folder))
        peers["dbmate"] = _dbmate(folder / "node_modules/@dbmate/linux-x64/bin/dbmate")
    except (Failed, OSError) as error:
        print(f"without dbmate: {_last_line(error)}")
    python = folder / "venv/bin/python"
    wanted = ("alembic", "yoyo-migrations", "setuptools<81", "psycopg[binary]", "PyMySQL")
    try:
        run(Command((sys.executable, "-m", "venv", str(folder / "venv")), folder))
        run(Command((str(python), "-m", "pip", "install", "--quiet", *wanted), folder))
        peers |= {"Alembic": _alembic(python), "yoyo": _yoyo(python)}
    except (Failed, OSError) as error:
        print(f"without Alembic and yoyo: {_last_line(error)}")
    return peers


def _npm() -> str:
    found = shutil.which("npm")
    if found is None:
        raise Failed("npm is not installed")
    return found


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _dbmate(binary: Path) -> Tool:
    def tool(folder: Path, url: str, count: int) -> Command:
        _write_sql(folder / "migrations", "-- migrate:up\n{statement};\n\n-- migrate:down\n", count)
        plain = f"{url}?sslmode=disable" if url.startswith("postgresql") else url
        options = ("--url", plain, "--migrations-dir", "migrations", "--no-dump-schema")
        return Command((str(binary), *options, "migrate"), folder)

    return tool


ALEMBIC_ENVIRONMENT = """
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section("alembic"), prefix="sqlalchemy.", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
ALEMBIC_SCRIPT = """
from alembic import op

revision, down_revision = {revision!r}, {before!r}


def upgrade():
    op.execute("{statement}")
"""


def _alembic(python: Path) -> Tool:
    def tool(folder: Path, url: str, count: int) -> Command:
        driver = "postgresql+psycopg" if url.startswith("postgresql") else "mysql+pymysql"
        place = f"{driver}://{url.partition('://')[2]}"
        (folder / "alembic.ini").write_text(f"[alembic]\nscript_location = .\nsqlalchemy.url = {place}\n")
        (folder / "env.py").write_text(ALEMBIC_ENVIRONMENT)
        (folder / "versions").mkdir()
        before: str | None = None
        for name, statement in scripts(count):
            revision = name[:4]
            text = ALEMBIC_SCRIPT.format(revision=revision, before=before, statement=statement)
            (folder / "versions" / f"{name}.py").write_text(text)
            before = revision
        return Command((str(python), "-m", "alembic", "upgrade", "head"), folder)

    return tool


def _yoyo(python: Path) -> Tool:
    def tool(folder: Path, url: str, count: int) -> Command:
        driver = "postgresql+psycopg" if url.startswith("postgresql") else "mysql"
        place = f"{driver}://{url.partition('://')[2]}"
        _write_sql(folder / "migrations", "{statement};\n", count)
        command = (str(python.parent / "yoyo"), "apply", "--batch", "--no-config-file", "--database", place)
        return Command((*command, "migrations"), folder)

    return tool


def _write_sql(folder: Path, text: str, count: int) -> None:
    folder.mkdir()
    for name, statement in scripts(count):
        (folder / f"{name}.sql").write_text(text.format(statement=statement))
