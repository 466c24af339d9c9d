"""Work under the locks: a runner for each database, and one script after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from stepwell.databases.database import Database
from stepwell.databases.locks import in_order
from stepwell.errors import NoWayBack
from stepwell.schema import events, history, session
from stepwell.schema.apply import Runner, apply, begin_anew, one_transaction, refuse_apart, survey
from stepwell.schema.delegated import apply_delegated
from stepwell.schema.guards import passes
from stepwell.schema.journal import Journal
from stepwell.schema.log import logged
from stepwell.schema.plan import Difference, Plan, Target
from stepwell.schema.python_script import apply_python
from stepwell.schema.watch import Watcher
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.schema.adopt.in_step import Follower
    from stepwell.schema.plan import Options


def check(targets: Sequence[Target], scripts: Sequence[Script], direction: str, options: Options) -> None:
    """Read every script to its end before the first is run: one bad file, and nothing is changed.

    Raises BadScript, MissingVariable, NoWayBack.
    """
    databases = {target.database.name: target.database for target in targets}
    for script in scripts:
        # Of a Python script this looks for its functions without running it, so it comes for `up` too.
        if not script.reversible and direction == "down":
            raise NoWayBack(script.reference, str(script.path))
        if not script.is_python:
            statements = script.statements(direction, options.variables)
            database = databases[script.database]
            helds = session.read(database.engine, statements)
            if script.front.transaction or any(found.just_before for found in helds):
                conducts = survey(database, script, statements)
                if not one_transaction(database, script, statements, conducts):
                    refuse_apart(script, statements, helds, conducts)


@contextmanager
def locked(
    targets: Sequence[Target], options: Options, tell: events.Listener
) -> Iterator[tuple[list[Target], Callable[[str], Runner]]]:
    """Hold the locks for the block; give the targets as they are now, and a runner for each database.

    A lock lives on the connection that does the work, so neither outlives the other. ClickHouse has a substitute, which
    is held beside the relational locks: another project may have the same ClickHouse and none of these.
    """
    tell = logged(tell)
    holders: list[Database] = []
    with ExitStack() as stack:
        for database in in_order(target.database for target in targets):

            def waiting(holder: str, name: str = database.name) -> None:
                tell(events.Waiting(name, holder))

            stack.enter_context(database.lock(options.lock_wait, waiting, [one for one in holders if one.session_lock]))
            holders.append(database)
        fresh = [replace(target, history=history.read(target.database, target.scripts)) for target in targets]
        runners: dict[str, Runner] = {}

        def runner_of(name: str) -> Runner:
            if name not in runners:
                target = next(target for target in fresh if target.database.name == name)
                database = target.database
                journal = Journal(database, target.history.table, _follower(target))
                stack.enter_context(journal.flushed())
                runners[name] = Runner(
                    database,
                    journal,
                    target.history,
                    options.variables,
                    journal.heard(tell),
                    stack.enter_context(Watcher(database)),
                    lambda: _assert_locked(database, holders),
                )
            return runners[name]

        yield fresh, runner_of


def _follower(target: Target) -> Follower | None:
    if not target.history.in_step:
        return None
    from stepwell.schema.adopt.in_step import follower

    return follower(target)


def _assert_locked(database: Database, holders: Sequence[Database]) -> None:
    """A lock that is on the connection that would send the statement need not be asked."""
    if database.session_lock:
        return
    for holder in holders:
        if holder is database or holder.session_lock:
            holder.assert_locked()


def run(runner: Runner, script: Script, direction: str) -> bool:
    """Bring one script, SQL or Python, to its end, if its guards let it. Whether they did."""
    if direction == "up":
        if script.version in runner.history.applied and (script.delegate or script.is_python):
            runner = begin_anew(runner, script)
        if script.front.guards and not runner.history.attempt(script.version, "up") and not passes(runner, script):
            return False
        if script.front.phase == "contract":
            # For servers of an older release, who ask the history before they start and do not have this file.
            runner.journal.write("contracted", script.version, "up")
    if script.delegate:
        apply_delegated(runner, script, direction, script.delegate)
    else:
        (apply_python if script.is_python else apply)(runner, script, direction)
    return True


def look(reference: str, gates: Sequence[str], options: Options, runner_of: Callable[[str], Runner]) -> list[str]:
    """Look at the gates of a script that waits for nothing else, and record what they said; those that do not hold."""
    assert options.gate is not None, "a plan with gates comes from a project that can look at them"
    database, version = reference.split("/", 1)
    held = []
    for gate in gates:
        holds, words = options.gate(gate, reference)
        note = f"{gate}: {words}"
        runner_of(database).journal.write("admitted" if holds else "held", version, "up", note=note)
        if not holds:
            held.append(note)
    return held


def overrule(overridden: Sequence[str], plan: Plan, runner_of: Callable[[str], Runner]) -> None:
    """Record what a person let this run begin in spite of, with its first script."""
    first = next((script.reference for script in (*plan.half_undone, *plan.ready)), next(iter(plan.gated), ""))
    if first:
        database, version = first.split("/", 1)
        for what in overridden:
            runner_of(database).journal.write("overridden", version, "up", note=what)


def accept(differences: Sequence[Difference], runner_of: Callable[[str], Runner]) -> None:
    """Record that a person accepts these differences."""
    for difference in differences:
        name, version = difference.reference.split("/", 1)
        note = f"{difference.kind}: {difference.what}"
        runner = runner_of(name)
        runner.journal.write("accepted", version, checksum=difference.checksum, note=note)
        runner.tell(events.Accepted(difference.reference, difference.what))
