"""What a server tells of itself before a release is begun: raw numbers. What they mean is for others to say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = ("127.0.0.1", "localhost", "::1", "")
"""Hosts of a URL whose server's folders may be on this machine."""


@dataclass(frozen=True, slots=True)
class Space:
    """The room for a database's files, in bytes. `told_by` says how that is known."""

    free: int
    total: int
    told_by: str


@dataclass(frozen=True, slots=True)
class Size:
    """About how large a table is by the catalog: its bytes with indexes, and its rows, None where it does not tell."""

    bytes: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction: whose, for how many seconds, and how many sessions wait for it."""

    who: str
    seconds: float
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of a table's parts that is not finished: parts left, seconds since it was asked for, why it fails.

    `kill` is the statement that ends it.
    """

    table: str
    command: str
    parts: int
    seconds: float
    failure: str = ""
    kill: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What a server tells of itself; None where it does not, or not to our user.

    `version` is as a person writes it, `needs` the versions that Stepwell supports where this is none of them. `clock`
    is seconds since 1970 by the server, `offset` the seconds that its time zone is ahead of UTC now. `read_only` says
    why it takes no writes. `replication` are troubles, in words; how far replicas lag is told by `Database.pressure`.
    `hidden` is what our user may not see, each with the statement that lets it.
    """

    version: str
    clock: float
    zone: str = "UTC"
    offset: int = 0
    needs: str = ""
    read_only: str = ""
    space: Space | None = None
    transactions: tuple[Transaction, ...] | None = None
    replication: tuple[str, ...] | None = None
    mutations: tuple[Mutation, ...] | None = None
    hidden: tuple[str, ...] = ()


def older(version: str, oldest: Sequence[int]) -> bool:
    """Whether a version such as '10.11.6-MariaDB' comes before another; what can't be read does not."""
    numbers = []
    for part in version.split("-")[0].split(".")[: len(oldest)]:
        if not part.isdigit():
            return False
        numbers.append(int(part))
    return tuple(numbers) < tuple(oldest)


def space_here(folder: str, host: str) -> Space | None:
    """The room around a folder that a server named, where that is a folder of this machine; None for any other."""
    path = Path(folder)
    try:
        if host not in HERE or not path.is_absolute() or not path.exists():
            return None
        found = os.statvfs(path)
    except OSError:  # a folder that this user may not look into
        return None
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, f"the disk of {path}")
