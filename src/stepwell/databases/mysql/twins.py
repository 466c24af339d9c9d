"""Two columns kept the same in MySQL and MariaDB: a trigger before each INSERT, another before each UPDATE."""

from __future__ import annotations

from collections.abc import Collection

from stepwell.databases.mysql.columns import comparing as comparing_data
from stepwell.databases.twins import Twins, Written, placed

TRIGGERS = """\
-- What a server writes into one side is on the other side before its statement ends.
CREATE TRIGGER {name}_update BEFORE UPDATE ON {table} FOR EACH ROW
BEGIN
  IF {new_changed} THEN -- a new server
{back}
  ELSEIF {old_changed} THEN
{forth}
  END IF;
END;

CREATE TRIGGER {name}_insert BEFORE INSERT ON {table} FOR EACH ROW
BEGIN
  IF {new_not_given} THEN -- an old server
{forth}
  ELSE
{always_back}
  END IF;
END;"""
ONLINE = "ALGORITHM=INPLACE, LOCK=NONE"


def write(twins: Twins) -> Written:
    """The three points in MySQL's SQL."""
    adds = []
    for column in twins.new:
        adds.append(f"ALTER TABLE {twins.table} ADD COLUMN {column.name} {column.type} NULL;")
        if column.default:
            # Said by itself it is for new rows alone: those that are there wait for the job.
            adds.append(f"ALTER TABLE {twins.table} ALTER COLUMN {column.name} SET DEFAULT {column.default};")
    drops = [f"DROP TRIGGER {twins.name}_insert;", f"DROP TRIGGER {twins.name}_update;"]
    return Written(
        expand="\n".join([*adds, "", _triggers(twins)]),
        down="\n".join([*drops, *(f"ALTER TABLE {twins.table} DROP COLUMN {c.name};" for c in twins.new)]),
        contract=_contract(twins, drops),
        fill=",\n    ".join(f"{c.name} = {forth}" for c, forth in zip(twins.new, twins.forth, strict=True)),
        # An old server's rows from between two statements of the script, too: one may have got the new default.
        unfilled=_different(twins),
        different=_different(twins),
    )


def comparing(type_: str) -> str:
    return comparing_data(type_.split("(")[0].split()[0].lower())


def converted(value: str, type_: str) -> str:
    """CAST knows other names of types than columns have; what else is converted as it is assigned is left as it is."""
    name = type_.split("(")[0].split()[0].lower()
    if name in ("decimal", "numeric", "dec"):
        return f"CAST({value} AS DECIMAL{type_[len(name) :]})"
    if comparing(type_) != "{}":
        return f"CAST({value} AS CHAR)"
    if name in ("tinyint", "smallint", "mediumint", "int", "integer", "bigint"):
        return f"ROUND({value})"
    return value


def split(value: str, mark: str, count: int) -> list[str]:
    found = []
    for number in range(1, count + 1):
        before = f"CHAR_LENGTH(SUBSTRING_INDEX({value}, {mark}, {number - 1}))"
        rest = value if number == 1 else f"SUBSTRING({value}, {before} + 1 + CHAR_LENGTH({mark}))"
        part = f"SUBSTRING_INDEX({rest}, {mark}, 1)" if number < count else rest
        found.append(part if number == 1 else f"IF({before} < CHAR_LENGTH({value}), {part}, NULL)")
    return found


def joined(values: Collection[str], mark: str) -> str:
    return f"IF(COALESCE({', '.join(values)}) IS NULL, NULL, CONCAT_WS({mark}, {', '.join(values)}))"


def _triggers(twins: Twins) -> str:
    old, new = twins.old, twins.new
    names = [old.name, *(c.name for c in new)]

    def row(expression: str) -> str:
        return placed(expression, "mysql", names, "NEW")

    forth = [f"    SET NEW.{c.name} = {row(text)};" for c, text in zip(new, twins.forth, strict=True)]
    back = [f"    SET NEW.{old.name} = {row(twins.back)};"]
    guarded = back
    if not twins.exact_forth:
        # The job fills in what the old side gives: that is no new value, and must not come back rounded.
        made = [
            f"NOT ({c.compare.format('NEW.' + c.name)} <=> {c.compare.format(row(text))})"
            for c, text in zip(new, twins.forth, strict=True)
        ]
        guarded = [f"    IF {' OR '.join(made)} THEN", f"  {back[0]}", "    END IF;"]
    return TRIGGERS.format(
        name=twins.name,
        table=twins.table,
        new_not_given=" AND ".join(
            f"{c.compare.format('NEW.' + c.name)} <=> {c.compare.format(c.default)}"
            if c.default
            else f"NEW.{c.name} IS NULL"
            for c in new
        ),
        forth="\n".join(forth),
        always_back="\n".join(back),
        back="\n".join(guarded),
        new_changed=" OR ".join(
            f"NOT ({c.compare.format('NEW.' + c.name)} <=> {c.compare.format('OLD.' + c.name)})" for c in new
        ),
        old_changed=f"NOT ({old.compare.format('NEW.' + old.name)} <=> {old.compare.format('OLD.' + old.name)})",
    )


def _contract(twins: Twins, drops: list[str]) -> str:
    alter, old = f"ALTER TABLE {twins.table}", twins.old
    lines: list[str] = []
    if not old.nullable:
        (column, *more) = twins.new
        default = f" DEFAULT {column.default}" if column.default else ""
        # Without its NOT NULL the old column may be left out once the triggers are gone.
        required = [] if more else [f"  MODIFY {column.name} {column.type} NOT NULL{default},"]
        lines = [alter, *required, f"  MODIFY {old.name} {old.type} NULL,", f"  {ONLINE};", ""]
    return "\n".join([*lines, *drops, f"{alter} DROP COLUMN {old.name};"])


def _different(twins: Twins) -> str:
    compare = twins.old.compare
    back = f"NOT ({compare.format(twins.old.name)} <=> {compare.format(twins.back)})"
    if twins.exact_forth:
        return back
    pairs = zip(twins.new, twins.forth, strict=True)
    forth = [f"NOT ({c.compare.format(c.name)} <=> {c.compare.format(text)})" for c, text in pairs]
    return f"({' OR '.join(forth)})\n  AND {back}"
