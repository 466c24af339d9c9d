"""Every kind of trouble Stepwell can meet: one class a kind, its message built here and nowhere else.

A message answers, in this order: what happened, where, what the database said, what state things are in now,
and what to do, all without secrets. `exit_code` is what the command line ends with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import ClassVar, Self

from stepwell.secrets import hide


class StepwellError(Exception):
    """Base of all errors that are meant for a person."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", said: str = "", now: str = "", do: str = "") -> None:
        self.what, self.where, self.said, self.now, self.do = map(hide, (what, where, said, now, do))
        super().__init__(self.what)

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        parts = (("at", self.where), ("said", self.said), ("now", self.now), ("do", self.do))
        lines = [self.what]
        for label, text in parts:
            if text:
                first, *more = text.splitlines()
                lines.append(f"  {label:<5}{first}")
                lines.extend(f"       {line}" for line in more)
        return "\n".join(lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' for the closest known word, or nothing."""
    import difflib  # only a mistake pays for it

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


# --- what a database says -------------------------------------------------------------------------------------


class Refused(StepwellError):
    """A statement failed on the server.

    `position` is the offset in the statement's text that the server points at, if it does; `statement` and
    `holders` (who blocked it) are filled in by the one who sent it.
    """

    advice: ClassVar[str] = "Correct the statement and run `stepwell up` again; it goes on from here."

    def __init__(self, said: str, *, code: str = "", position: int | None = None) -> None:
        self.code, self.position = code, position
        self.statement: object = None
        self.holders: tuple[str, ...] = ()
        again = self.advice.replace("run `stepwell up` again; it goes on from here", "run the same command again")
        do = again.replace("un `stepwell up` again", "un the same command again")
        super().__init__("the database refused a statement", said=said, do=do)

    def asked(self, database: str, text: str) -> Self:
        """The same, telling where: outside of a script nobody else knows what was asked of which database."""
        self.where = self.where or hide(f"database {database!r}: {shorten(text)}")
        return self


class LockTimeout(Refused):
    """Another session kept a lock that the statement needs for longer than the lock timeout."""

    advice = "End or wait for the sessions named above, or raise `lock-timeout`, and run `stepwell up` again."


class ConnectionLost(Refused):
    """The connection ended while a statement was under way."""

    advice = "Run `stepwell up` again once the server answers; it finds out by itself what was done."


class StatementTimeout(Refused):
    """The server ended the statement because its own time limit was over."""

    advice = "Raise `timeout` in the script's front matter, or do the work in smaller pieces."


class DiskFull(Refused):
    """The server has no space left for what the statement writes."""

    advice = "Free or add disk space on the server and run `stepwell up` again; it goes on from here."


class MemoryLimit(Refused):
    """The server ended the statement because it needed more memory than it may use."""

    advice = "Raise the server's memory limit or do the work in smaller pieces, then run `stepwell up` again."


class Denied(Refused):
    """The user lacks a privilege."""

    advice = "Grant the privilege named above to Stepwell's user and run the same command again."


# --- reaching and locking a database --------------------------------------------------------------------------


class CannotConnect(StepwellError):
    """The database can't be reached or used: no server, wrong password, no such database, no driver."""

    exit_code = 6

    def __init__(self, name: str, url: str, said: str, do: str) -> None:
        super().__init__(
            f"can't use database {name!r} ({url})", said=said, now="nothing was changed in it by this run", do=do
        )


class BadUrl(StepwellError):
    """A database URL that says too little, or something unknown."""

    exit_code = 2

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"can't read the database URL {url}: {why}",
            do="Write it as postgresql://user@host:5432/name, mysql://user@host:3306/name, sqlite:///file, "
            "clickhouse://user@host:8123/name, clickhouses://… (TLS) or chdb:///folder?database=name.",
        )


class LockHeld(StepwellError):
    """Another runner holds the migration lock and kept it for longer than we may wait."""

    exit_code = 5

    def __init__(self, name: str, seconds: float, holder: str) -> None:
        super().__init__(
            f"waited {seconds:.0f} s for the migration lock of database {name!r}",
            said=f"held by {holder}" if holder else "",
            now="this run changed nothing that it had not reported",
            do="Let the other run finish (`stepwell status` shows its state), or wait longer with --lock-wait SECONDS.",
        )


class LockLost(StepwellError):
    """The connection that held the migration lock is gone, so somebody else may be running now."""

    exit_code = 5

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the migration lock of database {name!r} was lost",
            now="stopped before the next statement; what was done is recorded",
            do="Run `stepwell up` again: it takes the lock anew and goes on from here.",
        )


# --- a project and its graph ----------------------------------------------------------------------------------


