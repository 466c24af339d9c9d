"""Applying one script, up or down: the heart of Stepwell, to be read from top to bottom.

A script runs in one of two ways. Where every statement commits together with the record of it, the whole script and
its row in `schema_migrations` are one transaction. Else each statement is journalled by itself: begun, sent, done. A
statement found begun and not done is settled first (`settle.py`), so none is ever applied twice or passed over.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stepwell.databases.database import Command, Conduct, Database, Evidence, Outcome
from stepwell.databases.held import Held
from stepwell.databases.lexing import Reader
from stepwell.errors import (
    BadScript,
    ConnectionLost,
    EditedHalfway,
    InDoubt,
    LockTimeout,
    NoWayBack,
    OrphanStage,
    Refused,
    SessionGone,
    StatementFailed,
    StepwellError,
)
from stepwell.schema import events, history, session
from stepwell.schema.history import Attempt, History, was_stopped
from stepwell.schema.journal import Journal
from stepwell.schema.settle import settle
from stepwell.schema.watch import Watcher
from stepwell.scripts.script import Script, Statement

_IF_NOT_EXISTS = re.compile(r"\bIF\s+NOT\s+EXISTS\b", re.IGNORECASE)

LOCK_TIMEOUT = 5.0
"""Seconds a statement waits for a lock before it gives way, unless its script says otherwise."""

LOCK_TRIES = 10
"""How often a statement that met a lock is sent; with the pauses between, up to about three minutes."""

LONGEST_NAME = 200
"""Characters of a version that a tag has room for; the run and the statement's number tell it from all others."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries at most."""


@dataclass(frozen=True, slots=True)
class Runner:
    """One database under its lock, and what every script that is applied to it shares.

    `hurried`: another script for it comes right behind, whose first commit does for both; see `upgrade.hurried`.
    """

    database: Database
    journal: Journal
    history: History
    variables: Mapping[str, str]
    tell: events.Listener
    watcher: Watcher
    assert_locked: Callable[[], None]
    hurried: bool = False


@dataclass(slots=True)
class Work:
    """A script under way in one direction. `own` are the tables that its statements so far have created.

    `count` is the number of its statements; 0 for a Python script, where only its end tells. `again`: it is applied
    until this transaction ends, and repeats.
    """

    runner: Runner
    script: Script
    direction: str
    attempt: Attempt
    count: int
    again: bool = False
    own: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    closed: bool = False
    reader: session.Reader = field(init=False)
    memory: session.Memory = field(init=False)

    def __post_init__(self) -> None:
        database = self.runner.database
        self.reader = session.Reader(database.engine)
        self.memory = session.Memory(database, self.attempt.done.keys())

    def where(self, statement: Statement, offset: int | None = None) -> str:
        """file:line of a statement, or of an offset in it."""
        return f"{self.script.path}:{statement.line + statement.text.count(chr(10), 0, offset or 0)}"

    def command(self, statement: Statement) -> Command:
        run = self.runner.journal.run[:8]
        tag = f"stepwell:{self.script.version[:LONGEST_NAME]}:{self.direction}:{statement.index}:{run}"
        return command_for(self.script, statement, self.own, tag)

    def write(
        self,
        event: str,
        statement: Statement,
        tag: str = "",
        evidence: Evidence | None = None,
        note: str = "",
    ) -> None:
        self.runner.journal.write(
            event,
            self.script.version,
            self.direction,
            statement.index,
            checksum=statement.checksum,
            tag=tag,
            evidence=evidence,
            note=note,
        )

    def record(self, count: int) -> None:
        """Say in `schema_migrations` that the script is applied, or is no more."""
        if self.direction == "up":
            seconds = time.monotonic() - self.started
            self.runner.journal.record(self.script, seconds, count)
        else:
            self.runner.journal.revert(self.script)
            # Else the statements of an `up` long ago would be taken for those of the next one.
            before = self.runner.history.applied.get(self.script.version)
            note = f"it was applied {before.at[:19]} by {before.by}" if before else ""
            self.runner.journal.write("reverted", self.script.version, "down", note=note)

    def close(self, count: int) -> None:
        """Record a journalled script as a whole. Killed between the two, the first alone already tells the truth."""
        self.record(count)
        if self.direction == "up":
            self.runner.journal.write("applied", self.script.version, "up")
        self.closed = True


