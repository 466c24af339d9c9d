"""Liquibase: changesets in formatted SQL, listed by file name or by a changelog in XML, YAML or JSON.

A changeset is known by its file, id and author together; a late one is applied all the same. Changesets that `dbms`,
`context` or `labels` leave out are no scripts at all.
"""

from __future__ import annotations

from stepwell.errors import BadScript, NoScriptFolder
from stepwell.scripts.formats import files
from stepwell.scripts.formats.liquibase import changelog
from stepwell.scripts.formats.liquibase.changeset import Changeset
from stepwell.scripts.formats.liquibase.changeset import script as script_of
from stepwell.scripts.formats.liquibase.choice import Choice
from stepwell.scripts.formats.liquibase.properties import Properties
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of the changelog. Raises BadScript, NoScriptFolder."""
    choice = Choice(origin.engine, origin.contexts, origin.labels)
    reading = changelog.Reading(Properties(choice))
    seen: dict[str, Changeset] = {}
    scripts: dict[str, Script] = {}
    for changeset in _changesets(origin, reading):
        if not changeset.taken(choice):
            continue
        other = seen.setdefault(changeset.version, changeset)
        if other is not changeset:
            what = f"a second changeset {changeset.version}; the first is at {other.path}:{other.line}"
            raise BadScript(changeset.path, changeset.line, what, "Give the one that is applied nowhere another id.")
        scripts[changeset.version] = script_of(changeset, origin, scripts)
    return list(scripts.values())


def left_out(origin: Origin) -> list[Changeset]:
    """The changesets that are no scripts here, by their `dbms`, context, labels or `ignore`. Raises BadScript."""
    taken = {script.version for script in load(origin)}
    everything = Choice(origin.engine, origin.contexts, origin.labels, everything=True)
    found = _changesets(origin, changelog.Reading(Properties(everything)))
    return [changeset for changeset in found if changeset.version not in taken]


def _changesets(origin: Origin, reading: changelog.Reading) -> list[Changeset]:
    if origin.path.is_file():
        return list(reading.file(origin.path, origin.path.name))
    if not origin.path.is_dir():
        raise NoScriptFolder(origin.path, origin.database)
    master = changelog.master(origin.path, origin.database)
    if master is not None:
        return list(reading.file(master, master.name))
    listed = [path for path in files.names(origin, deep=True) if path.suffix.lower() == ".sql"]
    named = ((path.relative_to(origin.path).as_posix(), path) for path in listed)
    return [changeset for name, path in named for changeset in reading.file(path, name)]
