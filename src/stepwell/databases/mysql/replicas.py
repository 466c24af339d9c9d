"""The replicas of a server, and how far they lag behind it.

A server knows no lag of its replicas; each of them does. They are reached by the address that they report
(`report_host`), with our own user: what can't be reached so is left out, and tried again later.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from stepwell.databases.mysql.connection import Connection, connect
from stepwell.databases.url import Url
from stepwell.errors import StepwellError

REPLICAS = ("SHOW SLAVE HOSTS", "SHOW REPLICAS")
STATE = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS")
"""As MariaDB and as MySQL spell it."""

BEHIND = ("Seconds_Behind_Master", "Seconds_Behind_Source")

AGAIN = 300.0
"""Seconds until a replica that could not be reached, or did not answer, is tried again."""

Address = tuple[str, int]


class Replicas:
    """A connection to each replica of a server. For one thread at a time."""

    def __init__(self, name: str, url: Url, settings: str, read_seconds: float) -> None:
        self._name, self._url, self._settings, self._read_seconds = name, url, settings, read_seconds
        self._open: dict[Address, Connection] = {}
        self._failed: dict[Address, float] = {}

    def lag(self, server: Connection) -> list[float]:
        """Seconds, of each replica that tells, and of the server itself where it is one. Raises Refused."""
        found = _behind(server)
        for address in _addresses(server):
            if time.monotonic() - self._failed.get(address, -AGAIN) >= AGAIN:
                found += self._ask(address)
        return found

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def _ask(self, address: Address) -> list[float]:
        try:
            if address not in self._open:
                host, port = address
                url = replace(self._url, host=host, port=port)
                self._open[address] = connect(self._name, url, self._settings, self._read_seconds)
            return _behind(self._open[address])
        except StepwellError:
            self._failed[address] = time.monotonic()
            if address in self._open:
                self._open.pop(address).close()
            return []


def stopped(connection: Connection) -> tuple[str, ...]:
    """What keeps a server from following the one it is a replica of, a line each. Raises Refused."""
    found = []
    for channel in _records(connection, STATE):
        for word in ("SQL", "IO"):
            running = channel.get(f"Slave_{word}_Running", channel.get(f"Replica_{word}_Running"))
            if running == "No":
                error = channel.get(f"Last_{word}_Error") or "it was stopped"
                found.append(f"this server is a replica, and its {word} thread does not run: {error}")
    return tuple(found)


def _behind(connection: Connection) -> list[float]:
    """The lag of a server, by channel. One whose replication stands still does not tell it."""
    channels = _records(connection, STATE)
    return [float(channel[name]) for channel in channels for name in BEHIND if channel.get(name) is not None]


def _addresses(server: Connection) -> list[Address]:
    return [(row["Host"], int(row["Port"])) for row in _records(server, REPLICAS) if row["Host"]]


def _records(connection: Connection, spellings: tuple[str, str]) -> list[dict[str, Any]]:
    return connection.records(spellings[0 if connection.mariadb else 1])
