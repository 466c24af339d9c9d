"""A copy of a SQLite file, by its own backup, which writers may go on beside."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from stepwell.databases import url as urls
from stepwell.databases.copies import Unfit
from stepwell.databases.database import Database

FILE = "SELECT file FROM pragma_database_list WHERE name = 'main'"


def place(database: Database) -> str:
    found = str(database.query(FILE)[0][0])
    file = Path(found).stat() if found else None
    return f"{file.st_dev}:{file.st_ino}" if file else "in memory"


def copy(original: Database, url: str, name: str, root: Path) -> tuple[str, str]:
    import sqlite3

    source = Path(str(original.query(FILE)[0][0]))
    if urls.parse(url).path == ":memory:":
        raise Unfit("it is in memory")
    target = source.with_name(f"{source.name}.{name}")
    # Nothing else may hold the file in this process: its locks are the process's.
    original.close()
    reader = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer)
    except sqlite3.Error as error:
        raise Unfit(str(error)) from None
    finally:
        reader.close()
        writer.close()
    return f"sqlite:///{target}", "by SQLite's backup"


def drop(original: Database, name: str, root: Path) -> None:
    file = Path(str(original.query(FILE)[0][0]))
    for path in file.parent.glob(f"{file.name}.{name}*"):
        path.unlink()
