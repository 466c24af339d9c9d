"""What a person says of a job is heard by its lazy keys: nothing is migrated behind their back, nothing taken for done."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dumping
import projects
from stepwell import Lazy, LazyMiddleware
from stepwell import Project as Loaded
from stepwell.errors import KeyUnderWay, StepwellError
from stepwell.jobs import lazy as lazy_module
from stepwell.jobs import undo as way_back
from stepwell.ledger import ensured

JOB = """
import time
from pathlib import Path
from stepwell import Job, Keyset

HERE = Path(__file__).parent


def reach(place):
    (HERE / place).touch()
    while (HERE / f"hold-{place}").exists():
        time.sleep(0.005)


class Fill(Job):
    batches = Keyset("state", "t", key="id", where="a IS NULL")
    records = ["a"]

    def migrate(self, batch):
        reach("migrating")
        batch.reason_for_all("default: nothing known")
        batch.execute("UPDATE t SET a = id WHERE ${batch}")
"""
ONCE = JOB.replace(', where="a IS NULL"', "")
TOLD = JOB + '\n    def reopen(self, key, connections):\n        reach("looked")\n'

COPY = """
import time
from pathlib import Path
from stepwell import Job, Keyset

HERE = Path(__file__).parent


class Fill(Job):
    batches = Keyset("state", "t", key="id", where="id NOT IN (SELECT id FROM copy)")

    def migrate(self, batch):
        (HERE / "migrating").touch()
        while (HERE / "hold-migrating").exists():
            time.sleep(0.005)
        batch.execute("INSERT INTO copy SELECT id FROM t WHERE ${batch}")

    def undo(self, connections):
        connections.get("state").query("TRUNCATE TABLE copy")
"""

Urls = dict[str, str]


@pytest.fixture(params=["sqlite", "postgres", "mysql", "postgres, ledger in mysql"])
def urls(request: pytest.FixtureRequest) -> Urls:
    """Where the rows are, as `state`, and where the ledger is, if that is elsewhere."""
    engine, _, ledger = str(request.param).partition(", ledger in ")
    found = {"state": str(request.getfixturevalue(f"{engine}_url"))}
    return found | ({"ledger": str(request.getfixturevalue(f"{ledger}_url"))} if ledger else {})


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is looked at before each key, so that no test waits for two seconds to pass."""
    monkeypatch.setattr(lazy_module, "LOOK", 0.0)


def prepared(folder: Path, urls: Urls, job: str = JOB) -> projects.Project:
    """A project with five rows of which nothing is migrated."""
    for text in ("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "INSERT INTO t (id) VALUES (1), (2), (3), (4), (5)"):
        dumping.query(urls["state"], text)
    return with_job(projects.make(folder, urls, {}), job)


def with_job(project: projects.Project, job: str) -> projects.Project:
    if "ledger" in project.urls:
        with (project.folder / "stepwell.toml").open("a") as file:
            file.write('\n[ledger]\ndatabase = "ledger"\n')
    (project.folder / "jobs").mkdir()
    (project.folder / "jobs/fill.py").write_text(job)
    return project


def load(project: projects.Project) -> Loaded:
    return Loaded.load(project.folder, {projects.variable(name): url for name, url in project.urls.items()})


@contextmanager
def serving(project: projects.Project) -> Iterator[Lazy]:
    """The job's keys, as a server has them that shares nothing with who steers the job."""
    server = load(project).lazy("fill")
    try:
        yield server
    finally:
        server.close()


def migrated(urls: Urls) -> list[int]:
    return [int(line) for line in dumping.query(urls["state"], "SELECT id FROM t WHERE a IS NOT NULL ORDER BY id")]


def state(project: projects.Project) -> str:
    return load(project).overview("fill")[0].state


def say(project: projects.Project, word: str) -> None:
    if word == "undo":
        assert load(project).undo_job("fill").complete
    else:
        load(project).steer_job("fill", word)  # type: ignore[arg-type]  # a parameter of tests is any text


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.01)


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[threading.Thread]:
    """Something goes on in another thread, and has ended well behind the block."""
    ended = threading.Event()

    def to_the_end() -> None:
        act()
        ended.set()

    thread = threading.Thread(target=to_the_end)
    thread.start()
    yield thread
    thread.join(60)
    assert ended.is_set(), "it failed, or hung"


# --- a job that stands still ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["pause", "undo"])
def test_a_key_of_a_job_that_stands_still_is_left_as_it_is_until_it_goes_on(
    tmp_path: Path, urls: Urls, word: str
) -> None:
    project = prepared(tmp_path, urls)
    kept = [] if word == "undo" else [1]
    with serving(project) as server:
        server.ensure(1)
        say(project, word)
        server.ensure(2)
        asyncio.run(server.aensure(3))
        assert migrated(urls) == kept
        say(project, "resume")
        server.ensure(2)
        asyncio.run(server.aensure(3))
        assert migrated(urls) == [*kept, 2, 3]


