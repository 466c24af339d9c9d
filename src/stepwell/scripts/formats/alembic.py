"""Alembic: its own environment, run through Alembic; one step for each revision.

Revisions are read without running them: a file says its `revision` and its `down_revision` as plain values. Each comes
behind all that it revises; among several that could be next, the one whose file sorts first. Alembic goes on writing
its own table, `alembic_version`.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.errors import BadScript, DuplicateVersion, NoScriptFolder
from stepwell.scripts.front import NOTHING
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Delegate, Script, Sections, Statement
from stepwell.scripts.source import read

if TYPE_CHECKING:
    from alembic.config import Config

_NAMES = ("revision", "down_revision", "depends_on")
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_DRIVERS |= {"mariadb": "mysql+pymysql", "sqlite": "sqlite"}


@dataclass(frozen=True, slots=True)
class Environment:
    """Where Alembic's environment is: its folder with env.py, those with the revisions, and its alembic.ini."""

    folder: Path
    versions: tuple[Path, ...]
    ini: Path | None


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision; `after` are those that it revises or depends on."""

    name: str
    path: Path
    after: tuple[str, ...]
    revises: tuple[str, ...]
    text: str
    checksum: str
    reversible: bool


def load(origin: Origin) -> list[Script]:
    """The revisions in order. Raises BadScript, DuplicateVersion, NoScriptFolder."""
    environment = _environment(origin)
    found: dict[str, Revision] = {}
    for folder in environment.versions:
        if not folder.is_dir():
            raise NoScriptFolder(folder, origin.database)
        for path in sorted(folder.glob("*.py")):
            if path.name.startswith(("_", ".")):
                continue
            revision = _revision(path)
            other = found.setdefault(revision.name, revision)
            if other is not revision:
                raise DuplicateVersion(other.path, path)
    return [_script(origin, environment, revision, found) for revision in _ordered(found)]


def _environment(origin: Origin) -> Environment:
    path = origin.path
    if path.is_dir() and (path / "env.py").is_file():
        ini = path.parent / "alembic.ini"
        return Environment(path, (path / "versions",), ini if ini.is_file() else None)
    ini = path if path.is_file() else path / "alembic.ini"
    if not ini.is_file():
        raise NoScriptFolder(path, origin.database)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read(ini)[0])
        location = parser.get("alembic", "script_location").replace("%(here)s", ".")
    except configparser.Error as error:
        raise BadScript(ini, 0, f"no script_location: {error.message}", "Correct alembic.ini.") from None
    if parser.has_option("alembic", "version_locations"):
        what = "version_locations in alembic.ini, which Stepwell does not read"
        raise BadScript(ini, 0, what, "Put the revisions into the folder `versions`.")
    folder = ini.parent / location
    return Environment(folder, (folder / "versions",), ini)


def _revision(path: Path) -> Revision:
    text, checksum = read(path)
    try:
        tree = ast.parse(text, str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        raise BadScript(path, line, f"not valid Python: {error}", "Correct the revision.") from None
    said: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        target, value = _assigned(node)
        if target in _NAMES and value is not None:
            said[target] = _plain(value, target, path)
    if len(said.get("revision", ())) != 1:
        raise BadScript(path, 0, "the file has no `revision`", 'Write revision = "…", or begin its name with `_`.')
    revises = said.get("down_revision", ())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return Revision(
        said["revision"][0],
        path,
        revises + said.get("depends_on", ()),
        revises,
        text,
        checksum,
        "downgrade" in functions,
    )


def _assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            return name, value
    return "", None


def _plain(value: ast.expr, name: str, path: Path) -> tuple[str, ...]:
    try:
        found = ast.literal_eval(value)
    except ValueError:
        raise BadScript(path, value.lineno, f"`{name}` is no plain value", "Write the revision's id itself.") from None
    if found is None:
        return ()
    names = (found,) if isinstance(found, str) else tuple(found)
    return tuple(map(str, names))


def _ordered(found: Mapping[str, Revision]) -> list[Revision]:
    """Each behind all that it revises. Raises BadScript."""
    for revision in found.values():
        for other in revision.after:
            if other not in found:
                what = f"it revises {other!r}, which is not there"
                raise BadScript(revision.path, 0, what, "Put that revision back, or correct down_revision.")
    ordered: list[Revision] = []
    left = dict(found)
    while left:
        ready = [one for one in left.values() if not any(other in left for other in one.after)]
        if not ready:
            first = next(iter(left.values()))
            raise BadScript(first.path, 0, "the revisions revise each other in a circle", "Correct down_revision.")
        ordered.append(ready[0])
        del left[ready[0].name]
    return ordered


def _script(origin: Origin, environment: Environment, revision: Revision, found: Mapping[str, Revision]) -> Script:
    alembic = partial(_config, origin, environment)
    delegate = Delegate(
        f"alembic {revision.name}",
        revision.reversible,
        origin.engine == "postgres",
        lambda: revision.name in _applied(alembic(), found, revision),
        lambda direction: _run(alembic(), revision, direction),
        lambda direction: _stamp(alembic(), revision, direction),
        lambda: _written(alembic(), origin, revision),
    )
    return Script(
        origin.database,
        revision.name,
        revision.path,
        origin.engine,
        revision.checksum,
        NOTHING,
        revision.text,
        None,
        late=True,
        delegate=delegate,
    )


# --- through Alembic ------------------------------------------------------------------------------------------------


def _config(origin: Origin, environment: Environment) -> Config:
    try:
        from alembic.config import Config
    except ImportError:
        do = 'Install it: pip install "stepwell[alembic]"'
        raise BadScript(environment.folder, 0, "Alembic is not installed", do) from None
    scheme, _, rest = origin.url.partition("://")
    if scheme not in _DRIVERS:
        what = f"Alembic has no way to {origin.engine}"
        raise BadScript(environment.folder, 0, what, "Use another format for this database.")
    config = Config(str(environment.ini) if environment.ini else None)
    config.set_main_option("script_location", str(environment.folder).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", f"{_DRIVERS[scheme]}://{rest}".replace("%", "%%"))
    return config


def _applied(config: Config, found: Mapping[str, Revision], revision: Revision) -> set[str]:
    """All revisions that Alembic's own table stands for: those in it, and what they follow."""
    heads: list[str] = []

    def look(current: Sequence[str], _context: object) -> list[Any]:
        heads.extend(current)
        return []

    _in_environment(config, look, revision)
    applied: set[str] = set()
    waiting = list(heads)
    while waiting:
        name = waiting.pop()
        if name not in found:
            what = f"alembic_version says {name!r}, and there is no such revision"
            raise BadScript(revision.path, 0, what, "Put its file back.")
        if name not in applied:
            applied.add(name)
            waiting += found[name].after
    return applied


