"""What a project's manifests are made from, read from its files alone: no database, and no secret, is needed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell import config
from stepwell.databases.url import redact
from stepwell.errors import BadProject, BadScript
from stepwell.scripts import front

FINAL = (2, 3, 4, 7, 8)
"""The exit codes that no repetition mends: files, differences, a statement in doubt, a check, what the doctor found."""

SHORTEST, WITH_JOBS, LOCK_WAIT = 3600, 86_400, 900
"""Seconds: the deadline of a release of scripts, of one with jobs, and what waiting for another run adds."""

UP = ("up", "--wait", "--yes")
WORK = ("work",)

Files = dict[str, str]
"""Manifests by their path in the folder."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A project as its manifests see it.

    `variables` are the names of the environment variables that stepwell.toml asks for, `image` that of a container with
    the project in `/app`, `folder` where the project lies on a host. `retries` is how often a release that failed
    is begun again: each time goes on where the last one stopped. `deadline` is in seconds.
    """

    name: str
    variables: tuple[str, ...]
    image: str
    folder: Path
    retries: int
    deadline: int


def read(folder: Path, image: str) -> Facts:
    """The facts of the project in a folder. Raises BadProject, also where a URL has its password in the file."""
    found = config.find(folder.resolve())
    path = found / config.FILE
    text = path.read_text(encoding="utf-8", errors="replace")
    config.load(found, {name[1]: "set where it runs" for name in config.VARIABLE.finditer(text)})
    content = tomllib.loads(text)
    databases = content.get("databases", {})
    for name, table in databases.items():
        url = str(table.get("url", ""))
        if redact(config.VARIABLE.sub("", url)) != config.VARIABLE.sub("", url):
            raise BadProject(
                f"databases.{name}.url holds its password in the file",
                where=str(path),
                do=f'Write url = "${{{name.upper()}_DB_URL}}": manifests name secrets, and never hold them.',
            )
    variables = dict.fromkeys(m[1] for text in _texts(content) for m in config.VARIABLE.finditer(text))
    scripts = [
        script
        for name, table in databases.items()
        for script in sorted((found / table.get("scripts", f"migrations/{name}")).glob("*.sql"))
    ]
    jobs = (found / "jobs").is_dir()
    deadline = LOCK_WAIT + sum(_timeout(script) for script in scripts)
    return Facts(
        re.sub(r"[^a-z0-9]+", "-", found.name.lower()).strip("-")[:40] or "app",
        tuple(variables),
        image,
        found,
        min(10, max(3, len(scripts))),
        int(max(WITH_JOBS if jobs else SHORTEST, deadline)),
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _timeout(script: Path) -> float:
    try:
        return front.parse(script.read_text(encoding="utf-8"), script, "--").timeout or 0.0
    except (BadScript, UnicodeDecodeError):  # in another tool's format, or wrong, of which `up` tells
        return 0.0
