"""What a person reads at a terminal: trouble folded at 80 columns, commands whole, the next thing to do."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

import projects
from projects import Project, done, variable


@pytest.fixture
def project(tmp_path: Path, sqlite_url: str) -> Project:
    return projects.make(
        tmp_path / "project", {"state": sqlite_url}, {"state/0001_item": "CREATE TABLE item (id INT);"}
    )


def at_a_terminal(project: Project, *arguments: str, press: bytes = b"", after: bytes = b"") -> tuple[int, list[str]]:
    """Run a command at a terminal, pressing keys once something is on it: what it ended with, and the lines it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepwell", *arguments],
        cwd=project.folder,
        env=projects.ENVIRONMENT | {variable("state"): project.urls["state"], "TERM": "xterm", "COLUMNS": "80"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # its Ctrl-C is the process's
    )
    os.close(theirs)
    screen = b""
    while True:
        try:
            if not (read := os.read(ours, 4096)):
                break
        except OSError:  # the other end is closed
            break
        screen += read
        if press and after in screen:
            time.sleep(0.5)  # it is in the middle of what comes next
            os.write(ours, press)
            press = b""
    os.close(ours)
    return process.wait(timeout=60), screen.decode().replace("\r\n", "\n").splitlines()


def test_trouble_at_a_terminal_is_folded_at_its_width_and_a_command_to_paste_stays_whole(project: Project) -> None:
    done(project("up"))
    project.write({"state/0001_item": "CREATE TABLE item (id INT, name TEXT);"})
    code, lines = at_a_terminal(project, "up")
    assert code == 3
    assert max(map(len, lines)) <= 80, lines
    assert "       stepwell up --accept state/0001_item" in lines
    assert max(map(len, project("up").stderr.splitlines())) > 80, "a log keeps a message's line on one line"


def test_a_long_detail_of_the_status_is_folded(project: Project) -> None:
    done(project("up"))
    project.write({"state/0001_item": "CREATE TABLE item (id INT, name TEXT);"})
    _, lines = at_a_terminal(project, "status")
    assert max(map(len, lines)) <= 80, lines


@pytest.mark.parametrize(
    ("given", "meant"), [(["pln"], "'plan'"), (["job", "lst"], "'list'"), (["runbook", "sgin", "x"], "'sign'")]
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(
    project: Project, given: list[str], meant: str
) -> None:
    ended = project(*given)
    assert ended.code == 2
    assert f"did you mean {meant}" in ended.stderr
    assert "--help" in ended.stderr


def test_without_a_command_all_of_them_are_shown(project: Project) -> None:
    ended = project()
    assert ended.code == 2
    assert "apply every script that is ready" in ended.stderr


def test_ctrl_c_says_what_was_left_and_shows_no_trace(project: Project) -> None:
    (project.folder / "checks").mkdir()
    check = "-- expect: no rows\n\n-- database: state\nSELECT 1 AS one;\n"
    (project.folder / "checks" / "never.sql").write_text(check)
    code, lines = at_a_terminal(project, "check", "--watch", press=b"\x03", after=b"1 do not")
    assert code == 130
    assert lines[-1].endswith("interrupted; the same command begins anew")
    assert "Traceback" not in "\n".join(lines)


def test_ctrl_c_does_not_wait_for_the_statement_of_a_check(project: Project) -> None:
    (project.folder / "checks").mkdir()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    for name, statement in (("a", "SELECT 1 WHERE false"), ("b", endless)):
        check = f"-- expect: no rows\n\n-- database: state\n{statement};\n"
        (project.folder / "checks" / f"{name}.sql").write_text(check)
    code, lines = at_a_terminal(project, "check", press=b"\x03", after=b"check/a")
    assert code == 130, lines


def test_a_new_file_in_the_wrong_place_is_told_apart_from_an_edited_one(project: Project) -> None:
    done(project("up"))
    project.write({"state/0000_late": "CREATE TABLE late (id INT);"})
    said = project("up").stderr
    assert "Give a new file a number behind the last that is applied." in said
    assert "Put the files back" not in said


def test_a_script_that_requires_what_is_not_there_is_not_told_that_it_meant_itself(project: Project) -> None:
    project.write({"state/0002_more": "-- requires: state/0009_mor\nCREATE TABLE more (id INT);"})
    assert "did you mean 'state/0002_more'" not in project("up").stderr


def test_a_snapshot_that_was_never_taken_is_an_error(project: Project) -> None:
    ended = project("snapshot", "show", "before")
    assert ended.code == 2
    assert "stepwell snapshot take before" in ended.stderr


def test_what_keeps_clickhouse_from_answering_is_said(project: Project) -> None:
    url = "clickhouse://127.0.0.1:1/main"
    said = projects.make(project.folder.parent / "unreachable", {"analytics": url}, {})("up").stderr
    assert "Connection refused" in said


def test_ctrl_c_does_not_wait_for_the_statements_of_a_diff(project: Project) -> None:
    done(project("up"))
    endless = "id > (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n)"
    project.write(
        {
            "state/0002_two": "CREATE TABLE two (id INTEGER PRIMARY KEY, a INT); CREATE TABLE three (id INTEGER PRIMARY KEY, b INT); INSERT INTO two VALUES (1, 1);"
        }
    )
    done(project("up"))
    called = ("diff", "state.two", "state.three", "--key", "id", "--where", endless)
    assert at_a_terminal(project, *called, press=b"\x03", after=b"not compared")[0] == 130