class BadProject(StepwellError):
    """The project's folder or its stepwell.toml is not as it must be."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        super().__init__(what, where=where, now="nothing was changed", do=do)


class UnknownReference(StepwellError):
    """A step requires something that is not there, or that could be several things."""

    exit_code = 2

    def __init__(self, step: str, text: str, where: str, matches: Sequence[str], known: Sequence[str]) -> None:
        if matches:
            said = "it could be any of " + ", ".join(matches)
        elif text.split("/")[0] in ("job", "check", "signoff"):
            said = f"the project has no such {text.split('/')[0]}"
        else:
            said = f"no script of that name{did_you_mean(text, known)}"
        super().__init__(
            f"{step} requires {text!r}, which is not known" if not matches else f"{step} requires {text!r}: not clear",
            where=where,
            said=said,
            now="nothing was changed",
            do="Write the reference as DATABASE/VERSION, for example state/0042_items or state/0042.",
        )


class RequirementCycle(StepwellError):
    """Steps that require each other in a circle can never start."""

    exit_code = 2

    def __init__(self, cycle: Sequence[str], places: Sequence[str]) -> None:
        super().__init__(
            "these steps require each other in a circle: " + " -> ".join(cycle),
            where="\n".join(places),
            now="nothing was changed",
            do="Take one of the `requires` away. Within a database every script also requires the one before it.",
        )


# --- the history of a database --------------------------------------------------------------------------------


class ForeignHistory(StepwellError):
    """A table `schema_migrations` that another tool made."""

    exit_code = 6
    makers: ClassVar[tuple[tuple[str, frozenset[str]], ...]] = (
        ("golang-migrate", frozenset({"version", "dirty"})),
        ("dbmate on ClickHouse", frozenset({"version", "ts", "applied"})),
        ("Rails on ClickHouse", frozenset({"version", "active", "ver"})),
        ("Ecto", frozenset({"version", "inserted_at"})),
        ("dbmate or Rails", frozenset({"version"})),
    )

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        maker = next((tool for tool, its in self.makers if its <= set(columns)), "another tool")
        super().__init__(
            f"database {name!r} has a table schema_migrations that Stepwell did not make",
            said=f"its columns are {', '.join(columns)}: it looks like the table of {maker}",
            now="the table was only looked at; nothing was changed",
            do="Stepwell never writes to another tool's table. Take over what it says, into tables of Stepwell's own:\n"
            f"stepwell adopt {name} --dry-run      shows what that would be\n"
            f"stepwell adopt {name}                does it; the history is then in stepwell_migrations",
        )


class NotAdopted(StepwellError):
    """Another tool has applied scripts of the project, and nobody has taken that over."""

    exit_code = 6

    def __init__(self, name: str, tool: str, table: str, references: Sequence[str]) -> None:
        """`references` are the scripts that it has applied; none where they were converted since."""
        shown = ", ".join(references[:3]) + (f" and {len(references) - 3} more" if len(references) > 3 else "")
        before = "" if references else ", with the files as they were before they were converted"
        super().__init__(
            f"{tool} has applied scripts to database {name!r} that `up` would apply again",
            said=f"its table {table} has {shown or 'versions that the scripts may be'}",
            now="nothing was changed",
            do=f"Take over what it says{before}:\n"
            f"stepwell adopt {name} --dry-run      shows what that would be\n"
            f"stepwell adopt {name}                does it\n"
            "If these are other scripts than the tool's, begin a history for them:\n"
            f"stepwell baseline {name}",
        )


class CannotAdopt(StepwellError):
    """What another tool says it has applied does not agree with the script files."""

    exit_code = 3

    def __init__(self, name: str, tool: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"what {tool} has applied to database {name!r} is not what the script files say",
            where="\n".join(differences),
            now="nothing was changed",
            do="Put the files back as they were applied. If the files are right as they are, take them over:\n"
            f"stepwell adopt {name} --as-is",
        )


class NotInStep(StepwellError):
    """Another tool's table, which is to be kept in step, can't be."""

    exit_code = 3

    def __init__(self, name: str, tool: str, what: str, do: str) -> None:
        super().__init__(
            f"database {name!r} is kept in step with {tool}: {what}",
            now="nothing was changed",
            do=f"{do}\nOr keep its table in step no longer: stepwell adopt {name} --no-keep-in-step",
        )


class NotTheSame(StepwellError):
    """Converted scripts make another database than the old ones did."""

    exit_code = 3

    def __init__(self, name: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"the converted scripts of database {name!r} make another database than the old ones",
            where="\n".join(differences),
            now="no folder was written; the two databases that were made to compare are gone",
            do="A script that makes something else each time (a random name, the time) does so in any format.\n"
            "If that is all, convert without --on. Else this is an error of Stepwell's: please report it.",
        )


class NewerHistory(StepwellError):
    """A newer Stepwell has written this database's history."""

    exit_code = 6

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the history in database {name!r} was written by a newer Stepwell than this one",
            now="nothing was changed",
            do='Install that version or a later one: pip install --upgrade "stepwell"',
        )