def test_so_it_is_where_the_ledger_alone_tells_what_was_migrated(tmp_path: Path, relational_url: str) -> None:
    urls = {"state": relational_url}
    project = prepared(tmp_path, urls, ONCE)
    with serving(project) as server:
        say(project, "pause")
        server.ensure(2)
        assert migrated(urls) == []
        say(project, "resume")
        server.ensure(2)
        assert migrated(urls) == [2]


def test_a_request_for_such_a_key_is_answered_all_the_same(tmp_path: Path, sqlite_url: str) -> None:
    urls = {"state": sqlite_url}
    project = prepared(tmp_path, urls)
    served: list[list[int]] = []
    with serving(project) as server:
        say(project, "pause")

        @server.ensures("key")
        def show(key: int) -> None:
            served.append(migrated(urls))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            served.append(migrated(urls))

        wrapped: Any = LazyMiddleware(app, server, key=lambda scope: scope["key"])
        for word in ("pause", "resume"):
            say(project, word)
            show(1)
            asyncio.run(wrapped({"type": "http", "key": 2}, None, None))
    assert served == [[], [], [1], [1, 2]]


def test_a_job_that_waits_for_a_step_is_no_trouble_while_it_stands_still(tmp_path: Path, sqlite_url: str) -> None:
    urls = {"state": sqlite_url}
    project = prepared(tmp_path, urls, JOB.replace("records =", 'requires = ["state/0001_later"]\n    records ='))
    project.write({"state/0001_later": "CREATE TABLE later (id INT);"})
    with serving(project) as server:
        say(project, "cancel")
        server.ensure(1)
    assert migrated(urls) == []


def test_nothing_is_made_eligible_again_while_a_job_stands_still(tmp_path: Path, sqlite_url: str) -> None:
    project = prepared(tmp_path, {"state": sqlite_url}, TOLD)
    with serving(project) as server:
        say(project, "pause")
        server.ensure(1)
        assert not (tmp_path / "jobs/looked").exists()
        say(project, "resume")
        server.ensure(1)
        assert (tmp_path / "jobs/looked").exists()


# --- what was taken back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [JOB, ONCE], ids=["where", "once"])
def test_a_row_that_was_taken_back_is_migrated_again_when_the_job_goes_on(
    tmp_path: Path, urls: Urls, job: str, often: None
) -> None:
    project = prepared(tmp_path, urls, job)
    with serving(project) as server, serving(project) as other:
        for one in (server, other):
            one.ensure(1)
            asyncio.run(one.aensure(2))
        say(project, "undo")
        for one in (server, other):
            one.ensure(1)
        assert migrated(urls) == []
        say(project, "resume")
        server.ensure(1)
        asyncio.run(other.aensure(2))
        assert migrated(urls) == [1, 2]


def test_a_row_that_is_judged_again_is_migrated_again(tmp_path: Path, urls: Urls, often: None) -> None:
    project = prepared(tmp_path, urls)
    with serving(project) as server:
        server.ensure(1)
        assert load(project).reassess_job("fill").restored == 1
        assert migrated(urls) == []
        server.ensure(1)
        assert migrated(urls) == [1]


def test_so_is_one_that_was_asked_for_between_two_steps_of_the_way_back(
    tmp_path: Path, sqlite_url: str, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "MOST_KEYS", 1)
    urls = {"state": sqlite_url}
    project = prepared(tmp_path, urls)
    with serving(project) as server:
        for key in (1, 2):
            server.ensure(key)
        load(project).reassess_job("fill", lambda report: server.ensure(2))
        server.ensure(2)
    assert migrated(urls) == [2]


def test_a_row_whose_column_went_and_came_again_is_migrated_again(
    tmp_path: Path, relational_url: str, often: None
) -> None:
    urls = {"state": relational_url}
    project = prepared(tmp_path, urls, JOB.replace("records =", 'requires = ["state/0001_a"]\n    records ='))
    dumping.query(relational_url, "ALTER TABLE t DROP COLUMN a")
    project.write({"state/0001_a": "ALTER TABLE t ADD COLUMN a INT;\n-- down\nALTER TABLE t DROP COLUMN a;"})
    projects.done(project("up"))
    with serving(project) as server:
        server.ensure(1)
        assert migrated(urls) == [1]
        projects.done(project("down"))
        with pytest.raises(StepwellError):
            server.ensure(1)
        projects.done(project("up"))
        assert migrated(urls) == []
        server.ensure(1)
        assert migrated(urls) == [1]


SERVER = """
import itertools, pathlib, time, stepwell

lazy = stepwell.Project.load().lazy("fill")
for calls in itertools.count():
    lazy.ensure({key})
    pathlib.Path("calls-{key}").write_text(str(calls))
    time.sleep(0.02)
"""


