"""Finding another tool's table, showing what would be taken over, and recording it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from stepwell.databases.database import BESIDE, Database
from stepwell.errors import BadRequest, CannotAdopt, ForeignHistory, NotAdopted, did_you_mean
from stepwell.schema import events, history
from stepwell.schema.adopt import alembic, flyway, golang_migrate, goose, liquibase, prisma, versions
from stepwell.schema.adopt.tool import Record, Tool
from stepwell.schema.apply import command_for, one_transaction, survey
from stepwell.schema.history import History
from stepwell.schema.journal import Journal
from stepwell.schema.plan import Options, Target
from stepwell.schema.running import locked
from stepwell.scripts.script import Script, Statement

# golang-migrate before dbmate: its table has all columns of dbmate's, and one more.
TOOLS = (
    liquibase.TOOL,
    flyway.TOOL,
    golang_migrate.TOOL,
    versions.TOOL,
    goose.TOOL,
    prisma.TOOL,
    alembic.TOOL,
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A statement that a failed version may have done; what the schema shows of it."""

    statement: Statement
    shows: str


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a tool says, and where Stepwell keeps it: `applied` is to be recorded, `known` is already.

    `failed` are versions that another run broke off in, with the statements that a person has to answer for; none
    where nothing of the version can be there. `missing` have no file.
    """

    tool: str
    table: str
    home: str
    applied: list[Record] = field(default_factory=list)
    known: list[Record] = field(default_factory=list)
    failed: list[tuple[Record, list[Doubt]]] = field(default_factory=list)
    missing: list[Record] = field(default_factory=list)


def find(database: Database) -> list[tuple[Tool, str]]:
    """The tools whose tables the database has, and the names of these."""
    found: list[tuple[Tool, str]] = []
    for tool in TOOLS:
        for table in tool.tables:
            columns = {name.strip('"').lower() for name in database.columns(table)}
            ours = set(history.COLUMNS) <= columns
            taken = any(other == table for _, other in found)
            if tool.columns <= columns and not ours and not taken:
                found.append((tool, table))
                break
    return found


def only(database: Database, wanted: str) -> tuple[Tool, str]:
    """The tool that is meant, and its table. Raises BadRequest where that is not clear."""
    found = find(database)
    if wanted:
        found = [one for one in found if wanted.lower() in one[0].name.lower().split()]
    if len(found) == 1:
        return found[0]
    names = [tool.name for tool, _ in found]
    if found:
        what, do = f"has the tables of {' and of '.join(names)}", "Name one: --from TOOL."
    else:
        what = f"has no table of {wanted or 'another tool'}{did_you_mean(wanted, _names())}"
        do = f"Known are {', '.join(tool.name for tool in TOOLS)}."
    raise BadRequest(f"database {database.name!r} {what}", do)


def refuse_unadopted(target: Target) -> None:
    """Refuse to begin a history where a tool's own says that these scripts are applied. Raises NotAdopted."""
    # Those that a tool runs itself are only recorded where it has run them.
    scripts = [script for script in target.scripts if not script.delegate]
    converted = any(script.front.was for script in scripts)
    for tool, table in find(target.database) if scripts else ():
        records = tool.read(target.database, table, scripts)
        known = [record.script.reference for record in records if record.script]
        if known or (converted and records):
            raise NotAdopted(target.database.name, tool.name, table, known)


def look(
    database: Database, scripts: Sequence[Script], wanted: str, variables: Mapping[str, str], as_is: bool = False
) -> Takeover:
    """What would be taken over; changes nothing.

    Raises BadRequest where it is not clear from which tool, CannotAdopt where files differ, unless taken `as_is`.
    """
    tool, table = only(database, wanted)
    try:
        before = history.read(database, scripts)
        home = before.table.rpartition(".")[2]
    except ForeignHistory:
        before, home = History(), BESIDE
    takeover = Takeover(tool.name, table, home)
    for record in tool.read(database, table, scripts):
        if record.script is None:
            takeover.missing.append(record)
        elif record.script.version in before.applied or before.attempt(record.script.version, "up"):
            takeover.known.append(record)
        elif record.failed:
            takeover.failed.append((record, _doubts(database, record.script, variables)))
        else:
            takeover.applied.append(record)
    differences = [f"{r.said}: {tool.name} has applied it, and there is no such file" for r in takeover.missing]
    differences += [f"{r.script.reference}: {r.edited}" for r in takeover.applied if r.script and r.edited]
    if differences and not as_is:
        raise CannotAdopt(database.name, tool.name, differences)
    return takeover


def _names() -> list[str]:
    return [word for tool in TOOLS for word in tool.name.lower().split()]


def _doubts(database: Database, script: Script, variables: Mapping[str, str]) -> list[Doubt]:
    """Which statements of a version that was broken off may have been done.

    A table that is not there was not created, and a tool stops at the first failure: so nothing behind it was done.
    That a table is there proves nothing: it may be why the statement failed.
    """
    if script.is_python:
        return []
    statements = script.statements("up", variables)
    doubts = []
    for statement in statements:
        table = database.creates(command_for(script, statement))
        if table and not database.columns(table):
            break
        doubts.append(Doubt(statement, f"{table} is there" if table else "no catalog shows it alone"))
    conducts = survey(database, script, statements)
    if one_transaction(database, script, statements, conducts) and not any("is there" in d.shows for d in doubts):
        return []  # it was one transaction there too, and was rolled back
    return doubts


def adopt(
    database: Database, scripts: Sequence[Script], options: Options, wanted: str, as_is: bool, tell: events.Listener
) -> Takeover:
    """Take over what a tool has applied. Its own table is only read. Raises BadRequest, CannotAdopt, LockHeld."""
    seen = look(database, scripts, wanted, options.variables, as_is)
    Journal(database, f"{database.home()}.{seen.home}")  # makes the tables, so that the run below finds its own
    target = Target(database, scripts, history.read(database, scripts))
    with locked([target], options, tell) as ((fresh,), _):
        seen = look(database, scripts, wanted, options.variables, as_is)
        journal = Journal(database, fresh.history.table)  # followed by no table: it is the tool's own word
        with database.transaction() if database.transactional else nullcontext():
            for record in seen.applied:
                _record(journal, record, seen.tool)
            for record, doubts in seen.failed:
                _begin(journal, record, doubts)
    return seen


def _record(journal: Journal, record: Record, tool: str) -> None:
    assert record.script is not None  # those without one are `missing`
    version, checksum = record.script.version, record.script.checksum
    when = " ".join(part for part in (record.at[:19], f"by {record.by}" if record.by else "") if part)
    journal.record(record.script)
    note = f"adopted from {tool}: {record.said} {when}".strip()
    journal.write("applied", version, "up", checksum=checksum, note=note)


def _begin(journal: Journal, record: Record, doubts: Sequence[Doubt]) -> None:
    """Without a tag: nothing was read from the database before, so only a person can settle it."""
    assert record.script is not None
    for doubt in doubts:
        position, checksum = doubt.statement.index, doubt.statement.checksum
        journal.write("begun", record.script.version, "up", position, checksum=checksum, note=doubt.shows)
