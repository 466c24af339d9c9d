"""Complete example projects that ship with Stepwell."""

from __future__ import annotations

import shutil
from pathlib import Path

from stepwell.config import FILE
from stepwell.errors import BadRequest, did_you_mean

SUFFIXES = (".sql", ".py", ".toml")
HERE = Path(__file__).parent


def names() -> list[str]:
    """The bundled projects."""
    return sorted(path.parent.name for path in HERE.glob(f"*/{FILE}"))


def copy(name: str, folder: Path) -> list[Path]:
    """Copy a bundled project's files into a folder. Raises BadRequest; never overwrites a file."""
    if name not in names():
        raise BadRequest(
            f"no bundled project {name!r}{did_you_mean(name, names())}", f"There are {', '.join(names())}."
        )
    bundle = HERE / name
    files = [bundle / FILE, bundle / "README.md", *_parts(bundle)]
    copies = [folder / source.relative_to(bundle) for source in files]
    for target in copies:
        if target.exists():
            raise BadRequest(f"{target} is there already", "Choose an empty folder.")
    for source, target in zip(files, copies, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return copies


def _parts(bundle: Path) -> list[Path]:
    """The scripts, jobs, checks and runbooks of a bundle."""
    patterns = ("migrations/*/*.*", "jobs/*.*", "checks/*.sql", "runbooks/*.toml")
    return sorted(path for pattern in patterns for path in bundle.glob(pattern) if path.suffix in SUFFIXES)