class TwoHomes(StepwellError):
    """Stepwell's tables are in two schemas of the search path, and nothing tells which of them are true."""

    exit_code = 6

    def __init__(self, name: str, tables: Mapping[str, Sequence[str]]) -> None:
        """`tables` are those of each schema."""
        *_, last = tables
        super().__init__(
            f"database {name!r} has tables of Stepwell's in two schemas of its search_path",
            where="\n".join(f"{schema}: {', '.join(its)}" for schema, its in tables.items()),
            now="nothing was changed",
            do="See which of them tell what was done, keep these, and rename all others, for example\n"
            f"ALTER TABLE {last}.{tables[last][0]} RENAME TO old_{tables[last][0]};\n"
            "If each schema is a project of its own, name one alone in the URL of its project:\n"
            f"?options=-csearch_path%3D{last}",
        )


class HomeOffPath(StepwellError):
    """Stepwell's tables are in a schema that is not on the search path any more."""

    exit_code = 6

    def __init__(self, name: str, schemas: Sequence[str], path: str) -> None:
        super().__init__(
            f"database {name!r} has Stepwell's tables in a schema that its search_path leaves out",
            said=f"they are in {', '.join(schemas)}; the search_path is {path or 'empty'}",
            now="nothing was changed; without them all scripts would be applied once more",
            do="Put the schema back, anywhere on the path, where it was taken away (the role's setting, the\n"
            f"database's or the server's): ALTER ROLE CURRENT_USER SET search_path = {path + ', ' if path else ''}"
            f"{schemas[0]};\n"
            "If this is a project of its own, say so by naming its path in the URL: ?options=-csearch_path%3DSCHEMA",
        )


class HomeMissing(StepwellError):
    """No schema of the search path exists, so there is none to make Stepwell's tables in."""

    exit_code = 6

    def __init__(self, name: str, path: str) -> None:
        super().__init__(
            f"database {name!r} has no schema to make Stepwell's tables in",
            said=f"the search_path is {path or 'empty'}; none of it exists, or our user may not use it",
            now="nothing was changed",
            do="Make one of them (CREATE SCHEMA …), or name another in the URL: ?options=-csearch_path%3DSCHEMA",
        )


class HistoryDiffers(StepwellError):
    """The files are not what was applied: edited, gone, or sorting before what is applied."""

    exit_code = 3

    def __init__(self, differences: Sequence[tuple[str, str, str, str]], verb: str = "up") -> None:
        """`differences` are (reference, kind, what is wrong, where), with the kinds of `plan.Difference`."""
        kinds = {kind for _, kind, _, _ in differences}
        late = "Give a new file a number behind the last that is applied.\n" if "out of order" in kinds else ""
        back = "Put the files back as they were applied and write the change as a new script.\n"
        half = (
            "Give the file its name back; `up` then goes on behind what is done of it.\n"
            "Accepted, that stays, and a file of another name begins with its first statement.\n"
        )
        accept = " ".join(f"--accept {reference}" for reference, *_ in differences)
        super().__init__(
            "the script files are not what the databases remember",
            where="\n".join(
                f"{reference}: {what}{f' ({where})' if where else ''}" for reference, _, what, where in differences
            ),
            now="nothing was changed",
            do=f"{half if 'gone halfway' in kinds else ''}{back if kinds & {'edited', 'gone'} else ''}{late}"
            "If the difference is meant, accept it; your name is recorded: "
            + (f"stepwell down {accept}" if verb == "down" else f"stepwell up {accept}"),
        )


class NotAgreed(StepwellError):
    """The person at the terminal did not agree to the plan."""

    def __init__(self) -> None:
        super().__init__("you did not agree to the plan", now="nothing was changed")


# --- running a statement --------------------------------------------------------------------------------------


class StatementFailed(StepwellError):
    """A statement of a script failed; nothing after it was started."""

    def __init__(
        self, reference: str, position: int, count: int, where: str, text: str, cause: Refused, now: str,
        in_doubt: bool = False,
    ) -> None:  # fmt: skip
        self.reference, self.position, self.cause = reference, position, cause
        label = {
            "LockTimeout": "could not get its lock",
            "ConnectionLost": "lost its connection",
            "StatementTimeout": "ran into its time limit",
            "DiskFull": "ran out of disk space",
            "MemoryLimit": "ran out of memory",
            "Denied": "lacks a privilege",
        }.get(cause.kind, "failed")
        super().__init__(
            f"{reference}, statement {position}{f' of {count}' if count else ''} {label}",
            where=f"{where}: {shorten(text, 100)}",
            said="\n".join([cause.said, *(f"blocked by {holder}" for holder in cause.holders)]),
            now=now,
            do=f"The next `stepwell up` looks again. Where it can't tell either, {_by_hand(reference, position)}"
            if in_doubt
            else cause.advice,
        )

    @property
    def kind(self) -> str:
        return "StatementFailed" if type(self.cause) is Refused else self.cause.kind


