"""Scripts in Python: a module with `up(db)` and, where there is a way back, `down(db)`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from stepwell.errors import BadScript

Function = Callable[[Any], None]


def names(text: str, path: Path) -> frozenset[str]:
    """Which of `up` and `down` a module defines, found without running it. Raises BadScript."""
    found = set()
    for node in _parsed(text, path).body:
        match node:
            case ast.AsyncFunctionDef(name="up" | "down"):
                raise BadScript(path, node.lineno, f"`{node.name}` is async", f"Write `def {node.name}(db):`.")
            case ast.FunctionDef(name="up" | "down"):
                found.add(node.name)
    if "up" not in found:
        raise BadScript(path, 0, "the script has no function `up`", "Write `def up(db): …` in it.")
    return frozenset(found)


def load(text: str, path: Path) -> dict[str, Function]:
    """Run a module and return its functions `up` and `down`, as far as it has them. Raises BadScript."""
    wanted = names(text, path)
    module = ModuleType(path.name.partition(".")[0])
    module.__file__ = str(path)
    code = compile(text, str(path), "exec", dont_inherit=True)
    try:
        exec(code, module.__dict__)  # a migration is code that its project trusts
    except Exception as error:
        line = _line_in(path, error)
        said = f"{type(error).__name__}: {error}"
        raise BadScript(path, line, f"the module can't be run: {said}", "Correct the script.") from error
    return {name: getattr(module, name) for name in wanted}


def _parsed(text: str, path: Path) -> ast.Module:
    try:
        compile(text, str(path), "exec", dont_inherit=True)  # sees more than the parser, such as a stray `return`
        return ast.parse(text, str(path))
    except SyntaxError as error:
        raise BadScript(path, error.lineno or 0, f"not valid Python: {error.msg}", "Correct the script.") from None


def _line_in(path: Path, error: BaseException) -> int:
    """The line of the script that the error passed through last."""
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
