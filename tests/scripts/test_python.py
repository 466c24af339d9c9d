"""Scripts in Python: found like the others, parsed when asked about, run when needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.errors import BadScript
from stepwell.scripts.folder import load
from stepwell.scripts.script import Script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def script(folder: Path, text: str) -> Script:
    (folder / "0001_move.py").write_text(text)
    (found,) = load(folder, "state", "sqlite")
    return found


def test_it_gives_its_functions(folder: Path) -> None:
    found = script(folder, '"""Moves rows."""\nN = 2\n\ndef up(db): db.append(N)\n\ndef down(db): db.remove(N)\n')
    up, down = found.function("up"), found.function("down")
    assert found.is_python and found.reversible and up and down
    rows: list[int] = []
    up(rows)
    assert rows == [2]
    down(rows)
    assert rows == []


def test_without_down_there_is_no_way_back(folder: Path) -> None:
    found = script(folder, "def up(db): pass\n")
    assert not found.reversible
    assert found.function("down") is None


def test_front_matter_stands_in_its_first_comments(folder: Path) -> None:
    found = script(
        folder,
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Moves rows.\n# requires: state/0042, job/x\n"
        "# timeout: 5min\n\n# ordinary: comment\ndef up(db): pass\n",
    )
    assert (found.front.requires, found.front.requires_lines) == (("state/0042", "job/x"), (4, 4))
    assert found.front.timeout == 300.0


def test_it_runs_only_when_its_functions_are_asked_for(folder: Path) -> None:
    found = script(folder, "raise RuntimeError('run')\ndef up(db): pass\n")
    assert not found.reversible
    with pytest.raises(BadScript, match="RuntimeError: run") as caught:
        found.function("up")
    assert caught.value.where == f"{found.path}:1"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("def up(db): pass\ndef down(db:\n", 2, "not valid Python"),
        ("def up(db):\n  return\n\nasync def down(db): pass\n", 4, "`down` is async"),
        ("X = 1\n", 0, "the script has no function `up`"),
        ("def up(db): pass\nreturn\n", 2, "not valid Python"),
    ],
)
def test_one_that_makes_no_sense_is_refused_with_its_line(folder: Path, text: str, line: int, what: str) -> None:
    found = script(folder, text)
    with pytest.raises(BadScript, match=what) as caught:
        found.function("up")
    assert caught.value.where == (f"{found.path}:{line}" if line else str(found.path))


def test_it_has_the_same_checksum_on_windows(folder: Path) -> None:
    unix = script(folder, "def up(db): pass\n").checksum
    (folder / "0001_move.py").write_bytes(b"\xef\xbb\xbfdef up(db): pass\r\n")
    (windows,) = load(folder, "state", "sqlite")
    assert windows.checksum == unix
    assert windows.function("up")


def test_its_statements_are_not_to_be_had(folder: Path) -> None:
    with pytest.raises(AssertionError):
        script(folder, "def up(db): pass\n").statements("up", {})
