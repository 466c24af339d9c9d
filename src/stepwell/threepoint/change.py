"""What a sentence comes to for a table as it is: the SQL of each point, or why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from stepwell.databases.columns import Column, Table
from stepwell.databases.lexing import Kind, tokens, unquote
from stepwell.databases.twins import Twins, Unfit, Written
from stepwell.errors import BadSentence, NoThreePoints, did_you_mean
from stepwell.threepoint.engines import USED, writer
from stepwell.threepoint.sentence import FORMS, Sentence
from stepwell.threepoint.widening import holds_all

_MORE = {
    "unique", "primary", "references", "check", "generated", "identity", "serial", "bigserial", "smallserial",
    "auto_increment", "autoincrement",
}  # fmt: skip
_STEADY = {"now", "current_timestamp", "current_date", "current_time", "localtimestamp", "curdate", "curtime"}
_TYPES = {"numeric", "decimal", "varchar", "char", "character", "varying", "cast", "timestamp", "time"}
_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one column. `stem` names its files; an empty text is a point that needs nothing.

    `shown` are the columns that the check shows, `notes` what a person has to know or to do.
    """

    sentence: Sentence
    stem: str
    table: str
    key: tuple[str, ...]
    written: Written
    shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def make(sentence: Sentence, table: Table | None, engine: str) -> Change:
    """The change that a sentence says. `table` may be None for `add` alone. Raises NoThreePoints, BadSentence."""
    if sentence.verb == "add":
        return _add(sentence, table, engine)
    assert table is not None, "only `add` can be written without the table"
    old = _column(table, sentence)
    try:
        if table.unfit:
            raise Unfit(table.unfit, "Write the scripts by hand.")
        if old.used_by:
            its = "\n".join(old.used_by)
            raise Unfit(
                f"{old.name} is part of more than its table, and what is made of it would be lost:\n{its}",
                "Make the same of the new column, or take it away, by scripts of your own; then ask again.",
            )
        return _drop(sentence, table, old, engine) if sentence.verb == "drop" else _twins(sentence, table, old, engine)
    except Unfit as unfit:
        raise NoThreePoints(_said(sentence), unfit.why, unfit.do) from None


def stem_of(*names: str) -> str:
    """The name of the change's files, of names as SQL spells them."""
    return _NAME.sub("_", "_".join(unquote(name).lower() for name in names)).strip("_")[:48].rstrip("_")


def _said(sentence: Sentence) -> str:
    news = f" to {', '.join(sentence.new)}" if sentence.new else ""
    return f"{sentence.verb} {sentence.table}.{sentence.column}{news}"


def _find(table: Table, name: str) -> Column | None:
    plain = unquote(name)
    found = table.columns.get(plain) or table.columns.get(plain.lower())
    return found or next((c for n, c in table.columns.items() if n.lower() == plain.lower()), None)


def _column(table: Table, sentence: Sentence) -> Column:
    found = _find(table, sentence.column)
    if found is None:
        hint = did_you_mean(unquote(sentence.column), table.columns)
        why = f"{sentence.table} has no column {sentence.column}{hint}"
        raise NoThreePoints(_said(sentence), why, f"Its columns are {', '.join(table.columns)}.")
    for name in sentence.new:
        if _find(table, name):
            raise NoThreePoints(
                _said(sentence),
                f"{sentence.table} has a column {name} already",
                "Choose another name, or finish what began it.",
            )
    return found


# --- two columns side by side ---------------------------------------------------------------------------------


