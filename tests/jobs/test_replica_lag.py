"""Replica lag, of real replicas that are told to stay behind."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from servers import mariadb as mariadb_servers
from servers import postgres as postgres_servers
from servers.mariadb import PASSWORD, USER
from stepwell.databases import open_database


def lag_of(url: str, write: Callable[[], object], enough: Callable[[float], bool]) -> float:
    """The replica lag that a server shows once it is `enough`, while it is written to."""
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        deadline = time.monotonic() + 60
        while True:
            write()
            found = {signal.name: signal for signal in database.pressure()}.get("replica lag")
            if found and enough(found.value):
                assert found.unit == "s"
                return found.value
            assert time.monotonic() < deadline, f"no such lag: {found}"
            time.sleep(0.3)
    finally:
        database.close()


def test_mysql_shows_the_lag_of_a_replica_that_reports_its_address(tmp_path: Path) -> None:
    primary = mariadb_servers.start(tmp_path / "primary")
    replica = mariadb_servers.start(tmp_path / "replica")
    try:
        primary.settings += ("--log-bin=binlog", "--server-id=1")
        replica.settings += ("--server-id=2", "--report-host=127.0.0.1", f"--report-port={replica.port}")
        primary.restart()
        replica.restart()
        replica.execute(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={primary.port}, master_user='{USER}', "
            f"master_password='{PASSWORD}', master_delay=3600"
        )
        replica.execute("START SLAVE")
        url = primary.new_database()
        name = url.rpartition("/")[2]
        # What is connected to names a database, and the replica that stays behind has not got it yet.
        replica.execute(f"CREATE DATABASE {name}")
        primary.execute(f"CREATE TABLE {name}.t (id INT PRIMARY KEY AUTO_INCREMENT)")
        assert lag_of(url, lambda: primary.execute(f"INSERT INTO {name}.t VALUES (DEFAULT)"), lambda lag: lag >= 2)
    finally:
        replica.stop()
        primary.stop()


def test_postgres_shows_the_lag_of_a_standby(tmp_path: Path) -> None:
    primary = postgres_servers.start(tmp_path / "primary")
    copy = primary.data.parent / "standby"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = (primary.binaries / "postgres").resolve().with_name("pg_basebackup")
    backup = [program, "-D", copy, "-R", "-X", "stream", "-c", "fast", "-d", primary.url()]
    account = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    made = subprocess.run([*account, *map(str, backup)], cwd="/", capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    standby = postgres_servers.PostgresServer(
        primary.binaries, copy, tmp_path / "standby.log", port, primary.settings | {"recovery_min_apply_delay": "1h"}
    )
    try:
        standby.launch()
        url = primary.new_database()
        database = open_database("writer", url, Path("/"))
        database.connect()
        database.query("CREATE TABLE t (id INT)")
        assert lag_of(url, lambda: database.query("INSERT INTO t VALUES (1)"), lambda lag: lag >= 1)
        database.close()
    finally:
        standby.kill()
        primary.stop()


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_server_without_replicas_shows_no_lag(engine: str, request: pytest.FixtureRequest) -> None:
    database = open_database("state", str(request.getfixturevalue(f"{engine}_url")), Path("/"))
    database.connect()
    assert "replica lag" not in {signal.name for signal in database.pressure()}
    database.close()
