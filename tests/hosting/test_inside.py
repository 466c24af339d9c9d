"""Inside a server: it migrates when it starts, tells the probes, and never comes up on a schema it does not fit."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dumping
import projects
from holding import HELD, held
from projects import Project, done, variable

SERVER = """
import sys, stepwell
startup = stepwell.Startup(stepwell.Project.load(), {options})

async def plain(scope, receive, send):
    assert scope["type"] == "http"  # it has no lifespan
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"served"}})

def old(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]

if sys.argv[0] == "asgi":
    import uvicorn
    uvicorn.run(stepwell.asgi(plain, startup), port=int(sys.argv[1]), log_level="warning")
"""
ASGI = "import sys; sys.argv = ['asgi', '{port}']\n"


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> Project:
    return projects.make(tmp_path, {"state": postgres_url}, {"state/0001_item": "CREATE TABLE item (id INT);\n"})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until_up(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(port, "/healthz")
            return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[1])


@contextmanager
def serving(project: Project, kind: str, options: str = "") -> Iterator[int]:
    port = free_port()
    if kind == "asgi":
        process = project.start_python(ASGI.format(port=port) + SERVER.format(options=options))
    else:
        (project.folder / "served.py").write_text(
            SERVER.format(options=options) + "app = stepwell.wsgi(old, startup)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "2"]
            + (["--preload"] if kind == "preloaded wsgi" else []) + ["served:app"],
            cwd=project.folder,
            env=projects.ENVIRONMENT | {variable("state"): project.urls["state"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
    try:
        until_up(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.mark.parametrize("kind", ["asgi", "wsgi", "preloaded wsgi"])
def test_a_server_migrates_when_it_starts_and_answers_the_probes(project: Project, kind: str) -> None:
    with serving(project, kind) as port:
        assert dumping.versions(project.urls["state"]) == ["0001_item"]
        assert ask(port, "/healthz") == (200, '{"status": "alive"}')
        assert ask(port, "/readyz") == (200, '{"status": "ready"}')
        assert ask(port, "/any") == (200, "served")


@pytest.mark.parametrize(("ready", "status"), [(False, 503), (True, 200)])
def test_while_it_migrates_a_server_is_alive_and_ready_by_choice(project: Project, ready: bool, status: int) -> None:
    project.write({"state/0002_slow": HELD})
    with (
        held(project.urls["state"]) as release,
        serving(project, "asgi", f"budget=0.2, ready_while_migrating={ready}") as port,
    ):
        assert ask(port, "/healthz")[0] == 200
        code, text = ask(port, "/readyz")
        assert (code, json.loads(text)["status"]) == (status, "migrating")
        assert ask(port, "/any") == (200, "served")
        release()
        deadline = time.monotonic() + 30
        while ask(port, "/readyz") != (200, '{"status": "ready"}'):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert dumping.versions(project.urls["state"]) == ["0001_item", "0002_slow"]


def test_what_it_needs_makes_a_server_ready_and_what_fails_behind_that_takes_it_from_nobody(project: Project) -> None:
    project.write({"state/0002_slow": HELD + "SELECT 1 / 0;\n"})
    with held(project.urls["state"]) as release, serving(project, "asgi", "['state/0001']") as port:
        assert ask(port, "/readyz") == (200, '{"status": "ready"}')
        assert dumping.versions(project.urls["state"]) == ["0001_item"]
        release()
        deadline = time.monotonic() + 30
        while "why" not in (found := json.loads(ask(port, "/readyz")[1])):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert found == {"status": "ready", "why": "state/0002_slow, statement 3 of 3 failed"}
        assert ask(port, "/readyz")[0] == 200


FORKED = """
import os, sys, stepwell
startup = stepwell.Startup(stepwell.Project.load(), budget=0.2)
app = stepwell.wsgi(lambda environ, start_response: [b"served"], startup)
startup.budget = 600
if not os.fork():
    for path in ("/healthz", "/readyz", "/any"):
        print(*app({"PATH_INFO": path}, lambda status, headers: print(status)), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_probe_is_answered_at_once_by_a_worker_that_was_forked_while_it_migrates(project: Project) -> None:
    project.write({"state/0002_slow": HELD})
    with held(project.urls["state"]):
        end = project.python(FORKED)
    assert end.code == 0, end.text
    said = end.stdout.splitlines()
    assert said[:3] == ["200 OK", """b'{"status": "alive"}'""", "503 Service Unavailable"]
    assert said[-1] == "b'served'"


def test_a_failure_after_the_budget_leaves_it_alive_and_not_ready(project: Project) -> None:
    project.write({"state/0002_slow": HELD + "SELECT 1 / 0;\n"})
    with held(project.urls["state"]) as release, serving(project, "asgi", "budget=0.1") as port:
        release()
        deadline = time.monotonic() + 30
        while json.loads(ask(port, "/readyz")[1])["status"] != "failed":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        code, text = ask(port, "/readyz")
        assert (code, json.loads(text)["why"]) == (503, "state/0002_slow, statement 3 of 3 failed")
        assert ask(port, "/healthz")[0] == 200


def test_a_migration_that_fails_keeps_the_server_from_starting(project: Project) -> None:
    project.write({"state/0002_wrong": "CREATE TABLE item (id INT);"})
    end = project.python(ASGI.format(port=free_port()) + SERVER.format(options=""))
    assert end.code == 3
    assert "state/0002_wrong" in end.text
    end = project.python("import stepwell\nwith stepwell.Startup(stepwell.Project.load()): print('served')")
    assert end.code == 1
    assert "served" not in end.stdout


def test_a_schema_too_new_keeps_it_from_starting_before_it_changes_anything(project: Project) -> None:
    project.write({"state/0002_drop": "-- phase: contract\nALTER TABLE item DROP COLUMN id;\n"})
    done(project("up"))
    (project.folder / "migrations/state/0002_drop.sql").unlink()
    before = project.dump()
    end = project.python("import stepwell\nwith stepwell.Startup(stepwell.Project.load()): print('served')")
    assert end.code == 1
    assert "SchemaUnfit" in end.stderr
    assert "state/0002_drop" in end.stderr
    assert project.dump() == before
