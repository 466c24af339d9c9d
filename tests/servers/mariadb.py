"""A private MariaDB server on 127.0.0.1, owned by the tests that start it."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

USER, PASSWORD = "stepwell", "s3cret-pass"
BOOT_SECONDS = 60.0

# Commits reach the operating system at once and outlive kill -9; nothing waits for a disk.
QUICK = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync")


@dataclass
class MariadbServer:
    """One server process over one folder; it keeps its port over restarts."""

    folder: Path
    port: int
    settings: tuple[str, ...] = QUICK
    process: subprocess.Popen[bytes] | None = None
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """The URL of a database as a user who may do everything."""
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"app_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return self.url(name)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement over a connection of its own and return its rows."""
        import pymysql

        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", unix_socket=str(self.socket), autocommit=True
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    def boot(self) -> None:
        """Start the server process and wait until it takes connections."""
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    _binary("mariadbd"),
                    "--no-defaults",
                    f"--user={getpass.getuser()}",
                    f"--datadir={self.folder / 'data'}",
                    # A server that starts clears `#sql…` files out of its tmpdir, others' too.
                    f"--tmpdir={self.folder / 'tmp'}",
                    f"--socket={self.socket}",
                    f"--pid-file={self.folder / 'pid'}",
                    "--bind-address=127.0.0.1",
                    f"--port={self.port}",
                    "--skip-name-resolve",
                    "--character-set-server=utf8mb4",
                    "--innodb-buffer-pool-size=32M",
                    "--innodb-log-file-size=16M",
                    "--key-buffer-size=1M",
                    "--aria-pagecache-buffer-size=1M",
                    *self.settings,
                ],
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"mariadbd did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Shut the server down in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Stop the server if it runs, and start it again on the same port and data."""
        self.stop()
        self.boot()


def start(folder: Path, *, durable: bool = False) -> MariadbServer:
    """Make a fresh server in `folder` and start it. `durable` waits for the disk at each commit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir()
    made = subprocess.run(
        [
            _binary("mariadb-install-db"),
            "--no-defaults",
            f"--user={getpass.getuser()}",
            f"--datadir={folder / 'data'}",
            f"--tmpdir={folder / 'tmp'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        raise RuntimeError(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = MariadbServer(folder, port, () if durable else QUICK)
    server.boot()
    server.execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
    server.execute(f"GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION")
    return server


def _binary(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if path is None:
        raise RuntimeError(f"{name} is missing; install it with: apt-get install mariadb-server")
    return path
