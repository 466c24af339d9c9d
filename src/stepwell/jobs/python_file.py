"""Jobs in Python: the classes of a file that derive from Job."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import traceback
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

from stepwell.errors import BadJob, did_you_mean
from stepwell.jobs.definition import Job
from stepwell.jobs.draft import Draft

WORDS = tuple(Job.__annotations__)


def drafts(text: str, path: Path) -> list[Draft]:
    """The jobs of a file, which is run for that: a job is code that its project trusts. Raises BadJob."""
    try:
        tree = ast.parse(text, str(path))
        code = compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BadJob(path, error.lineno or 0, f"not valid Python: {error.msg}", "Correct it.") from None
    package = _package(path.parent)
    module = ModuleType(f"{package}.{path.stem}")
    module.__file__, module.__package__ = str(path), package
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        what = f"can't be loaded: {type(error).__name__}: {error}"
        raise BadJob(path, _line_of(error, path), what, "Correct it.") from error
    found: dict[str, Draft] = {}
    for node in tree.body:
        job = vars(module).get(node.name) if isinstance(node, ast.ClassDef) else None
        if not isinstance(node, ast.ClassDef) or not isinstance(job, type) or not issubclass(job, Job):
            continue
        if node.name in found:
            raise BadJob(path, node.lineno, f"{node.name} is also on line {found[node.name].line}", "Rename one.")
        found[node.name] = _draft(job, node, path)
    if not found:
        raise BadJob(path, 0, "there is no class that derives from Job in it", "Write `class Name(Job):`.")
    return list(found.values())


def _package(folder: Path) -> str:
    """The name under which a folder's files import each other: `from ._shared import name`. They are read anew."""
    name = f"stepwell_jobs_{zlib.crc32(str(folder.resolve()).encode()):08x}"
    for known in [known for known in sys.modules if known.startswith(f"{name}.")]:
        del sys.modules[known]
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return name


def _line_of(error: BaseException, path: Path) -> int:
    """The last line of the file that an error came by; 0 where it came by none."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(path)), 0)


def _draft(job: type[Job], node: ast.ClassDef, path: Path) -> Draft:
    lines = _lines(node, path)

    def wrong(name: str, what: str, do: str) -> BadJob:
        return BadJob(path, lines.get(name, node.lineno), f"{job.__name__}: {what}", do)

    for name, value in vars(job).items():
        if not name.startswith("_") and name not in (*WORDS, "undo", "reopen") and not callable(value):
            what = f"unknown name {name!r}{did_you_mean(name, WORDS)}"
            raise wrong(name, what, f"Known are {', '.join(sorted(WORDS))}; a name of your own begins with `_`.")
    if not hasattr(job, "batches"):
        raise wrong("batches", "`batches` is missing", 'Write batches = Keyset("database", "table", key="id").')
    if job.migrate is Job.migrate:
        raise wrong("migrate", "`migrate` is missing", "Write def migrate(self, batch): …")
    try:
        instance = job()
    except Exception as error:
        raise wrong(
            "__init__", f"can't be made: {type(error).__name__}: {error}", "Let it need no argument."
        ) from error
    for name, *arguments in (("migrate", "batch"), ("undo", "connections"), ("reopen", "key", "connections")):
        if hasattr(instance, name) and (what := _not_to_be_called(getattr(instance, name), len(arguments))):
            raise wrong(name, f"`{name}` {what}", f"Write def {name}(self, {', '.join(arguments)}): …")
    return Draft(
        name=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", job.__name__).lower().replace("_", "-"),
        path=path,
        line=node.lineno,
        about=(job.__doc__ or "").strip().split("\n")[0],
        said={name: getattr(job, name) for name in WORDS},
        lines=lines,
        migrate=instance.migrate,
        undo=getattr(instance, "undo", ()),
        reopen=getattr(instance, "reopen", None),
    )


def _lines(node: ast.ClassDef, path: Path) -> dict[str, int]:
    """Where each name of a class is said, which is once."""
    lines: dict[str, int] = {}
    for part in node.body:
        names: list[str] = []
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = [part.name]
        elif isinstance(part, ast.Assign):
            names = [target.id for target in part.targets if isinstance(target, ast.Name)]
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            names = [part.target.id]
        for name in names:
            if name in lines and name in (*WORDS, "migrate", "undo", "reopen"):
                what = f"{node.name}: `{name}` is said a second time; the first is on line {lines[name]}"
                raise BadJob(path, part.lineno, what, "Take one of them away.")
            lines[name] = part.lineno
    return lines


def _not_to_be_called(method: Any, arguments: int) -> str:
    """Why a call of a method with so many arguments would do nothing, or fail; '' where it is as it must be."""
    if not callable(method):
        return "is not a method"
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return "is `async`, and nothing would await it"
    if inspect.isgeneratorfunction(method):
        return "has a `yield`, so a call of it would do nothing"
    try:
        inspect.signature(method).bind(*[None] * arguments)
    except TypeError as error:
        return f"can't be called with {'one argument' if arguments == 1 else f'{arguments} arguments'}: {error}"
    return ""
