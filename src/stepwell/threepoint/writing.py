"""From a sentence to files in a project's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepwell.config import Config
from stepwell.databases import columns
from stepwell.databases.columns import Table
from stepwell.databases.database import Database
from stepwell.errors import BadRequest, CannotConnect, LedgerNotRelational, NoThreePoints, did_you_mean
from stepwell.scripts import numbers
from stepwell.scripts.script import Script
from stepwell.threepoint import change, sentence
from stepwell.threepoint.files import compose
from stepwell.threepoint.sentence import Sentence

MOST_SCRIPTS = 4


def write(
    config: Config, database: Database, scripts: Sequence[Script], text: str, *, can_sign: bool
) -> tuple[list[Path], list[str]]:
    """Write the files of a change, none that is there already; their paths, and what a person has to know.

    `can_sign` says whether the project's ledger can hold a sign-off. Raises BadSentence, NoThreePoints, BadRequest,
    CannotConnect, LedgerNotRelational.
    """
    said = sentence.read(text)
    if said.verb != "add" and not can_sign:
        raise LedgerNotRelational(config.ledger)
    table = _table(database, said)
    versions = numbers.following(scripts, MOST_SCRIPTS)
    files = compose(change.make(said, table, database.engine), database.name, versions)
    folder = config.folder / config.databases[database.name].scripts
    texts = {folder / f"{name}.sql": script for name, script in files.scripts}
    if files.job:
        texts[config.folder / "jobs" / f"{files.stem}.sql"] = files.job
    if files.check:
        texts[config.folder / "checks" / f"{files.stem}.sql"] = files.check
    if there := [path for path in texts if path.exists()]:
        raise BadRequest(f"{there[0]} is there already", "Finish that change first, or move its files away.")
    for path, content in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    unread = (
        [] if table else [f"database {database.name!r} could not be reached: nothing was compared with {said.table}"]
    )
    return list(texts), [*files.notes, *unread]


def _table(database: Database, said: Sentence) -> Table | None:
    """The table as it is; None where the database can't be reached and `add` can do without. Raises CannotConnect."""
    try:
        database.connect()
    except CannotConnect:
        if said.verb == "add":
            return None
        raise
    try:
        found = columns.read(database, said.table)
        if found is None:
            known = columns.tables(database)
            raise NoThreePoints(
                f"{said.verb} {said.table}.{said.column}",
                f"database {database.name!r} has no table {said.table}{did_you_mean(said.table, known)}",
                "Name a table that is there; scripts that are pending have made none yet.",
            )
        return found
    finally:
        database.close()
