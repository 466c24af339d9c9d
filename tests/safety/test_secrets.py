"""A canary in every URL and variable: no command, log, error, event or manifest ever sings."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import dumping
import projects
from projects import Project
from stepwell.cli.main import _parser, main

CANARY = "c4n4ry-of-the-mine"
SCRIPT = "CREATE TABLE item (id INT, note TEXT);\nINSERT INTO item VALUES (1, '${ROLE_PASSWORD}');\n"
WRONG = "INSERT INTO nowhere VALUES ('${ROLE_PASSWORD}');\n-- down\nDROP TABLE item; -- ${ROLE_PASSWORD}\n"
JOB = "-- batches: keyset state.item by id\n-- where: note = '${ROLE_PASSWORD}'\n-- unindexed: accept\nUPDATE nowhere SET note = '${ROLE_PASSWORD}' WHERE ${batch}\n"
CHECK = "-- database: state\nSELECT id FROM nowhere WHERE note = '${ROLE_PASSWORD}'\n"
ANSWERS = {
    "database": "state", "statement": "state/0002_wrong:1", "reference": "state/0001_item", "answer": "done",
    "name": "wrong", "key": "1", "way": "kubernetes", "example": "agent_runs", "folder": "made", "paths": "",
}  # fmt: skip


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of the parser with something for each argument that it must have."""
    parts = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if parts:
        for name, inner in parts[0].choices.items():
            yield from commands(inner, (*path, name))
        return
    needed = [a for a in parser._actions if not a.option_strings and a.nargs not in ("?", "*")]
    words = [str(next(iter(a.choices))) if a.choices else ANSWERS.get(a.dest, "state/0001_item") for a in needed]
    options = [a.option_strings[0] for a in parser._actions if a.option_strings and a.required]
    yield (*path, *words, *(word for option in options for word in (option, "state")))


# The demo makes a project of its own, in which no secret is; every other command is tried.
COMMANDS = [words for words in commands(_parser(())) if words[0] != "demo"]
LONGER = [
    ("up", "--dry-run"), ("up", "--wait"), ("up", "--wait-budget", "30s"), ("down", "--dry-run"), ("job", "run", "wrong"),
    ("deploy", "helm"), ("deploy", "compose"), ("deploy", "systemd"), ("deploy", "github-actions"), ("plan", "--json"),
    ("up", "--json"), ("history", "--json"), ("status", "--json"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    for name, text in {"TMPDIR": str(tmp_path / "tmp"), "ROLE_PASSWORD": CANARY}.items():
        monkeypatch.setitem(projects.ENVIRONMENT, name, text)
        monkeypatch.setenv(name, text)
    return tmp_path / "project"


def sings(folder: Path, *texts: str) -> list[str]:
    """Where the canary is heard: in these texts, or in a file that was written."""
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    heard = [str(path) for path in files if CANARY.encode() in path.read_bytes() and path.suffix != ".db"]
    return [*heard, *(text for text in texts if CANARY in text)]


@pytest.mark.parametrize("words", [*COMMANDS, *LONGER], ids=" ".join)
def test_no_command_tells_the_password_of_a_server_that_it_cannot_reach(
    folder: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    urls = {
        "state": f"postgresql://app:{CANARY}@127.0.0.1:1/shop?connect_timeout=1",
        "analytics": f"clickhouse://app:{CANARY}@127.0.0.1:1/shop",
    }
    project = projects.make(folder, urls, {"state/0001_item": SCRIPT, "state/0002_wrong": WRONG})
    for name, url in urls.items():
        monkeypatch.setenv(projects.variable(name), url)
    with_a_job(project)
    monkeypatch.chdir(folder)
    caplog.set_level(logging.DEBUG)
    main(words)
    out, err = capsys.readouterr()
    assert out or err
    assert not sings(folder, out, err, caplog.text)


def test_a_failing_script_job_and_check_tell_no_variable_that_is_a_secret(folder: Path, postgres_url: str) -> None:
    project = projects.make(folder, {"state": postgres_url}, {"state/0001_item": SCRIPT, "state/0002_wrong": WRONG})
    with_a_job(project)
    said = []
    for words in [("up",), ("up", "--json"), ("status",), ("plan",), ("up", "--dry-run"), ("job", "run", "wrong"),
                  ("check",), ("job", "list"), ("lint",), ("history",), ("history", "--json")]:  # fmt: skip
        said.append(project(*words, timeout=60).text)
    assert "nowhere" in said[0]
    assert "INSERT INTO item VALUES (1, '***')" in "".join(said) or "nowhere VALUES ('***')" in said[0]
    password = postgres_url.split(":")[2].split("@")[0]
    assert not [text for text in said if CANARY in text or password in text]
    kept = {name: text for name, text in dumping.dump(postgres_url).items() if name != "rows of item"}
    assert not [name for name, text in kept.items() if CANARY in text]
    notes = dumping.query(postgres_url, "SELECT note FROM schema_migrations_journal")
    assert any("nowhere" in note for note in notes)
    assert not [note for note in notes if CANARY in note]


SHOWN = {
    "PWD": "orders_of_today", "OLDPWD": "orders_of_today", "TOKENIZERS_PARALLELISM": "orders_of_today",
    "TOKEN_CHECKS": "false", "SECRETS_ENABLED": "True", "APP_CREDENTIALS": __file__, "TOKEN_FOLDER": str(Path(__file__).parent),
}  # fmt: skip
HIDDEN = (
    "MYSQL_PWD", "APP_PASSWORD", "APP_PASSWD", "PASSPHRASE", "CLIENT_SECRET", "HF_TOKEN", "TOKENS", "TOKEN_OF_CI",
    "accessTokenValue", "AWS_CREDENTIALS", "PRIVATE_KEY", "API_KEY", "ACCESSKEY",
)  # fmt: skip


@pytest.mark.parametrize("name", [*SHOWN, *HIDDEN])
def test_a_value_is_hidden_where_its_name_says_secret_and_not_where_it_is_a_place_or_a_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    value = SHOWN.get(name, "orders_of_today")
    monkeypatch.setitem(projects.ENVIRONMENT, name, value)
    script = f"INSERT INTO nowhere VALUES ('{value}');\n"
    ended = projects.make(tmp_path, {"state": f"sqlite:///{tmp_path}/a.db"}, {"state/0001_a": script})("up")
    assert ended.code == 1, ended.text
    assert f"VALUES ('{value if name in SHOWN else '***'}')" in ended.stderr


def with_a_job(project: Project) -> None:
    for name, text in {"jobs/wrong.sql": JOB, "checks/wrong.sql": CHECK}.items():
        (project.folder / name).parent.mkdir(exist_ok=True)
        (project.folder / name).write_text(text)
    shutil.rmtree(project.folder / "made", ignore_errors=True)