def command_for(script: Script, statement: Statement, own: Iterable[str] = (), tag: str = "") -> Command:
    """A statement with all that its script says about how it runs."""
    front = script.front
    return Command(
        text=statement.text,
        parameters=statement.parameters,
        tag=tag,
        lock_timeout=LOCK_TIMEOUT if front.lock_timeout is None else front.lock_timeout,
        timeout=front.timeout,
        key=front.key,
        sole_writer=front.writers == "none",
        own=frozenset(own),
    )


def apply(runner: Runner, script: Script, direction: str = "up") -> None:
    """Bring one script to its end and record it.

    Raises StatementFailed, InDoubt, EditedHalfway, OrphanStage, NoWayBack, BadScript. Whatever it raises, all that
    was done is recorded, and nothing that was not.
    """
    if direction == "down" and not script.reversible:
        raise NoWayBack(script.reference, str(script.path))
    attempt = runner.history.attempt(script.version, direction)
    statements = script.statements(direction, runner.variables)
    conducts = survey(runner.database, script, statements)
    whole = one_transaction(runner.database, script, statements, conducts) and not attempt
    again = direction == "up" and script.version in runner.history.applied
    if again and not whole:
        runner = begin_anew(runner, script)
    work = Work(runner, script, direction, attempt, len(statements), again)
    _refuse_edits(work, statements)
    if not attempt:
        _refuse_orphans(work, statements)
    runner.tell(events.Started(script.reference, direction, len(statements), whole, len(attempt.done)))
    if whole:
        _apply_whole(work, statements, conducts)
    else:
        helds = session.read(runner.database.engine, statements)
        refuse_apart(script, statements, helds, conducts)
        work.memory.changed = {at for at in attempt.done if at <= len(helds) and helds[at - 1].own is None}
        for group in session.groups(runner.database.engine, helds, conducts, attempt.done.keys()):
            if len(group) > 1:
                _apply_together(work, [statements[at] for at in group], [conducts[at] for at in group])
            else:
                apply_statement(work, statements[group.start])
        if not work.closed:
            close(work, len(statements))
    if Conduct.SESSION in conducts:
        runner.database.reset()
    runner.tell(events.Finished(script.reference, direction, len(statements), time.monotonic() - work.started))


def begin_anew(runner: Runner, script: Script) -> Runner:
    """Let a script that repeats begin once more: until it comes to its end, it is not applied."""
    with runner.journal.together():
        _forget(runner.journal, script)
    return replace(runner, history=history.read(runner.database, [script]))


def _forget(journal: Journal, script: Script) -> None:
    journal.write("again", script.version, "up")
    journal.forget(script)


def makes(database: Database, command: Command) -> str | None:
    """The table that a statement makes for certain; IF NOT EXISTS may have found one that others write to."""
    return None if _IF_NOT_EXISTS.search(command.text) else database.creates(command)


def survey(database: Database, script: Script, statements: Iterable[Statement]) -> list[Conduct]:
    """How each statement will behave, given the tables that those before it create."""
    own: set[str] = set()
    conducts = []
    for statement in statements:
        command = command_for(script, statement, own)
        conducts.append(database.conduct(command))
        if table := makes(database, command):
            own.add(table)
    return conducts


# --- one transaction for the whole script ---------------------------------------------------------------------


def one_transaction(database: Database, script: Script, statements: list[Statement], conducts: list[Conduct]) -> bool:
    """Whether a script runs as one transaction. Raises BadScript where it says it must and can't."""
    alone = [
        statement
        for statement, conduct in zip(statements, conducts, strict=True)
        if conduct not in (Conduct.TRANSACTIONAL, Conduct.SESSION)
    ]
    if script.front.transaction and alone:
        raise BadScript(
            script.path,
            alone[0].line,
            f"`transaction: true`, but statement {alone[0].index} can't be part of one on {database.engine}",
            "Take that line away: each statement is then journalled by itself, and settled after a crash.",
        )
    return not alone and script.front.transaction is not False and Conduct.TRANSACTIONAL in conducts


def _apply_whole(work: Work, statements: list[Statement], conducts: list[Conduct]) -> None:
    database = work.runner.database
    # Settings that open a script are sent before its transaction begins: some have no effect inside one.
    first = next(index for index, conduct in enumerate(conducts) if conduct is not Conduct.SESSION)

    def send_all() -> None:
        for statement in statements[:first]:
            _send(work, statement, replace(work.command(statement), tag=""))
        with database.transaction(lasting=not work.runner.hurried):
            for statement in statements[first:]:
                _send(work, statement, replace(work.command(statement), tag=""))
            if work.again:  # not sooner: rolled back, the script is applied as it was
                _forget(work.runner.journal, work.script)
            work.record(len(statements))

    in_transaction(work, statements[-1], send_all, "rolled back: nothing of this script remains")