class InDoubt(StepwellError):
    """A statement was begun, its end is unknown, and nothing in the database tells."""

    exit_code = 4

    def __init__(self, reference: str, position: int, where: str, text: str, reason: str) -> None:
        super().__init__(
            f"{reference}, statement {position} is in doubt: it was begun, and nothing tells whether it was done",
            where=where,
            said=f"{shorten(text)}\n{reason}",
            now="stopped before it; nothing after it was started",
            do=f"Before `stepwell up` goes on, {_by_hand(reference, position)}",
        )


class SessionGone(StepwellError):
    """A statement needs what only the connection of an earlier run held, and that run was interrupted.

    `lacking` are its names, with the statements that gave them their values.
    """

    exit_code = 4

    def __init__(self, reference: str, position: int, where: str, text: str, lacking: Mapping[str, int]) -> None:
        self.position, self.lacking = position, lacking
        self.needs = ", ".join(f"{name} of statement {origin}" for name, origin in lacking.items())
        super().__init__(
            f"{reference}, statement {position} needs {self.needs}, which ended with the interrupted run",
            where=where,
            said=f"{shorten(text)}\nonly the connection that ran it knew it; on a new one this would write other rows",
            now="stopped before it: it was not sent, nor anything after it; what was done before it stays",
            do="Find out the value. Then write it into the file in its place (what is not applied may change),\n"
            "or run the statement by hand with it, and say what you did:\n"
            f"it is done by hand:          stepwell resolve {reference}:{position} done\n"
            f"it is to be sent as it is:   stepwell resolve {reference}:{position} not-done",
        )


def _by_hand(reference: str, position: int) -> str:
    return (
        "look at the database, and say what you found:\n"
        f"its effect is complete:      stepwell resolve {reference}:{position} done\n"
        f"nothing of it remains:       stepwell resolve {reference}:{position} not-done"
    )


class GuardFailed(StepwellError):
    """A precondition of a script does not hold."""

    def __init__(self, reference: str, where: str, query: str, expected: str, found: str) -> None:
        super().__init__(
            f"{reference} was not begun: its precondition does not hold",
            where=where,
            said=f"{shorten(query)}\nexpected {expected}, found {found}",
            now="stopped before it; nothing after it was started",
            do="Bring the database to where the precondition holds, or correct it in the file.",
        )


class EditedHalfway(StepwellError):
    """A script was edited in a part of it that is applied or in doubt."""

    exit_code = 3

    def __init__(self, reference: str, position: int, where: str, state: str) -> None:
        super().__init__(
            f"{reference} was edited in a part that is already {state}: statement {position}",
            where=where,
            now=f"the statements before it are applied, statement {position} is {state} in its old form",
            do="Put the old text of this statement back; what comes after it may change freely.",
        )


class OrphanStage(StepwellError):
    """A table that a script creates, fills and renames away exists before the script has begun."""

    def __init__(self, reference: str, where: str, table: str) -> None:
        super().__init__(
            f"{reference} would build table {table!r} anew, but it exists already",
            where=where,
            said=f"the script creates {table}, fills it and renames it; somebody's unfinished run has left one behind",
            now="nothing was changed",
            do=f"Look at what is in it; if it is not needed: DROP TABLE {table}, then run `stepwell up` again.",
        )


class NoWayBack(StepwellError):
    """A script has no `-- down` part, so it can't be undone."""

    exit_code = 2

    def __init__(self, reference: str, where: str) -> None:
        super().__init__(
            f"{reference} has no way back",
            where=where,
            now="nothing was changed",
            do="Write one below a line `-- down`, or restore a backup.",
        )


class StillRequired(StepwellError):
    """An applied step of another database requires the one that is to be undone."""

    exit_code = 2

    def __init__(self, reference: str, by: Sequence[str]) -> None:
        super().__init__(
            f"{reference} can't be undone: {', '.join(by)} requires it and is applied",
            now="nothing was changed",
            do=f"Undo {by[-1]} first: stepwell down --database {by[-1].split('/')[0]}",
        )


class BadRequest(StepwellError):
    """What was asked for does not fit the project."""

    exit_code = 2

    def __init__(self, what: str, do: str = "") -> None:
        super().__init__(what, now="nothing was changed", do=do)


