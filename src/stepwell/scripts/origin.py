"""Where a database's scripts come from, and how they are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """The folder of a database's scripts, or the file that lists them.

    `format` is '' where it is to be recognised. `contexts` and `labels` choose among the changesets of a Liquibase
    changelog, as its command line does; '' for all. `url` is the database's, with its secret: only Alembic needs it.
    """

    path: Path
    database: str
    engine: str
    format: str = ""
    contexts: str = ""
    labels: str = ""
    url: str = ""
