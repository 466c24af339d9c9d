"""Two columns kept the same in PostgreSQL: one trigger before each INSERT and UPDATE."""

from __future__ import annotations

from collections.abc import Collection

from stepwell.databases.columns import Column
from stepwell.databases.twins import Twins, Written, operand, placed

FUNCTION = """\
-- What a server writes into one side is on the other side before its statement ends.
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF {new_not_given} THEN  -- an old server
{forth6}
    ELSE
{back6}
    END IF;
  ELSIF {new_changed} THEN  -- a new server
{back4}
  ELSIF {old_changed} THEN
{forth4}
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table}
  FOR EACH ROW EXECUTE FUNCTION {name}();"""


def write(twins: Twins) -> Written:
    """The three points in PostgreSQL's SQL."""
    return Written(
        expand="\n".join([*(_add(twins, column) for column in twins.new), "", _function(twins)]),
        down="\n".join(
            [
                f"DROP TRIGGER {twins.name} ON {twins.table};",
                f"DROP FUNCTION {twins.name}();",
                *(f"ALTER TABLE {twins.table} DROP COLUMN {column.name};" for column in twins.new),
            ]
        ),
        contract=_contract(twins),
        transaction=twins.old.nullable,
        fill=",\n    ".join(f"{c.name} = {forth}" for c, forth in zip(twins.new, twins.forth, strict=True)),
        unfilled=" AND ".join([*(f"{c.name} IS NULL" for c in twins.new), f"{twins.old.name} IS NOT NULL"]),
        different=_different(twins),
    )


def comparing(type_: str) -> str:
    """numeric 1.0 and 1.00 are equal, and json has no equality at all: both compare as text."""
    return (
        "{}::text" if type_.split("(")[0].strip().lower() in ("numeric", "decimal", "json", "xml", "citext") else "{}"
    )


def converted(value: str, type_: str) -> str:
    return f"{value}::{type_}"


def split(value: str, mark: str, count: int) -> list[str]:
    if count == 2:
        place = f"strpos({value}, {mark})"
        rest = f"CASE WHEN {place} > 0 THEN substr({value}, {place} + length({mark})) END"
        return [f"split_part({value}, {mark}, 1)", rest]
    parts = f"string_to_array({value}, {mark})"
    middle = [f"({parts})[{number}]" for number in range(2, count)]
    last = f"CASE WHEN cardinality({parts}) >= {count} THEN array_to_string(({parts})[{count}:], {mark}) END"
    return [f"split_part({value}, {mark}, 1)", *middle, last]


def joined(values: Collection[str], mark: str) -> str:
    return f"CASE WHEN coalesce({', '.join(values)}) IS NOT NULL THEN concat_ws({mark}, {', '.join(values)}) END"


def _add(twins: Twins, column: Column) -> str:
    lines = [f"ALTER TABLE {twins.table} ADD COLUMN {column.name} {column.type};"]
    if column.default:
        # Said by itself it is for new rows alone: those that are there wait for the job.
        lines.append(f"ALTER TABLE {twins.table} ALTER COLUMN {column.name} SET DEFAULT {column.default};")
    return "\n".join(lines)


def _function(twins: Twins) -> str:
    old, new = twins.old, twins.new
    names = [old.name, *(c.name for c in new)]
    forth = [
        f"NEW.{c.name} := {placed(text, 'postgres', names, 'NEW')};" for c, text in zip(new, twins.forth, strict=True)
    ]
    back = [f"NEW.{old.name} := {placed(twins.back, 'postgres', names, 'NEW')};"]
    changed = [f"{c.compare.format('NEW.' + c.name)} IS DISTINCT FROM {c.compare.format('OLD.' + c.name)}" for c in new]
    if not twins.exact_forth:
        # The job fills in what the old side gives: that is no new value, and must not come back rounded.
        made = [
            f"{c.compare.format('NEW.' + c.name)} IS DISTINCT FROM "
            f"{c.compare.format(operand(placed(text, 'postgres', names, 'NEW')))}"
            for c, text in zip(new, twins.forth, strict=True)
        ]
        back = [f"IF {' OR '.join(made)} THEN", f"  {back[0]}", "END IF;"]
    compare = old.compare
    return FUNCTION.format(
        name=twins.name,
        table=twins.table,
        new_not_given=" AND ".join(
            f"NEW.{c.name} IS NOT DISTINCT FROM {c.default}" if c.default else f"NEW.{c.name} IS NULL" for c in new
        ),
        forth6=_indented(forth, 6),
        back6=_indented([f"NEW.{old.name} := {placed(twins.back, 'postgres', names, 'NEW')};"], 6),
        new_changed=" OR ".join(changed),
        back4=_indented(back, 4),
        old_changed=f"{compare.format('NEW.' + old.name)} IS DISTINCT FROM {compare.format('OLD.' + old.name)}",
        forth4=_indented(forth, 4),
    )


def _contract(twins: Twins) -> str:
    alter = f"ALTER TABLE {twins.table}"
    lines: list[str] = []
    if not twins.old.nullable:
        for column in twins.new if len(twins.new) == 1 else ():
            lines += [
                "-- NOT NULL, without reading the table under a lock.",
                f"{alter} ADD CONSTRAINT {twins.name}_set CHECK ({column.name} IS NOT NULL) NOT VALID;",
                f"{alter} VALIDATE CONSTRAINT {twins.name}_set;",
                f"{alter} ALTER COLUMN {column.name} SET NOT NULL;",
                f"{alter} DROP CONSTRAINT {twins.name}_set;",
                "",
            ]
        lines += [
            "-- Until it is gone, new servers leave it out.",
            f"{alter} ALTER COLUMN {twins.old.name} DROP NOT NULL;",
        ]
    return "\n".join(
        [
            *lines,
            f"DROP TRIGGER {twins.name} ON {twins.table};",
            f"DROP FUNCTION {twins.name}();",
            f"{alter} DROP COLUMN {twins.old.name};",
        ]
    )


def _different(twins: Twins) -> str:
    compare = twins.old.compare
    back = f"{compare.format(twins.old.name)} IS DISTINCT FROM {compare.format(operand(twins.back))}"
    if twins.exact_forth:
        return back
    pairs = zip(twins.new, twins.forth, strict=True)
    forth = [f"{c.compare.format(c.name)} IS DISTINCT FROM {c.compare.format(operand(text))}" for c, text in pairs]
    return f"({' OR '.join(forth)})\n  AND {back}"


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)
