"""Being gentle: each engine's signals provoked for real, thresholds, and a run that holds back, slows and obeys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell import config
from stepwell.databases import open_database
from stepwell.databases import url as urls
from stepwell.databases.database import Database
from stepwell.databases.pressure import Signal
from stepwell.errors import BadProject, BadRequest
from stepwell.jobs import runner
from stepwell.jobs.batch import Batch
from stepwell.jobs.definition import Definition, Keyset
from stepwell.jobs.lease import BEAT
from stepwell.jobs.limits import Limits
from stepwell.jobs.pressure import SLOWEST, Governor, Thresholds, held_by, read_thresholds, slowing
from stepwell.jobs.runner import Progress, Site
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        yield database
    finally:
        database.close()


def signals(database: Database) -> dict[str, float]:
    return {signal.name: signal.value for signal in database.pressure()}


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)  # InnoDB shows its transactions as of 0.1 s ago, longer while it is asked all the time


# --- signals, provoked for real ---------------------------------------------------------------------------


def postgres_session(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=False)


def mysql_session(url: str) -> pymysql.connections.Connection:
    at = urls.parse(url)
    return pymysql.connect(host=at.host, port=at.port or 3306, user=at.user, password=at.password, database=at.database)


SESSIONS: dict[str, Callable[[str], Any]] = {"postgres": postgres_session, "mysql": mysql_session}


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> tuple[str, Callable[[str], Any]]:
    """The URL of a fresh database on a server, and how another application connects to it."""
    return str(request.getfixturevalue(f"{request.param}_url")), SESSIONS[request.param]


def test_a_server_at_rest_shows_none_of_its_signals(server: tuple[str, Callable[[str], Any]]) -> None:
    with opened(server[0]) as database:
        found = signals(database)
    assert set(found) >= {"running threads", "lock waits", "longest transaction"}
    assert found["lock waits"] == 0


def test_a_session_that_waits_for_a_lock_is_counted(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    with opened(url) as database, closing(connect(url)) as holder, closing(connect(url)) as waiter:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        database.query("INSERT INTO t VALUES (1, 1)")
        holder.cursor().execute("UPDATE t SET a = 2")
        waiting = threading.Thread(target=lambda: waiter.cursor().execute("UPDATE t SET a = 3"))
        waiting.start()
        eventually(lambda: signals(database)["lock waits"] == 1)
        holder.rollback()
        waiting.join()
        waiter.rollback()
        eventually(lambda: signals(database)["lock waits"] == 0)


def test_a_ddl_that_waits_for_a_table_is_counted(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    with opened(url) as database, closing(connect(url)) as holder, closing(connect(url)) as waiter:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        holder.cursor().execute("SELECT * FROM t")
        waiting = threading.Thread(target=lambda: waiter.cursor().execute("ALTER TABLE t ADD COLUMN b INT"))
        waiting.start()
        eventually(lambda: signals(database)["lock waits"] == 1)
        holder.rollback()
        waiting.join()


def test_the_longest_transaction_of_others_is_timed(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    with opened(url) as database, closing(connect(url)) as session:
        database.query("CREATE TABLE t (id INT PRIMARY KEY)")
        session.cursor().execute("INSERT INTO t VALUES (1)")
        eventually(lambda: signals(database)["longest transaction"] >= 1.0)
        session.rollback()


def test_our_own_transaction_is_no_pressure(server: tuple[str, Callable[[str], Any]]) -> None:
    with opened(server[0]) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY)")
        with database.transaction():
            database.query("INSERT INTO t VALUES (1)")
            time.sleep(1.1)
            assert signals(database)["longest transaction"] < 1.0


def test_statements_at_work_are_counted(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    text = "SELECT pg_sleep(60)" if url.startswith("postgres") else "SELECT sleep(60)"
    with opened(url) as database:
        before = signals(database)["running threads"]
        sessions = [connect(url) for _ in range(3)]
        ids = [
            session.info.backend_pid if isinstance(session, psycopg.Connection) else session.thread_id()
            for session in sessions
        ]

        def sleep(session: Any) -> None:
            with suppress(psycopg.Error, pymysql.Error):  # ended below
                session.cursor().execute(text)

        threads = [threading.Thread(target=sleep, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        eventually(lambda: signals(database)["running threads"] >= before + 3)
        for number in ids:
            database.query(f"SELECT pg_terminate_backend({number})" if url.startswith("postgres") else f"KILL {number}")
        for thread in threads:
            thread.join()
        for session in sessions:
            session.close()


def test_parts_are_a_share_of_those_at_which_inserts_are_delayed(chdb_url: str) -> None:
    with opened(chdb_url) as database:
        database.query("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
        database.query("SYSTEM STOP MERGES t")
        database.query(
            "INSERT INTO t SELECT number FROM numbers(400) "
            "SETTINGS max_block_size = 1, min_insert_block_size_rows = 1, max_insert_threads = 1"
        )
        assert signals(database)["parts per partition"] == pytest.approx(0.4)
        database.query("ALTER TABLE t MODIFY SETTING parts_to_delay_insert = 500")
        assert signals(database)["parts per partition"] == pytest.approx(0.8)
        found = signals(database)
        assert 0 < found["memory"] < 1
        assert found["merges"] == 0
        assert "replica lag" not in found


def test_parts_of_different_partitions_are_not_added_up(chdb_url: str) -> None:
    with opened(chdb_url) as database:
        database.query("CREATE TABLE t (a Int64) ENGINE = MergeTree PARTITION BY a ORDER BY a")
        database.query("INSERT INTO t SELECT number FROM numbers(40)")
        assert signals(database)["parts per partition"] == pytest.approx(0.001)


def test_a_clickhouse_server_shows_the_same(clickhouse_url: str) -> None:
    with opened(clickhouse_url) as database:
        assert {"merges", "memory"} <= set(signals(database))


def test_signals_are_read_while_a_statement_is_at_work(server: tuple[str, Callable[[str], Any]]) -> None:
    url, _ = server
    with opened(url) as database:
        text = "SELECT pg_sleep(2)" if url.startswith("postgres") else "SELECT sleep(2)"
        working = threading.Thread(target=lambda: database.query(text))
        working.start()
        assert signals(database)
        assert working.is_alive()
        working.join()


def test_sqlite_knows_no_pressure(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        assert database.pressure() == []


def test_a_closed_database_shows_nothing_and_raises_nothing(any_url: str) -> None:
    with opened(any_url) as database:
        pass
    assert database.pressure() == []


# --- thresholds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (Signal("replica lag", 42, "s"), "replica lag of state is 42 s, limit 10 s"),
        (Signal("lock waits", 11, "threads"), "lock waits of state is 11 threads, limit 10 threads"),
        (Signal("parts per partition", 0.625, "share"), "parts per partition of state is 62.5 %, limit 50 %"),
        (Signal("memory", 0.95, "share"), "memory of state is 95 %, limit 80 %"),
        (Signal("replica lag", 10, "s"), ""),
        (Signal("running threads", 3, "threads"), ""),
    ],
)
def test_what_is_above_its_threshold_is_said_in_words(signal: Signal, words: str) -> None:
    assert held_by("state", [signal], Thresholds()) == words


@given(st.floats(0, 1000), st.floats(0.1, 1000))
def test_slowing_grows_from_four_fifths_of_a_threshold_on(value: float, limit: float) -> None:
    factor = slowing([Signal("replica lag", value, "s")], Thresholds(replica_lag=limit))
    assert 0 <= factor <= SLOWEST
    if value <= 0.79 * limit:
        assert factor == 0
    if value >= limit:
        assert factor == SLOWEST


def project(folder: Path, text: str) -> config.Config:
    (folder / "stepwell.toml").write_text(
        f'[databases.state]\nurl = "sqlite:///a.db"\n[databases.events]\nurl = "sqlite:///b.db"\n{text}'
    )
    return config.load(folder, {})


def test_thresholds_come_from_the_project_for_all_databases_or_for_one(tmp_path: Path) -> None:
    text = "[pressure]\nreplica-lag = 3\nmemory = inf\n[pressure.events]\nreplica-lag = 30\n"
    found = read_thresholds(project(tmp_path, text))
    assert found["state"] == Thresholds(replica_lag=3, memory=float("inf"))
    assert found["events"] == Thresholds(replica_lag=30, memory=float("inf"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pressure]\nreplica-lags = 3", "unknown key 'replica-lags' in [pressure] (did you mean 'replica-lag'?)"),
        ("[pressure.event]\nmerges = 1", "unknown key 'event' in [pressure] (did you mean 'events'?)"),
        ("[pressure.events]\nmerge = 1", "unknown key 'merge' in [pressure.events] (did you mean 'merges'?)"),
        ("[pressure]\nmerges = '1'", "'merges' in [pressure] must be a number, 0 or above, or inf"),
        ("[pressure]\nmerges = -1", "'merges' in [pressure] must be a number, 0 or above, or inf"),
        ("[pressure]\nmerges = nan", "'merges' in [pressure] must be a number, 0 or above, or inf"),
    ],
)
def test_a_threshold_that_is_not_understood_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadProject) as refused:
        read_thresholds(project(tmp_path, text))
    assert refused.value.what == said


# --- limits -----------------------------------------------------------------------------------------------


def test_limits_survive_their_way_through_the_ledger() -> None:
    limits = Limits().change(["size=500", "target=100ms", "workers=2", "pause=1.5"])
    assert limits == Limits(500, 0.1, 2, 1.5)
    assert Limits.load(limits.dump()) == limits
    assert limits.change(["size=", "target=", "workers=", "pause="]).dump() == ""
    assert Limits.load("") == Limits()


@pytest.mark.parametrize("text", ["sizes=1", "size=0", "size=x", "pause=-1", "workers=1000", "target=nan", "size"])
def test_a_limit_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        Limits().change([text])


# --- a run ------------------------------------------------------------------------------------------------

ROWS = 200


def job(migrate: Callable[[Batch], None], size: int = 20) -> Definition:
    source = Keyset("state", "t", "id", "a IS NULL", size=size)
    return Definition("fill", Path("fill.sql"), 1, "Fill a.", source, migrate, quiet_passes=1)


def fill(batch: Batch) -> None:
    batch.execute("UPDATE t SET a = id WHERE ${batch}")


def prepared(url: str, thresholds: Thresholds) -> Site:
    with opened(url) as database:
        create(database)
        Ledger(database).register(["fill"])
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        database.insert("t", ["id"], [[number] for number in range(1, ROWS + 1)])
    return Site(lambda name: open_database(name, url, Path("/")), "state", {}, {"state": thresholds})


def test_a_run_holds_while_a_threshold_is_passed_and_says_why(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    site = prepared(url, Thresholds(longest_transaction=0))
    reasons: list[str] = []
    stop, done = threading.Event(), []

    def tell(progress: Progress) -> None:
        reasons.append(progress.held_by)

    with opened(url) as database, closing(connect(url)) as session:
        database.query("CREATE TABLE other (id INT PRIMARY KEY)")
        session.cursor().execute("INSERT INTO other VALUES (1)")
        eventually(lambda: signals(database)["longest transaction"] > 0)
        running = threading.Thread(target=lambda: done.append(runner.run(job(fill), site, tell=tell, stop=stop)))
        running.start()

        def held() -> bool:
            state = Ledger(database).read("fill")
            return state is not None and state.held_by.startswith("longest transaction of state is ")

        eventually(held)
        assert database.query("SELECT count(*) FROM t WHERE a IS NULL") == [(ROWS,)]
        assert reasons[0].startswith("longest transaction of state is ")
        assert reasons[0].endswith(", limit 0 s")
        session.rollback()
        running.join(timeout=30)
        assert [outcome.state for outcome in done] == ["complete"]
        assert database.query("SELECT count(*) FROM t WHERE a IS NULL") == [(0,)]
        state = Ledger(database).read("fill")
        assert state is not None
        assert state.held_by == ""


def test_a_run_that_is_held_can_be_stopped(server: tuple[str, Callable[[str], Any]]) -> None:
    url, connect = server
    site = prepared(url, Thresholds(longest_transaction=0))
    stop, done = threading.Event(), []
    with opened(url) as database, closing(connect(url)) as session:
        session.cursor().execute("INSERT INTO t VALUES (1000, 1)")
        eventually(lambda: signals(database)["longest transaction"] > 0)
        running = threading.Thread(target=lambda: done.append(runner.run(job(fill), site, stop=stop)))
        running.start()
        eventually(lambda: (state := Ledger(database).read("fill")) is not None and state.held_by != "")
        stop.set()
        running.join(timeout=30)
        assert [outcome.state for outcome in done] == ["stopped"]
        session.rollback()


class Pressed:
    """A database of which only the signals are asked."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def pressure(self) -> list[Signal]:
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        return [Signal("replica lag", value, "s")]