# --- where a server starts ------------------------------------------------------------------------------------


class StillRunning(StepwellError):
    """The time that a start has for `up` is over, and it goes on in the background."""

    exit_code = 10

    def __init__(self, seconds: float, lacking: Sequence[str], process: int, log: str) -> None:
        super().__init__(
            f"`stepwell up` is not done after {seconds:g} s",
            said=f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not applied yet" if lacking else "",
            now=f"it goes on in the background: {f'process {process}' if process else 'starting'}, log {log}",
            do="Start again later: what is done by then stays done. `stepwell status` says how it ends.",
        )


class SchemaUnfit(StepwellError):
    """The schema is too old or too new for the server that would start on it."""

    exit_code = 9

    def __init__(self, too_old: Sequence[str], too_new: Sequence[str]) -> None:
        advice = []
        if too_old:
            advice.append("Apply what is missing: stepwell up")
        if too_new:
            advice.append(
                "Start the release that these scripts belong to. If this one can do without what they took away,\n"
                "say so: stepwell guard --tolerates-contract yes"
            )
        super().__init__(
            "this server does not fit the schema that it finds",
            where="\n".join([*too_old, *too_new]),
            now="nothing was changed; the server should not start",
            do="\n".join(advice),
        )


# --- script files ---------------------------------------------------------------------------------------------


class BadScript(StepwellError):
    """A script can't be used as it is written. `line` counts from 1; 0 where the file as a whole is meant."""

    exit_code = 2

    def __init__(self, path: PurePath, line: int, what: str, do: str) -> None:
        self.path, self.line = path, line
        super().__init__(what, where=f"{path}:{line}" if line else str(path), do=do)


class DuplicateVersion(StepwellError):
    """Two files in a folder of scripts claim the same place in the order."""

    exit_code = 2

    def __init__(self, first: PurePath, second: PurePath) -> None:
        super().__init__(
            f"{first.name} and {second.name} have the same version, so their order is not told",
            where=f"{first}\n{second}",
            do="Give the one that is not applied anywhere yet another number.",
        )


class NoScriptFolder(StepwellError):
    """The folder of a database's scripts does not exist."""

    exit_code = 2

    def __init__(self, folder: PurePath, database: str) -> None:
        super().__init__(
            f"there is no folder {folder} for the scripts of database {database!r}",
            do=f"Make it, or name another with `scripts` below [databases.{database}] in stepwell.toml.",
        )


class MissingVariable(StepwellError):
    """A script uses a variable that has no value."""

    exit_code = 2

    def __init__(self, name: str, path: PurePath, line: int) -> None:
        super().__init__(
            f"variable {name} has no value",
            where=f"{path}:{line}",
            do=f'Write {name} = "…" below [variables] in stepwell.toml, or set the environment variable {name}. '
            f"To send the text itself, write $${{{name}}}.",
        )


class LintRefused(StepwellError):
    """The linter finds errors in what would be applied, and stepwell.toml says that `up` stops at them."""

    exit_code = 2

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        """`found` are (rule, file:line)."""
        super().__init__(
            f"the scripts to apply have {len(found)} error{'s' * (len(found) != 1)} of the linter",
            where="\n".join(f"{where}: {rule}" for rule, where in found),
            now="nothing was changed",
            do="`stepwell lint` says what each would do to a running system, and the safe way.\n"
            "To apply a script as it is, write above the statement: -- lint: allow RULE because REASON",
        )


class ReleaseBlocked(StepwellError):
    """The look before a release found what would stop it halfway, or make it unsafe."""

    exit_code = 8

    def __init__(self, blockers: Sequence[tuple[str, str, str]]) -> None:
        """`blockers` are (item, what it is, what to do)."""
        names = " ".join(dict.fromkeys(f"--override {item}" for item, _, _ in blockers))
        many = "things stand" if len(blockers) > 1 else "thing stands"
        super().__init__(
            f"the release was not begun: {len(blockers)} {many} in its way",
            where="\n".join(f"{item}: {what}" for item, what, _ in blockers),
            now="nothing was changed",
            do="\n".join([*dict.fromkeys(do for _, _, do in blockers if do), "`stepwell doctor` looks again."])
            + f"\nTo begin it all the same, which is recorded with your name: stepwell up {names}",
        )


class NoLinter(StepwellError):
    """The library that the linter reads queries with is not installed."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "`stepwell lint` needs sqlglot, which is not installed",
            now="nothing was looked at",
            do='pip install "stepwell[lint]"',
        )


# --- jobs -----------------------------------------------------------------------------------------------------


class BadJob(StepwellError):
    """A job's definition is not as it must be. `line` counts from 1; 0 where the file as a whole is meant."""

    exit_code = 2

    def __init__(self, path: PurePath, line: int, what: str, do: str) -> None:
        super().__init__(what, where=f"{path}:{line}" if line else str(path), now="nothing was changed", do=do)


