"""Properties of a changelog: `${name}` in what follows them. The first definition of a name holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepwell.errors import BadScript, did_you_mean
from stepwell.scripts.formats.liquibase.choice import Choice

_KEYS = ("name", "value", "context", "contextFilter", "labels", "dbms", "global")


@dataclass(slots=True)
class Properties:
    """All that is defined so far: for every file, and for single ones (`global:false`)."""

    choice: Choice
    shared: dict[str, str] = field(default_factory=dict)
    own: dict[Path, dict[str, str]] = field(default_factory=dict)

    def define(self, said: Mapping[str, str], path: Path, line: int) -> None:
        """Take a definition that is meant for this run. Raises BadScript."""
        for key in said:
            if key not in _KEYS:
                what = f"unknown attribute {key!r} of a property{did_you_mean(key, _KEYS)}"
                raise BadScript(path, line, what, f"Stepwell knows {', '.join(_KEYS)}.")
        if "name" not in said or "value" not in said:
            raise BadScript(path, line, "a property without name and value", "Write `--property name:a value:b`.")
        context = said.get("contextFilter", said.get("context", ""))
        if self.choice.takes(said.get("dbms", ""), context, said.get("labels", ""), path, line):
            place = self.own.setdefault(path, {}) if said.get("global", "true").lower() == "false" else self.shared
            place.setdefault(said["name"], said["value"])

    def now(self, path: Path) -> dict[str, str]:
        """The values that hold at this point of a file."""
        return {**self.shared, **self.own.get(path, {})}
