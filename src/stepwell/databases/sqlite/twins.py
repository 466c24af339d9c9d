"""Two columns kept the same in SQLite, whose triggers can't change a row before it is written, only after."""

from __future__ import annotations

from collections.abc import Collection

from stepwell.databases.twins import Twins, Unfit, Written, operand, placed

TRIGGERS = """\
-- What a server writes into one side is on the other side before its statement ends.
CREATE TRIGGER {name}_insert_old AFTER INSERT ON {table}
WHEN {new_not_given}
BEGIN
  UPDATE {table} SET {forth} WHERE {row};
END;

CREATE TRIGGER {name}_insert_new AFTER INSERT ON {table}
WHEN NOT ({new_not_given})
BEGIN
  UPDATE {table} SET {back} WHERE {row};
END;

CREATE TRIGGER {name}_update_old AFTER UPDATE OF {old} ON {table}
WHEN {old_changed}
  AND NOT ({new_changed}){old_differs}
BEGIN
  UPDATE {table} SET {forth} WHERE {row};
END;

CREATE TRIGGER {name}_update_new AFTER UPDATE OF {news} ON {table}
WHEN ({new_changed}){new_differs}
BEGIN
  UPDATE {table} SET {back} WHERE {row};
END;"""


def write(twins: Twins) -> Written:
    """The three points in SQLite's SQL. Raises Unfit."""
    if not twins.old.nullable and not twins.old.default:
        raise Unfit(
            f"{twins.old.name} is NOT NULL without a default, and SQLite has no trigger that could fill it for a "
            "server that leaves it out",
            "Let the new release write both columns, and add the new one by a script of your own; or build the table "
            "anew with a default first.",
        )
    if twins.old.default and not twins.exact_back:
        raise Unfit(
            f"{twins.old.name} has a default, and SQLite gives a new column's default to the rows that are there: "
            "nothing would tell those that were converted from the others",
            "Build the table anew without the default first.",
        )
    drops = [f"DROP TRIGGER {twins.name}_{when};" for when in ("insert_old", "insert_new", "update_old", "update_new")]
    adds = [
        f"ALTER TABLE {twins.table} ADD COLUMN {c.name} {c.type}{f' DEFAULT {c.default}' if c.default else ''};"
        for c in twins.new
    ]
    nulls = " AND ".join([*(f"{c.name} IS NULL" for c in twins.new), f"{twins.old.name} IS NOT NULL"])
    return Written(
        expand="\n".join([*adds, "", _triggers(twins)]),
        down="\n".join([*drops, *(f"ALTER TABLE {twins.table} DROP COLUMN {c.name};" for c in twins.new)]),
        contract="\n".join([*drops, f"ALTER TABLE {twins.table} DROP COLUMN {twins.old.name};"]),
        fill=",\n    ".join(f"{c.name} = {forth}" for c, forth in zip(twins.new, twins.forth, strict=True)),
        unfilled=_forth_differs(twins, "") if twins.old.default else nulls,
        different=_different(twins),
    )


def comparing(type_: str) -> str:
    return "{}"


def converted(value: str, type_: str) -> str:
    return f"CAST({value} AS {type_})"


def split(value: str, mark: str, count: int) -> list[str]:
    found, rest = [], value
    for _ in range(1, count):
        place = f"instr({rest}, {mark})"
        found.append(f"CASE WHEN {place} > 0 THEN substr({rest}, 1, {place} - 1) ELSE {rest} END")
        rest = f"CASE WHEN {place} > 0 THEN substr({rest}, {place} + length({mark})) END"
        rest = rest if count == 2 else f"({rest})"
    return [*found, rest]


def joined(values: Collection[str], mark: str) -> str:
    first, *more = values
    tail = "".join(f" || coalesce({mark} || {value}, '')" for value in more)
    missing = " AND ".join(f"{value} IS NULL" for value in values)
    return f"CASE WHEN NOT ({missing}) THEN coalesce({first}, ''){tail} END"


def _triggers(twins: Twins) -> str:
    old, new = twins.old, twins.new
    names = [old.name, *(c.name for c in new)]

    def changed(name: str, compare: str) -> str:
        return f"{compare.format('NEW.' + name)} IS NOT {compare.format('OLD.' + name)}"

    back = placed(twins.back, "sqlite", names, "NEW")
    forth = [placed(text, "sqlite", names, "NEW") for text in twins.forth]
    return TRIGGERS.format(
        name=twins.name,
        table=twins.table,
        old=old.name,
        news=", ".join(c.name for c in new),
        row=" AND ".join(f"{column} = NEW.{column}" for column in twins.key),
        forth=", ".join(f"{c.name} = {text}" for c, text in zip(new, forth, strict=True)),
        back=f"{old.name} = {back}",
        new_not_given=" AND ".join(f"NEW.{c.name} IS {c.default or 'NULL'}" for c in new),
        old_changed=changed(old.name, old.compare),
        new_changed=" OR ".join(changed(c.name, c.compare) for c in new),
        # A trigger's own UPDATE fires the other one: what comes back rounded must not go there again.
        old_differs=""
        if twins.exact_back
        else f"\n  AND {old.compare.format('NEW.' + old.name)} IS NOT {old.compare.format(operand(back))}",
        new_differs="" if twins.exact_forth else f"\n  AND ({_forth_differs(twins, 'NEW')})",
    )


def _forth_differs(twins: Twins, row: str) -> str:
    names = [twins.old.name, *(c.name for c in twins.new)]
    found = []
    for column, text in zip(twins.new, twins.forth, strict=True):
        expression = operand(placed(text, "sqlite", names, row) if row else text)
        name = f"{row}.{column.name}" if row else column.name
        found.append(f"{column.compare.format(name)} IS NOT {column.compare.format(expression)}")
    return " OR ".join(found)


def _different(twins: Twins) -> str:
    compare = twins.old.compare
    back = f"{compare.format(twins.old.name)} IS NOT {compare.format(operand(twins.back))}"
    return back if twins.exact_forth else f"({_forth_differs(twins, '')})\n  AND {back}"