class UnfitKey(StepwellError):
    """A job can't go by the key that its batches name: it is not there, not indexed, not unique, or holds NULL."""

    exit_code = 2

    def __init__(self, reference: str, where: str, what: str, said: str, do: str) -> None:
        super().__init__(
            f"{reference} can't begin: {what}",
            where=where,
            said=said,
            now="nothing was changed, no batch has begun",
            do=do,
        )


class NoTransactions(StepwellError):
    """A job's rows are in a table whose storage engine has no transactions."""

    exit_code = 2

    def __init__(self, reference: str, where: str, table: str, engine: str) -> None:
        super().__init__(
            f"{reference} can't begin: {table} is kept by {engine}, which has no transactions",
            where=where,
            said="a batch that fails half way would stay done in part, and be done again",
            now="nothing was changed, no batch has begun",
            do=f"Let the job require a script that says: ALTER TABLE {table} ENGINE = InnoDB;",
        )


class KeyChanged(StepwellError):
    """A job goes by another key than the one by which it recorded how far it is."""

    exit_code = 2

    def __init__(self, reference: str, where: str, then: str, now: str) -> None:
        super().__init__(
            f"{reference} went by {then} so far, and would go by {now} now",
            where=where,
            now="nothing was changed; how far the job is, and what it recorded, is by the former",
            do="Put it back. Or give the job another name: under that it begins from the start.",
        )


class LedgerNotRelational(StepwellError):
    """Jobs, snapshots and sign-offs need a relational ledger: what it remembers rests on its transactions."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the ledger is in database {name!r}, which is ClickHouse: jobs and snapshots need transactions",
            now="nothing was changed",
            do='Name a relational one: [ledger] database = "state" in stepwell.toml.',
        )


class LedgerMoved(StepwellError):
    """No database is named as the ledger's, the first has no ledger, and another of the project has one."""

    exit_code = 2

    def __init__(self, first: str, other: str) -> None:
        super().__init__(
            f"which database has the ledger? {first!r}, the first in stepwell.toml, has none, and {other!r} has one",
            now="nothing was changed; in a new ledger every job would be pending, and no sign-off given",
            do=f'Name it in stepwell.toml: [ledger] database = "{other}"\n'
            f'For a new one that knows nothing of what was done: [ledger] database = "{first}"',
        )


class LedgerOfAnother(StepwellError):
    """A ledger was kept for other databases than this project's: its jobs and sign-offs would count here, too."""

    exit_code = 2

    def __init__(self, ledger: str, name: str, said: str) -> None:
        super().__init__(
            f"the ledger in database {ledger!r} is kept for another {name!r} than this project's",
            said=said,
            now="nothing was changed; what is complete or signed there was not so for this project",
            do="Give each project, and each tenant, a ledger of its own, with its data or in a schema for it:\n"
            "[ledger] database = … in stepwell.toml.\n"
            f"If {name!r} was renamed, taken away or made anew, and what this ledger says is true of it, say so:\n"
            f"stepwell up --accept {name}",
        )


class LedgerTooOld(StepwellError):
    """A table of the ledger was made by an older Stepwell, and lacks a column that can't be added."""

    exit_code = 2

    def __init__(self, name: str, table: str, column: str, said: str, statement: str) -> None:
        super().__init__(
            f"the ledger in database {name!r} is of an older Stepwell: {table} has no column {column}, "
            "and it can't be added",
            said=said,
            now="no job was run and no row changed",
            do=f"Have somebody who may add it: {statement};",
        )


class LedgerDenied(StepwellError):
    """Whoever runs this may not read the ledger, or not write to it; or its server takes no writes."""

    exit_code = 6

    def __init__(self, name: str, user: str, act: str, said: str) -> None:
        who = f"user {user!r} may not" if user else "we may not"
        super().__init__(
            f"{who} {act} the ledger in database {name!r}",
            said=said,
            now="nothing was changed",
            do="Run the same command as a user who may, on a server that is no read-only copy; or grant this one\n"
            f"{'SELECT' if act == 'read' else 'SELECT, INSERT, UPDATE and DELETE'} on the tables whose names begin "
            "with stepwell_.",
        )


class JobNotReady(StepwellError):
    """Something that the job requires is not complete."""

    exit_code = 5

    def __init__(self, reference: str, waiting: Sequence[str]) -> None:
        super().__init__(
            f"{reference} can't start: it requires {', '.join(waiting)}",
            now="nothing was changed; started too early it would give wrong answers",
            do="Complete what it requires first: `stepwell status` and `stepwell job list` show how far that is.",
        )


