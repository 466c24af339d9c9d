"""What `stepwell lint` finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell.safety.lint.rule import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark of a rule with the place it is about. `what` happens to a running system; `do` is the safe way."""

    rule: str
    level: Level
    path: Path
    line: int
    reference: str
    what: str
    do: str

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "level": self.level.value,
            "path": str(self.path),
            "line": self.line,
            "step": self.reference,
            "what": self.what,
            "do": self.do,
        }
