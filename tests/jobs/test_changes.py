"""The way back: every change recorded with its reason, and taken back exactly, but where others wrote since."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import projects
from stepwell.databases import open_database
from stepwell.databases import url as urls
from stepwell.databases.database import Command, Database
from stepwell.errors import BadRequest, JobStalled, LeaseHeld, LockTimeout, UndoRefused
from stepwell.jobs import runner
from stepwell.jobs import undo as way_back
from stepwell.jobs.batch import Batch, Connections
from stepwell.jobs.changes import why
from stepwell.jobs.definition import Definition, Drain, Excluded, Groups, Keyset, Source
from stepwell.jobs.lazy import Lazy
from stepwell.jobs.runner import Site
from stepwell.jobs.steer import steer
from stepwell.jobs.undo import preview, reassess, undo, unwind
from stepwell.ledger.changes import Change, newest_first
from stepwell.ledger.jobs import Ledger
from stepwell.ledger.tables import create

Urls = dict[str, str]


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database("state", url, Path("/"))
    database.connect()
    try:
        yield database
    finally:
        database.close()


def site_of(databases: Urls, ledger: str = "state") -> Site:
    site = Site(lambda name: open_database(name, databases[name], Path("/")), ledger, {})
    with opened(databases[ledger]) as database:
        create(database)
        Ledger(database).register(["fill"])
    return site


def job(migrate: Callable[[Batch], None], source: Source, *records: str) -> Definition:
    return Definition("fill", Path("fill.py"), 1, "Fill.", source, migrate, records=records, quiet_passes=1)


SOURCE = Keyset("state", "t", "id", "a IS NULL", size=3)


def fill(batch: Batch) -> None:
    batch.execute("UPDATE t SET a = id * 10 WHERE ${batch}")


FILL = job(fill, SOURCE, "a")

BOTH = job(lambda batch: batch.execute("UPDATE t SET a = id, b = 'job' WHERE ${batch}"), SOURCE, "a", "b")

SOURCE_B = Keyset("state", "t", "id", "b IS NULL")


def fill_one(batch: Batch) -> None:
    batch.execute("UPDATE t SET a = 1 WHERE ${batch}")


def prepared(url: str, count: int = 10) -> None:
    with opened(url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(100))")
        database.insert("t", ["id"], [[number] for number in range(1, count + 1)])


def rows(url: str, text: str = "SELECT id, a, b FROM t ORDER BY id") -> list[tuple[Any, ...]]:
    with opened(url) as database:
        return database.query(text)


def changed(url: str, *key: Any) -> list[Change]:
    with opened(url) as database:
        return why(database, "fill", key)


def state(url: str) -> str:
    with opened(url) as database:
        found = Ledger(database).read("fill")
    assert found is not None
    return found.state


@pytest.fixture(params=["sqlite", "postgres", "mysql", "postgres, ledger in sqlite", "sqlite, ledger in mysql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Urls, str]:
    """Where the rows are, as `state`, and the ledger's name: in the same database, or in another."""
    engine, _, ledger = str(request.param).partition(", ledger in ")
    found = {"state": str(request.getfixturevalue(f"{engine}_url"))}
    if ledger:
        found["ledger"] = str(request.getfixturevalue(f"{ledger}_url"))
    return found, "ledger" if ledger else "state"


# --- why --------------------------------------------------------------------------------------------------


