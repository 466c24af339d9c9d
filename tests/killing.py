"""The command line in a process that kills itself (SIGKILL) at a chosen point of its work.

    python killing.py before 7 up            just before the 7th statement that may change something is sent
    python killing.py during 'INTO big' 0.4 up    so many seconds after a statement with this text was sent
    python killing.py before 0 up            never; the last line on stderr counts the statements
    python killing.py batch 7 job run NAME   as `before`, counted in the threads that do a job's batches

The points lie where a driver sends, beneath everything of Stepwell's. What a dead process did is what it sent, so
these are all the states that it can leave, the writes of the tracking tables and the steps inside one verb of an
adapter included. Sent statements that only read leave none.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

import clickhouse_connect
import psycopg
import pymysql.connections

from stepwell.cli import main

_READS = re.compile(r"[\s(]*(SELECT|WITH|SHOW|DESCRIBE|EXISTS|EXPLAIN|PRAGMA)\b", re.IGNORECASE)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Is told of every statement before it is sent, and kills the process at its point."""

    def __init__(self, before: int = 0, during: str = "", seconds: float = 0.0, batches: bool = False) -> None:
        self.before, self.during, self.seconds, self.batches = before, during, seconds, batches
        self.sent = 0

    def burn(self, statement: object) -> None:
        thread = threading.current_thread()
        if not (thread.name.startswith("job ") if self.batches else thread is threading.main_thread()):
            return  # the watcher only looks
        text = statement.decode(errors="replace") if isinstance(statement, bytes | bytearray) else str(statement)
        if _READS.match(text):
            return
        self.sent += 1
        if self.sent == self.before:
            die()
        # The journal quotes nothing of a statement, so the text is found where it is sent.
        if self.during and self.during in text:
            threading.Timer(self.seconds, die).start()


def watch(fuse: Fuse) -> None:
    """Put the fuse where each driver sends."""

    def fused(kind: Any, *names: str) -> None:
        for name in names:
            setattr(kind, name, _fused(getattr(kind, name), fuse))

    fused(psycopg.Connection, "execute")
    fused(pymysql.connections.Connection, "query")

    class Connection(sqlite3.Connection):
        pass

    fused(Connection, "execute", "executemany")
    connect, get_client = sqlite3.connect, clickhouse_connect.get_client
    seen: set[type] = set()

    def sqlite_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **options, factory=Connection)

    def clickhouse_client(*arguments: Any, **options: Any) -> Any:
        client = get_client(*arguments, **options)
        if type(client) not in seen:
            seen.add(type(client))
            fused(type(client), "command", "query")
        return client

    sqlite3.connect = sqlite_connect  # type: ignore[assignment]  # the same call with one more option
    clickhouse_connect.get_client = clickhouse_client


def _fused(method: Callable[..., Any], fuse: Fuse) -> Callable[..., Any]:
    def send(self: Any, statement: Any, *arguments: Any, **options: Any) -> Any:
        fuse.burn(statement)
        return method(self, statement, *arguments, **options)

    return send


if __name__ == "__main__":
    if sys.argv[1] == "before":
        fuse, arguments = Fuse(before=int(sys.argv[2])), sys.argv[3:]
    elif sys.argv[1] == "batch":
        fuse, arguments = Fuse(before=int(sys.argv[2]), batches=True), sys.argv[3:]
    else:
        fuse, arguments = Fuse(during=sys.argv[2], seconds=float(sys.argv[3])), sys.argv[4:]
    watch(fuse)
    code = main(arguments)
    print(fuse.sent, file=sys.stderr)
    sys.exit(code)
