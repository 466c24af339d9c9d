"""A script as the rules see it: its statements with what each is about, and what came before it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from stepwell.errors import BadScript
from stepwell.safety.lint.phrase import Phrase, key, plain, read
from stepwell.scripts.front import FrontMatter
from stepwell.scripts.script import Script, Statement

LONGEST_PARSED = 100_000
"""Characters. A longer statement holds rows, and a tree of them would tell nothing."""

_NAME = r"(?P<name>[^\s(;,]+)"
_IF = r"(?:IF (?:NOT )?EXISTS )?"
_ABOUT = (
    rf"CREATE (?:OR REPLACE )?(?:(?:GLOBAL|LOCAL|TEMP|TEMPORARY|UNLOGGED|FOREIGN) )*TABLE {_IF}{_NAME}",
    rf"ALTER (?:ONLINE |IGNORE |FOREIGN )*TABLE {_IF}(?:ONLY )?{_NAME}",
    rf"CREATE (?:OR REPLACE )?(?:(?:UNIQUE|FULLTEXT|SPATIAL) )*INDEX (?:CONCURRENTLY )?{_IF}"
    rf"(?:(?!ON )\S+ )?(?:USING \S+ )?ON (?:ONLY )?{_NAME}",
    rf"(?:DROP|TRUNCATE|DETACH) (?:TEMPORARY )?(?:TABLE |TABLES )?{_IF}(?:ONLY )?{_NAME}",
    rf"(?:WITH .+? )?(?:INSERT|REPLACE) (?:\S+ )?INTO (?:TABLE )?(?:FUNCTION )?{_NAME}",
    rf"UPDATE (?:ONLY |LOW_PRIORITY |IGNORE )*{_NAME}",
    rf"DELETE (?:LOW_PRIORITY |QUICK |IGNORE )*FROM (?:ONLY )?{_NAME}",
)
_ALTER = rf"{_ABOUT[1]}(?: ON CLUSTER \S+)? "
_ALONE = r"(?:VACUUM|ALTER SYSTEM|(?:CREATE|DROP) (?:DATABASE|TABLESPACE))\b|.* CONCURRENTLY\b"

# It says on its log that it falls back to a plain command; which is what it is asked for here.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


class Change(Phrase):
    """One statement of a script. `fresh`: its table was made by a statement of the same script."""

    def __init__(self, statement: Statement, engine: str) -> None:
        self.statement, self.engine = statement, engine
        self.text = plain(statement.text)
        super().__init__(read(self.text, engine))
        self.fresh = False

    @cached_property
    def about(self) -> re.Match[str] | None:
        """The match whose group `name` is the table that the statement is about."""
        return next((found for pattern in _ABOUT if (found := self.match(pattern))), None)

    @cached_property
    def table(self) -> str:
        """The table's name to compare; '' where it is about none."""
        return key(self.about["name"]) if self.about else ""

    @property
    def table_written(self) -> str:
        """The table's name as the script has it."""
        return self.written(self.about, "name") if self.about else ""

    @property
    def creates_table(self) -> bool:
        return self.match(_ABOUT[0]) is not None

    @cached_property
    def alters(self) -> list[Phrase]:
        """The commands of an ALTER TABLE; none for another statement."""
        found = self.match(_ALTER)
        return self.behind(found).parts() if found else []

    @cached_property
    def columns(self) -> list[Phrase]:
        """What stands between the parentheses of a CREATE TABLE: columns, keys, constraints."""
        found = self.match(_ABOUT[0])
        following = self.behind(found) if found else None
        return following.inside() if following and following.match(r"(?:ON CLUSTER \S+ )?\(") else []

    @cached_property
    def tree(self) -> exp.Expr | None:
        """The statement parsed; None where the parser does not know all of it. For queries, not for DDL."""
        if len(self.text) > LONGEST_PARSED:
            return None
        try:
            tree = sqlglot.parse_one(self.text, read=self.engine)
        except (SqlglotError, RecursionError):
            return None
        return None if tree is None or tree.find(exp.Command) else tree

    def line(self, offset: int) -> int:
        """The line in the file of an offset in the statement."""
        return self.statement.line + self.text.count("\n", 0, offset)


@dataclass(frozen=True)  # no slots: what is found out late is kept in __dict__
class Reading:
    """A script read. `cluster` is the database's in stepwell.toml, `earlier` the scripts before it, in their order."""

    script: Script
    cluster: str = ""
    earlier: Sequence[Reading] = field(default=(), repr=False)

    @property
    def engine(self) -> str:
        return self.script.engine

    @property
    def front(self) -> FrontMatter:
        return self.script.front

    @cached_property
    def changes(self) -> list[Change]:
        """The statements of the way forth; none of a Python script. Raises BadScript."""
        return [] if self.script.is_python else _read(self.script.sections.up, self.engine)

    @cached_property
    def way_back(self) -> list[Change]:
        """The statements below `-- down`. Raises BadScript."""
        return [] if self.script.is_python else _read(self.script.sections.down or (), self.engine)

    @property
    def in_transaction(self) -> bool:
        """Whether Stepwell runs the script as one transaction of a database that puts DDL into it."""
        if self.engine not in ("postgres", "sqlite") or self.front.transaction is False:
            return False
        return self.front.transaction is True or not any(change.match(_ALONE) for change in self.changes)

    def said_at(self, word: str) -> int:
        """The line at the top of the file that says something of its front matter."""
        lines = self.script.text.split("\n")
        return next((number for number, line in enumerate(lines, start=1) if f"{word}:" in line), 1)

    def before(self, change: Change | None = None) -> Iterator[Change]:
        """All statements of this database before one of this script, or before the script itself."""
        for reading in self.earlier:
            try:
                yield from reading.changes
            except BadScript:
                continue  # told of where that script is linted itself
        for own in self.changes if change else ():
            if own is change:
                return
            yield own


def _read(statements: Sequence[Statement], engine: str) -> list[Change]:
    """The statements, each knowing whether its table was made by one before it.

    IF NOT EXISTS may have found an older table; a linter can't tell, and takes the script at its word.
    """
    changes, made = [], set[str]()
    for statement in statements:
        change = Change(statement, engine)
        if change.creates_table:
            made.add(change.table)
        change.fresh = change.table in made
        changes.append(change)
    return changes