def test_near_a_threshold_a_pause_follows_each_batch() -> None:
    near: Any = Pressed(9.9)
    governor = Governor({"state": Thresholds(replica_lag=10)}, lambda: {"state": near}, lambda reason: None)
    assert governor.lets_begin()
    governor.ended(seconds=0.2)
    assert not governor.lets_begin()
    eventually(governor.lets_begin)


def test_far_from_all_thresholds_there_is_no_pause_but_a_set_one() -> None:
    far: Any = Pressed(1.0)
    governor = Governor({}, lambda: {"state": far}, lambda reason: None)
    assert governor.lets_begin()
    governor.ended(seconds=60.0)
    assert governor.lets_begin()
    governor.ended(seconds=0.0)
    assert not governor.lets_begin(pause=0.2)
    assert governor.lets_begin(pause=0.0)  # it may be taken away while it lasts
    eventually(lambda: governor.lets_begin(pause=0.2))


def test_the_databases_are_looked_at_once_a_second_at_most() -> None:
    pressed: Any = Pressed(1.0, 99.0)
    governor = Governor({}, lambda: {"state": pressed}, lambda reason: None)
    looks = [governor.lets_begin() for _ in range(1000)]
    assert all(looks[:100])
    eventually(lambda: not governor.lets_begin())
    assert governor.reason == "replica lag of state is 99 s, limit 10 s"


