"""What a connection holds between the statements of a journalled script: keys made last, variables, temporary tables.

It ends with the connection, so an interrupted script goes on without it. What can be had again by sending a statement
again is; a statement that needs anything else is not sent, for it would write other rows than it would have. What tells
of the statement just before would tell of the journal, so the two are sent with nothing in between, and recorded
behind both, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from stepwell.databases import held
from stepwell.databases.database import Conduct, Database
from stepwell.databases.held import NOTHING, Held, Own
from stepwell.scripts.script import Statement

IN_ONE = (Conduct.TRANSACTIONAL, Conduct.SESSION)
"""The conducts that can be part of a transaction of several statements."""


class Reader:
    """Reads a script's statements one after another: what a temporary table is, only those before one tell."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._temporary: frozenset[str] = frozenset()

    def read(self, text: str) -> Held:
        found = held.held(self._engine, text, self._temporary)
        if found.own is Own.MAKES:
            self._temporary |= found.gives
        elif found.own is Own.ENDS:
            self._temporary -= found.gives
        return found


def read(engine: str, statements: Sequence[Statement]) -> list[Held]:
    """What each statement of a script needs of the connection, and gives it."""
    reader = Reader(engine)
    return [reader.read(statement.text) for statement in statements]


def groups(engine: str, helds: Sequence[Held], conducts: Sequence[Conduct], done: Set[int]) -> Iterator[range]:
    """The statements, as ranges of indexes from 0: those of a range are one transaction, sent in one go.

    A statement that needs the key that was made last belongs to the one that made it, if nothing between the two
    stands by itself; one that needs to know of the statement just before belongs to that.
    """
    key = held.key_of(engine) if any(one.needs or one.just_before for one in helds) else ""
    joined = [False] * len(helds)
    for index, one in enumerate(helds):
        first = index
        if key in one.needs:
            first = next((before for before in range(index - 1, -1, -1) if key in helds[before].gives), index)
        if one.just_before:
            first = min(first, index - 1)
        members = range(first, index + 1)
        if first >= 0 and all(conducts[at] in IN_ONE and at + 1 not in done for at in members):
            joined[first + 1 : index + 1] = [True] * (index - first)
    start = 0
    for index in range(1, len(helds) + 1):
        if index == len(helds) or not joined[index]:
            yield range(start, index)
            start = index


def alone(helds: Sequence[Held], conducts: Sequence[Conduct]) -> int | None:
    """The first statement, as an index from 0, that needs to know of one that can't be in a transaction with it."""
    for index, one in enumerate(helds):
        if one.just_before and not (index and conducts[index] in IN_ONE and conducts[index - 1] in IN_ONE):
            return index
    return None


def separable(
    engine: str, statements: Sequence[Statement], conducts: Sequence[Conduct]
) -> Iterator[tuple[Statement, str]]:
    """The statements that an interruption may part from what they need, and that in words."""
    helds = read(engine, statements)
    group_of = {at: group for group in groups(engine, helds, conducts, frozenset()) for at in group}
    givers: dict[str, int] = {}
    for at, one in enumerate(helds):
        apart = {name: giver for name in one.needs if (giver := givers.get(name)) is not None}
        lasts = [
            name
            for name, giver in apart.items()
            if giver not in group_of[at] and _lost(helds, conducts, group_of[at].start, giver, held.key_of(engine))
        ]
        if lasts and conducts[at] is not Conduct.SESSION:
            yield statements[at], ", ".join(f"{name} of statement {apart[name] + 1}" for name in sorted(lasts))
        givers |= dict.fromkeys(one.gives, at)


def _lost(helds: Sequence[Held], conducts: Sequence[Conduct], start: int, giver: int, key: str) -> bool:
    """Whether what a statement gave can't be had again by sending it again, once all before `start` are done."""
    again = conducts[giver] is Conduct.SESSION or helds[giver].own is not None
    behind = range(giver + 1, start)
    changed = any(conducts[at] is not Conduct.SESSION and helds[at].own is None for at in behind)
    of_another = key in helds[giver].needs or helds[giver].just_before
    return not again or bool(of_another) or (helds[giver].computed and changed)


@dataclass(slots=True)
class Memory:
    """What the connection of an earlier run held and ours does not: name -> the statement that gave it its value.

    Statements count from 1. `changed` are those that an earlier run did, but for those of temporary tables.
    """

    database: Database
    changed: Set[int]
    gone: dict[str, int] = field(default_factory=dict)
    _passed: int = 0
    _key: object = None

    def passed(self, position: int, found: Held) -> None:
        """A statement that an earlier run did, and that is not sent again."""
        self.gone |= dict.fromkeys(found.gives, position)
        self._passed = position
        if self._own_key in found.gives:
            self._key = self._ask(found)

    def lacking(self, position: int, found: Held) -> dict[str, int]:
        """What a statement needs and our connection does not hold, with the statements that gave it."""
        lacks = {name: self.gone[name] for name in sorted(found.needs) if name in self.gone}
        # What a statement inserts into need not have keys: that one was made since is seen by its being another.
        if self._own_key in lacks and self._ask(found) != self._key:
            del lacks[self._own_key]
        if self._passed == position - 1:
            lacks |= dict.fromkeys(sorted(found.just_before), self._passed)
        return lacks

    def is_sent(self, position: int, found: Held) -> bool:
        """Whether to send one that changes only the connection; where what it gives could be another, that is gone."""
        lacks = self.lacking(position, found)
        if found.own in (Own.FILLS, Own.ENDS):
            lacks |= {name: self.gone[name] for name in found.gives if name in self.gone}
        again = found.computed and any(later > position for later in self.changed)
        if found.gives and (lacks or again):
            self.gone |= dict.fromkeys(found.gives, position)
            return False
        return True

    def sent(self, found: Held) -> None:
        """A statement that our connection ran: what it gives is there."""
        for name in found.gives:
            if name != self._own_key or not held.asks(self.database.engine, NOTHING):
                self.gone.pop(name, None)

    @property
    def _own_key(self) -> str:
        return held.key_of(self.database.engine)

    def _ask(self, found: Held) -> object:
        query = held.asks(self.database.engine, found)
        return self.database.query(query) if query else self._key
