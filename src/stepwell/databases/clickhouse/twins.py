"""A column beside another in ClickHouse, which has no triggers: a default carries the old servers' values over.

A default of each by the other is refused there (CYCLIC_ALIASES), so a new server must write both as long as old ones
run. Then the default is turned around, and the next release may leave the old column out before it is dropped.
"""

from __future__ import annotations

from collections.abc import Collection

from stepwell.databases.twins import Twins, Written


def write(twins: Twins) -> Written:
    """The points in ClickHouse's SQL: one more than elsewhere, at which the default turns around."""
    alter = f"ALTER TABLE {twins.table}"
    pairs = list(zip(twins.new, twins.forth, strict=True))
    return Written(
        expand="\n".join(f"{alter} ADD COLUMN {c.name} {c.type} DEFAULT {text};" for c, text in pairs),
        down="\n".join(f"{alter} DROP COLUMN {c.name};" for c in twins.new),
        settle="\n".join(f"{alter} MATERIALIZE COLUMN {c.name};" for c in twins.new),
        turn="\n".join(
            [
                *(f"{alter} MODIFY COLUMN {c.name} REMOVE DEFAULT;" for c in twins.new),
                *(f"{alter} MODIFY COLUMN {c.name} DEFAULT {c.default};" for c in twins.new if c.default),
                f"{alter} MODIFY COLUMN {twins.old.name} DEFAULT {twins.back};",
            ]
        ),
        contract=f"{alter} DROP COLUMN {twins.old.name};",
        different=_different(twins),
    )


def comparing(type_: str) -> str:
    return "{}"


def converted(value: str, type_: str) -> str:
    return f"CAST({value} AS {type_})"


def split(value: str, mark: str, count: int) -> list[str]:
    parts = f"splitByString({mark}, {value})"
    middle = [f"arrayElement({parts}, {number})" for number in range(1, count)]
    return [*middle, f"arrayStringConcat(arraySlice({parts}, {count}), {mark})"]


def joined(values: Collection[str], mark: str) -> str:
    first, *more = values
    rest = ", ".join(f"if({value} = '', '', {mark} || {value})" for value in more)
    return f"concat({first}, {rest})"


def _different(twins: Twins) -> str:
    back = f"{twins.old.name} IS DISTINCT FROM {twins.back}"
    if twins.exact_forth:
        return back
    pairs = zip(twins.new, twins.forth, strict=True)
    forth = [f"{c.name} IS DISTINCT FROM {text}" for c, text in pairs]
    return f"({' OR '.join(forth)})\n  AND {back}"
