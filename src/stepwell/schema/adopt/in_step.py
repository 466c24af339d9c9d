"""Keeping another tool's table in step, so that a team can go back to its tool at any time.

Where the engine has transactions the tool's row commits with Stepwell's own. Elsewhere Stepwell's is written first and
taken away last, so that the tool's table is never ahead of it; what it lacks after a crash the next run adds. A version
that the table has and Stepwell does not was therefore applied by the tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from stepwell.databases.database import Database
from stepwell.errors import NotInStep
from stepwell.schema import events, history
from stepwell.schema.adopt.takeover import TOOLS, find, only
from stepwell.schema.adopt.tool import Change, Tool
from stepwell.schema.history import History
from stepwell.schema.journal import Journal
from stepwell.schema.plan import Options, Target
from stepwell.schema.running import locked
from stepwell.scripts.script import Script


@dataclass(frozen=True, slots=True)
class Follower:
    """A tool's table, and all scripts of its database; `versions` are those that are applied by now."""

    database: Database
    tool: Tool
    table: str
    scripts: Sequence[Script]
    versions: set[str]

    def applied(self, script: Script, seconds: float = 0.0) -> None:
        """Say in the tool's table that a script is applied."""
        self.tool.add(self.database, self._change(script, seconds))
        self.versions.add(script.version)

    def undone(self, script: Script) -> None:
        """Say there that it is not any more."""
        self.tool.remove(self.database, self._change(script))
        self.versions.discard(script.version)

    def lacks(self, history: History) -> list[Script]:
        """The scripts that are applied and that the table does not have. Raises NotInStep where it has others."""
        found = {r.script.version for r in self.tool.read(self.database, self.table, self.scripts) if r.script}
        applied = [script for script in self.scripts if script.version in history.applied]
        newest = max((i for i, script in enumerate(self.scripts) if script.version in history.applied), default=-1)
        ahead = [
            script.reference
            for index, script in enumerate(self.scripts)
            if script.version in found - history.applied.keys()
            and not (script.front.repeat or history.attempt(script.version, "up"))
            and (script.late or index > newest)
        ]
        if ahead:
            what = f"{self.tool.name} has applied {', '.join(ahead)}"
            do = f"Take it over: stepwell adopt {self.database.name}"
            raise NotInStep(self.database.name, self.tool.name, what, do)
        return [script for script in applied if script.version not in found and self.tool.knows(script)]

    def _change(self, script: Script, seconds: float = 0.0) -> Change:
        columns = frozenset(name.strip('"').lower() for name in self.database.columns(self.table))
        rest = [one for one in self.scripts if one.version in self.versions and one.version != script.version]
        return Change(f"{self.database.home()}.{self.table}", columns, script, rest, seconds)


def follower(target: Target) -> Follower | None:
    """The table that is to be kept in step with a database's history, if one is. Raises NotInStep."""
    if not target.history.in_step:
        return None
    tool = next(tool for tool in TOOLS if tool.name == target.history.in_step)
    table = next((table for found, table in find(target.database) if found is tool), "")
    if not table:
        raise NotInStep(target.database.name, tool.name, "its table is gone", "Put it back.")
    return Follower(target.database, tool, table, target.scripts, set(target.history.applied))


def refuse_strangers(target: Target, scripts: Sequence[Script]) -> None:
    """Refuse scripts that the tool could not have, before the first is applied. Raises NotInStep."""
    following = follower(target)
    if following is None:
        return
    for script in scripts:
        if script.database == target.database.name and not following.tool.knows(script):
            what = f"{script.reference} ({script.path.name}) is no script that {following.tool.name} could have"
            raise NotInStep(target.database.name, following.tool.name, what, "Name it as that tool would.")


def behind(target: Target) -> bool:
    """Whether the table lacks what is applied, for a crash came between. Raises NotInStep.

    Where both records are one commit no crash can: the tool itself has undone it.
    """
    following = follower(target)
    lacking = following.lacks(target.history) if following else []
    if following and lacking and target.database.transactional:
        what = f"{following.tool.name} has undone {', '.join(script.reference for script in lacking)}"
        do = f"Apply it there again: here it still counts as applied, and {target.database.name} is without it."
        raise NotInStep(target.database.name, following.tool.name, what, do)
    return bool(lacking)


def catch_up(target: Target) -> None:
    """Add what the table lacks. Only under the lock. Raises NotInStep."""
    following = follower(target)
    if following is None:
        return
    with target.database.transaction() if target.database.transactional else nullcontext():
        for script in following.lacks(target.history):
            following.applied(script)


def keep(
    database: Database, scripts: Sequence[Script], options: Options, wanted: str | None, tell: events.Listener
) -> str:
    """Keep the table of a tool in step from now on, and bring it there; None: keep none any more.

    The tool's name. Raises BadRequest where it is not clear which one is meant, NotInStep, LockHeld.
    """
    name = "" if wanted is None else only(database, wanted)[0].name
    target = Target(database, scripts, history.read(database, scripts))
    with locked([target], options, tell) as ((fresh,), _):
        if fresh.history.in_step != name:
            Journal(database, fresh.history.table).write("in step", "", note=name)
        catch_up(replace(fresh, history=history.read(database, scripts)))
    return name