class LeaseHeld(StepwellError):
    """Another worker runs the job."""

    exit_code = 5

    def __init__(self, reference: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"Could not acquire lock: {reference} is run by {holder}",
            now="that worker goes on, if it is alive; this one did nothing",
            do="`stepwell job watch` shows its progress. If it died, its lease ends within 30 seconds: try again then.",
        )


class Fenced(StepwellError):
    """The lease was lost to another worker meanwhile, so nothing of this batch may be written."""

    exit_code = 5

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"{reference} was taken over by another worker",
            now="what this worker had under way was rolled back",
            do="Nothing: the other worker goes on.",
        )


class KeyUnderWay(StepwellError):
    """A lazy key that began before the undo of its job has not come to its end."""

    exit_code = 5

    def __init__(self, reference: str, seconds: float, said: str) -> None:
        super().__init__(
            f"{reference}: a lazy key that began before this undo is under way after {seconds:g} seconds",
            said=said,
            now="the job is undone, so no other row of it is migrated; none was given back yet",
            do=f"Wait for it, or end its session, and repeat `stepwell job undo {reference.removeprefix('job/')}`.",
        )


class UndoRefused(StepwellError):
    """A database refuses the values that rows held before a job, or the ledger the record of it.

    `restored` rows were given back before; None where it was only tried.
    """

    def __init__(self, reference: str, place: str, said: str, restored: int | None) -> None:
        begun = f"{restored or 0:,} rows are given back and recorded so; repeated, it goes on behind them"
        super().__init__(
            f"what rows of {place} held before {reference} can't be given back: a database refuses it",
            said=said,
            now="nothing was changed" if restored is None else begun,
            do="Take away what stands against it, such as a constraint that came since; then\n"
            f"`stepwell job undo {reference.removeprefix('job/')}` does it, or goes on.",
        )


class JobStalled(StepwellError):
    """A job met the same trouble too often to go on by itself.

    `elsewhere` are the databases beside the ledger's that its batches use: each commits before its record does.
    """

    def __init__(self, reference: str, times: int, error: str, elsewhere: Sequence[str] = ()) -> None:
        rolled_back = "what is done is recorded, and the batch under way was rolled back; nothing is lost"
        beside = (
            f"what is done is recorded, but for the batch under way: {' or '.join(elsewhere)} may have committed it; "
            "the next run repeats it and records it, so nothing is lost"
        )
        super().__init__(
            f"{reference} stalled: it met trouble" + (f" {times} times" if times > 1 else ""),
            said=error,
            now=beside if elsewhere else rolled_back,
            do="Mend the cause; the next run goes on from here.",
        )


class NoHeadway(StepwellError):
    """A job's batches are done, and its own condition still finds their rows."""

    def __init__(self, reference: str, left: int, key: str) -> None:
        super().__init__(
            f"{reference} makes no headway: its `where` still finds {left:,} rows that were migrated",
            said=f"the first of them has the key {key}",
            now="each batch is committed and recorded; the job would visit the same rows for ever",
            do="Let what the job does make its `where` untrue, or leave `where` out: then it visits each row once.",
        )


# --- checks ---------------------------------------------------------------------------------------------------


class BadCheck(StepwellError):
    """A check's file is not as it must be. `line` counts from 1; 0 where the file as a whole is meant."""

    exit_code = 2

    def __init__(self, path: PurePath, line: int, what: str, do: str) -> None:
        super().__init__(what, where=f"{path}:{line}" if line else str(path), now="nothing was checked", do=do)


class CheckBroken(StepwellError):
    """A check could not be run to its end, or its results can't be compared: nothing is known of what it checks."""

    def __init__(self, reference: str, where: str, said: str, do: str) -> None:
        super().__init__(
            f"{reference} could not be run, so nothing is known of what it checks",
            where=where,
            said=said,
            now="it counts as not holding; steps that require it wait",
            do=do,
        )


class NotComparable(StepwellError):
    """Two columns whose values can't be compared exactly: a wrong answer would be worse than none."""

    exit_code = 2

    def __init__(self, left: str, right: str, types: str, why: str, do: str) -> None:
        super().__init__(
            f"{left} and {right} can't be compared: {types}",
            said=why,
            now="nothing was compared",
            do=do,
        )


class KeyTooWide(StepwellError):
    """So many rows have one key that it is none."""

    exit_code = 2

    def __init__(self, key: str, most: int) -> None:
        super().__init__(
            f"more than {most:,} rows have the key {key}, too many to tell which belong together",
            now="what was reported before this key stands; nothing is known of the rest",
            do="Name more columns in --key, or leave these rows out with --where.",
        )