def _run(config: Config, revision: Revision, direction: str) -> None:
    from alembic.script import ScriptDirectory

    directory = ScriptDirectory.from_config(config)

    def steps(current: Sequence[str], _context: object) -> list[Any]:
        if direction == "up":
            chosen = directory._upgrade_revs(revision.name, tuple(current))  # type: ignore[arg-type]  # as its command
        else:
            chosen = directory._downgrade_revs(_target(current, revision), tuple(current))  # type: ignore[arg-type]  # the same
        if len(chosen) != 1:
            what = f"Alembic would run {len(chosen)} revisions to bring this one {direction}"
            do = "Its table alembic_version is not where Stepwell's history is. `alembic stamp` the one before."
            raise BadScript(revision.path, 0, what, do)
        return list(chosen)

    _in_environment(config, steps, revision)


def _target(current: Iterable[str], revision: Revision) -> str:
    if tuple(current) != (revision.name,) or len(revision.revises) > 1:
        do = "Undo it with Alembic, which knows about branches."
        raise BadScript(revision.path, 0, "its way back leads through several branches", do)
    return revision.revises[0] if revision.revises else "base"


def _stamp(config: Config, revision: Revision, direction: str) -> None:
    from alembic import command

    command.stamp(config, revision.name if direction == "up" else (*revision.revises, "base")[0])