def in_transaction(work: Work, last: Statement, send: Callable[[], None], rolled_back: str) -> None:
    """Run `send`, which is one transaction, and run it again after a pause as long as it only meets locks."""
    work.runner.journal.flush()
    for pause in pauses():
        try:
            send()
            return
        except ConnectionLost as error:
            now = "the server rolls it back, unless it had already committed all of it; `stepwell up` finds out"
            raise failed(work, last, error, now) from error
        except Refused as error:
            if pause is None or not isinstance(error, LockTimeout):
                if error.statement is None:  # such as a constraint that is deferred to the commit
                    error.said = f"behind the last statement, with its record or at COMMIT: {error.said}"
                raise failed(work, last, error, rolled_back) from error
            _give_way(work, last, error, pause)


# --- statement by statement -----------------------------------------------------------------------------------


def apply_statement(work: Work, statement: Statement) -> None:
    """Bring one statement of a journalled script to its end, whatever an earlier run did of it."""
    runner, database, position = work.runner, work.runner.database, statement.index
    command = work.command(statement)
    conduct, found = database.conduct(command), work.reader.read(statement.text)
    done = position in work.attempt.done
    of_session = conduct is Conduct.SESSION or (found.own is not None and done)
    if of_session or found.own:
        if not work.memory.is_sent(position, found):
            return
    elif done or _settled_as_done(work, statement, command):
        work.memory.passed(position, found)
        _made(work, command)
        return
    if lacking := _lacking(work, statement, found):
        raise _session_gone(work, statement, lacking)
    if of_session:
        runner.journal.flush()
        try:
            _send(work, statement, replace(command, tag="") if done else command)
        except Refused as error:
            raise failed(work, statement, error, "it changed nothing but the connection") from error
    else:
        runner.assert_locked()
        if conduct is Conduct.TRANSACTIONAL:
            _apply_with_its_record(work, statement, command)
        else:
            _apply_journalled(work, statement, command)
    work.memory.sent(found)
    if not of_session:
        _made(work, command)


def _made(work: Work, command: Command) -> None:
    if table := makes(work.runner.database, command):
        work.own.add(table)


def _apply_together(work: Work, statements: list[Statement], conducts: list[Conduct]) -> None:
    """Send statements of which one needs what another leaves in the connection, with nothing in between.

    They are one transaction with their records: an interrupted run did all of them or none.
    """
    runner, first, last = work.runner, statements[0].index, statements[-1]
    helds = [work.reader.read(statement.text) for statement in statements]
    runner.assert_locked()

    def send() -> None:
        with runner.database.transaction():
            for statement, found in zip(statements, helds, strict=True):
                of_session = conducts[statement.index - first] is Conduct.SESSION
                if of_session and not work.memory.is_sent(statement.index, found):
                    continue
                if _lacking(work, statement, found):
                    raise _Lacking
                _send(work, statement, replace(work.command(statement), tag=""))
                work.memory.sent(found)
            for statement, conduct in zip(statements, conducts, strict=True):
                if conduct is Conduct.TRANSACTIONAL:
                    work.write("done", statement)

    try:
        in_transaction(work, last, send, f"rolled back: statements {first} to {last.index} changed nothing")
    except _Lacking:
        for statement in statements:  # as far as it goes: what comes before the one that lacks something is wanted
            apply_statement(work, statement)
    for statement in statements:
        _made(work, work.command(statement))


class _Lacking(Exception):
    """A statement of a transaction needs what the connection does not hold; the transaction is rolled back."""


def _lacking(work: Work, statement: Statement, found: Held) -> dict[str, int]:
    """What a statement needs of a connection that is gone, unless a person said to send it as it is."""
    answer = work.attempt.failed.get(statement.index)
    if answer and answer.event == "undone" and "gone" in answer.evidence:
        return {}
    return work.memory.lacking(statement.index, found)


def _session_gone(work: Work, statement: Statement, lacking: dict[str, int]) -> SessionGone:
    """The error, after recording the statement as one that a person may answer for."""
    known = work.attempt.doubts.get(statement.index)
    again = known is not None and was_stopped(known) and known.checksum == statement.checksum
    if known and again:  # it was known better then: what has been done since may look as if it gave the value
        lacking = known.evidence["gone"]
    error = SessionGone(work.script.reference, statement.index, work.where(statement), statement.text, lacking)
    if not again:
        work.write(
            "begun", statement, evidence={"gone": lacking}, note=f"needs {error.needs}, which ended with its run"
        )
    return error