def _twins(sentence: Sentence, table: Table, old: Column, engine: str) -> Change:
    if not table.key and engine != "clickhouse":
        raise Unfit(
            f"{table.name} has no primary key, so its rows can't be gone through in batches",
            "Give it one by a script of your own; then ask again.",
        )
    if not steady(old.default, engine):
        raise Unfit(
            f"its default is made anew for each row: {old.default}. A value that a server gave can't be told from it",
            "Let the application give the value, take the default away, and ask again.",
        )
    if engine == "sqlite" and _functions(old.default, engine):
        raise Unfit(f"SQLite adds no column whose default is {old.default}", "Build the table anew.")
    sides = _sides(sentence, table, old, engine)
    written = writer(engine).write(sides)
    if table.dated and written.fill:
        # The job is no change that anybody made: the dates stay.
        written = replace(written, fill=",\n    ".join([written.fill, *(f"{name} = {name}" for name in table.dated)]))
    news = ", ".join(f"{table.name}.{column.name}" for column in sides.new)
    notes = [f"{index} is on {table.name}.{old.name}: build one on {news} before new servers read by it"
             for index in old.indexes]  # fmt: skip
    if table.triggers and engine != "clickhouse":
        notes.append(f"{table.name} has triggers of its own ({', '.join(table.triggers)}): the job's UPDATE fires them")
    if engine == "clickhouse":
        notes.append(
            f"ClickHouse has no triggers: what an old server writes appears in {news} at once, but new servers must "
            f"write {table.name}.{old.name} as well, until the defaults are turned around when no old server runs. "
            f"The release after that leaves it out; then it is dropped"
        )
    return Change(
        sentence=sentence,
        stem=sides.name.removesuffix("_twin"),
        table=table.name,
        key=table.key,
        written=written,
        shown=(*table.key, old.name, *(column.name for column in sides.new)),
        notes=tuple(notes),
    )


def _sides(sentence: Sentence, table: Table, old: Column, engine: str) -> Twins:
    write = writer(engine)
    new, by, back = sentence.new, sentence.by, sentence.back
    plain = replace(old, used_by=(), indexes=())
    match sentence.verb:
        case "rename":
            columns: tuple[Column, ...] = (replace(plain, name=new[0]),)
            forth: tuple[str, ...] = (old.name,)
            back = new[0]
        case "change":
            type_ = sentence.definition
            name = new[0] if new else stem_of(old.name, type_.split("(")[0])
            if not new and _find(table, name):
                raise Unfit(f"{table.name} has a column {name} already", f"Name the new one: … to {type_} as {name}_2")
            if not by and not holds_all(old.type, type_, engine):
                raise Unfit(
                    f"{old.type} may hold values that are no {type_}: an old server's write could fail, or change",
                    f"Say how a value is converted, there and back, if you know that every one can be:\n"
                    f"change {table.name}.{old.name} to {type_} by 'EXPRESSION' back 'EXPRESSION'",
                )
            default = (
                write.converted(f"({old.default})", type_) if old.default and engine == "postgres" else old.default
            )
            columns = (replace(plain, name=name, type=type_, default=default, compare=write.comparing(type_)),)
            forth = (by or write.converted(old.name, type_),)
            back = back or write.converted(name, old.type)
        case _:
            if old.default:
                raise Unfit(
                    f"{old.name} has a default ({old.default}), and none of its parts would say the same",
                    "Take the default away by a script of your own; then ask again.",
                )
            forth, back = _cut(sentence, old, engine)
            columns = tuple(replace(plain, name=name) for name in new)
    return Twins(
        name=f"{stem_of(table.name, *(column.name for column in columns))}_twin",
        table=table.name,
        key=table.key,
        old=old,
        new=columns,
        forth=forth,
        back=back,
        exact_forth=not (sentence.verb == "change" and by),
        exact_back=sentence.verb == "rename",
    )


def _cut(sentence: Sentence, old: Column, engine: str) -> tuple[tuple[str, ...], str]:
    """How a value is split, and put together again: at a mark, or by an expression for each part."""
    parts = _at_commas(sentence.by, engine)
    if len(parts) == len(sentence.new) and all(parts):
        if not sentence.back:
            why = "`by` says how to split, and nothing how old servers find the parts together again"
            form = (
                "split users.name into users.first_name, users.last_name by 'EXPRESSION, EXPRESSION' back 'EXPRESSION'"
            )
            raise BadSentence(_said(sentence), why, "", (), [form])
        return tuple(parts), sentence.back
    if len(parts) != 1 and all(parts):
        why = f"{len(parts)} expressions for {len(sentence.new)} columns"
        raise BadSentence(_said(sentence), why, "", (), FORMS[4:5])
    mark = "'" + sentence.by.replace("'", "''") + "'"
    write = writer(engine)
    return tuple(write.split(old.name, mark, len(sentence.new))), sentence.back or write.joined(sentence.new, mark)


def _at_commas(text: str, engine: str) -> list[str]:
    parts, depth, start = list[str](), 0, 0
    for token in tokens(text, engine):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text == ",":
            parts.append(text[start : token.offset].strip())
            start = token.offset + 1
    return [*parts, text[start:].strip()]


