"""What every test may ask for: servers that start when first asked, fresh databases, and the command line.

With pytest-xdist each worker has servers of its own. A test that kills a server restarts it before it ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

import dumping
import warm
from servers import clickhouse_front as clickhouse_servers
from servers import mariadb as mariadb_servers
from servers import postgres as postgres_servers
from servers.clickhouse_front import ClickhouseFront
from servers.mariadb import MariadbServer
from servers.postgres import PostgresServer

settings.register_profile("ci", max_examples=60, deadline=None, print_blob=True)
settings.load_profile("ci")

# What is imported is compiled once, as in production, and not by each of the thousands of commands that are run here.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SOURCE = Path(__file__).parent.parent / "src"


# --- servers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = postgres_servers.start(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture
def forgetful(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """PostgreSQL whose WAL writer sleeps: killed, it forgets every commit that did not wait for the disk."""
    dumping.query(postgres.url(), "ALTER SYSTEM SET wal_writer_delay = '10s'")
    dumping.query(postgres.url(), "SELECT pg_reload_conf()")
    yield postgres
    dumping.query(postgres.url(), "ALTER SYSTEM RESET ALL")
    dumping.query(postgres.url(), "SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    server = mariadb_servers.start(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def clickhouse_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickhouseFront]:
    front = clickhouse_servers.start(tmp_path_factory.mktemp("clickhouse"))
    yield front
    front.stop()


# --- the URL of an empty database -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The URL of an engine's database, one for all tests of a file: making one costs more than most of them."""

    @cache
    def url(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('home') / 'home.db'}"
        server = {"postgres": "postgres", "mysql": "mariadb", "clickhouse": "clickhouse_front"}[engine]
        return str(request.getfixturevalue(server).new_database())

    return url


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def mysql_url(mariadb: MariadbServer) -> str:
    return mariadb.new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'main.db'}"


@pytest.fixture
def chdb_url(tmp_path: Path) -> str:
    """An embedded ClickHouse. A process can open one such folder at a time: close it before the test ends."""
    return f"chdb:///{tmp_path / 'main.chdb'}?database=main"


@pytest.fixture
def clickhouse_url(clickhouse_front: ClickhouseFront) -> Iterator[str]:
    url = clickhouse_front.new_database()
    yield url
    clickhouse_front.forget(url)


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def relational_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres", "mysql", "chdb", "clickhouse"])
def any_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


# --- the command line -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended and what it printed."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Stepwell:
    """The command line, run in a process of its own, without a terminal, in a project's folder."""

    folder: Path

    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Finished:
        """Run it to its end. After `timeout` seconds it is killed: raises subprocess.TimeoutExpired."""
        environment = os.environ | {"PYTHONPATH": str(SOURCE)} | dict(env or {})
        return Finished(*warm.run(arguments, cwd or self.folder, environment, timeout))


@pytest.fixture
def stepwell(tmp_path: Path) -> Stepwell:
    """`stepwell("up", "--json")` runs in the test's own folder unless `cwd` says otherwise."""
    return Stepwell(tmp_path)
