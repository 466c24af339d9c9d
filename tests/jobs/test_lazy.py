"""One key at the moment it is needed: once across threads and processes, and nothing but a look into a set later."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import projects
from stepwell import Lazy, LazyMiddleware
from stepwell import Project as Loaded
from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.errors import BadRequest, JobNotReady
from stepwell.jobs import lazy as lazy_module
from stepwell.jobs import runner
from stepwell.jobs.batch import Batch
from stepwell.jobs.definition import Definition, Flag, Groups, Keyset, Source
from stepwell.jobs.runner import Site
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create

ROWS = Keyset("state", "t", "id", "a IS NULL")


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        yield database
    finally:
        database.close()


def prepare(url: str, rows: int = 20) -> None:
    """A table of which nothing is migrated, in groups of five, and one that tells how often each row was."""
    with opened(url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, part INT NOT NULL, a INT)")
        database.query("CREATE TABLE seen (id INT NOT NULL)")
        database.insert("t", ["id", "part"], [[number, (number - 1) // 5] for number in range(1, rows + 1)])


def migrate(batch: Batch) -> None:
    for (key,) in batch.rows("id"):
        batch.database.query("INSERT INTO seen (id) VALUES (?)", (key,))
    batch.execute("UPDATE t SET a = id WHERE ${batch}")


def seen(url: str) -> list[int]:
    with opened(url) as database:
        return [int(row[0]) for row in database.query("SELECT id FROM seen ORDER BY id")]


def lazy(url: str, source: Source = ROWS, work: Any = migrate, **more: Any) -> Lazy:
    job = Definition("fill", Path("fill.py"), 1, "Fill a.", source, work, **more)
    return Lazy(job, Site(lambda name: open_database(name, url, Path("/")), "state", {}))


# --- one key ----------------------------------------------------------------------------------------------


def test_the_rows_of_a_key_are_migrated_and_no_others(relational_url: str) -> None:
    prepare(relational_url)
    found = lazy(relational_url)
    found.ensure(3)
    found.ensure(3)
    assert seen(relational_url) == [3]
    found.close()


def test_of_groups_a_key_is_all_rows_of_a_value(relational_url: str) -> None:
    prepare(relational_url)
    lazy(relational_url, Groups("state", "t", "part", "a IS NULL")).ensure(1)
    assert seen(relational_url) == [6, 7, 8, 9, 10]


def test_a_key_of_several_columns_is_a_tuple(relational_url: str) -> None:
    prepare(relational_url)
    found = lazy(relational_url, Keyset("state", "t", "part, id", "a IS NULL"))
    found.ensure((0, 3))
    found.ensure((1, 3))
    assert seen(relational_url) == [3]


def test_a_key_that_is_done_asks_nothing_of_the_database(sqlite_url: str) -> None:
    prepare(sqlite_url)
    found = lazy(sqlite_url)
    found.ensure(3)
    with opened(sqlite_url) as database:
        database.query("DROP TABLE t")
    found.ensure(3)


def test_what_the_job_has_migrated_already_is_left_as_it_is(relational_url: str) -> None:
    prepare(relational_url)
    with opened(relational_url) as database:
        database.query("UPDATE t SET a = 99 WHERE id = 3")
    lazy(relational_url).ensure(3)
    assert seen(relational_url) == []


def test_a_key_without_rows_is_not_taken_for_done(relational_url: str) -> None:
    prepare(relational_url)
    found = lazy(relational_url)
    found.ensure(1000)
    with opened(relational_url) as database:
        database.query("INSERT INTO t (id, part) VALUES (1000, 0)")
    found.ensure(1000)
    assert seen(relational_url) == [1000]


def test_without_a_condition_the_ledger_knows_what_was_migrated(relational_url: str) -> None:
    prepare(relational_url)
    for _ in range(2):  # another process begins with nothing remembered, too
        lazy(relational_url, Keyset("state", "t", "id")).ensure(3)
    assert seen(relational_url) == [3]


def test_more_keys_than_are_remembered_are_still_migrated_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(sqlite_url)
    monkeypatch.setattr(lazy_module, "MOST_REMEMBERED", 5)
    found = lazy(sqlite_url)
    for _ in range(2):
        for key in range(1, 21):
            found.ensure(key)
    assert seen(sqlite_url) == list(range(1, 21))
    assert len(found._done) == len(found._order) == 5


def test_a_flag_that_is_off_leaves_all_as_it_is(sqlite_url: str) -> None:
    prepare(sqlite_url)
    found = lazy(sqlite_url, flag=Flag("FILL", default=False))
    found.ensure(3)
    asyncio.run(found.aensure(4))
    assert seen(sqlite_url) == []


def test_what_migrate_raises_reaches_the_caller_and_the_next_call_tries_again(relational_url: str) -> None:
    prepare(relational_url)
    broken = [True]

    def work(batch: Batch) -> None:
        migrate(batch)
        if broken[0]:
            raise LookupError("no price")

    found = lazy(relational_url, work=work)
    with pytest.raises(LookupError, match="no price"):
        found.ensure(3)
    assert seen(relational_url) == []
    broken[0] = False
    found.ensure(3)
    assert seen(relational_url) == [3]


def test_a_job_that_waits_for_a_step_migrates_no_key(tmp_path: Path, sqlite_url: str) -> None:
    project = projects.make(tmp_path, {"state": sqlite_url}, {"state/0001_t": "CREATE TABLE t (id INT, a INT);"})
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/fill.sql").write_text(
        "-- batches: keyset state.t by id\n-- where: a IS NULL\n-- requires: state/0001_t\n"
        "UPDATE t SET a = id WHERE ${batch};\n"
    )
    found = Loaded.load(tmp_path, {"STATE_DB_URL": sqlite_url}).lazy("fill")
    with pytest.raises(JobNotReady, match="state/0001_t"):
        found.ensure(1)
    assert project("up").code == 0
    with opened(sqlite_url) as database:
        database.query("INSERT INTO t (id) VALUES (1)")
        found.ensure(1)
        assert database.query("SELECT a FROM t") == [(1,)]


# --- once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["a IS NULL", ""])
def test_threads_that_want_one_key_get_it_migrated_once(relational_url: str, where: str) -> None:
    prepare(relational_url)
    found = lazy(relational_url, Keyset("state", "t", "id", where))
    together = threading.Barrier(20, timeout=60)
    ended: list[int] = []

    def want(key: int) -> None:
        together.wait()
        found.ensure(key)
        ended.append(key)

    threads = [threading.Thread(target=want, args=(1 + number % 2,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 20
    assert seen(relational_url) == [1, 2]


@pytest.mark.parametrize("where", ["a IS NULL", ""])
def test_instances_that_share_nothing_but_the_database_migrate_a_key_once(relational_url: str, where: str) -> None:
    prepare(relational_url)
    together = threading.Barrier(4, timeout=60)
    replicas = [lazy(relational_url, Keyset("state", "t", "id", where)) for _ in range(4)]

    def want(replica: Lazy) -> None:
        for key in range(1, 21):
            together.wait()
            replica.ensure(key)

    threads = [threading.Thread(target=want, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(relational_url) == list(range(1, 21))


def test_a_job_in_the_background_and_keys_asked_for_meanwhile_take_every_row_once(relational_url: str) -> None:
    prepare(relational_url, rows=120)
    with opened(relational_url) as database:
        create(database)
        Ledger(database).register(["fill"])

    def add(batch: Batch) -> None:
        batch.execute("UPDATE t SET a = coalesce(a, 0) + 1 WHERE ${batch}")
        time.sleep(0.02)  # both hold locks that the other wants

    source = Keyset("state", "t", "id", "a IS NULL", size=10)
    found = lazy(relational_url, source, add)
    job = Definition("fill", Path("fill.py"), 1, "Fill a.", source, add, target=0.001)
    ended: list[str] = []
    site = Site(lambda name: open_database(name, relational_url, Path("/")), "state", {})
    running = threading.Thread(target=lambda: ended.append(runner.run(job, site).state))
    running.start()
    for key in range(120, 0, -3):
        found.ensure(key)
    running.join()
    found.close()
    assert ended == ["complete"]
    with opened(relational_url) as database:
        assert database.query("SELECT count(*), min(a), max(a) FROM t") == [(120, 1, 1)]


JOB = """
import os, pathlib, time
from stepwell import Job, Keyset