def test_each_change_is_recorded_with_its_old_and_its_new_value(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    assert runner.run(FILL, site).state == "complete"
    [change] = changed(databases[ledger], 7)
    assert (change.key, change.place) == ("[7]", "state.t")
    assert (change.old, change.new) == ({"a": "null"}, {"a": "70"})
    assert change.at > 0
    assert change.undone == 0


def test_what_stays_as_it_was_is_not_recorded(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    with opened(databases["state"]) as database:
        database.query("UPDATE t SET a = 10 WHERE id = 1")
    runner.run(replace(FILL, source=replace(SOURCE, where="")), site)
    assert changed(databases[ledger], 1) == []
    assert len(changed(databases[ledger], 2)) == 1


def test_the_reason_is_told_for_one_row_or_for_all(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])

    def migrate(batch: Batch) -> None:
        batch.reason_for_all("ten times the id")
        for (key,) in batch.rows("id"):
            if key % 2:
                batch.reason((key,), f"odd: {key} – 'really'")
        fill(batch)

    runner.run(job(migrate, SOURCE, "a"), site)
    assert [change.reason for change in changed(databases[ledger], 7)] == ["odd: 7 – 'really'"]
    assert [change.reason for change in changed(databases[ledger], 8)] == ["ten times the id"]


def test_a_row_is_found_by_its_key_as_a_person_writes_it(postgres_url: str) -> None:
    site = site_of({"state": postgres_url})
    one = UUID("00000000-0000-4000-8000-00000000000a")
    with opened(postgres_url) as database:
        database.query("CREATE TABLE t (id UUID, part INT, name TEXT, a INT, PRIMARY KEY (id, part, name))")
        database.insert("t", ["id", "part", "name"], [[one, 1, "42"], [one, 2, "é\"'\\\n"]])
    source = Keyset("state", "t", "id, part, name", "a IS NULL")
    runner.run(job(lambda batch: batch.execute("UPDATE t SET a = part WHERE ${batch}"), source, "a"), site)
    for key in ((str(one), "1", "42"), (one, 1, "42")):
        assert [change.new for change in changed(postgres_url, *key)] == [{"a": "1"}]
    assert [change.new for change in changed(postgres_url, one, 2, "é\"'\\\n")] == [{"a": "2"}]
    assert changed(postgres_url, one, 3, "42") == []


def test_keys_that_differ_only_in_case_are_different_rows(mysql_url: str) -> None:
    site = site_of({"state": mysql_url})
    with opened(mysql_url) as database:
        database.query("CREATE TABLE t (id VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, a VARCHAR(20))")
        database.insert("t", ["id", "a"], [["x", "v"], ["X", "V"]])
    source = Keyset("state", "t", "id")
    runner.run(job(lambda batch: batch.execute("UPDATE t SET a = upper(a) WHERE ${batch}"), source, "a"), site)
    assert [change.new for change in changed(mysql_url, "x")] == [{"a": '"V"'}]
    assert changed(mysql_url, "X") == []
    assert undo(job(fill, source, "a"), site).restored == 1
    assert sorted(rows(mysql_url, "SELECT id, a FROM t")) == [("X", "V"), ("x", "v")]


def test_signs_that_stand_for_others_in_a_pattern_find_no_other_key(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    with opened(relational_url) as database:
        database.query("CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, a INT)")
        database.insert("t", ["id"], [["a%_!b"], ["aXX!b"], ["a%_b"]])
    source = Keyset("state", "t", "id", "a IS NULL")
    runner.run(job(lambda batch: batch.execute("UPDATE t SET a = 1 WHERE ${batch}"), source, "a"), site)
    for key in ("a%_!b", "aXX!b", "a%_b"):
        assert [change.key for change in changed(relational_url, key)] == [f'["{key}"]']
    assert changed(relational_url, "a%!b") == []


def test_what_a_writer_changes_while_a_batch_begins_is_recorded_as_it_left_it(postgres_url: str) -> None:
    site = site_of({"state": postgres_url})
    prepared(postgres_url)
    tries = []

    def migrate(batch: Batch) -> None:
        tries.append(batch.keys())
        if len(tries) == 1:  # behind what the batch has read of its rows
            with opened(postgres_url) as writer:
                writer.query("UPDATE t SET b = 'written' WHERE id = 2")
        batch.execute("UPDATE t SET a = id, b = coalesce(b, '') || '!' WHERE ${batch}")

    definition = job(migrate, SOURCE, "a", "b")
    assert runner.run(definition, site).state == "complete"
    assert tries[0] == tries[1] != tries[2]  # it was done again at once, behind the writer
    assert [change.old for change in changed(postgres_url, 2)] == [{"a": "null", "b": '"written"'}]
    assert undo(definition, site).left == ()
    assert rows(postgres_url)[:3] == [(1, None, None), (2, None, "written"), (3, None, None)]


def test_rows_too_long_to_be_recorded_together_are_recorded_in_smaller_batches(mysql_url: str) -> None:
    site = site_of({"state": mysql_url})
    with opened(mysql_url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT)")
        database.query("INSERT INTO t SELECT seq, repeat(char(64 + seq % 26), 20000) FROM seq_1_to_600")
        [(longest,)] = database.query("SELECT @@max_allowed_packet")
        assert 500 * 40_000 > int(longest) > 40_000

    def migrate(batch: Batch) -> None:
        batch.query("SET SESSION sql_mode = ''")  # in which MySQL cuts off what is too long, and only warns
        batch.execute("UPDATE t SET a = lower(a) WHERE ${batch}")

    before = rows(mysql_url, "SELECT id, md5(a) FROM t ORDER BY id")
    source = Keyset("state", "t", "id", size=600)
    definition = job(migrate, source, "a")
    assert runner.run(definition, site) == runner.Outcome("fill", "complete", 600)
    assert undo(definition, site).left == ()
    assert rows(mysql_url, "SELECT id, md5(a) FROM t ORDER BY id") == before


def test_a_row_that_comes_to_fit_while_a_batch_runs_is_left_for_the_next(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    prepared(relational_url)
    with opened(relational_url) as database:
        database.query("DELETE FROM t WHERE id = 3")
        if database.engine == "mysql":
            database.query("SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED")
    tries: list[int] = []

    def migrate(batch: Batch) -> None:
        tries.append(1)
        with opened(relational_url) as writer:
            if len(tries) == 1 and writer.engine == "postgres":  # which makes it lock its rows
                writer.query("UPDATE t SET b = 'written' WHERE id = 2")
            elif len(tries) < 3:
                with suppress(LockTimeout):
                    writer.run(Command(text="INSERT INTO t (id) VALUES (3)", lock_timeout=1.0))
        batch.execute("UPDATE t SET a = id WHERE ${batch}")

    definition = job(migrate, SOURCE, "a")
    try:
        assert runner.run(definition, site).state == "complete"
    finally:
        with opened(relational_url) as database:
            if database.engine == "mysql":
                database.query("SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    changed_rows = {row[0] for row in rows(relational_url) if row[1] is not None}
    assert {number for number in range(1, 11) if changed(relational_url, number)} == changed_rows
    assert undo(definition, site).left == ()
    assert {row[1] for row in rows(relational_url)} == {None}


def test_a_row_whose_key_is_too_long_for_the_ledger_is_not_changed(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    with opened(relational_url) as database:
        database.query("CREATE TABLE t (id VARCHAR(600) PRIMARY KEY, a INT)")
        database.insert("t", ["id"], [["short"], ["x" * 600]])
    definition = job(fill_one, Keyset("state", "t", "id", "a IS NULL"), "a")
    outcome = runner.run(definition, site)
    failed = 0 if relational_url.startswith("sqlite") else 1  # where a VARCHAR has no end
    assert (outcome.rows_done, outcome.failed) == (2 - failed, failed)
    assert undo(definition, site).restored == 2 - failed
    assert {row[0] for row in rows(relational_url, "SELECT a FROM t")} == {None}


@pytest.mark.parametrize("second", ["x", None])
def test_rows_that_their_row_key_does_not_tell_apart_are_not_changed(relational_url: str, second: str | None) -> None:
    site = site_of({"state": relational_url})
    with opened(relational_url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, team INT, name VARCHAR(10), a INT)")
        database.query("CREATE INDEX t_team ON t (team)")
        database.insert("t", ["id", "team", "name"], [[1, 1, "x"], [2, 1, second], [3, 2, "y"]])
    definition = replace(job(fill_one, Groups("state", "t", "team", "a IS NULL"), "a"), row_key=("name",))
    assert runner.run(definition, site).failed == 1
    assert rows(relational_url, "SELECT id FROM t WHERE a IS NOT NULL") == [(3,)]
    assert undo(definition, site).restored == 1


def test_a_column_whose_type_was_changed_since_is_recorded_as_it_is_now(postgres_url: str) -> None:
    site = site_of({"state": postgres_url})
    with opened(postgres_url) as database:
        database.query("CREATE TABLE t (id NUMERIC(6,2) PRIMARY KEY, a NUMERIC(10,2), b INT)")
        database.query("INSERT INTO t VALUES (1, 1.25), (2, 2.5)")
    add = job(lambda batch: batch.execute("UPDATE t SET a = a + 1, b = 1 WHERE ${batch}"), SOURCE_B, "a", "b")
    lazy = Lazy(add, site)
    lazy.ensure(1)
    with opened(postgres_url) as database:
        database.query("ALTER TABLE t ALTER a TYPE NUMERIC(12,4), ALTER id TYPE NUMERIC(8,4)")
        database.query("UPDATE t SET a = 2.3456, id = 2.0001 WHERE id = 2")
    lazy.ensure(Decimal("2.0001"))
    lazy.close()
    with opened(postgres_url) as database:
        [change] = why(database, "fill", ["2.0001"])
    assert (change.old["a"], change.new["a"]) == ('"2.3456"', '"3.3456"')


def test_a_column_that_a_job_leaves_rows_alone_by_can_be_changed_by_it(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"], 3)
    source = replace(SOURCE, excluded=Excluded("b", ("demo",)))
    definition = job(lambda batch: batch.execute("UPDATE t SET a = 1, b = 'demo' WHERE ${batch}"), source, "a", "b")
    runner.run(definition, site)
    assert undo(definition, site).restored == 3
    assert rows(databases["state"]) == [(1, None, None), (2, None, None), (3, None, None)]


def test_what_mysql_has_no_text_for_is_not_taken_for_null(mysql_url: str) -> None:
    site = site_of({"state": mysql_url})
    with opened(mysql_url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a LONGBLOB)")
        database.query("INSERT INTO t VALUES (1, repeat('x', @@max_allowed_packet * 0.8)), (2, 'small')")

    def migrate(batch: Batch) -> None:
        batch.query("SET SESSION sql_mode = ''")
        batch.execute("UPDATE t SET a = NULL WHERE ${batch}")

    outcome = runner.run(job(migrate, Keyset("state", "t", "id", "a IS NOT NULL"), "a"), site)
    assert (outcome.rows_done, outcome.failed) == (1, 1)
    assert rows(mysql_url, "SELECT id FROM t WHERE a IS NOT NULL") == [(1,)]


def test_a_batch_that_fails_leaves_no_record(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])

    def migrate(batch: Batch) -> None:
        fill(batch)
        if batch.database.query("SELECT id FROM t WHERE a = 50"):
            raise ValueError("five")

    assert runner.run(job(migrate, SOURCE, "a"), site).failed == 1
    assert changed(databases[ledger], 5) == []
    assert [change.new for change in changed(databases[ledger], 6)] == [{"a": "60"}]
    assert undo(FILL, site).left == ()
    assert {row[1] for row in rows(databases["state"])} == {None}


def no_room(url: str, when: str) -> None:
    """Let this ledger have no room for a batch that is done when it commits, as long as this is so."""
    with opened(url) as database:
        database.query("CREATE SEQUENCE commits")
        database.query(
            f"""
            CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF {when} THEN
                RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
              END IF;
              RETURN NULL;
            END
            $$
            """
        )
        database.query(
            """
            CREATE CONSTRAINT TRIGGER no_room AFTER UPDATE ON stepwell_batch DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION no_room()
            """
        )


def test_what_a_full_ledger_could_not_record_is_told_and_counted_and_recorded_by_the_next_run(
    sqlite_url: str, postgres_url: str
) -> None:
    site = site_of({"state": sqlite_url, "ledger": postgres_url}, "ledger")
    prepared(sqlite_url)
    no_room(postgres_url, "NEW.number > 1")
    with pytest.raises(JobStalled) as stalled:
        runner.run(replace(FILL, tries=2), site)
    assert "but for the batch under way: state may have committed it" in str(stalled.value)
    assert rows(sqlite_url, "SELECT count(a) > 3 FROM t") == [(1,)]
    with opened(postgres_url) as database:
        database.query("DROP TRIGGER no_room ON stepwell_batch")
    outcome = runner.run(FILL, site)
    assert (outcome.state, outcome.rows_done) == ("complete", 10)
    assert changed(postgres_url, 7)[0].new == {"a": "70"}
    assert undo(FILL, site).restored == 10


@pytest.mark.parametrize("again", [True, False])
def test_what_a_batch_found_before_a_release_that_records_other_columns_goes_back_as_well(
    sqlite_url: str, postgres_url: str, again: bool
) -> None:
    site = site_of({"state": sqlite_url, "ledger": postgres_url}, "ledger")
    prepared(sqlite_url)
    with opened(sqlite_url) as database:
        database.query("UPDATE t SET b = 'x'")
    no_room(postgres_url, "true")
    with pytest.raises(JobStalled):
        runner.run(replace(BOTH, tries=1), site)
    with opened(postgres_url) as database:
        database.query("DROP TRIGGER no_room ON stepwell_batch")
    with opened(sqlite_url) as database:
        database.query("ALTER TABLE t ADD COLUMN c INT")
        database.query("ALTER TABLE t DROP COLUMN b")
    later = job(lambda batch: batch.execute("UPDATE t SET a = id, c = 1 WHERE ${batch}"), SOURCE, "c", "a")
    if again:
        assert runner.run(later, site).rows_done == 10
    assert undo(later, site).left == ()
    assert rows(sqlite_url, "SELECT id, a, c FROM t ORDER BY id") == [(key, None, None) for key in range(1, 11)]


def test_a_batch_whose_record_alone_was_refused_is_recorded_by_another_try(sqlite_url: str, postgres_url: str) -> None:
    site = site_of({"state": sqlite_url, "ledger": postgres_url}, "ledger")
    prepared(sqlite_url)
    no_room(postgres_url, "nextval('commits') = 2")
    assert runner.run(FILL, site).rows_done == 10
    assert all(changed(postgres_url, key) for key in range(1, 11))


# --- undo -------------------------------------------------------------------------------------------------


def test_undo_gives_every_row_back_and_the_job_begins_anew(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    before = rows(databases["state"])
    runner.run(FILL, site)
    after = rows(databases["state"])
    report = undo(FILL, site)
    assert (report.restored, report.left, report.complete) == (10, (), True)
    assert rows(databases["state"]) == before
    assert state(databases[ledger]) == "undone"
    assert changed(databases[ledger], 7)[0].undone > 0
    assert undo(FILL, site).restored == 0
    assert runner.run(FILL, site).state == "complete"
    assert rows(databases["state"]) == after
    assert undo(FILL, site).restored == 10


def test_rows_that_others_changed_or_deleted_since_are_left_and_listed(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    both = job(lambda batch: batch.execute("UPDATE t SET a = id, b = 'job' WHERE ${batch}"), SOURCE, "a", "b")
    runner.run(both, site)
    with opened(databases["state"]) as database:
        database.query("UPDATE t SET b = 'writer' WHERE id = 3")
        database.query("UPDATE t SET b = NULL WHERE id = 4")
        database.query("DELETE FROM t WHERE id = 5")
    for _ in range(2):
        report = undo(both, site)
        assert sorted(report.left) == ["[3]", "[4]", "[5]"]
    kept = [row for row in rows(databases["state"]) if row[1] is not None]
    assert kept == [(3, 3, "writer"), (4, 4, None)]


def test_a_row_changed_twice_goes_back_to_its_first_value(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    every = replace(SOURCE, where="")
    for value in (1, 2, 3):
        with opened(databases[ledger]) as database:
            Ledger(database).update("fill", None, place="", state="pending")

        def migrate(batch: Batch, value: int = value) -> None:
            batch.execute("UPDATE t SET a = ? WHERE ${batch}", (value,))

        runner.run(job(migrate, every, "a"), site)
    assert [change.old["a"] for change in changed(databases[ledger], 1)] == ["2", "1", "null"]
    assert undo(FILL, site).restored == 10
    assert {row[1] for row in rows(databases["state"])} == {None}
    with opened(databases[ledger]) as database:  # killed between the commit of the rows and that of the record
        database.query("UPDATE stepwell_change SET undone = 0")
    assert undo(FILL, site).left == ()
    assert {row[1] for row in rows(databases["state"])} == {None}


def clock_went_back(url: str, seconds: int, behind: int) -> None:
    """What the ledger's clock wrote behind a batch of this number is earlier by so many seconds."""
    with opened(url) as database:
        for table in ("stepwell_change", "stepwell_change_pack"):
            database.query(f"UPDATE {table} SET at = at - {seconds} WHERE batch > {behind} OR batch < 0")


def test_batches_go_back_in_their_order_though_the_ledgers_clock_went_back(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    runner.run(FILL, site)
    with opened(databases[ledger]) as database:
        [(last,)] = database.query("SELECT next_batch - 1 FROM stepwell_job")
    again = job(lambda batch: batch.execute("UPDATE t SET a = 1 WHERE ${batch}"), replace(SOURCE, where="a > 1"), "a")
    runner.run(again, site)
    clock_went_back(databases[ledger], 3600, behind=int(last))
    assert [change.new["a"] for change in changed(databases[ledger], 7)] == ["1", "70"]
    report = undo(FILL, site)
    assert (report.restored, report.left) == (10, ())
    assert {row[1] for row in rows(databases["state"])} == {None}


def test_a_lazy_key_goes_back_by_what_it_found_where_the_clock_tells_another_order(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"], 3)
    runner.run(FILL, site)
    again = replace(SOURCE, where="a > 1")
    lazy = Lazy(job(lambda batch: batch.execute("UPDATE t SET a = a - 9 WHERE ${batch}"), again, "a"), site)
    lazy.ensure(1)
    lazy.ensure(2)
    lazy.close()
    clock_went_back(databases[ledger], 3600, behind=1_000_000)
    with opened(databases["state"]) as database:
        database.query("UPDATE t SET a = 7 WHERE id = 2")
    report = undo(FILL, site)
    assert (report.restored, report.left) == (2, ("[2]",))
    assert rows(databases["state"], "SELECT id, a FROM t ORDER BY id") == [(1, None), (2, 7), (3, None)]


def test_rows_of_a_group_are_known_by_the_tables_own_key(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    with opened(relational_url) as database:
        database.query("CREATE TABLE t (id INT PRIMARY KEY, team INT, a INT)")
        database.query("CREATE INDEX t_team ON t (team)")
        database.insert("t", ["id", "team"], [[number, number % 3] for number in range(30)])
    before = rows(relational_url, "SELECT * FROM t ORDER BY id")
    source = Groups("state", "t", "team", "a IS NULL", rows=10)

    def migrate(batch: Batch) -> None:
        batch.execute("UPDATE t SET a = id, team = team + 100 WHERE ${batch}")

    grouped = replace(job(migrate, source, "a", "team"), row_key=("id",))
    runner.run(grouped, site)
    assert changed(relational_url, 7)[0].new == {"a": "7", "team": "101"}
    assert undo(grouped, site).restored == 30
    assert rows(relational_url, "SELECT * FROM t ORDER BY id") == before


def test_keys_of_several_columns_lead_back_too(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    with opened(databases["state"]) as database:
        database.query("CREATE TABLE t (x INT, y VARCHAR(20), a INT, PRIMARY KEY (x, y))")
        database.insert("t", ["x", "y"], [[number % 7, f"y{number}"] for number in range(250)])
    before = rows(databases["state"], "SELECT * FROM t ORDER BY x, y")
    drained = job(fill_pairs, Drain("state", "t", "x, y", "a IS NULL", size=120), "a")
    runner.run(drained, site)
    assert undo(drained, site).restored == 250
    assert rows(databases["state"], "SELECT * FROM t ORDER BY x, y") == before


def fill_pairs(batch: Batch) -> None:
    batch.execute("UPDATE t SET a = x WHERE ${batch}")


def test_a_job_that_runs_can_not_be_undone(postgres_url: str) -> None:
    site = site_of({"state": postgres_url})
    prepared(postgres_url)
    inside, go = threading.Event(), threading.Event()

    def migrate(batch: Batch) -> None:
        inside.set()
        go.wait(20)
        fill(batch)

    running = threading.Thread(target=lambda: runner.run(job(migrate, SOURCE, "a"), site))
    running.start()
    assert inside.wait(20)
    with pytest.raises(LeaseHeld):
        undo(FILL, site)
    go.set()
    running.join()


def test_an_undo_that_is_stopped_goes_on_when_it_is_repeated(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "MOST_KEYS", 4)
    site = site_of({"state": postgres_url})
    prepared(postgres_url)
    runner.run(FILL, site)
    stop = threading.Event()
    report = undo(FILL, site, tell=lambda report: stop.set(), stop=stop)
    assert (report.restored, report.complete) == (4, False)
    assert undo(FILL, site).restored == 6


def test_a_job_without_records_has_no_way_back(sqlite_url: str) -> None:
    site = site_of({"state": sqlite_url})
    with pytest.raises(BadRequest, match="it does not record what it changes"):
        undo(job(fill, SOURCE), site)


@pytest.mark.parametrize("where", ["a IS NULL", ""])
def test_keys_that_were_migrated_one_by_one_go_back_as_well(place: tuple[Urls, str], where: str) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    before = rows(databases["state"])
    single = replace(FILL, source=replace(SOURCE, where=where))
    for _ in range(2):
        lazy = Lazy(single, site)
        lazy.ensure(7)
        lazy.close()
        assert changed(databases[ledger], 7)[0].new == {"a": "70"}
        assert undo(single, site).restored == 1
        assert rows(databases["state"]) == before
        with opened(databases[ledger]) as database:
            steer(database, "fill", "resume")


# --- the way back when the table is another by now ------------------------------------------------------------


def test_a_column_that_was_dropped_since_is_named_and_the_others_go_back(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    runner.run(BOTH, site)
    with opened(databases["state"]) as database:
        database.query("ALTER TABLE t DROP COLUMN b")
        database.query("UPDATE t SET a = 7 WHERE id = 3")
    alone = replace(FILL, records=("a",))
    assert preview(alone, site).dropped == ("b",)
    report = undo(alone, site)
    assert (report.restored, report.left, report.dropped) == (9, ("[3]",), ("b",))
    assert rows(databases["state"], "SELECT id, a FROM t WHERE a IS NOT NULL") == [(3, 7)]


def test_a_row_of_which_only_dropped_columns_were_recorded_is_left(sqlite_url: str) -> None:
    site = site_of({"state": sqlite_url})
    prepared(sqlite_url)
    few = replace(SOURCE, where="id < 4 AND b IS NULL")
    runner.run(job(lambda batch: batch.execute("UPDATE t SET b = 'job' WHERE ${batch}"), few, "b"), site)
    rest = replace(FILL, source=replace(SOURCE, where="id > 3 AND a IS NULL"))
    runner.run(rest, site)
    with opened(sqlite_url) as database:
        database.query("ALTER TABLE t DROP COLUMN b")
    report = undo(rest, site)
    assert (report.restored, report.left, report.dropped) == (7, ("[1]", "[2]", "[3]"), ("b",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP COLUMN a", "t has no column a any more"),
        ("RENAME COLUMN id TO ident", "t has no column id any more, by which its rows are known"),
        ("RENAME TO other", "there is no table t any more"),
    ],
)
def test_nothing_is_begun_where_nothing_can_go_back(place: tuple[Urls, str], change: str, message: str) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    runner.run(FILL, site)
    with opened(databases["state"]) as database:
        database.query(f"ALTER TABLE t {change}")
    with pytest.raises(BadRequest, match=message):
        undo(FILL, site)
    assert state(databases[ledger]) == "complete"


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_what_the_database_refuses_to_take_back_is_told_before_anything_is_begun(
    request: pytest.FixtureRequest, engine: str
) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    site = site_of({"state": url})
    prepared(url)
    runner.run(FILL, site)
    strict, loose = {
        "postgres": ("ALTER COLUMN a SET NOT NULL", "ALTER COLUMN a DROP NOT NULL"),
        "mysql": ("MODIFY a INT NOT NULL", "MODIFY a INT"),
    }[engine]
    with opened(url) as database:
        database.query(f"ALTER TABLE t {strict}")
    with pytest.raises(UndoRefused) as refused:
        undo(FILL, site)
    assert "nothing was changed" in str(refused.value) and "null" in refused.value.said
    assert state(url) == "complete"
    with opened(url) as database:
        database.query(f"ALTER TABLE t {loose}")
    assert undo(FILL, site).restored == 10


def test_what_is_refused_in_the_middle_says_how_far_it_went_and_goes_on(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "MOST_KEYS", 4)
    site = site_of({"state": postgres_url})
    prepared(postgres_url, 8)
    runner.run(FILL, site)
    with opened(postgres_url) as database:
        database.query("ALTER TABLE t ADD CONSTRAINT kept CHECK (id < 7 OR a IS NOT NULL)")
    with pytest.raises(UndoRefused, match="can't be given back: a database refuses it") as refused:
        undo(FILL, site)
    assert "4 rows are given back" in refused.value.now
    with opened(postgres_url) as database:
        database.query("ALTER TABLE t DROP CONSTRAINT kept")
    assert undo(FILL, site).restored == 4


RETYPED = {
    "postgres": [
        ("INT", "5", "ALTER COLUMN w TYPE text", "'7'"),
        ("TEXT", "'5'", "ALTER COLUMN w TYPE int USING w::int", "7"),
        ("NUMERIC(10, 2)", "5.5", "ALTER COLUMN w TYPE numeric(12, 4)", "7.5"),
        ("DATE", "'2026-01-02'", "ALTER COLUMN w TYPE timestamp", "'2026-01-03 00:00:01'"),
    ],
    "mysql": [
        ("INT", "5", "MODIFY w VARCHAR(20) NOT NULL", "'7'"),
        ("DATETIME", "'2026-01-02 03:04:05'", "MODIFY w DATETIME(6)", "'2026-01-02 03:04:05.5'"),
    ],
}


@pytest.mark.parametrize(("engine", "case"), [(engine, case) for engine, cases in RETYPED.items() for case in cases])
def test_a_column_that_was_given_another_type_since_goes_back_by_its_values(
    request: pytest.FixtureRequest, engine: str, case: tuple[str, str, str, str]
) -> None:
    kind, value, retype, other = case
    url = str(request.getfixturevalue(f"{engine}_url"))
    site = site_of({"state": url})
    first = "'2000-01-01'" if kind.startswith("DATE") else "'1'"
    with opened(url) as database:
        database.query(f"CREATE TABLE t (id INT PRIMARY KEY, w {kind}, done INT)")
        database.query(f"INSERT INTO t VALUES (1, {first}, 0), (2, {first}, 0), (3, {first}, 0)")
    write = job(
        lambda batch: batch.execute(f"UPDATE t SET w = {value}, done = 1 WHERE ${{batch}}"),
        Keyset("state", "t", "id", "done = 0"),
        "w",
    )
    runner.run(write, site)
    with opened(url) as database:
        database.query(f"ALTER TABLE t {retype}")
        database.query(f"UPDATE t SET w = {other} WHERE id = 3")
        kept = database.query("SELECT w FROM t WHERE id = 3")
    assert preview(write, site).left == ("[3]",)
    report = undo(write, site)
    assert (report.restored, report.left) == (2, ("[3]",))
    assert rows(url, f"SELECT count(*) FROM t WHERE id < 3 AND w = {first}") == [(2,)]
    assert rows(url, "SELECT w FROM t WHERE id = 3") == kept


def test_a_table_that_was_made_anew_with_another_type_goes_back_by_its_values(sqlite_url: str) -> None:
    site = site_of({"state": sqlite_url})
    prepared(sqlite_url)
    runner.run(FILL, site)
    with opened(sqlite_url) as database:
        database.query("ALTER TABLE t RENAME TO former")
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a TEXT NOT NULL DEFAULT '', b VARCHAR(100))")
        database.query("INSERT INTO t SELECT * FROM former")
    with pytest.raises(
        UndoRefused, match="can't be given back: a database refuses it"
    ):  # the text is known as its own, and NULL is refused
        undo(FILL, site)
    with opened(sqlite_url) as database:
        database.query("DROP TABLE t")
        database.query("CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b VARCHAR(100))")
        database.query("INSERT INTO t SELECT * FROM former")
        database.query("UPDATE t SET a = '30.0' WHERE id = 3")
    report = undo(FILL, site)
    assert (report.restored, report.left) == (9, ("[3]",))
    assert rows(sqlite_url, "SELECT id, a FROM t WHERE a IS NOT NULL") == [(3, "30.0")]


def test_a_row_whose_old_value_its_column_can_not_hold_any_more_is_left(postgres_url: str) -> None:
    site = site_of({"state": postgres_url})
    prepared(postgres_url, 3)
    with opened(postgres_url) as database:
        database.query("UPDATE t SET b = 'x' || id")
    runner.run(job(lambda batch: batch.execute("UPDATE t SET a = 1, b = '5' WHERE ${batch}"), SOURCE, "b"), site)
    with opened(postgres_url) as database:
        database.query("ALTER TABLE t ALTER COLUMN b TYPE int USING b::int")
    report = undo(replace(FILL, records=("b",)), site)
    assert (report.restored, len(report.left)) == (0, 3)
    assert {row[2] for row in rows(postgres_url)} == {5}


# --- a way back of its own --------------------------------------------------------------------------------


def test_a_job_of_derived_data_gives_its_own_undo(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    prepared(relational_url)
    derived = replace(job(fill, SOURCE), undo=("UPDATE t SET a = NULL", "UPDATE t SET b = 'undone'"))
    runner.run(derived, site)
    report = undo(derived, site)
    assert (report.restored, report.complete) == (-1, True)
    assert set(rows(relational_url)) == {(number, None, "undone") for number in range(1, 11)}
    assert state(relational_url) == "undone"


def test_rows_in_clickhouse_are_recorded_as_told_and_put_back_by_the_jobs_own_undo(
    sqlite_url: str, chdb_url: str
) -> None:
    with opened(chdb_url) as database:
        database.query("CREATE TABLE t (id Int64, a Int64, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY id")
        database.query("INSERT INTO t SELECT number, 0, 0 FROM numbers(10)")
    site = site_of({"events": chdb_url, "state": sqlite_url})

    def migrate(batch: Batch) -> None:
        for (key,) in batch.rows("id"):
            batch.change((key,), "a", 0, 5, f"default: nothing known of {key}")
        batch.execute("INSERT INTO t SELECT id, 5, 1 FROM t FINAL WHERE ${batch}")

    def back(connections: Connections) -> None:
        connections.get("events").query("INSERT INTO t SELECT id, 0, 2 FROM t FINAL WHERE a = 5")

    source = Keyset("events", "t FINAL", "id", "a = 0 AND v = 0", size=4)
    told = replace(job(migrate, source), undo=back)
    assert runner.run(told, site).state == "complete"
    [change] = changed(sqlite_url, 3)
    assert (change.place, change.old, change.new) == ("events.t FINAL", {"a": "0"}, {"a": "5"})
    assert change.reason == "default: nothing known of 3"
    assert undo(told, site).complete
    assert set(rows(chdb_url, "SELECT a FROM t FINAL")) == {(0,)}
    assert changed(sqlite_url, 3)[0].undone > 0


def test_rows_in_clickhouse_can_also_be_compared(postgres_url: str, chdb_url: str) -> None:
    with opened(chdb_url) as database:
        database.query(
            "CREATE TABLE t (id Int64, a Nullable(DateTime64(6, 'UTC')), v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY id"
        )
        database.query("INSERT INTO t SELECT number, NULL, 0 FROM numbers(10)")
    site = site_of({"events": chdb_url, "state": postgres_url})

    def migrate(batch: Batch) -> None:
        batch.execute(
            "INSERT INTO t SELECT id, toDateTime64('2026-01-02 03:04:05.000006', 6, 'UTC'), 1 FROM t FINAL WHERE ${batch}"
        )

    compared = job(migrate, Keyset("events", "t FINAL", "id", "a IS NULL", size=4), "a")
    assert runner.run(compared, site).state == "complete"
    [change] = changed(postgres_url, 3)
    assert change.old == {"a": "null"}
    assert "2026-01-02T03:04:05.000006" in change.new["a"]
    assert undo(compared, site).complete
    assert set(rows(chdb_url, "SELECT a IS NULL, count() FROM t FINAL GROUP BY 1")) == {(1, 10)}


def test_what_clickhouse_keeps_no_versions_of_has_no_way_back(postgres_url: str, chdb_url: str) -> None:
    with opened(chdb_url) as database:
        database.query("CREATE TABLE t (id Int64, a Int64) ENGINE = MergeTree ORDER BY id")
    compared = job(lambda batch: None, Keyset("events", "t", "id", "a = 0"), "a")
    site = site_of({"events": chdb_url, "state": postgres_url})
    assert runner.run(compared, site).state == "complete"
    with pytest.raises(BadRequest, match="its engine is no ReplacingMergeTree"):
        undo(compared, site)


# --- reassess ---------------------------------------------------------------------------------------------


def test_rows_judged_by_default_are_judged_again(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"])
    known = {3}

    def migrate(batch: Batch) -> None:
        for (key,) in batch.rows("id"):
            batch.reason((key,), "evidence: known" if key in known else "default: nothing known")
            batch.execute("UPDATE t SET a = ? WHERE id = ?", (key if key in known else -1, key))

    judged = job(migrate, SOURCE, "a")
    runner.run(judged, site)
    with opened(databases["state"]) as database:
        database.query("UPDATE t SET a = 99 WHERE id = 4")  # a writer knows better
    known.add(7)
    report = reassess(judged, site)
    assert (report.restored, report.left) == (8, ("[4]",))
    assert state(databases[ledger]) == "pending"
    assert runner.run(judged, site).state == "complete"
    found = {row[0]: row[1] for row in rows(databases["state"])}
    assert found == dict.fromkeys(range(1, 11), -1) | {3: 3, 7: 7, 4: 99}
    assert [change.reason for change in changed(databases[ledger], 7)] == ["evidence: known", "default: nothing known"]


def test_what_visits_every_row_once_can_not_be_judged_again(sqlite_url: str) -> None:
    with pytest.raises(BadRequest, match="visits every row once"):
        reassess(replace(FILL, source=replace(SOURCE, where="")), site_of({"state": sqlite_url}))


def test_rows_of_another_table_come_back_whatever_its_columns_are_called(relational_url: str) -> None:
    site = site_of({"state": relational_url})
    prepared(relational_url, 2)
    with opened(relational_url) as database:
        quote = "`" if database.engine == "mysql" else '"'
        columns = f"id INT PRIMARY KEY, {quote}order{quote} VARCHAR(10), {quote}madeAt{quote} INT"
        database.query(f"CREATE TABLE other ({columns})")
        database.query("INSERT INTO other VALUES (1, 'x', 10), (2, 'y', 20)")
    before = rows(relational_url, "SELECT * FROM other ORDER BY id")

    def migrate(batch: Batch) -> None:
        assert batch.add("other", {"id": 3}, {}, like={"id": 1})
        batch.remove("other", {"id": 2})
        fill(batch)

    moved = job(migrate, SOURCE, "a")
    assert runner.run(moved, site).state == "complete"
    assert rows(relational_url, "SELECT * FROM other ORDER BY id") == [(1, "x", 10), (3, "x", 10)]
    assert undo(moved, site).left == ()
    assert rows(relational_url, "SELECT * FROM other ORDER BY id") == before


# --- exactness --------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
JSONS = st.sampled_from(["null", '"null"', "1", "1.0", '{"b": 1, "a": [null, "é"]}', '{"a":  [1]}', "[]", '"x\\"y"'])
STAMPS = st.datetimes().map(str)

COLUMNS: dict[str, dict[str, tuple[str, st.SearchStrategy[Any]]]] = {
    "postgres": {
        "i": ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
        "o": ("BOOLEAN", st.booleans()),
        "s": ("TEXT", WORDS),
        "n": ("NUMERIC", st.sampled_from(["0", "1", "1.0", "1.00", "-12345678901234567890.123456789", "NaN"])),
        "f": ("DOUBLE PRECISION", st.one_of(st.floats(), st.just("-Infinity"))),
        "r": ("REAL", st.floats(width=32)),
        "ts": ("TIMESTAMPTZ", st.one_of(STAMPS.map(lambda stamp: stamp + "+05:30"), st.just("infinity"))),
        "d": ("DATE", st.dates().map(str)),
        "iv": ("INTERVAL", st.sampled_from(["1 mon -1 day 00:00:00.000001", "1 year", "-00:00:01"])),
        "j": ("JSON", JSONS),
        "jb": ("JSONB", JSONS),
        "y": ("BYTEA", st.binary(max_size=100)),
        "u": ("UUID", st.uuids()),
        "l": ("TEXT[]", st.sampled_from(["{}", '{a,NULL,"null"}', '{"{,}",""}', "{{1,2},{3,4}}"])),
        "c": ("CHAR(3)", st.sampled_from(["", "a", "ab "])),
    },
    "mysql": {
        "i": ("BIGINT UNSIGNED", st.integers(0, 2**64 - 1)),
        "o": ("BOOLEAN", st.booleans()),
        "s": ("VARCHAR(100)", WORDS),
        "l": ("LONGTEXT CHARACTER SET latin1", st.text("abÄé'\"\\\n ", max_size=5)),
        "n": ("DECIMAL(38,10)", st.decimals(-(10**20), 10**20, places=10).map(str)),
        "f": ("DOUBLE", st.floats(-1e300, 1e300)),
        "r": ("FLOAT", st.floats(-(2.0**99), 2.0**99, width=32)),
        "ts": ("DATETIME(6)", STAMPS),
        "d": ("DATE", st.dates().map(str)),
        "t": ("TIME(6)", st.sampled_from(["-838:59:59", "00:00:00.000001", "12:00:00"])),
        "y": ("VARBINARY(100)", st.binary(max_size=100)),
        "bl": ("BLOB", st.binary(max_size=100)),
        "bi": ("BIT(12)", st.integers(0, 4095)),
        "e": ("ENUM('a', 'b''c', '1')", st.sampled_from(["a", "b'c", "1"])),
        "se": ("SET('x', 'y')", st.sampled_from(["", "x", "x,y"])),
        "yr": ("YEAR", st.integers(1901, 2155)),
        "z": ("INT(5) ZEROFILL", st.integers(0, 99999)),
        "j": ("JSON", JSONS),
        "cs": ("VARCHAR(10) COLLATE utf8mb4_general_ci", st.sampled_from(["a", "A", "ä", "a "])),
    },
    "sqlite": {
        name: (
            declared,
            st.one_of(
                st.integers(-(2**63), 2**63 - 1),
                st.floats(allow_nan=False, allow_infinity=False),
                WORDS,
                st.binary(max_size=50),
            ),
        )
        for name, declared in (("i", "INTEGER"), ("s", "TEXT COLLATE NOCASE"), ("x", ""), ("n", "NUMERIC"))
    },
}


def exact(database: Database, columns: list[str]) -> dict[int, str]:
    """The rows in words that tell any two values apart."""
    # MySQL spells a FLOAT with six digits unless asked for more; Python knows no infinite time.
    spelled = {"mysql": {"r": "r + 0e0"}, "postgres": {"ts": "ts::text"}}.get(database.engine, {})
    selected = ", ".join(spelled.get(column, column) for column in columns)
    return {int(key): repr(values) for key, *values in database.query(f"SELECT id, {selected} FROM t")}


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_undo_gives_back_the_originals_exactly_except_rows_that_others_changed(
    relational_url: str, data: st.DataObject
) -> None:
    engine = urls.parse(relational_url).engine
    known = COLUMNS[engine]
    columns = list(known)
    row = st.tuples(*(st.one_of(st.none(), values) for _, values in known.values()))
    originals = data.draw(st.lists(row, min_size=1, max_size=6), "the rows before")
    written = data.draw(row, "what the job writes")
    writers = data.draw(
        st.dictionaries(st.integers(1, len(originals)), st.one_of(st.none(), row)), "what writers write"
    )
    site = site_of({"state": relational_url})
    assignments = ", ".join(f"{column} = ?" for column in columns)
    with opened(relational_url) as database:
        database.query("DROP TABLE IF EXISTS t")
        for table in ("stepwell_change", "stepwell_change_pack", "stepwell_job"):
            database.query(f"DELETE FROM {table}")
        Ledger(database).register(["fill"])
        declared = ", ".join(f"{name} {kind}" for name, (kind, _) in known.items())
        database.query(f"CREATE TABLE t (id INT PRIMARY KEY, {declared})")
        marks = ", ".join("?" for _ in columns)
        for number, values in enumerate(originals, start=1):
            database.query(f"INSERT INTO t VALUES (?, {marks})", (number, *values))
        before = exact(database, columns)

        def migrate(batch: Batch) -> None:
            batch.execute(f"UPDATE t SET {assignments} WHERE ${{batch}}", written)

        everything = job(migrate, Keyset("state", "t", "id", size=3), *columns)
        assert runner.run(everything, site).failed == 0
        after = exact(database, columns)
        for number, what in writers.items():
            if what is None:
                database.query("DELETE FROM t WHERE id = ?", (number,))
            else:
                database.query(f"UPDATE t SET {assignments} WHERE id = ?", (*what, number))
        now = exact(database, columns)
        report = undo(everything, site)
        expected = {key: before[key] if value == after[key] else value for key, value in now.items()}
        assert exact(database, columns) == expected
        others = {key for key in before if now.get(key) not in (after[key], before[key])}
        assert set(report.left) == {f"[{key}]" for key in others if before[key] != after[key]}


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.randoms())
def test_changes_that_nobody_wrote_between_go_back_in_whatever_order_they_are_listed(
    are_lazy: list[bool], shuffled: Random
) -> None:
    # Each value is one that the row never held before, so that just one order is possible.
    values = [str(number) for number in range(len(are_lazy) + 1)]
    made = [
        Change("j", "[1]", -number if lazy else number, "s.t", {"a": old}, {"a": new}, "")
        for number, (lazy, old, new) in enumerate(zip(are_lazy, values, values[1:], strict=False), start=1)
    ]
    listed = newest_first(replace(change, at=float(shuffled.randrange(3))) for change in made)
    back = unwind({"a": values[-1]}, listed)
    assert (dict(back.values), sorted(back.batches), back.left) == (
        {"a": values[0]},
        sorted(change.batch for change in made),
        False,
    )


CELLS = st.sampled_from(["1", "2", "3"])


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), st.booleans(), CELLS)
def test_a_chain_of_changes_is_unwound_as_far_as_nobody_wrote_in_between(
    steps: list[tuple[str, str]], meddled: bool, value: str
) -> None:
    made = [Change("j", "[1]", number, "s.t", {"a": old}, {"a": new}, "") for number, (old, new) in enumerate(steps)]
    newest_first = made[::-1]
    held = value if meddled else newest_first[0].new["a"]
    back = unwind({"a": held}, newest_first)
    expected, taken = held, 0
    if held == steps[0][0]:  # it is back already
        taken = len(steps)
    for change in newest_first[taken:]:
        if expected not in (change.new["a"], change.old["a"]):
            break
        expected, taken = change.old["a"], taken + 1
    assert {"a": held} | dict(back.values) == {"a": expected}
    assert len(back.batches) == taken
    assert back.left == (taken < len(made))


# --- kill -9 ----------------------------------------------------------------------------------------------

CHILD = """
import sys
from decimal import Decimal
from pathlib import Path
from stepwell.databases import open_database
from stepwell.jobs import changes, lease, runner, undo
from stepwell.jobs.definition import Definition, Keyset
from stepwell.jobs.runner import Site
from stepwell.jobs.steer import steer
from killing import Fuse, watch

urls = {urls!r}
lease.LEASE = 0.5
undo.MOST_KEYS = 4
site = Site(lambda name: open_database(name, urls[name], Path("/")), {ledger!r}, {{}})
migrate = lambda batch: batch.execute("UPDATE t SET a = id * 10 WHERE ${{batch}}")
fill = Definition(
    "fill", Path("fill.py"), 1, "Fill.", Keyset("state", "t", "id", "a IS NULL", size=5), migrate,
    records=("a",), quiet_passes=1, target=1000.0,
)
fuse = Fuse(before={before})
if {what!r} == "undo":
    watch(fuse)
    print(undo.undo(fill, site).left)
else:
    # The batches are done in this thread, where the fuse sees what they send.
    from concurrent.futures import Executor, Future
    class Here(Executor):
        def submit(self, call, *arguments):
            future = Future()
            future.set_result(call(*arguments))
            return future
    watch(fuse)
    runner.run(fill, site, executor=Here())
print(fuse.sent, file=sys.stderr)
"""


def child(databases: Urls, ledger: str, what: str, before: int) -> projects.Ended:
    text = CHILD.format(urls=databases, ledger=ledger, what=what, before=before)
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=projects.TESTS,
        env=projects.ENVIRONMENT | {"PYTHONPATH": f"{projects.TESTS}:{projects.TESTS.parent / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return projects.ended(process)


def lease_ends(url: str) -> None:
    with opened(url) as database:
        database.query("UPDATE stepwell_job SET holder = '', lease_until = 0")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_kill_9_anywhere_in_an_undo_loses_and_doubles_nothing(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"], 12)
    before = rows(databases["state"])
    for point in range(1, 1000):
        runner.run(FILL, site)
        with opened(databases["state"]) as database:
            database.query("UPDATE t SET a = 1 WHERE id = 6")
        ended = child(databases, ledger, "undo", point)
        lease_ends(databases[ledger])
        if ended.code == 0:
            break
        assert ended.code == -9, ended.text
        assert undo(FILL, site).left == ("[6]",)
        expected = [(6, 1, None) if row[0] == 6 else row for row in before]
        assert rows(databases["state"]) == expected, f"killed before statement {point}"
        with opened(databases["state"]) as database:
            database.query("UPDATE t SET a = 60 WHERE id = 6")
        assert undo(FILL, site).left == ()
        assert rows(databases["state"]) == before
    assert point > 10


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_kill_9_anywhere_in_a_job_leaves_a_record_of_all_that_it_changed(place: tuple[Urls, str]) -> None:
    databases, ledger = place
    site = site_of(databases, ledger)
    prepared(databases["state"], 12)
    before = rows(databases["state"])
    for point in range(1, 1000):
        ended = child(databases, ledger, "run", point)
        lease_ends(databases[ledger])
        if ended.code == 0:
            break
        assert ended.code == -9, ended.text
        if point % 2:  # undone as the kill left it, or completed first
            runner.run(FILL, site)
            assert {row[1] for row in rows(databases["state"])} == {number * 10 for number in range(1, 13)}
        assert undo(FILL, site).left == ()
        assert rows(databases["state"]) == before, f"killed before statement {point}"
    assert point > 10