# --- one column -----------------------------------------------------------------------------------------------


def _add(sentence: Sentence, table: Table | None, engine: str) -> Change:
    column, definition = sentence.column, sentence.definition
    said = f"add {sentence.table}.{column}"
    words = [t.text.lower() for t in tokens(definition, engine) if t.kind is Kind.WORD]
    if table and _find(table, column):
        raise NoThreePoints(said, f"{sentence.table} has a column {column} already", "Choose another name.")
    if more := _MORE.intersection(words):
        raise NoThreePoints(
            said,
            f"{min(more).upper()} is more than a column: it makes old servers' writes fail, or reads the whole table",
            "Add the plain column first, and the rest by a script of its own. `stepwell lint` tells the safe way.",
        )
    default = re.split(r"\bdefault\b", definition, maxsplit=1, flags=re.IGNORECASE)[1:]
    if "not" in words and "null" in words and not default:
        raise NoThreePoints(
            said,
            "NOT NULL without a default: an old server leaves the column out, and its INSERT is refused",
            f"Give it one: add {sentence.table}.{column} {definition} default …; or leave NOT NULL out.",
        )
    if default and (not steady(default[0], engine) or (engine == "sqlite" and _functions(default[0], engine))):
        raise NoThreePoints(
            said,
            f"a default that is made anew for each row, {default[0].strip()}: the whole table would be written at once",
            "Add it without a default, let servers write it, and fill it by a job.",
        )
    name = column
    return Change(
        sentence=sentence,
        stem=stem_of(sentence.table, column),
        table=sentence.table,
        key=(),
        written=Written(
            expand=f"ALTER TABLE {sentence.table} ADD COLUMN {name} {definition};",
            down=f"ALTER TABLE {sentence.table} DROP COLUMN {name};",
            contract="",
            different="",
        ),
        notes=("no job and no contract: old servers leave the column out, new ones find its default",),
    )


def _drop(sentence: Sentence, table: Table, old: Column, engine: str) -> Change:
    alter = f"ALTER TABLE {table.name}"
    expand = down = ""
    if not old.nullable and not old.default and engine != "clickhouse":
        if engine == "sqlite":
            raise Unfit(
                "it is NOT NULL without a default, and SQLite can't give it one: a new server's INSERT would fail",
                "Let the new release go on writing it, and drop it in a release after that, by a script of your own.",
            )
        if not sentence.definition:
            raise Unfit(
                "it is NOT NULL without a default: a new server leaves it out, and its INSERT is refused",
                f"Say what old servers shall read in new rows: drop {table.name}.{old.name} default …",
            )
        expand = f"{alter} ALTER COLUMN {old.name} SET DEFAULT {sentence.definition};"
        down = f"{alter} ALTER COLUMN {old.name} DROP DEFAULT;"
    # The engine's catalog has names as it keeps them; SQLite's is asked in small letters.
    plain = [_literal(unquote(name)) for name in (table.name.rpartition(".")[2], old.name)]
    named = plain if engine != "sqlite" else [name.lower() for name in plain]
    named = [_literal(table.name), named[1]] if engine == "postgres" else named
    different = USED[engine].strip().format(table=named[0], column=named[1])
    return Change(
        sentence=sentence,
        stem=f"{stem_of(table.name, old.name)}_unused",
        table=table.name,
        key=(),
        written=Written(expand=expand, down=down, contract=f"{alter} DROP COLUMN {old.name};", different=different),
        notes=tuple(
            f"{index} must go first, by a script of your own: the check does not hold before" for index in old.indexes
        ),
    )


def _literal(name: str) -> str:
    return name.replace("'", "''")


# --- defaults -------------------------------------------------------------------------------------------------


def steady(default: str, engine: str) -> bool:
    """Whether a default is the same for all rows that one statement writes."""
    return _functions(default, engine) <= _STEADY


def _functions(text: str, engine: str) -> set[str]:
    """The functions that an expression calls, with or without parentheses."""
    found = [token for token in tokens(text, engine) if not token.silent]
    called = {
        token.text.lower()
        for token, after in pairwise(found)
        if token.kind is Kind.WORD and after.text == "(" and token.text.lower() not in _TYPES
    }
    return called | ({token.text.lower() for token in found} & _STEADY)