def refuse_apart(
    script: Script, statements: Sequence[Statement], helds: Sequence[Held], conducts: Sequence[Conduct]
) -> None:
    """Refuse what tells of the statement before it where only Stepwell's own record could be that. Raises BadScript."""
    index = session.alone(helds, conducts)
    if index is not None:
        name = ", ".join(sorted(helds[index].just_before))
        raise BadScript(
            script.path,
            statements[index].line,
            f"statement {index + 1} needs {name} of the statement just before, which commits by itself: "
            "between the two Stepwell records that it is done",
            f"Let it follow a statement that changes rows, or count by yourself: SELECT count(*) FROM … for {name}.",
        )


def close(work: Work, count: int, later: bool = False) -> None:
    """Record a journalled script as a whole, in one commit where the engine has commits; `later`: that of the next."""
    # Whoever slept through the lock records nothing: others may have undone all of it since.
    work.runner.assert_locked()
    with work.runner.journal.together(later):
        work.close(count)


def _settled_as_done(work: Work, statement: Statement, command: Command) -> bool:
    doubt = work.attempt.doubts.get(statement.index)
    if doubt is None or was_stopped(doubt):
        return False
    runner = work.runner
    runner.journal.flush()
    finding = settle(
        runner.database,
        runner.journal,
        command,
        doubt,
        lambda activity: runner.tell(events.Working(work.script.reference, statement.index, activity)),
    )
    if finding.outcome is Outcome.UNKNOWN:
        raise InDoubt(work.script.reference, statement.index, work.where(statement), statement.text, finding.reason)
    runner.tell(events.Settled(work.script.reference, statement.index, finding))
    return finding.outcome is Outcome.DONE


def _apply_with_its_record(work: Work, statement: Statement, command: Command) -> None:
    def send() -> None:
        with work.runner.database.transaction():
            _send(work, statement, replace(command, tag=""))
            work.write("done", statement)

    in_transaction(work, statement, send, "rolled back: the statement changed nothing")


def _apply_journalled(work: Work, statement: Statement, command: Command) -> None:
    database = work.runner.database
    for pause in pauses():
        try:
            evidence = database.evidence(command)
        except Refused as error:
            raise failed(work, statement, error, "it was not sent: it changed nothing") from error
        work.write("begun", statement, command.tag, evidence)
        try:
            _send(work, statement, command, evidence)
        except ConnectionLost as error:
            now = "in doubt: the server may have done it; the next `stepwell up` finds out by itself"
            raise failed(work, statement, error, now) from error
        except Refused as error:
            outcome, now = _clear_away(work, statement, command, evidence, error)
            if outcome is not Outcome.NOT_DONE or pause is None or not isinstance(error, LockTimeout):
                in_doubt = outcome is Outcome.UNKNOWN
                raise failed(work, statement, error, now, recorded=True, in_doubt=in_doubt) from error
            _give_way(work, statement, error, pause)
        else:
            _done(work, statement, command)
            return


def _done(work: Work, statement: Statement, command: Command) -> None:
    """Record a statement as done. Where the engine has commits, the end of the script says it of the last one.

    If it made a table, that may wait for the commit by which the next statement is begun, though what that one will
    change is looked at before, behind whoever locks it: that the table is there tells, whatever becomes of it
    meanwhile. In a Python script nobody knows when the next one comes.
    """
    work.runner.assert_locked()
    made = makes(work.runner.database, command) is not None
    if work.runner.database.transactional and statement.index == work.count:
        close(work, work.count, later=made and work.runner.hurried)
    else:
        with work.runner.journal.together(later=made and statement.index < work.count):
            work.write("done", statement, command.tag)


def _clear_away(
    work: Work, statement: Statement, command: Command, evidence: Evidence, error: Refused
) -> tuple[Outcome, str]:
    """Remove what a failed statement left. What became of it, and the state in words."""
    try:
        finding = work.runner.database.settle(command, evidence)
        if finding.outcome is Outcome.NOT_DONE:
            work.write("undone", statement, command.tag, note=f"{error.kind}: {error.said}; {finding.reason}")
        if finding.outcome is Outcome.UNKNOWN and finding.seen:
            work.write("begun", statement, command.tag, evidence | finding.seen, finding.reason)
    except StepwellError as trouble:
        return Outcome.UNKNOWN, f"in doubt ({trouble.what}); the next `stepwell up` finds out by itself"
    now = {
        Outcome.NOT_DONE: finding.reason,
        Outcome.DONE: f"the server reported an error, but {finding.reason}; the next `stepwell up` goes on behind it",
        Outcome.UNKNOWN: f"in doubt: {finding.reason}",
    }
    return finding.outcome, now[finding.outcome]


