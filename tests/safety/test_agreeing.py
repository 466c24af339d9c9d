"""At a terminal `up` shows the plan and asks; everywhere else it does as it is told."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import dumping
import projects
from projects import Project, done, variable


@pytest.fixture
def project(tmp_path: Path, sqlite_url: str) -> Project:
    return projects.make(
        tmp_path / "project", {"state": sqlite_url}, {"state/0001_item": "CREATE TABLE item (id INT);"}
    )


def at_a_terminal(project: Project, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command with a terminal at both ends; what it ended with, and what was on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepwell", *arguments],
        cwd=project.folder,
        env=projects.ENVIRONMENT | {variable("state"): project.urls["state"], "STEPWELL_ACTOR": "ann"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen, answered = b"", False
    while True:
        try:
            if not (read := os.read(ours, 4096)):
                break
        except OSError:  # the other end is closed
            break
        screen += read
        if b"[y/N]" in screen and not answered:
            os.write(ours, answer.encode())
            answered = True
    os.close(ours)
    return process.wait(timeout=60), screen.decode()


def test_the_plan_is_shown_and_a_yes_applies_it_and_is_in_the_history(project: Project) -> None:
    code, screen = at_a_terminal(project, "y\n", "up")
    assert code == 0, screen
    assert screen.index("state/0001_item") < screen.index("Apply 1 script as ann? [y/N]") < screen.index("applied 1")
    assert "ann@" in done(project("history"))


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "end of input"])
def test_anything_else_changes_nothing(project: Project, answer: str) -> None:
    before = dumping.dump(project.urls["state"])
    code, screen = at_a_terminal(project, answer, "up")
    assert code == 1
    assert "you did not agree" in screen
    assert dumping.dump(project.urls["state"]) == before


def test_the_way_back_is_agreed_to_as_well(project: Project) -> None:
    project.write({"state/0002_more": "CREATE TABLE more (id INT);\n-- down\nDROP TABLE more;\n"})
    done(project("up"))
    before = dumping.dump(project.urls["state"])
    code, screen = at_a_terminal(project, "\n", "down")
    assert (code, "you did not agree" in screen) == (1, True)
    assert dumping.dump(project.urls["state"]) == before
    code, screen = at_a_terminal(project, "y\n", "down")
    assert code == 0, screen
    assert screen.index("state/0002_more") < screen.index("Undo 1 script as ann? [y/N]") < screen.index("undone 1")
    done(project("up"))
    code, screen = at_a_terminal(project, "", "down", "--yes")
    assert (code, screen.endswith("undone 1\r\n")) == (0, True)


def test_nobody_is_asked_with_yes_for_a_program_or_when_there_is_nothing_to_do(project: Project) -> None:
    assert at_a_terminal(project, "", "up", "--yes")[0] == 0
    project.write({"state/0002_more": "CREATE TABLE more (id INT);"})
    assert at_a_terminal(project, "", "up", "--json")[0] == 0
    code, screen = at_a_terminal(project, "", "up")
    assert (code, screen.strip()) == (0, "applied 0, skipped 2")


def test_without_a_terminal_nobody_is_asked(project: Project) -> None:
    assert done(project("up")).endswith("applied 1, skipped 0\n")
