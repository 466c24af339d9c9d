"""People are told of a release, with the one on standby; what can't be sent holds nothing up and hides its secret."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import dumping
import projects
from projects import Project, done, ended, until

SECRET = "hook-5ecr3t"


@pytest.fixture
def heard() -> Iterator[tuple[int, list[str]]]:
    """A service that takes messages: its port, and what it was sent."""
    messages: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            messages.append(f"{self.path.strip('/')}{sent['title']}: {sent['message']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], messages
    server.shutdown()
    server.server_close()


def told(folder: Path, url: str, port: int, more: str = "") -> Project:
    project = projects.make(folder / "shop", {"state": url}, {"state/0001_item": "CREATE TABLE item (id INT);"})
    config = project.folder / "stepwell.toml"
    section = f'urls = ["json://user:{SECRET}@127.0.0.1:{port}/"]\nstandby = "Ann <+49 170 1>"\n{more}'
    config.write_text(f"{config.read_text()}\n[notify]\n{section}")
    return project


def test_start_and_end_are_told_with_the_person_on_standby(
    tmp_path: Path, sqlite_url: str, heard: tuple[int, list[str]]
) -> None:
    port, messages = heard
    project = told(tmp_path, sqlite_url, port)
    done(project("up"))
    assert [message.partition(":")[0] for message in messages] == ["shop starts", "shop is done"]
    assert all("On standby: Ann <+49 170 1>" in message for message in messages)
    assert "state/0001_item" in messages[0]
    done(project("up"))
    assert len(messages) == 2  # with nothing to do there is nothing to tell


def test_a_failure_is_told_without_the_statement_and_what_the_database_said(
    tmp_path: Path, sqlite_url: str, heard: tuple[int, list[str]]
) -> None:
    port, messages = heard
    project = told(tmp_path, sqlite_url, port)
    project.write({"state/0002_wrong": "INSERT INTO nowhere VALUES ('somebody private');"})
    assert project("up").code == 1
    assert messages[-1].startswith("shop failed: state/0002_wrong, statement 1 of 1 failed: rolled back")
    assert "Ann" in messages[-1]
    assert "private" not in "".join(messages)


def test_a_sign_off_is_asked_for_once(tmp_path: Path, sqlite_url: str, heard: tuple[int, list[str]]) -> None:
    port, messages = heard
    project = told(tmp_path, sqlite_url, port)
    project.write({"state/0002_live": "-- requires: signoff/go-live\nCREATE TABLE live (id INT);"})
    done(project("up"))
    done(project("up"))
    asked = [message for message in messages if "asks for signoff/go-live" in message]
    assert len(asked) == 1
    assert "state/0002_live waits for it" in asked[0]
    assert "asked" in done(project("history", "--step", "signoff/go-live"))


def test_a_step_that_is_stuck_is_told_again_and_again(
    tmp_path: Path, postgres_url: str, heard: tuple[int, list[str]]
) -> None:
    port, messages = heard
    pager = f'escalate = ["json://127.0.0.1:{port}/pager"]\n'
    project = told(tmp_path, postgres_url, port, f'stuck-after = "800ms"\n{pager}')
    project.write({"state/0002_slow": "SELECT pg_sleep(2.5);"})
    done(project("up"))
    stuck, paged = (
        [
            message
            for message in messages
            if message.startswith(f"{place}shop is stuck: state/0002_slow made no progress")
        ]
        for place in ("", "pager")
    )
    assert len(stuck) >= 2
    assert len(paged) == len(stuck) - 1
    assert "Ann" in stuck[0]
    assert "for 1 s." not in stuck[-1], "it is the whole time, not that since the last message"


def test_a_job_that_the_service_runs_is_told_of_once(
    tmp_path: Path, sqlite_url: str, heard: tuple[int, list[str]]
) -> None:
    port, messages = heard
    project = told(tmp_path, sqlite_url, port)
    (project.folder / "jobs").mkdir()
    top = "-- batches: keyset state.item by id\n-- cycle: 200ms\n-- unindexed: accept\n-- requires: state/0001\n"
    (project.folder / "jobs/good.sql").write_text(f"{top}UPDATE item SET id = id WHERE ${{batch}}\n")
    (project.folder / "jobs/wrong.sql").write_text(f"{top}UPDATE nowhere SET id = id WHERE ${{batch}}\n")
    done(project("up"))
    dumping.query(sqlite_url, "INSERT INTO item VALUES (1)")
    del messages[:]
    process = project.start("work")
    until(lambda: len(messages) > 1, process)
    time.sleep(1)  # some cycles more, in which the same goes wrong again
    process.terminate()
    assert ended(process).code == 0
    assert sorted(message.partition(".")[0] for message in messages) == [
        "job/good is complete: Rows migrated: 1",
        "job/wrong is complete except 1 that failed: Rows migrated: 0",
    ]


def test_a_run_that_begins_nothing_calls_nobody(tmp_path: Path, heard: tuple[int, list[str]]) -> None:
    port, messages = heard
    project = told(tmp_path, "postgresql://app@127.0.0.1:1/shop?connect_timeout=1", port)
    assert project("up").code == 6
    assert messages == []


@pytest.mark.parametrize("url", ["json://user:{}@127.0.0.1:1/", "nothing://{}/"])
def test_what_cannot_be_sent_is_shown_without_its_secret_and_the_release_goes_on(
    tmp_path: Path, sqlite_url: str, url: str
) -> None:
    project = told(tmp_path, sqlite_url, 1)
    config = project.folder / "stepwell.toml"
    config.write_text(config.read_text().replace(f"json://user:{SECRET}@127.0.0.1:1/", url.format(SECRET)))
    end = project("up")
    assert end.code == 0
    assert f"notify: {url.partition(':')[0]}: not sent" in end.stderr
    assert "applied 1" in end.stdout
    assert SECRET not in end.text


def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    end = told(tmp_path, sqlite_url, 1, 'stuck-after = "soon"\n')("up")
    assert end.code == 2
    assert "[notify] stuck-after can't be 'soon'" in end.stderr
