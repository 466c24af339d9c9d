"""What became of a statement, told from two looks at the objects it names: before it ran, and now.

Pure: nothing here asks the server. Each function takes the statement's objects and both looks, and says DONE,
NOT_DONE or UNKNOWN and why. A statement done in part (the server is atomic for one object, not for a list) comes
with the statements that finish it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stepwell.databases.database import Outcome
from stepwell.databases.mysql.definitions import Look, Looks
from stepwell.databases.mysql.statement import Act, Object, Statement


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome that holds once the statements in `rest` have run too, and the reason for it."""

    outcome: Outcome
    reason: str
    rest: tuple[str, ...] = ()


def judge(statement: Statement, before: Looks, now: Looks) -> Verdict:
    """Compare the two looks at a VISIBLE statement's objects."""
    assert statement.act is not None  # every VISIBLE statement has one
    if before.keys() != now.keys():
        return _unknown("what was recorded before it ran is about other objects")
    return _JUDGES[statement.act](statement.objects, before, now)


def _done(reason: str, rest: Sequence[str] = ()) -> Verdict:
    return Verdict(Outcome.DONE, reason, tuple(rest))


def _not_done(reason: str) -> Verdict:
    return Verdict(Outcome.NOT_DONE, reason)


def _unknown(reason: str) -> Verdict:
    return Verdict(Outcome.UNKNOWN, reason)


def _created(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    named = objects[0]
    was, seen = before[str(named)], now[str(named)]
    if not seen.present:
        return _unknown(f"{named} was there and is gone now") if was.present else _not_done(f"{named} is absent")
    if was.present:
        return _not_done(f"{named} was there before it ran, so it could not make it")
    return _done(f"{named} was absent before and is there now")


def _replaced(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    named = objects[0]
    was, seen = before[str(named)], now[str(named)]
    if not (was.present and seen.present):
        return _created(objects, before, now)
    return _by_storage(named, was, seen, f"{named} is a new one")


def _dropped(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    for named in objects:
        was, seen = before[str(named)], now[str(named)]
        if seen.present and seen != was:
            return _unknown(f"{named} is there, but it is not the one that was there before")
    there = [named for named in objects if before[str(named)].present]
    left = [named for named in there if now[str(named)].present]
    if not there:
        return _not_done(f"{_listed(objects)} absent before and now")
    if left == there:
        return _not_done(f"{_listed(left)} still there")
    if left:
        rest = [f"DROP {named.kind} {named.name}" for named in left]
        return _done(f"some were gone; {_listed(left)} dropped now", rest)
    return _done(f"{_listed(there)} gone")


def _changed(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    named, new = objects[0], objects[-1]
    was, seen = before[str(named)], now[str(named)]
    if not was.present and not seen.present:
        return _not_done(f"{named} is absent")
    if seen == was:
        return _not_done(f"the definition of {named} is as before")
    if new != named and not seen.present and now[str(new)].present and not before[str(new)].present:
        return _done(f"{named} is {new.name} now")
    if was.present and seen.present:
        return _done(f"the definition of {named} has changed")
    return _unknown(f"{named} was {_presence(was)} before and is {_presence(seen)} now")


def _renamed(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    """Replay the pairs one by one: which number of them leads from what was there to what is there?"""
    pairs = list(zip(objects[::2], objects[1::2], strict=True))
    state = dict(before)
    reached = [0] if _alike(state, now) else []
    for count, (old, new) in enumerate(pairs, 1):
        if not state[str(old)].present or state[str(new)].present:
            break  # the server refuses this pair
        state[str(old)], state[str(new)] = state[str(new)], state[str(old)]
        if _alike(state, now):
            reached.append(count)
    exact = all(seen.ids for seen in [*before.values(), *now.values()] if seen.present)
    if not reached:
        return _unknown(f"no number of its pairs leads to what is there now: {_state(now)}")
    if len(reached) > 1 and not exact:
        return _unknown(f"the tables are too alike to tell whether they were swapped: {_state(now)}")
    count = reached[-1]  # where several lead to the very same tables, the rest of each leads to the same end
    if count == 0:
        return _not_done("all names are as before")
    if count == len(pairs):
        return _done(f"{_listed([new for _, new in pairs])} renamed")
    rest = [f"RENAME {old.kind} {old.name} TO {new.name}" for old, new in pairs[count:]]
    return _done(f"{count} of {len(pairs)} pairs were renamed; the others are now", rest)


def _emptied(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    named = objects[0]
    was, seen = before[str(named)], now[str(named)]
    if not seen.present:
        return _unknown(f"{named} is gone") if was.present else _not_done(f"{named} is absent")
    if not seen.rows and (was.rows or not seen.ids):
        return _done(f"{named} is empty")
    return _by_storage(named, was, seen, f"{named} was emptied (its storage is a new one)")


def _exchanged(objects: Sequence[Object], before: Looks, now: Looks) -> Verdict:
    other = objects[-1]
    was, seen = before[str(other)], now[str(other)]
    return _by_storage(other, was, seen, f"{other} holds the partition's storage now")


_JUDGES: dict[Act, Callable[[Sequence[Object], Looks, Looks], Verdict]] = {
    Act.CREATE: _created,
    Act.REPLACE: _replaced,
    Act.DROP: _dropped,
    Act.CHANGE: _changed,
    Act.RENAME: _renamed,
    Act.EMPTY: _emptied,
    Act.EXCHANGE: _exchanged,
}


def _by_storage(named: Object, was: Look, seen: Look, done: str) -> Verdict:
    if not (was.ids and seen.ids):
        return _unknown(f"the number of {named}'s storage can't be read: it needs InnoDB, and the PROCESS privilege")
    return _done(done) if was.ids != seen.ids else _not_done(f"the storage of {named} is as before")


def _alike(state: Looks, now: Looks) -> bool:
    return all(_same(look, now[label]) for label, look in state.items())


def _same(one: Look, other: Look) -> bool:
    """Whether two looks are at the same object, be it by another name."""
    if one.ids and other.ids:
        return one.ids == other.ids
    return one.definition == other.definition


def _listed(objects: Sequence[Object]) -> str:
    return ", ".join(map(str, objects))


def _presence(look: Look) -> str:
    return "present" if look.present else "absent"


def _state(now: Looks) -> str:
    return ", ".join(f"{label} {_presence(look)}" for label, look in now.items())
