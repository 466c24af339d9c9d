"""A changeset, whatever kind of changelog it stands in, and the script that it is for Stepwell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stepwell.errors import BadScript, did_you_mean
from stepwell.scripts.folder import LONGEST_VERSION
from stepwell.scripts.formats.cutting import Part, cut_at, statements
from stepwell.scripts.formats.liquibase.choice import Choice
from stepwell.scripts.front import FrontMatter, Guard
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections, Statement

_EXPRESSION = re.compile(r"\$\{(:?)([^${}]+)\}")
_BOOLEANS = ("true", "false")
_BOOLEAN_KEYS = (
    "splitStatements",
    "rollbackSplitStatements",
    "stripComments",
    "runInTransaction",
    "runOnChange",
    "runAlways",
    "failOnError",
    "ignore",
)
_TEXT_KEYS = ("endDelimiter", "rollbackEndDelimiter", "context", "contextFilter", "labels", "dbms", "logicalFilePath")
_CONDITIONS = ("context", "contextFilter", "labels", "dbms", "created")
_PASSED_OVER = ("created",)
_REFUSED = ("runWith", "runWithSpoolFile", "runOrder", "objectQuotingStrategy")
ATTRIBUTES = (*_BOOLEAN_KEYS, *_TEXT_KEYS, *_PASSED_OVER)
_BY_NAME = {key.lower(): key for key in (*ATTRIBUTES, *_REFUSED)}


@dataclass(slots=True)
class Changeset:
    """What is said of one changeset. `file` is the changelog's path as Liquibase names it.

    `sql` and `rollback` are the texts of both ways; no rollback means no way back, `()` one that does nothing, and a
    version stands for the changeset that is run again. `comments` are what is said of it, as SQL comments.
    """

    author: str
    id: str
    file: str
    path: Path
    line: int
    attributes: dict[str, str]
    sql: list[Part] = field(default_factory=list)
    rollback: list[Part] | str | None = None
    guards: list[Guard] = field(default_factory=list)
    sums: set[str] = field(default_factory=set)
    properties: Mapping[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The identity of a changeset, written as Liquibase writes it."""
        return f"{self.attributes.get('logicalFilePath', self.file)}::{self.id}::{self.author}"

    def says(self, key: str) -> bool:
        return self.attributes.get(key) == "true"

    def taken(self, choice: Choice) -> bool:
        """Whether it is run at all. Raises BadScript."""
        said = self.attributes
        context = said.get("contextFilter", said.get("context", ""))
        fits = choice.takes(said.get("dbms", ""), context, said.get("labels", ""), self.path, self.line)
        return fits and not self.says("ignore")


def attribute(said: dict[str, str], key: str, value: str, path: Path, line: int) -> None:
    """Add one attribute to those said of a changeset. Raises BadScript."""
    name = _BY_NAME.get(key.lower())
    if name is None:
        what = f"unknown attribute {key!r}{did_you_mean(key, ATTRIBUTES)}"
        raise BadScript(path, line, what, f"Stepwell knows {', '.join(ATTRIBUTES)}.")
    if name in _REFUSED:
        raise BadScript(path, line, f"the attribute {name}, which Stepwell does not know", "Take it away.")
    if name in said:
        raise BadScript(path, line, f"`{name}` is said a second time", "Keep one of the two.")
    if name in _BOOLEAN_KEYS:
        value = value.lower()
        if value not in _BOOLEANS:
            what = f"`{name}` can't be {value!r}{did_you_mean(value, _BOOLEANS)}"
            raise BadScript(path, line, what, "Write true or false.")
    said[name] = value


