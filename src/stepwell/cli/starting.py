"""`init` and `new`: the files that a person starts from."""

from __future__ import annotations

import re
from pathlib import Path

from stepwell import bundles
from stepwell.config import FILE
from stepwell.errors import BadRequest, did_you_mean
from stepwell.project import Project
from stepwell.scripts import numbers

CONFIG = """\
# The databases that are taken to their next version together. Secrets stay in the environment.

[databases.state]
url = "${STATE_DB_URL:-sqlite:///state.db}"
scripts = "migrations/state"

[databases.analytics]
url = "${ANALYTICS_DB_URL:-chdb:///analytics?database=main}"
scripts = "migrations/analytics"

# What is remembered of jobs, checks and sign-offs is kept here. It does not move with a change of this line.
[ledger]
database = "state"
"""

SCRIPT = """\
-- What this script is for.

-- Write the statements here. A line such as `-- requires: state/0042` at the very top says what must come first.


-- down
-- Write the way back here, or take this part away if there is none.

"""


def make_project(folder: Path, bundle: str | None) -> list[Path]:
    """Make a new project, or a copy of a bundled one. Raises BadRequest; never overwrites a file."""
    if (folder / FILE).exists():
        raise BadRequest(f"{folder / FILE} is there already", "Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    if bundle is None:
        (folder / FILE).write_text(CONFIG, encoding="utf-8")
        for name in ("state", "analytics"):
            (folder / "migrations" / name).mkdir(parents=True, exist_ok=True)
        return [folder / FILE, folder / "migrations" / "state", folder / "migrations" / "analytics"]
    return bundles.copy(bundle, folder)


def make_script(project: Project, database: str, name: str) -> Path:
    """Make the next script of a database, numbered as those before it are. Raises BadRequest."""
    if database not in project.config.databases:
        known = project.config.databases
        raise BadRequest(
            f"no database {database!r} in this project{did_you_mean(database, known)}",
            f"It has {', '.join(known)}.",
        )
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not words:
        raise BadRequest(f"{name!r} has no letters to name a file by")
    folder = project.config.folder / project.config.databases[database].scripts
    folder.mkdir(parents=True, exist_ok=True)
    (prefix,) = numbers.following(project.scripts(database))
    path = folder / f"{prefix}_{words}.sql"
    path.write_text(SCRIPT, encoding="utf-8")
    return path