class DiffBroken(StepwellError):
    """A comparison of two tables could not be run to its end."""

    def __init__(self, table: str, said: str, do: str) -> None:
        super().__init__(
            f"{table} could not be compared to the end",
            said=said,
            now="what was reported stands; nothing is known of the rest; nothing was changed",
            do=do,
        )


class NoSnapshot(StepwellError):
    """A check compares with a snapshot that is missing, or that is not one of what stands here now."""

    exit_code = 2

    def __init__(self, reference: str, name: str, where: str, why: str, do: str) -> None:
        super().__init__(
            f"{reference} can't be compared with snapshot {name!r}: {why}",
            where=where,
            now="nothing was checked",
            do=do,
        )


class SnapshotExists(StepwellError):
    """A snapshot of this name was taken before."""

    exit_code = 2

    def __init__(self, name: str, taken: str) -> None:
        super().__init__(
            f"there is a snapshot {name!r} already, taken {taken}",
            now="it was left as it is",
            do=f"Compare with it, or take it anew; the old rows are then gone: stepwell snapshot take {name} --replace",
        )


class BadRunbook(StepwellError):
    """A runbook's file is not as it must be. `line` counts from 1; 0 where the file as a whole is meant."""

    exit_code = 2

    def __init__(self, path: PurePath, line: int, what: str, do: str) -> None:
        super().__init__(what, where=f"{path}:{line}" if line else str(path), now="nothing was recorded", do=do)


class NotASigner(StepwellError):
    """The runbook lists who may sign an item, and whoever runs this is not among them."""

    exit_code = 2

    def __init__(self, reference: str, where: str, who: str, may: Sequence[str]) -> None:
        super().__init__(
            f"{who} may not answer for {reference}",
            where=where,
            said=f"it is for {', '.join(may)}",
            now="nothing was recorded",
            do="Ask one of them. A pipeline says by STEPWELL_ACTOR who is behind it.",
        )


class RollbackStopped(StepwellError):
    """The way back came to an item that is not as it must be before it can go on."""

    exit_code = 7

    def __init__(self, label: str, where: str, why: str, do: str) -> None:
        super().__init__(
            f"the way back stopped at {label}",
            where=where,
            said=why,
            now="what came before it is done and recorded; nothing after it was begun",
            do=do,
        )


class NoCopy(StepwellError):
    """There is no copy of a database to rehearse on: it can't be made here, or what was given is none."""

    exit_code = 6

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"no copy of database {name!r} to rehearse on",
            said=why,
            now="nothing was changed",
            do=f"Make a copy elsewhere, such as of last night's backup: stepwell rehearse --on {name}=URL",
        )


class BadSentence(StepwellError):
    """A sentence for `new --three-point` that is not understood."""

    exit_code = 2

    def __init__(self, text: str, why: str, word: str, known: Iterable[str], forms: Iterable[str]) -> None:
        super().__init__(
            f"can't read {text!r}: {why}{did_you_mean(word.lower(), known) if word else ''}",
            now="nothing was written",
            do="\n".join(["Write a sentence such as", *forms]),
        )


class NoThreePoints(StepwellError):
    """A change that old and new servers can't live with side by side, at least not in a way that can be written."""

    exit_code = 2

    def __init__(self, change: str, why: str, do: str) -> None:
        super().__init__(f"{change}: this can't be done in three points", said=why, now="nothing was written", do=do)


class NotExact(StepwellError):
    """A value, or a type, that the target of a copy can't hold as it is. Nothing else is written in its place."""

    def __init__(self, column: str, types: str, said: str) -> None:
        self.column = column
        super().__init__(
            f"{column} can't be copied exactly: {types}",
            said=said,
            now="the row with this value was not copied; repeated with a key, a copy goes on where it stopped",
            do="Correct the value in the source, leave its row out by a condition, or give the target's column a type\n"
            "that can hold it (Nullable for NULL, wider numbers, DateTime64 for times, String for text or bytes).",
        )


class RowDiffers(StepwellError):
    """The target of a copy has a row of the same key with other values."""

    def __init__(self, table: str, row: str, columns: Sequence[str]) -> None:
        super().__init__(
            f"{table} has other values where {row}: {', '.join(columns)}",
            now="this row was not copied, and is as it was in both tables",
            do="A copy that died may have left it, and a writer changed the source since;\n"
            "or somebody else wrote it. Where nobody but the job writes rows there that\n"
            "are still to be copied, say batch.copy(…, replace=True); else correct or\n"
            "delete the row there. Then have it tried again: stepwell job retry NAME",
        )


def shorten(text: str, width: int = 68) -> str:
    """A statement on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
