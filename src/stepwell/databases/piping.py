"""One of a server's own tools writing into another."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepwell.databases.copies import Unfit


def find(tool: str, elsewhere: str = "", other: str = "") -> str:
    """Where a tool is: on the path, in the newest of some folders, or under its other name. Raises Unfit."""
    folders = sorted(Path("/").glob(elsewhere.lstrip("/")), reverse=True) if elsewhere else []
    places = [
        shutil.which(tool),
        *(shutil.which(tool, path=str(folder)) for folder in folders),
        shutil.which(other or tool),
    ]
    found = next((place for place in places if place), None)
    if found is None:
        raise Unfit(f"{tool} is not installed here")
    return found


def pipe(first: Sequence[str], second: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run two commands, the output of one being the input of the other. Raises Unfit with what they said."""
    variables = {**os.environ, **environment}
    with subprocess.Popen(first, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        reader = subprocess.run(
            second, env=variables, stdin=writer.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        if writer.stdout:
            writer.stdout.close()
        said = (writer.stderr.read() if writer.stderr else b"") + reader.stderr
    if writer.returncode or reader.returncode:
        raise Unfit(said.decode(errors="replace").strip() or f"{first[0]} ended with {writer.returncode}")
