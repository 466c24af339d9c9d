"""Projects for tests: a folder written from text, its databases named by variables, so that one serves many copies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dumping
import warm
from dumping import Dump

TESTS = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(TESTS.parent / "src")}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True, slots=True)
class Project:
    """A project's folder with the URLs of its databases, by name."""

    folder: Path
    urls: Mapping[str, str]

    def __call__(self, *arguments: str, timeout: float = 120) -> Ended:
        """Run `stepwell ARGUMENTS` there to its end; a hanging one is killed and fails the test."""
        return Ended(*warm.run(arguments, self.folder, self._environment, timeout))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `stepwell ARGUMENTS` and leave it running."""
        return self._start("-m", "stepwell", *arguments)

    def killed(self, *arguments: str, timeout: float = 120) -> Ended:
        """Run it through killing.py, which may kill it."""
        return Ended(*warm.run(arguments, self.folder, self._environment, timeout, str(TESTS / "killing.py")))

    def python(self, text: str, timeout: float = 120) -> Ended:
        """Run a Python program there."""
        return ended(self.start_python(text), timeout)

    def start_python(self, text: str) -> subprocess.Popen[str]:
        return self._start("-c", text)

    def with_urls(self, urls: Mapping[str, str]) -> Project:
        """The same folder on other databases."""
        return Project(self.folder, urls)

    def write(self, scripts: Mapping[str, str | bytes]) -> None:
        """Write scripts by 'database/0001_name.sql'; a name without an ending gets .sql."""
        for name, text in scripts.items():
            path = self.folder / "migrations" / (name if Path(name).suffix else f"{name}.sql")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def dump(self) -> dict[str, Dump]:
        return {name: dumping.dump(url) for name, url in self.urls.items()}

    @property
    def _environment(self) -> dict[str, str]:
        return ENVIRONMENT | {variable(name): url for name, url in self.urls.items()}

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def ended(process: subprocess.Popen[str], timeout: float = 120) -> Ended:
    """Wait for a command that was started; a hanging one is killed and fails the test."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"{process.args!r} hung:\n{stdout}{stderr}") from None
    return Ended(process.returncode, stdout, stderr)


def done(end: Ended) -> str:
    """What a command printed that must have ended well."""
    assert end.code == 0, end.text
    return end.stdout


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something holds while a command is running. A minute without it, or the command's end, fails."""
    deadline = time.monotonic() + 60
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it never came so far:\n{ended(process).text}")
        time.sleep(0.02)


def variable(name: str) -> str:
    """The environment variable that holds a database's URL."""
    return f"{name.upper()}_DB_URL"


def make(folder: Path, urls: Mapping[str, str], scripts: Mapping[str, str | bytes]) -> Project:
    """Write a project's folder: its stepwell.toml and its scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    project = Project(folder, urls)
    for name in urls:
        (folder / "migrations" / name).mkdir(parents=True, exist_ok=True)
    sections = (f'[databases.{name}]\nurl = "${{{variable(name)}}}"\n' for name in urls)
    (folder / "stepwell.toml").write_text("\n".join(sections))
    project.write(scripts)
    return project
