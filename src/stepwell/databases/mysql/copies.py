"""A copy of a MySQL or MariaDB database, through their own dump, in one transaction that reads."""

from __future__ import annotations

from pathlib import Path

from stepwell.databases import copies
from stepwell.databases import url as urls
from stepwell.databases.database import Database
from stepwell.databases.piping import find, pipe

PLACE = "SELECT @@hostname, @@port, @@datadir, DATABASE()"


def place(database: Database) -> str:
    return str(database.query(PLACE)[0])


def copy(original: Database, url: str, name: str, root: Path) -> tuple[str, str]:
    parsed = urls.parse(url)
    original.query(f"CREATE DATABASE `{name}`")
    where = ["--host", parsed.host, "--port", str(parsed.port or 3306), "--user", parsed.user]
    dump = [
        find("mariadb-dump", "", "mysqldump"),
        *where,
        "--single-transaction",
        "--routines",
        "--triggers",
        "--events",
    ]
    load = [find("mariadb", "", "mysql"), *where, name]
    try:
        # Neither takes its password from the command line, where everybody could read it.
        pipe([*dump, parsed.database], load, {"MYSQL_PWD": parsed.password})
    except copies.Unfit:
        drop(original, name, root)
        raise
    return copies.at(url, name), "by mariadb-dump"


def drop(original: Database, name: str, root: Path) -> None:
    original.query(f"DROP DATABASE IF EXISTS `{name}`")
