"""Fresh copies of a prepared database, fast enough to have one for every kill."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import dumping

_NUMBERS = itertools.count(1)


def empty(request: pytest.FixtureRequest, engine: str, folder: Path) -> str:
    """The URL of a new, empty database: of the test's own server, or in `folder`."""
    if engine in ("sqlite", "chdb"):
        place = folder / f"{engine}-{next(_NUMBERS)}"
        place.mkdir(parents=True)
        return f"{engine}:///{place / 'main'}{'?database=main' if engine == 'chdb' else ''}"
    server = request.getfixturevalue({"mysql": "mariadb", "clickhouse": "clickhouse_front"}.get(engine, engine))
    url = str(server.new_database())
    if engine == "clickhouse":
        request.addfinalizer(partial(server.forget, url))
    return url


def copy(source: str, target: str) -> None:
    """Fill an empty database with what another of the same engine holds; nobody may be connected to that one."""
    _COPIES[dumping.scheme(source)](source, target)


def _postgres(source: str, target: str) -> None:
    names = [urllib.parse.urlsplit(url).path.removeprefix("/") for url in (source, target)]
    server = source.removesuffix(names[0]) + "postgres"
    dumping.query(server, f'DROP DATABASE "{names[1]}"')
    dumping.query(server, f'CREATE DATABASE "{names[1]}" TEMPLATE "{names[0]}"')


def _mysql(source: str, target: str) -> None:
    dumped = _mysql_client("mariadb-dump", source, "--routines", "--triggers", "--single-transaction")
    _mysql_client("mariadb", target, text=dumped)


def _mysql_client(program: str, url: str, *options: str, text: bytes = b"") -> bytes:
    parts = urllib.parse.urlsplit(url)
    account = ["--no-defaults", f"--host={parts.hostname}", f"--port={parts.port}", f"--user={parts.username}"]
    command = [program, *account, f"--password={parts.password}", *options, parts.path.removeprefix("/")]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout


def _clickhouse(source: str, target: str) -> None:
    old, new = (urllib.parse.urlsplit(url).path.removeprefix("/") for url in (source, target))
    # Views come last: they read the others.
    tables = """
        SELECT name, engine LIKE '%MergeTree', create_table_query FROM system.tables
        WHERE database = currentDatabase() ORDER BY engine LIKE '%View', name
    """
    for line in dumping.query(source, tables):
        name, stored, definition = line.split("\t")
        dumping.query(target, definition.replace("\\'", "'").replace("\\n", "\n").replace(f"{old}.", f"{new}."))
        if stored == "1":  # the very parts, so that FINAL decides between equal versions as it does in the source
            dumping.query(target, f"ALTER TABLE `{name}` ATTACH PARTITION ALL FROM {old}.`{name}`")


def _file(source: str, target: str) -> None:
    shutil.copyfile(dumping.path(source), dumping.path(target))


def _folder(source: str, target: str) -> None:
    shutil.copytree(dumping.path(source), dumping.path(target), symlinks=True)  # tables are links to their storage


_COPIES: dict[str, Callable[[str, str], None]] = {
    "postgresql": _postgres,
    "mysql": _mysql,
    "sqlite": _file,
    "clickhouse": _clickhouse,
    "chdb": _folder,
}
