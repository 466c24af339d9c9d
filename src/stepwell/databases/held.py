"""What a statement has to do with what its connection holds, and no other connection does, told from its text.

Names are spelled as in SQL: `LAST_INSERT_ID()`, `@total`, `tmp`. What a function or a trigger reads inside is not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from stepwell.databases.lexing import Kind, Unterminated, tokens, unquote


class Own(Enum):
    """What a statement does to a temporary table, and to nothing else."""

    MAKES = "makes it anew"
    FILLS = "changes it, or its rows"
    ENDS = "takes it away"


@dataclass(frozen=True, slots=True)
class Held:
    """What a statement needs of the connection, and gives it.

    `just_before` is what it needs that tells of the statement just before it, such as `ROW_COUNT()`. `computed`: what
    it gives comes from rows, the clock or chance, so that sent again it may be something else. `own` is set where it
    changes nothing but a temporary table.
    """

    needs: frozenset[str] = frozenset()
    just_before: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()
    computed: bool = False
    own: Own | None = None


NOTHING = Held()


@dataclass(frozen=True, slots=True)
class _Engine:
    """How an engine's statements name what the connection holds; the patterns are for texts without strings.

    `key` is the key that was made last, `reads_key` and `gives_key` find who reads it and who may make one, `ask` is
    the query for it: empty where the server itself refuses to tell of none; `quiet`: asking changes nothing that tells
    of the statement just before. `given` and `needed` find names in their groups, `temporary` the table that is made.
    """

    key: str
    reads_key: re.Pattern[str]
    gives_key: re.Pattern[str]
    just_before: re.Pattern[str]
    given: re.Pattern[str]
    needed: re.Pattern[str]
    temporary: re.Pattern[str]
    ask: str = ""
    quiet: bool = True


def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_INSERTS = r"\A\W*(?:INSERT|REPLACE|LOAD|COPY|WITH\b.*?\bINSERT)\b"
_NEVER = re.compile(r"(?!)")
_VARIABLE = _compiled(r"(?<![@\w])(@[\w.$]+)")
_ASSIGNED = _compiled(r"(?<![@\w])(@[\w.$]+) ?:=")
_SET = _compiled(r"(?:\ASET |, ?)(@[\w.$]+) ?=")
_INTO = _compiled(r"\bINTO ((?:@[\w.$]+(?: ?, ?)?)+)")
_CALLS = _compiled(r"CALL\b")
_PREPARED = _compiled(r"PREPARE (\w+) FROM ")
_EXECUTED = _compiled(r"EXECUTE (?!IMMEDIATE)(\w+)")
_COPIES = _compiled(r"\b(?:SELECT|LIKE|EXECUTE)\b")
_NAME = r"(?P<name>[\w$]+)"
_MADE = rf"(?:IF NOT EXISTS )?(?:(?:temp|pg_temp) ?\. ?)?{_NAME}"

ENGINES = {
    "mysql": _Engine(
        key="LAST_INSERT_ID()",
        reads_key=_compiled(r"\bLAST_INSERT_ID ?\( ?\)|@@(?:SESSION ?\. ?)?(?:IDENTITY|LAST_INSERT_ID)\b"),
        gives_key=_compiled(rf"{_INSERTS}|\bLAST_INSERT_ID ?\( ?[^) ]"),
        just_before=_compiled(
            r"\b(ROW_COUNT|FOUND_ROWS) ?\(|(@@(?:SESSION ?\. ?)?(?:WARNING|ERROR)_COUNT)|(\bDIAGNOSTICS)\b"
        ),
        given=_NEVER,
        needed=_VARIABLE,
        temporary=_compiled(rf"\ACREATE (?:OR REPLACE )?TEMPORARY TABLE {_MADE}"),
        ask="SELECT LAST_INSERT_ID()",
        quiet=False,
    ),
    "postgres": _Engine(
        key="lastval()",
        reads_key=_compiled(r"\b(?:lastval|currval) ?\("),
        gives_key=_compiled(rf"{_INSERTS}|\b(?:nextval|setval) ?\("),
        just_before=_NEVER,
        given=_compiled(r"\bset_config ?\( ?'(\w+\.[\w.]+)'"),  # one without a dot is the server's own
        needed=_compiled(r"\bcurrent_setting ?\( ?'(\w+\.[\w.]+)'"),
        temporary=_compiled(
            rf"\ACREATE (?:OR REPLACE )?(?:LOCAL |GLOBAL )?(?:TEMP|TEMPORARY) "
            rf"(?:TABLE|SEQUENCE|VIEW|RECURSIVE VIEW) {_MADE}"
            rf"|\ACREATE TABLE (?:IF NOT EXISTS )?pg_temp ?\. ?(?P<named>\w+)"
            rf"|\bINTO (?:TEMP|TEMPORARY) (?:TABLE )?(?P<filled>\w+)"
        ),
    ),
    "sqlite": _Engine(
        key="last_insert_rowid()",
        reads_key=_compiled(r"\blast_insert_rowid ?\("),
        gives_key=_compiled(_INSERTS),
        just_before=_compiled(r"\bchanges ?\("),
        given=_NEVER,
        needed=_NEVER,
        temporary=_compiled(
            rf"\ACREATE (?:TEMP|TEMPORARY) (?:TABLE|VIEW|TRIGGER) {_MADE}"
            rf"|\ACREATE (?:TABLE|VIEW|TRIGGER) (?:IF NOT EXISTS )?temp ?\. ?(?P<named>\w+)"
        ),
        ask="SELECT last_insert_rowid()",
    ),
}
"""ClickHouse is spoken to without a session; only settings travel, and those are sent again."""

_INTERESTING = _compiled(
    r"LAST_INSERT|lastval|currval|nextval|setval|ROW_COUNT|FOUND_ROWS|DIAGNOSTICS|changes|(?<![\w.])@|set_config"
    r"|current_setting|\bTEMP|PREPARE|EXECUTE"
)
"""A statement without any of these, and without the name of a temporary table, has nothing to do with it."""

_DEFINES = _compiled(
    r"\A(?:CREATE|ALTER|DROP) (?:OR REPLACE )?(?:DEFINER ?= ?\S+ )?(?:TEMP |TEMPORARY |AGGREGATE )*"
    r"(?:TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE|VIEW|USER|ROLE|SERVER)\b|\A(?:GRANT|REVOKE)\b"
)
_ONLY_SHOWN = _compiled(r"\A(?:SHOW|EXPLAIN|DESCRIBE|DESC|SELECT)\b(?!.* INTO )(?!.*:=)")
_CHANGES = (
    r"\A(?:INSERT (?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE|OR \w+) )*(?:INTO )?|REPLACE (?:INTO )?"
    r"|UPDATE (?:(?:LOW_PRIORITY|IGNORE|ONLY|OR \w+) )*|DELETE FROM (?:ONLY )?|TRUNCATE (?:TABLE )?|COPY|ANALYZE"
    r"|ALTER TABLE (?:IF EXISTS )?|CREATE (?:UNIQUE )?INDEX (?:[\w]+ )?ON )(?:(?:temp|pg_temp) ?\. ?)?(?P<name>[\w$]+)"
)
_CHANGED = _compiled(_CHANGES)
_DROPPED = _compiled(
    r"\ADROP (?:TEMPORARY )?(?:TABLE|VIEW|TRIGGER|SEQUENCE) (?:IF EXISTS )?(?:(?:temp|pg_temp) ?\. ?)?(?P<name>[\w$]+)"
)
_CALL = _compiled(r"(?<![\w.])([\w.]+) ?\(")
_CLOCK = _compiled(r"\b(?:SELECT|FROM|TABLE|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIME|LOCALTIMESTAMP)\b")
_PURE = frozenset({
    "CAST", "CHAR", "COALESCE", "CONCAT", "CONVERT", "DATABASE", "DATE", "GREATEST", "HEX", "IF", "IFNULL", "LEAST",
    "LENGTH", "LOWER", "REPEAT", "REPLACE", "SCHEMA", "TRIM", "UNHEX", "UPPER", "AND", "AS", "BETWEEN", "BY", "CASE",
    "DECIMAL", "ELSE", "FROM", "IN", "INTO", "LIKE", "NOT", "NUMERIC", "ON", "OR", "SET", "THEN", "VALUES", "VARCHAR",
    "WHEN", "WHERE",
})  # fmt: skip
"""What may stand before a parenthesis and gives the same for the same: functions, and words that are none."""


def held(engine: str, text: str, temporary: frozenset[str] = frozenset()) -> Held:
    """What this statement needs and gives; `temporary` are the temporary tables that the script has made before it."""
    rules = ENGINES.get(engine)
    if rules is None:
        return NOTHING
    named = {name for name in temporary if re.search(rf"(?i)\b{re.escape(name)}\b", text)}
    if not (named or _INTERESTING.search(text)):
        return Held(gives=frozenset({rules.key})) if rules.gives_key.search(text) else NOTHING
    return _read(engine, rules, _plain(engine, text), named)


def key_of(engine: str) -> str:
    """How the engine names the key that a connection made last."""
    return ENGINES[engine].key if engine in ENGINES else ""


def asks(engine: str, found: Held) -> str:
    """The query for the key that this connection made last, before a statement is sent; empty where it can't be asked.

    Either the server itself refuses to tell of none, or the answer would stand before the statement.
    """
    rules = ENGINES.get(engine)
    return rules.ask if rules and (rules.quiet or not found.just_before) else ""


def _read(engine: str, rules: _Engine, text: str, named: set[str]) -> Held:
    needs = _found(rules.needed, text) | named
    just_before = {f"{match[0]})" if match[0][-1] == "(" else match[0] for match in rules.just_before.finditer(text)}
    if rules.reads_key.search(text):
        needs.add(rules.key)
    gives = {rules.key} if rules.gives_key.search(text) else set()
    if made := rules.temporary.search(text):
        own = next(name for name in made.groupdict().values() if name).lower()
        computed = _COPIES.search(text) is not None and not _DEFINES.match(text)
        return Held(frozenset(needs - {own}), frozenset(), frozenset({own}), computed, Own.MAKES)
    if (dropped := _DROPPED.match(text)) and dropped["name"].lower() in named:
        return Held(gives=frozenset({dropped["name"].lower()}), own=Own.ENDS)
    if _DEFINES.match(text):
        return NOTHING
    if (changed := _CHANGED.match(text)) and (own := changed["name"].lower()) in named:
        computed = _computed(text[changed.end() :])
        return Held(frozenset(needs - {own}), frozenset(just_before), frozenset(gives | {own}), computed, Own.FILLS)
    if engine == "sqlite" and text[:6].upper() == "SELECT":
        return NOTHING  # its rows are for nobody, and it can call nothing that writes
    if engine == "mysql":
        if _ONLY_SHOWN.match(text):
            return Held(frozenset(named), gives=frozenset(gives))
        if prepared := _PREPARED.match(text):
            return Held(frozenset(needs), gives=frozenset({f"PREPARE {prepared[1].lower()}"}))
        if executed := _EXECUTED.match(text):
            needs.add(f"PREPARE {executed[1].lower()}")
    names = _variables(text) if engine == "mysql" else _found(rules.given, text)
    # A name that stands there once is given a value, and not read.
    needs -= {name for name in names if text.lower().count(name) == 1}
    value = text[max((match.end() for match in rules.given.finditer(text)), default=0) :]
    return Held(frozenset(needs), frozenset(just_before), frozenset(gives | names), _computed(value))


def _found(names: re.Pattern[str], text: str) -> set[str]:
    return {name.lower() for match in names.finditer(text) for name in match.groups() if name}


def _plain(engine: str, text: str) -> str:
    """The text without comments and strings, names without their quotes, every gap one space.

    PostgreSQL names settings in strings; what stands in its other bodies is only read where DO runs it.
    """
    pieces: list[str] = []
    keep = engine == "postgres"
    try:
        for token in tokens(text, engine):
            if token.silent:
                pieces.append(" ")
            elif token.kind is Kind.STRING:
                short = keep and token.text[0] == "'"
                body = keep and token.text[0] == "$" and "".join(pieces).strip().upper() == "DO"
                pieces.append(token.text if short or body else "''")
            elif token.kind is Kind.QUOTED:
                pieces.append(unquote(token.text, engine))
            elif token.kind is Kind.COMMENT:  # MySQL runs what it holds
                pieces.append(re.sub(r"/\*M?!\d*|\*/", " ", token.text))
            else:
                pieces.append(token.text)
    except Unterminated:
        return ""  # the server will refuse it
    return " ".join("".join(pieces).split())


def _variables(text: str) -> set[str]:
    """The @variables that SET, SELECT … INTO, := and CALL give a value."""
    if _CALLS.match(text):
        return _found(_VARIABLE, text)
    names = _found(_ASSIGNED, text) | (_found(_SET, text) if text[:4].upper() == "SET " else set())
    for listed in _INTO.findall(text):
        names |= _found(_VARIABLE, listed)
    return names


def _computed(text: str) -> bool:
    return _CLOCK.search(text) is not None or any(name.upper() not in _PURE for name in _CALL.findall(text))