def test_every_server_hears_of_an_undo_and_of_its_end_by_itself(tmp_path: Path, postgres_url: str) -> None:
    urls = {"state": postgres_url}
    project = prepared(tmp_path, urls)
    servers = {key: project.start_python(SERVER.format(key=key)) for key in (1, 2)}

    def calls(key: int) -> int:
        file = tmp_path / f"calls-{key}"
        return int(file.read_text() or -1) if file.exists() else -1

    def asked_again(key: int) -> None:
        projects.until(lambda: calls(key) >= 0, servers[key])
        before = calls(key)
        projects.until(lambda: calls(key) > before + 10, servers[key])

    try:
        asked_again(1)
        asked_again(2)
        assert migrated(urls) == [1, 2]
        projects.done(project("job", "undo", "fill", "--yes"))
        asked_again(1)
        asked_again(2)
        assert migrated(urls) == []
        projects.done(project("job", "resume", "fill"))
        projects.until(lambda: migrated(urls) == [1, 2], servers[1])
    finally:
        for server in servers.values():
            server.kill()
            server.communicate()


def test_a_ledger_that_can_not_be_asked_stops_no_request_for_what_is_known(
    tmp_path: Path, sqlite_url: str, often: None
) -> None:
    project = prepared(tmp_path, {"state": sqlite_url})
    with serving(project) as server:
        server.ensure(1)
        dumping.query(sqlite_url, "ALTER TABLE stepwell_gate RENAME TO elsewhere")
        server.ensure(1)
        dumping.query(sqlite_url, "ALTER TABLE elsewhere RENAME TO stepwell_gate")
        say(project, "undo")
        say(project, "resume")
        server.ensure(1)
    assert migrated({"state": sqlite_url}) == [1]


# --- an undo beside a key ---------------------------------------------------------------------------------


def undo_beside_a_key(project: projects.Project, jobs: Path) -> None:
    """Undo the job while a key is being migrated: the undo waits for it."""
    (jobs / "hold-migrating").touch()
    with serving(project) as server, beside(lambda: server.ensure(1)):
        until((jobs / "migrating").exists)
        with beside(lambda: load(project).undo_job("fill").complete) as undoing:
            undoing.join(0.3)
            assert undoing.is_alive(), "it did not wait for the key"
            (jobs / "hold-migrating").unlink()


@pytest.mark.parametrize("job", [JOB, ONCE], ids=["where", "once"])
def test_an_undo_takes_back_a_key_that_was_under_way_as_well(tmp_path: Path, urls: Urls, job: str) -> None:
    project = prepared(tmp_path, urls, job)
    undo_beside_a_key(project, tmp_path / "jobs")
    assert migrated(urls) == []
    assert state(project) == "undone"


def test_so_it_does_where_the_rows_are_in_clickhouse(tmp_path: Path, clickhouse_url: str, postgres_url: str) -> None:
    for text in (
        "CREATE TABLE t (id Int64) ENGINE = MergeTree ORDER BY id",
        "CREATE TABLE copy (id Int64) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO t SELECT number FROM numbers(5)",
    ):
        dumping.query(clickhouse_url, text)
    urls = {"state": clickhouse_url, "ledger": postgres_url}
    project = with_job(projects.make(tmp_path, urls, {}), COPY)
    undo_beside_a_key(project, tmp_path / "jobs")
    assert dumping.query(clickhouse_url, "SELECT id FROM copy") == []
    say(project, "resume")
    with serving(project) as server:
        server.ensure(1)
        server.ensure(1)
    assert dumping.query(clickhouse_url, "SELECT id FROM copy") == ["1"]


def test_a_key_that_looked_before_an_undo_and_comes_to_its_row_behind_it_leaves_it(tmp_path: Path, urls: Urls) -> None:
    project = prepared(tmp_path, urls, TOLD)
    jobs = tmp_path / "jobs"
    (jobs / "hold-looked").touch()
    with serving(project) as server, beside(lambda: server.ensure(1)):
        until((jobs / "looked").exists)
        say(project, "undo")
        (jobs / "hold-looked").unlink()
    assert migrated(urls) == []


WAITING = {
    "postgres": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT 1 FROM t %FOR UPDATE'",
}


@pytest.mark.parametrize("engine", WAITING)
def test_so_does_one_that_waited_for_its_row_meanwhile(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    urls = {"state": str(request.getfixturevalue(f"{engine}_url"))}
    project = prepared(tmp_path, urls)
    with serving(project) as server:
        writer = load(project).open("state")
        writer.connect()
        with writer.transaction():
            writer.query("UPDATE t SET a = NULL WHERE id = 1")
            waiting = threading.Thread(target=server.ensure, args=(1,))
            waiting.start()
            until(lambda: dumping.query(urls["state"], WAITING[engine]) != ["0"])
            say(project, "undo")
        waiting.join()
        writer.close()
    assert migrated(urls) == []


def test_an_undo_that_waits_in_vain_says_for_what_and_is_repeated(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensured, "PATIENCE", 0.2)
    urls = {"state": postgres_url}
    project = prepared(tmp_path, urls)
    jobs = tmp_path / "jobs"
    (jobs / "hold-migrating").touch()
    with serving(project) as server:
        with beside(lambda: server.ensure(1)):
            until((jobs / "migrating").exists)
            with pytest.raises(KeyUnderWay, match="job/fill: a lazy key that began before this undo"):
                load(project).undo_job("fill")
            server.ensure(2)
            (jobs / "hold-migrating").unlink()
        assert migrated(urls) == [1]
        say(project, "undo")
    assert migrated(urls) == []
