"""A private PostgreSQL for tests: its own data folder, its own port on 127.0.0.1, nothing kept."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

USER, PASSWORD = "stepwell", "well-kept"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    # Quiet: nothing touches a table but the test.
    "autovacuum": "off",
}

# Commits reach the operating system at once, so they outlive kill -9; nothing waits for a disk.
QUICK = {"fsync": "off", "full_page_writes": "off"}


@dataclass
class PostgresServer:
    """A running server. `kill` is kill -9 of it and all its processes; `restart` brings it back."""

    binaries: Path
    data: Path
    log: Path
    port: int
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self.numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def launch(self) -> None:
        settings = [f"--{name}={value}" for name, value in (self.settings | {"port": str(self.port)}).items()]
        self.process = _spawn(self.log, self.binaries / "postgres", "-D", self.data, *settings)
        self._await_answer()

    def stop(self) -> None:
        """End the server and have its data removed: a hundred thousand files, for which nobody waits."""
        self._end(signal.SIGINT)
        subprocess.Popen(["rm", "-rf", self.data.parent], start_new_session=True)

    def restart(self) -> None:
        self._end(signal.SIGINT)
        self.launch()

    def kill(self) -> None:
        if self.process is None:
            return
        pid = self.process.pid
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Stopped, or they would see their parent die, and clean up: to drop a temporary table is a commit.
        _signal(backends, signal.SIGSTOP)
        self._end(signal.SIGKILL)
        _signal(backends, signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()}") from None
                time.sleep(0.02)


def start(folder: Path, *, durable: bool = False) -> PostgresServer:
    """Create a cluster and start its server, with the log in `folder`. `durable` waits for the disk at each commit."""
    binaries = _binaries()
    # Not in `folder`: pytest closes its folders to other users, and PostgreSQL refuses to run as root.
    home = Path(tempfile.mkdtemp(prefix="stepwell-postgres-"))
    password = home / "password"
    password.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (home, password):
            shutil.chown(path, "postgres", "postgres")
    folder.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS if durable else SETTINGS | QUICK
    server = PostgresServer(binaries, home / "data", folder / "postgres.log", _free_port(), settings)
    options = ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
    account = [f"--username={USER}", f"--pwfile={password}"]
    made = _spawn(server.log, binaries / "initdb", "-D", server.data, *account, *options)
    if made.wait() != 0:
        raise RuntimeError(f"initdb failed:\n{server.log.read_text()}")
    server.launch()
    return server


def _binaries() -> Path:
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found or not (found[-1] / "postgres").exists():
        raise RuntimeError("the tests need a PostgreSQL server: apt-get install -y postgresql")
    return found[-1]


def _spawn(log: Path, *command: str | Path) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
    account = "postgres" if os.geteuid() == 0 else None
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            user=account,
            group=account,
            extra_groups=[] if account else None,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _signal(processes: list[str], what: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(int(process), what)
