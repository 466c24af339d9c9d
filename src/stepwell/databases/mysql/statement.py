"""What there is to know of a statement: how it behaves when its sender dies, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stepwell.databases.database import Conduct


class Act(Enum):
    """What a statement does to the objects it names."""

    CREATE = "makes them"
    REPLACE = "makes them anew"
    DROP = "takes them away"
    CHANGE = "changes the first; a second is its new name"
    RENAME = "renames them, pair after pair"
    EMPTY = "takes all rows, of the table or of some partitions"
    EXCHANGE = "swaps a partition of the first with the second"


@dataclass(frozen=True, slots=True)
class Object:
    """Something with a definition. `kind` is the word behind CREATE, `name` ready to stand in a statement."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Statement:
    """Names of tables are ready to stand in a statement.

    `writes` are the tables whose rows it changes, `made` the table it makes (`temporary`: for this connection
    alone), `settings` the variables of the session that it sets. `locks`: it leaves whole tables locked.
    """

    conduct: Conduct
    act: Act | None = None
    objects: tuple[Object, ...] = ()
    writes: tuple[str, ...] = ()
    made: str = ""
    temporary: bool = False
    settings: tuple[str, ...] = ()
    locks: bool = False

    @property
    def renamed(self) -> list[str]:
        """The tables that get another name."""
        if self.act is Act.CHANGE and len(self.objects) == 1:
            return []
        moved = self.objects[::2] if self.act in (Act.RENAME, Act.CHANGE) else ()
        return [named.name for named in moved if named.kind == "TABLE"]


SESSION = Statement(Conduct.SESSION)
REPEATABLE = Statement(Conduct.REPEATABLE)
OPAQUE = Statement(Conduct.OPAQUE)
LOCKS = Statement(Conduct.REPEATABLE, locks=True)  # REPEATABLE, for it would end an open transaction
