"""Another tool's scripts, written anew in Stepwell's own format, and proven to say the same.

A script becomes SQL wherever reading that back gives the same statements, and Python where it does not: nothing to do,
a variable that SQL can't name, a comment inside a statement that would be taken for a mark. What is compared is what
lies on the disk; only then does the folder get its name.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

from stepwell.errors import BadRequest, BadScript
from stepwell.scripts import folder, formats
from stepwell.scripts.convert import proof, writing
from stepwell.scripts.convert.told import tell
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, sealed

Commits = Callable[[str], bool]
"""Whether a statement can be part of a transaction."""

KEPT = re.compile(r"[0-9]+_[\w-]+")
"""Versions that Stepwell's own format can have as they are."""

_NUMBERS = re.compile(r"[VR]?[0-9._]*__|[0-9]+[-_ ]*")


@dataclass(frozen=True, slots=True)
class Converted:
    """A script, and the file that it was written to; how many statements it has there and back.

    `filled` are variables whose value was put in for good, for the database has no other now.
    """

    script: Script
    path: Path
    up: int
    down: int
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written, in order; `left_out` are versions that are no scripts of this database, and where they are.

    `proof` is what came of trying both, in words; '' where they were not.
    """

    folder: Path
    scripts: list[Converted]
    left_out: list[str]
    proof: str = ""


def convert(
    origin: Origin,
    target: Path,
    variables: Mapping[str, str],
    commits: Commits,
    prove: Callable[[Path], str] = lambda folder: "",
) -> Conversion:
    """Write the scripts of a database to a new folder, which appears as a whole or not at all.

    `prove` looks at all of it before it gets its name, and raises to stop that. Raises BadScript for what can't be
    said, BadRequest where there is nothing to convert or the folder is there.
    """
    if formats.recognise(origin).format == "native":
        raise BadRequest(f"the scripts of database {origin.database!r} are in Stepwell's own format already")
    if target.exists():
        raise BadRequest(f"{target} is there already", "Name a folder that is not: --to FOLDER")
    scripts = formats.load(origin)
    if not scripts:
        raise BadRequest(f"database {origin.database!r} has no scripts to convert")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        named = zip(scripts, _names(scripts), strict=True)
        written = [_convert(script, work, target, name, variables, commits) for script, name in named]
        proof.same_order(scripts, folder.load(work, origin.database, origin.engine))
        done = Conversion(target, written, _left_out(origin), prove(work))
        work.chmod(0o755)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return done


def _left_out(origin: Origin) -> list[str]:
    if formats.recognise(origin).format != "liquibase":
        return []
    from stepwell.scripts.formats import liquibase

    return [f"{one.version} ({one.path}:{one.line})" for one in liquibase.left_out(origin)]


def _names(scripts: Sequence[Script]) -> list[str]:
    """The versions as they are, where these are names that give the same order; else numbers and titles."""
    versions = [script.version for script in scripts]
    if all(map(KEPT.fullmatch, versions)):
        numbers = [int(version.partition("_")[0]) for version in versions]
        if all(one < other for one, other in pairwise(numbers)):
            return versions
    width = max(4, len(str(len(scripts))))
    return [f"{number:0{width}}_{_title(script)}" for number, script in enumerate(scripts, start=1)]


def _title(script: Script) -> str:
    if script.delegate:
        said = script.path.stem.removeprefix(script.version)
    elif "::" in script.version:
        file, ident, _ = script.version.rsplit("::", 2)
        said = f"{_NUMBERS.sub('', Path(file).stem, count=1)} {ident}"
    else:
        said = _NUMBERS.sub("", script.version, count=1)
    return re.sub(r"[^a-z0-9]+", "_", said.lower()).strip("_")[:80] or "script"


def _convert(
    script: Script, work: Path, target: Path, name: str, variables: Mapping[str, str], commits: Commits
) -> Converted:
    """Write one script in the first way that reads back as the same. Raises BadScript."""
    told = tell(script, variables)
    for ending, mark, text in ((".sql", "--", writing.sql(told)), (".py", "#", writing.python(told, commits))):
        path = work / f"{name}{ending}"
        path.write_bytes(f"{mark} was: {script.version} {_seal(script, text)}\n{text}".encode())
        try:
            difference = proof.difference(told, folder.one(path, script.database, script.engine), variables)
        except BadScript as error:
            difference = error.what
        if not difference:
            return Converted(script, target / path.name, len(told.up), len(told.down or ()), tuple(sorted(told.filled)))
        path.unlink()
    raise BadScript(script.path, 0, f"it can't be said in Stepwell's own format: {difference}", "Write it by hand.")


def _seal(script: Script, text: str) -> str:
    return "any" if "*" in script.accepts else sealed(text, script.checksum)