def _in_environment(config: Config, look: Callable[[Any, Any], list[Any]], revision: Revision) -> None:
    """Run env.py, with `look` to say which revisions. Raises BadScript."""
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    directory = ScriptDirectory.from_config(config)
    try:
        with EnvironmentContext(config, directory, fn=look):
            directory.run_env()
    except BadScript:
        raise
    except Exception as error:  # whatever a revision or env.py raises
        raise _trouble(revision, error, "Correct the revision, or env.py.") from error


def _trouble(revision: Revision, error: Exception, do: str) -> BadScript:
    line, trace = 0, error.__traceback__
    while trace:
        if Path(trace.tb_frame.f_code.co_filename) == revision.path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    said = re.sub(r"://[^@\s/]*@", "://…@", f"{type(error).__name__}: {error}")
    return BadScript(revision.path, line, said, do)


# --- as SQL ---------------------------------------------------------------------------------------------------------


def _written(config: Config, origin: Origin, revision: Revision) -> tuple[Sections, bool]:
    """The statements that a revision sends, and whether some stand in a transaction of their own. Raises BadScript.

    Nothing is connected to: a revision that asks the database what to do can't be told as SQL.
    """
    from alembic.script import ScriptDirectory

    from stepwell.scripts.formats.cutting import Part, statements
    from stepwell.scripts.native import controls_transaction

    module = ScriptDirectory.from_config(config).get_revision(revision.name).module
    found: dict[str, tuple[Statement, ...]] = {}
    alone = False
    for direction, name in (("up", "upgrade"), ("down", "downgrade")):
        function = getattr(module, name, None)
        texts = _sent(config, revision, function) if function else []
        said = [text for text in texts if not controls_transaction(text, origin.engine)]
        alone = alone or len(said) < len(texts)
        found[direction] = statements([Part(text, 1) for text in said], revision.path, origin.engine)
    head = tuple(f"-- {line}" for line in (module.__doc__ or "").strip().splitlines() if line.strip())
    return Sections(found["up"], found["down"] if revision.reversible else None, head), alone


def _sent(config: Config, revision: Revision, function: Callable[[], None]) -> list[str]:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import DDLElement, make_url, text

    url = make_url(config.get_main_option("sqlalchemy.url") or "")
    # Another style would double every `%`.
    dialect = url.get_dialect()(paramstyle="named")  # type: ignore[call-arg]  # each engine's own takes it
    context = MigrationContext.configure(dialect=dialect, opts={"as_sql": True, "output_buffer": StringIO()})
    sent: list[str] = []

    def take(construct: Any, *options: object, **more: object) -> None:
        if any(options) or any(more.values()):
            raise TypeError("a statement with parameters")
        construct = text(construct) if isinstance(construct, str) else construct
        if isinstance(construct, DDLElement):
            sent.append(str(construct.compile(dialect=dialect)).strip())
            return
        if lacking := [name for name, bound in construct.compile(dialect=dialect).binds.items() if bound.required]:
            raise TypeError(f"a statement with parameters: {', '.join(lacking)}")
        sent.append(str(construct.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).strip())

    # As Alembic's own `--sql`, which would give tabs in a string as blanks.
    context.impl._exec = take  # type: ignore[method-assign]  # there is no public way
    context.impl.static_output = sent.append  # type: ignore[assignment, method-assign]  # the same
    try:
        with Operations.context(context):
            function()
    except Exception as error:  # whatever a revision raises
        do = "It can't be told without a database. Write it in SQL: stepwell new, and take the revision away."
        raise _trouble(revision, error, do) from error
    return sent
