"""A writer that changes rows of the table `item` beside a job, and keeps its own account of them."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from multiprocessing.synchronize import Event
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql


def connect(url: str) -> Any:
    """A connection of a writer, in autocommit mode."""
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        return psycopg.connect(url, autocommit=True)
    if parts.scheme == "mysql":
        database = parts.path.removeprefix("/")
        server: dict[str, Any] = {"host": parts.hostname, "port": parts.port, "database": database}
        return pymysql.connect(user=parts.username, password=parts.password or "", autocommit=True, **server)
    return sqlite3.connect(parts.path.replace("//", "/"), isolation_level=None, timeout=60)


def write(url: str, count: int, number: int, seed: int, stop: Event, told: Any) -> None:
    """Change rows of its own, those with id % 2 == number, until `stop`; then tell what they hold by its own account.

    What it gets no answer for it asks about, so its account is exact.
    """
    chance = random.Random(seed)
    account = {key: (key, 0) for key in range(1, count + 1) if key % 2 == number}
    fresh = count + 1 + (count + 1 + number) % 2
    with closing(connect(url)) as connection:
        cursor = connection.cursor()
        while not stop.is_set():
            match chance.choice(("insert", "update", "update", "delete")):
                case "insert":
                    key = -fresh if chance.random() < 0.5 else fresh  # behind the job's place and before it
                    fresh += 2
                    said, account[key] = f"INSERT INTO item (id, n) VALUES ({key}, {key})", (key, 0)
                case "update":
                    key = chance.choice(list(account))
                    start, changes = account[key]
                    account[key] = (start, changes + 1)
                    said = f"UPDATE item SET n = n + 1, by_writer = by_writer + 1 WHERE id = {key}"
                case _:
                    key = chance.choice(list(account))
                    del account[key]
                    said = f"DELETE FROM item WHERE id = {key}"
            for _ in range(100):
                try:
                    cursor.execute(said)
                    break
                except (psycopg.errors.DeadlockDetected, pymysql.err.OperationalError):
                    time.sleep(0.01)
            time.sleep(0.005)
    told.put(account)