class Fill(Job):
    batches = Keyset("state", "t", key="id"{where})

    def migrate(self, batch):
        here = pathlib.Path(f"migrating-{{os.getpid()}}")
        here.touch()
        for (key,) in batch.rows("id"):
            batch.database.query("INSERT INTO seen (id) VALUES (?)", (key,))
        time.sleep(float(os.environ.get("SLOW", "0.2")))
        batch.database.query("UPDATE t SET a = id WHERE id = ?", (key,))
"""

REPLICA = """
import os, pathlib, time, stepwell
{slow}
lazy = stepwell.Project.load().lazy("fill")
pathlib.Path(f"ready-{{os.getpid()}}").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.001)
for key in (1, 2, 3):
    lazy.ensure(key)
print("done")
"""


@pytest.mark.parametrize("where", [', where="a IS NULL"', ""])
def test_two_processes_that_race_for_a_key_migrate_it_once(tmp_path: Path, relational_url: str, where: str) -> None:
    prepare(relational_url)
    project = projects.make(tmp_path, {"state": relational_url}, {})
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/fill.py").write_text(JOB.format(where=where))
    replicas = [project.start_python(REPLICA.format(slow="")) for _ in range(2)]
    while len(list(tmp_path.glob("ready-*"))) < 2:
        assert all(replica.poll() is None for replica in replicas)
    (tmp_path / "go").touch()
    assert [projects.ended(replica).text for replica in replicas] == ["done\n"] * 2
    assert seen(relational_url) == [1, 2, 3]


@pytest.mark.parametrize("where", [', where="a IS NULL"', ""])
def test_a_key_whose_process_was_killed_is_migrated_by_the_next(
    tmp_path: Path, relational_url: str, where: str
) -> None:
    prepare(relational_url)
    project = projects.make(tmp_path, {"state": relational_url}, {})
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/fill.py").write_text(JOB.format(where=where))
    (tmp_path / "go").touch()
    killed = project.start_python(REPLICA.format(slow="os.environ['SLOW'] = '60'"))
    while not (tmp_path / f"migrating-{killed.pid}").exists():
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    assert project.python(REPLICA.format(slow="")).text == "done\n"
    assert seen(relational_url) == [1, 2, 3]


# --- where it is asked for --------------------------------------------------------------------------------


def test_a_function_runs_when_the_key_in_its_argument_is_migrated(sqlite_url: str) -> None:
    prepare(sqlite_url)
    found = lazy(sqlite_url)

    @found.ensures("key")
    def plain(first: int, key: int | None = 7) -> list[int]:
        return seen(sqlite_url)

    @found.ensures("key")
    def named(*rest: int, key: int) -> list[int]:
        return seen(sqlite_url)

    @found.ensures("key")
    async def waiting(key: int) -> list[int]:
        return seen(sqlite_url)

    assert plain(1, None) == []
    assert plain(1, 5) == [5]
    assert plain(1, key=6) == [5, 6]
    assert plain(1) == [5, 6, 7]
    assert named(1, 2, 3, key=8) == [5, 6, 7, 8]
    assert asyncio.run(waiting(9)) == [5, 6, 7, 8, 9]
    assert (plain.__name__, waiting.__name__) == ("plain", "waiting")


def test_a_function_without_that_argument_is_refused_when_it_is_written(sqlite_url: str) -> None:
    with pytest.raises(BadRequest, match="no argument 'key'"):

        @lazy(sqlite_url).ensures("key")
        def wrong(kye: int) -> None: ...


def test_a_cancelled_request_leaves_the_migration_to_the_others(sqlite_url: str) -> None:
    prepare(sqlite_url)
    begun, go_on = threading.Event(), threading.Event()

    def work(batch: Batch) -> None:
        begun.set()
        go_on.wait(30)
        migrate(batch)

    found = lazy(sqlite_url, work=work)

    async def requests() -> None:
        first = asyncio.ensure_future(found.aensure(3))
        await asyncio.to_thread(begun.wait, 30)
        second = asyncio.ensure_future(found.aensure(3))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        await second

    asyncio.run(requests())
    assert seen(sqlite_url) == [3]


def test_a_request_passes_when_the_key_of_its_scope_is_migrated(sqlite_url: str) -> None:
    prepare(sqlite_url)
    served: list[tuple[str, list[int]]] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        served.append((scope["type"], seen(sqlite_url)))

    wrapped: Any = LazyMiddleware(app, lazy(sqlite_url), key=lambda scope: scope.get("key"))
    for scope in ({"type": "lifespan", "key": 1}, {"type": "http", "key": 2}, {"type": "websocket"}):
        asyncio.run(wrapped(scope, None, None))
    assert served == [("lifespan", []), ("http", [2]), ("websocket", [2])]
