"""A folder of another tool's files, and what Stepwell reads in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepwell.scripts import formats
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def scripts(folder: Path, files: Mapping[str, str | bytes], engine: str = "postgres", **said: str) -> list[Script]:
    """The scripts of a folder with these files; `said` is what stepwell.toml says of it."""
    return formats.load(Origin(write(folder, files), "state", engine, **said))


def versions(found: list[Script]) -> list[str]:
    return [script.version for script in found]


def up(script: Script, **variables: str) -> list[str]:
    return [one.text for one in script.statements("up", variables)]


def down(script: Script, **variables: str) -> list[str] | None:
    """The statements of the way back; None where there is none."""
    return [one.text for one in script.statements("down", variables)] if script.reversible else None


def lines(script: Script) -> list[int]:
    return [one.line for one in script.sections.up]
