"""What a person reads at a terminal: trouble folded at 80 columns, commands whole, the next thing to do."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import projects
from jobbing import add_job, fill, write_jobs
from projects import Project, done, variable
from stepwell.cli.main import VERBS


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


SOURCE = Path(__file__).parent.parent / "src" / "stepwell"


def test_what_a_job_command_says_fits_80_columns_and_its_commands_stay_whole(project: Project) -> None:
    name = "order-totals-by-customer"
    fill(project.urls["state"], 5)
    write_jobs(project, {name.replace("-", "_"): add_job(), "b": add_job(f"requires: job/{name}")})
    done(project("job", "pause", name))
    spoken = [
        project("job", "list"),
        project("job", "retry", name),
        project("job", "resume", name),
        project("job", "resume", "b"),
        project("job", "set", name, "size=500", "target=100ms", "workers=2", "pause=1.5s"),
    ]
    for said in map(done, spoken):
        assert all(len(line) <= 80 for line in said.splitlines()), said
    assert f"`stepwell job run {name}`" in done(project("job", "list"))


def test_waiting_for_a_folder_is_told_in_80_columns(tmp_path: Path) -> None:
    folder = tmp_path / "a-folder-with-quite-a-long-name" / "main"
    project = projects.make(tmp_path / "project", {"state": f"chdb:///{folder}?database=main"}, {})
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    )
    folder.parent.mkdir()
    lock = f"{folder}.stepwell-lock"
    with subprocess.Popen([sys.executable, "-c", holder, lock], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        _, lines = at_a_terminal(project, "up", "--lock-wait", "0.5")
        process.kill()
    said = [line for line in lines if str(folder) not in line]
    assert "waiting for the chDB folder" in " ".join(lines) and all(len(line) <= 80 for line in said), lines


def test_every_proposed_command_goes_to_the_project_that_was_named(project: Project) -> None:
    fill(project.urls["state"], 5)
    write_jobs(project, {"add": add_job()})
    project.write({"state/0001_item": "CREATE TABLE other (id INT);"})
    here, there = Project(project.folder.parent, project.urls), "our own project"
    project.folder.rename(here.folder / there)
    named = f"--project {shlex.quote(there)}"

    done(here("up", "--project", there))
    script = here.folder / there / "migrations" / "state" / "0001_item.sql"
    script.write_text("CREATE TABLE other (id INT, name TEXT);")
    end = here("up", "--project", there)
    proposed = f"stepwell up {named} --accept state/0001_item"
    assert end.code == 3 and end.stderr.endswith(f"{proposed}\n")
    error = json.loads(here("up", "--json", "--project", there).stdout)["error"]
    assert error["do"].endswith(proposed)
    assert "applied 0" in done(here(*shlex.split(proposed)[1:]))

    for command in (("job", "list"), ("job", "show", "add")):
        assert f"`stepwell job run {named} add`" in done(here(*command, "--project", there))
        assert f"`stepwell work {named}`" in done(here(*command, "--project", there))
    assert f"`stepwell job resume {named} add`" in done(here("job", "pause", "add", "--project", there)) + done(
        here("job", "list", "--project", there)
    )
    assert "--project" not in done(Project(here.folder / there, project.urls)("job", "list"))


def test_no_message_names_a_command_that_would_not_be_given_the_project() -> None:
    commands, forgotten = 0, []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            # It is the verb that `--project` is written behind, so the verb must be in the message itself.
            texts = [part for part in getattr(node, "values", ()) if isinstance(node, ast.JoinedStr)]
            ends = [str(part.value) for part in texts if isinstance(part, ast.Constant)]
            forgotten += [f"{path}: {text}" for text in ends if re.search(r"[`:] *stepwell $", text)]
            # `line` and `print` write what they are given: results, which are nobody's words.
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "line",
                "print",
            ):
                said = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                named = [text for text in map(str, said) if re.search(rf"\bstepwell ({'|'.join(VERBS)})\b", text)]
                forgotten += [f"{path}:{node.lineno}: {text}" for text in named]
            commands += isinstance(node, ast.Constant) and "`stepwell " in str(node.value)
    assert commands > 50 and forgotten == []


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