def _send(work: Work, statement: Statement, command: Command, evidence: Evidence | None = None) -> None:
    """Run one statement, telling of it. An error knows afterwards which statement it was and who blocked it."""
    runner, reference, index = work.runner, work.script.reference, statement.index
    runner.tell(events.Begun(reference, index, statement.line, statement.text))
    started = time.monotonic()
    with runner.watcher.watching(
        command, lambda activity: runner.tell(events.Working(reference, index, activity))
    ) as watched:
        try:
            runner.database.run(command, evidence)
        except Refused as error:
            error.statement, error.holders = statement, watched.holders
            raise
    runner.tell(events.Returned(reference, index))
    runner.tell(events.Done(reference, index, time.monotonic() - started))


# --- meeting locks and failures -------------------------------------------------------------------------------


def pauses() -> Iterator[float | None]:
    """Seconds to wait after each try, doubling, with jitter so that two runners do not meet again; at last None."""
    for attempt in range(LOCK_TRIES - 1):
        yield min(LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.8, 1.2)
    yield None


def _give_way(work: Work, last: Statement, error: LockTimeout, pause: float) -> None:
    index = getattr(error.statement, "index", last.index)
    work.runner.tell(events.Yielded(work.script.reference, index, error.holders, pause))
    time.sleep(pause)


def failed(
    work: Work, last: Statement, error: Refused, now: str, recorded: bool = False, in_doubt: bool = False
) -> StatementFailed:
    """The failure of a statement in the words a person needs, after writing it into the journal if possible."""
    statement = error.statement if isinstance(error.statement, Statement) else last
    if not recorded and not isinstance(error, ConnectionLost):
        with contextlib.suppress(StepwellError):  # the failure itself is what the person must hear of
            work.write("failed", statement, note=f"{error.kind}: {error.said}")
    return StatementFailed(
        work.script.reference,
        statement.index,
        work.count,
        work.where(statement, error.position),
        statement.text,
        error,
        now,
        in_doubt,
    )


# --- before anything is sent ----------------------------------------------------------------------------------


def _refuse_edits(work: Work, statements: list[Statement]) -> None:
    """What is done, or in doubt, must still stand in the file as it was sent."""
    doubts = {at: entry for at, entry in work.attempt.doubts.items() if not was_stopped(entry)}
    for state, entries in (("applied", work.attempt.done), ("in doubt", doubts)):
        for position, entry in sorted(entries.items()):
            now = statements[position - 1] if position <= len(statements) else None
            if now is None or now.checksum != entry.checksum:
                where = work.where(now) if now else str(work.script.path)
                raise EditedHalfway(work.script.reference, position, where, state)


def _refuse_orphans(work: Work, statements: list[Statement]) -> None:
    """A stage table (created, filled, renamed away) that is there already would be mixed with the new rows.

    One that the script itself renames or drops before it creates it is none, nor one that it fills with nothing where
    it says IF NOT EXISTS.
    """
    database = work.runner.database
    commands = [work.command(statement) for statement in statements]
    names = {table for command in commands if (table := database.creates(command))}
    if names.isdisjoint(table for command in commands for table in database.renames(command)):
        return
    created: dict[str, Statement] = {}
    stages: set[str] = set()
    gone: set[str] = set()
    for statement, command in zip(statements, commands, strict=True):
        for table in database.renames(command):
            if table in stages and database.columns(table):
                raise OrphanStage(work.script.reference, work.where(created[table]), table)
            gone.add(table)
        if (new := database.creates(command)) and new not in gone:
            created[new] = statement
            stages |= {new} if makes(database, command) else set()
        filled, dropped = (_named_behind(database, command, *verb) for verb in (("INSERT", "INTO"), ("DROP",)))
        stages |= {table for table in created if _bare(table) in filled}
        gone |= {table for table in names if _bare(table) in dropped}


def _named_behind(database: Database, command: Command, *verb: str) -> set[str]:
    """The tables, without their schemas, that a statement names behind the verb that it begins with, if it does."""
    reader = Reader(command.text, database.engine)
    if not reader.take(*verb):
        return set()
    reader.take("TABLE")
    reader.take("IF", "EXISTS")
    names = [reader.name()]
    while reader.take(","):
        names.append(reader.name())
    return {name[-1].lower() for name in names if name}


def _bare(table: str) -> str:
    """A table as `creates` spells it, without its schema."""
    return table.rpartition(".")[2].strip('`"').lower()