def script(changeset: Changeset, origin: Origin, by_version: Mapping[str, Script]) -> Script:
    """The script of a changeset. `by_version` will hold all, for rollbacks that name another. Raises BadScript."""
    if len(changeset.version) > LONGEST_VERSION:
        what = f"{changeset.version!r} has {len(changeset.version)} characters, but {LONGEST_VERSION} is the most"
        raise BadScript(changeset.path, changeset.line, what, "Give it a shorter id, or a logicalFilePath.")
    repeat = "always" if changeset.says("runAlways") else "changed" if changeset.says("runOnChange") else ""
    front = FrontMatter(
        transaction=False if changeset.attributes.get("runInTransaction") == "false" else None,
        repeat=repeat,
        guards=tuple(changeset.guards),
        may_fail=changeset.attributes.get("failOnError") == "false",
    )
    text = "\n".join(part.text for part in changeset.sql)
    # Liquibase passes over white space when it compares, so a new indentation is no edit.
    checksum = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
    return Script(
        origin.database,
        changeset.version,
        changeset.path,
        origin.engine,
        checksum,
        front,
        text,
        partial(_cut, changeset, by_version),
        fill=partial(_fill, changeset.properties),
        late=True,
        accepts=frozenset(changeset.sums),
    )


def _cut(changeset: Changeset, by_version: Mapping[str, Script], script: Script) -> Sections:
    up = _statements(changeset, changeset.sql, "endDelimiter", script.engine)
    if not up:
        raise BadScript(changeset.path, changeset.line, "the changeset has no statement", "Write one, or delete it.")
    head = (*changeset.comments, *_conditions(changeset))
    if isinstance(changeset.rollback, str):
        other = by_version.get(changeset.rollback)
        if other is None or other.version == script.version:
            what = f"the rollback names the changeset {changeset.rollback}, which is not there"
            raise BadScript(changeset.path, changeset.line, what, "Correct its id, author and path.")
        return Sections(up, other.sections.up, head)
    if changeset.rollback is None:
        return Sections(up, None, head)
    return Sections(up, _statements(changeset, changeset.rollback, "rollbackEndDelimiter", script.engine), head)


def _conditions(changeset: Changeset) -> list[str]:
    """What Liquibase chose the changeset by, for whoever reads it elsewhere."""
    said = [f"{key}: {value}" for key, value in changeset.attributes.items() if key in _CONDITIONS]
    said += [f"validCheckSum: {value}" for value in sorted(changeset.sums)]
    return [f"-- Of Liquibase: {'; '.join(said)}"] if said else []


def _statements(changeset: Changeset, parts: list[Part], key: str, engine: str) -> tuple[Statement, ...]:
    if delimiter := changeset.attributes.get(key, ""):
        plain, alone = _plain(delimiter, changeset)
        parts = [piece for part in parts for piece in cut_at(part, engine, plain, alone, changeset.path)]
    return statements(parts, changeset.path, engine)


def _plain(delimiter: str, changeset: Changeset) -> tuple[str, bool]:
    r"""A delimiter, which is a regular expression, as plain text, and whether it has a line of its own.

    `;`, `//`, `$$`, `\nGO` and the like can be told; whatever else is one is refused.
    """
    alone = delimiter.startswith((r"\n", "\n", "^", r"\r\n"))
    core = re.sub(r"^(?:\^|\\r|\\n|\s)+|(?:\\s\*|\\r|\\n|\s)+$", "", delimiter)
    core = core[:-1] if alone and core.endswith("$") and len(core) > 1 else core
    core = re.sub(r"\\([$|/@;.*+?^()\[\]{}-])", r"\1", core)
    if not core or "\\" in core or re.search(r"[\[({*+?]|\.[*+]|\w\|\w", core):
        what = f"the endDelimiter {delimiter!r} is a regular expression that Stepwell can't represent"
        raise BadScript(changeset.path, changeset.line, what, r"Write a plain one, such as `//`, or `\nGO`.")
    return core, alone or core.isalnum()


def _fill(properties: Mapping[str, str], statement: str, _engine: str, variables: Mapping[str, str]) -> str:
    """Put variables and properties in, strings and comments included. What is not known stays as it is."""

    def value(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        return variables.get(name, properties.get(name, match.group()))

    return _EXPRESSION.sub(value, statement)
