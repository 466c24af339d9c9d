"""Which changesets count: by `dbms`, `context` and `labels`, as Liquibase decides it."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

from stepwell.errors import BadScript, did_you_mean

_NAMES = {
    "postgres": {"postgresql"},
    "mysql": {"mysql", "mariadb"},  # one adapter serves both, so either name is meant for it
    "sqlite": {"sqlite"},
    "clickhouse": {"clickhouse"},
}
_OTHERS = {"h2", "hsqldb", "oracle", "mssql", "db2", "derby", "cockroachdb", "snowflake", "redshift", "edb", "sybase"}
_TOKEN = re.compile(r"\s*([()!]|[^()!\s]+)")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run is for: an engine, the contexts it is in ('' for all), and an expression over labels ('' for all).

    With `everything` it takes whatever there is, for who has to know what a run leaves out.
    """

    engine: str
    contexts: str = ""
    labels: str = ""
    everything: bool = False

    def takes(self, dbms: str, context: str, labels: str, path: Path, line: int) -> bool:
        """Whether a changeset with these attributes is part of it. Raises BadScript."""
        taken = self._dbms(dbms, path, line) and self._context(context, path, line) and self._labels(labels, path, line)
        return taken or self.everything

    def _dbms(self, said: str, path: Path, line: int) -> bool:
        words = {word.lower() for word in _split(said)}
        known = set().union(*_NAMES.values(), _OTHERS, {"all", "none"})
        for word in words:
            near = did_you_mean(word.removeprefix("!"), known)
            if word.removeprefix("!") not in known and near:
                raise BadScript(path, line, f"unknown dbms {word!r}{near}", "Write the name as Liquibase does.")
        own = _NAMES[self.engine]
        if not words or "all" in words:
            return True
        if "none" in words or words & {f"!{name}" for name in own}:
            return False
        wanted = {word for word in words if not word.startswith("!")}
        return not wanted or bool(wanted & own)

    def _context(self, said: str, path: Path, line: int) -> bool:
        chosen = {word.lower() for word in _split(self.contexts)}
        if not chosen:
            return "@" not in said
        return any(matches(part, chosen, path, line) for part in _split(said)) or not said.strip()

    def _labels(self, said: str, path: Path, line: int) -> bool:
        has = {word.lower() for word in _split(said)}
        wanted = _split(self.labels)
        return not wanted or not has or any(matches(part, has, path, line) for part in wanted)


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def matches(expression: str, names: Set[str], path: Path, line: int) -> bool:
    """Whether `a and (b or !c)` holds, a name being true when it is among `names`. Raises BadScript."""
    words = [word.lower() for word in _TOKEN.findall(expression)]
    position = 0

    def take(*expected: str) -> bool:
        nonlocal position
        if position < len(words) and words[position] in expected:
            position += 1
            return True
        return False

    def chain(word: str, inner: Callable[[], bool], together: Callable[[list[bool]], bool]) -> bool:
        found = [inner()]
        while take(word):
            found.append(inner())
        return together(found)

    def one() -> bool:
        nonlocal position
        if take("!", "not"):
            return not one()
        if take("("):
            inside = any_of()
            if not take(")"):
                raise ValueError
            return inside
        if position >= len(words) or words[position] in (")", "and", "or"):
            raise ValueError
        position += 1
        return words[position - 1].removeprefix("@") in names

    def all_of() -> bool:
        return chain("and", one, all)

    def any_of() -> bool:
        return chain("or", all_of, any)

    try:
        result = any_of()
    except (ValueError, RecursionError):
        position = -1
    if position != len(words):
        do = "Write it with names, and, or, not and parentheses."
        raise BadScript(path, line, f"can't read the expression {expression!r}", do) from None
    return result