def test_limits_set_while_a_job_runs_hold_from_the_next_batch_on_that_is_cut(
    server: tuple[str, Callable[[str], Any]],
) -> None:
    url, _ = server
    site = prepared(url, Thresholds())
    sizes: list[int] = []
    heard = threading.Event()

    def migrate(batch: Batch) -> None:
        sizes.append(len(batch.keys()))
        fill(batch)
        if len(sizes) == 1:
            heard.wait(10)

    done: list[runner.Outcome] = []
    running = threading.Thread(target=lambda: done.append(runner.run(job(migrate, 40), site)))
    with opened(url) as database:
        running.start()
        eventually(lambda: len(sizes) == 1)
        Ledger(database).update("fill", None, limits=Limits(size=5).dump())
        time.sleep(2 * BEAT)
        heard.set()
        running.join(timeout=60)
    assert [outcome.state for outcome in done] == ["complete"]
    assert sizes[:2] == [40, 40], "the second was cut while the first one ran"
    assert set(sizes[2:]) == {5}


def test_workers_can_be_added_while_a_job_runs(postgres_url: str) -> None:
    site = prepared(postgres_url, Thresholds())
    together, most = [0], [0]
    turn = threading.Lock()

    def migrate(batch: Batch) -> None:
        with turn:
            together[0] += 1
            most[0] = max(most[0], together[0])
        time.sleep(0.3)
        fill(batch)
        with turn:
            together[0] -= 1

    with opened(postgres_url) as database:
        Ledger(database).update("fill", None, limits=Limits(workers=3, size=20).dump())
        assert runner.run(job(migrate), site).state == "complete"
    assert most[0] == 3
