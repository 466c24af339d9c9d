"""What became of a ClickHouse statement that was begun and not recorded as done: each kind, each way to be cut short.

On a server the query log often knows; chDB has none, so there the catalog alone must tell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from clickhouse_cases import catalog, content, opened, send, settled, tag
from jobbing import until
from servers.clickhouse_front import ClickhouseFront
from stepwell.databases.clickhouse import ClickhouseDatabase
from stepwell.databases.clickhouse.rewriting import with_mark
from stepwell.databases.database import Command, Outcome
from stepwell.errors import ConnectionLost, Refused

START = (
    "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree PARTITION BY a % 2 ORDER BY a",
    "INSERT INTO t SELECT number, toString(number) FROM numbers(1000)",
    "CREATE TABLE u AS t",
    "INSERT INTO u SELECT number, 'u' FROM numbers(10)",
    "CREATE TABLE w (a UInt64) ENGINE = Log",
    "INSERT INTO w VALUES (1), (2)",
    "CREATE VIEW v AS SELECT a FROM t",
    "CREATE TABLE x AS t",
    "CREATE DICTIONARY y (a UInt64, s String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 'x')) LAYOUT(FLAT()) LIFETIME(0)",
)

SETTLED = [
    "CREATE TABLE new (a UInt64) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE `new.table` (a UInt64) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE IF NOT EXISTS new AS t",
    "CREATE VIEW new AS SELECT a FROM t",
    "CREATE MATERIALIZED VIEW new ENGINE = MergeTree ORDER BY a AS SELECT a FROM t",
    "CREATE DICTIONARY new (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE OR REPLACE TABLE u (b String) ENGINE = MergeTree ORDER BY b",
    "CREATE OR REPLACE VIEW v AS SELECT s FROM t",
    "CREATE FUNCTION stepwell_new AS (x) -> x + 1",
    "CREATE DATABASE stepwell_new ENGINE = Atomic",
    "DROP TABLE u",
    "DROP TABLE t, u, w SYNC",
    "DROP VIEW v",
    "DROP DICTIONARY y",
    "DETACH TABLE u",
    "TRUNCATE TABLE t",
    "RENAME TABLE t TO old",
    "RENAME TABLE t TO spare, u TO t, spare TO u",
    "RENAME DICTIONARY y TO z",
    "EXCHANGE TABLES t AND u",
    "ALTER TABLE t ADD COLUMN b UInt8 DEFAULT 7 AFTER a, MODIFY COLUMN s LowCardinality(String)",
    "ALTER TABLE t ADD INDEX i s TYPE bloom_filter",
    "ALTER TABLE t MODIFY COMMENT 'it''s'",
    "ALTER TABLE w MODIFY COMMENT 'a log'",
    "CREATE INDEX i ON t (s) TYPE bloom_filter",
    "ALTER TABLE t UPDATE s = 'x' WHERE a < 10",
    "ALTER TABLE t DELETE WHERE a < 10",
    "DELETE FROM t WHERE a < 10 OR a > 900",
]

ONLY_THE_LOG_TELLS = [
    "ALTER TABLE t DROP PARTITION 0",
    "ALTER TABLE t MOVE PARTITION 0 TO TABLE u",
    "ALTER TABLE t ATTACH PARTITION 0 FROM u",
    "INSERT INTO t VALUES (5000, 'x')",
    "INSERT INTO w VALUES (3)",
]


@pytest.fixture(params=["clickhouse", "chdb"])
def db(request: pytest.FixtureRequest) -> Iterator[ClickhouseDatabase]:
    with opened(str(request.getfixturevalue(f"{request.param}_url"))) as database:
        send(database, *START)
        yield database
        send(database, "DROP FUNCTION IF EXISTS stepwell_new", "DROP DATABASE IF EXISTS stepwell_new SYNC")


def everything(db: ClickhouseDatabase) -> list[object]:
    """The catalog and the rows: what must not change where nothing was done."""
    tables = [name for name, text in catalog(db) if ("MergeTree" in text or "Log" in text) and name[0] != "."]
    others = "SELECT name FROM system.functions WHERE name = 'stepwell_new' UNION ALL SELECT name FROM system.databases"
    return [
        [each for each in catalog(db) if not each[0].startswith(".inner")],
        sorted(db.query(others)),
        *(content(db, f"`{name}`") for name in tables),
    ]


@pytest.mark.parametrize("text", SETTLED + ONLY_THE_LOG_TELLS)
def test_a_statement_that_was_never_sent_is_not_done_and_changed_nothing(db: ClickhouseDatabase, text: str) -> None:
    command = Command(text=text, tag=tag())
    evidence, before = db.evidence(command), everything(db)
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE
    assert everything(db) == before


@pytest.mark.parametrize("text", SETTLED)
def test_a_statement_that_was_done_is_found_done(db: ClickhouseDatabase, text: str) -> None:
    command = Command(text=text, tag=tag())
    evidence = db.evidence(command)
    db.run(command, evidence)
    after = everything(db)
    assert db.settle(command, evidence).outcome is Outcome.DONE
    assert everything(db) == after


@pytest.mark.parametrize("text", ONLY_THE_LOG_TELLS)
def test_a_change_of_parts_is_known_by_the_log_or_not_at_all(db: ClickhouseDatabase, text: str) -> None:
    command = Command(text=text, tag=tag())
    evidence = db.evidence(command)
    db.run(command, evidence)
    after = everything(db)
    assert db.settle(command, evidence).outcome is (Outcome.UNKNOWN if db.embedded else Outcome.DONE)
    assert everything(db) == after


@pytest.mark.parametrize(
    "text", ["OPTIMIZE TABLE t FINAL", "ALTER TABLE t MATERIALIZE COLUMN s", "SYSTEM STOP MERGES t"]
)
def test_what_is_harmless_to_repeat_is_repeated(db: ClickhouseDatabase, text: str) -> None:
    command = Command(text=text, tag=tag())
    assert db.settle(command, db.evidence(command)).outcome is Outcome.NOT_DONE


def test_a_statement_that_the_server_refused_is_not_done(db: ClickhouseDatabase) -> None:
    for text in ("INSERT INTO nowhere VALUES (1)", "ALTER TABLE t ADD COLUMN a UInt8", "DROP TABLE nowhere"):
        command = Command(text=text, tag=tag())
        evidence = db.evidence(command)
        with pytest.raises(Refused):
            db.run(command, evidence)
        assert db.settle(command, evidence).outcome is Outcome.NOT_DONE, text


# --- cut short ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """A statement, and what was done of it when it was cut short."""

    text: str
    done: tuple[str, ...]
    outcome: Outcome = Outcome.DONE


THREE_PAIRS = "RENAME TABLE t TO t_old, u TO u_old, w TO w_old"
ROTATED = "RENAME TABLE t TO spare, u TO t, spare TO u"
FILLED = "CREATE TABLE new ENGINE = MergeTree ORDER BY a AS SELECT a, s FROM t"
CUT = {
    "rename after 1 of 3": Cut(THREE_PAIRS, ("RENAME TABLE t TO t_old",)),
    "rename after 2 of 3": Cut(THREE_PAIRS, ("RENAME TABLE t TO t_old, u TO u_old",)),
    "rotation after 1 of 3": Cut(ROTATED, ("RENAME TABLE t TO spare",)),
    "rotation after 2 of 3": Cut(ROTATED, ("RENAME TABLE t TO spare, u TO t",)),
    "exchanges after 1 of 2": Cut("EXCHANGE TABLES t AND u, u AND w", ("EXCHANGE TABLES t AND u",)),
    "drop after 1 of 3": Cut("DROP TABLE t, u, w SYNC", ("DROP TABLE t",)),
    "drop after 2 of 3": Cut("DROP TABLE IF EXISTS t, u, nowhere, w", ("DROP TABLE u", "DROP TABLE w")),
    "create as select, half filled": Cut(
        FILLED,
        (
            "CREATE TABLE new ENGINE = MergeTree ORDER BY a EMPTY AS SELECT a, s FROM t",
            "INSERT INTO new SELECT * FROM u",
        ),
        Outcome.NOT_DONE,
    ),
    "populate, half filled": Cut(
        "CREATE MATERIALIZED VIEW new ENGINE = MergeTree ORDER BY a POPULATE AS SELECT a FROM u",
        ("CREATE MATERIALIZED VIEW new ENGINE = MergeTree ORDER BY a AS SELECT a FROM u",),
        Outcome.NOT_DONE,
    ),
    "clone, half filled": Cut("CREATE TABLE new CLONE AS t", ("CREATE TABLE new AS t",), Outcome.NOT_DONE),
    "truncate in part": Cut("TRUNCATE TABLE t SYNC", ("ALTER TABLE t DROP PARTITION 0",), Outcome.UNKNOWN),
}


@pytest.mark.parametrize("case", CUT)
def test_what_a_dead_statement_left_half_done_is_finished_exactly(db: ClickhouseDatabase, case: str) -> None:
    cut = CUT[case]
    command = Command(text=cut.text, tag=tag())
    evidence = db.evidence(command)
    send(db, *cut.done)
    settled(db, command, evidence, cut.outcome)
    if cut.outcome is not Outcome.UNKNOWN:
        left = everything(db)
        send(db, *(f"DROP TABLE IF EXISTS {name} SYNC" for name in ("new", "t", "u", "w", "t_old", "u_old", "w_old")))
        send(db, "DROP VIEW v", "DROP DICTIONARY y", "DROP TABLE x", *START, cut.text)
        assert left == everything(db)


def test_a_mutation_that_was_submitted_is_waited_for(db: ClickhouseDatabase) -> None:
    command = Command(text="ALTER TABLE t UPDATE s = concat(s, '!') WHERE a < 10", tag=tag())
    evidence = db.evidence(command)
    send(db, "SYSTEM STOP MERGES t")
    marked = with_mark(command.text, command.tag)
    db.query(f"{marked} SETTINGS mutations_sync = 0")
    assert db.query("SELECT count() FROM t WHERE endsWith(s, '!')") == [(0,)]
    release = threading.Timer(1.0, lambda: _elsewhere(db, "SYSTEM START MERGES t"))
    release.start()
    settled(db, command, evidence, Outcome.DONE)
    release.join()
    assert db.query("SELECT count() FROM t WHERE endsWith(s, '!')") == [(10,)]


def _elsewhere(db: ClickhouseDatabase, text: str) -> None:
    client = db._second_client()
    client.command(text.replace(" t", f" `{db.database}`.t"))


def test_a_mutation_that_can_not_finish_is_told_with_its_reason(db: ClickhouseDatabase) -> None:
    command = Command(text="ALTER TABLE t UPDATE s = toString(throwIf(a >= 0, 'five')) WHERE 1", tag=tag())
    evidence = db.evidence(command)
    db.query(
        f"{with_mark(command.text, command.tag)} SETTINGS mutations_sync = 0, allow_nondeterministic_mutations = 1"
    )
    finding = settled(db, command, evidence, Outcome.UNKNOWN)
    assert "five" in finding.reason
    send(db, "KILL MUTATION WHERE database = currentDatabase()")
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE


HALF_DONE = """
CREATE TABLE h (p UInt8, id UInt64, n UInt64) ENGINE = MergeTree PARTITION BY p ORDER BY id
SETTINGS number_of_free_entries_in_pool_to_execute_mutation = 0
"""


@pytest.mark.parametrize("beside", ["", "INSERT INTO h VALUES (9, 9, 9)"], ids=["alone", "beside inserts"])
def test_a_killed_mutation_that_has_done_some_parts_is_not_sent_again(db: ClickhouseDatabase, beside: str) -> None:
    send(db, HALF_DONE, "INSERT INTO h SELECT number % 4, number, 0 FROM numbers(40)")
    command = Command(text="ALTER TABLE h UPDATE n = n + intDiv(1, p != 3) WHERE 1", tag=tag())
    evidence = db.evidence(command)
    send(db, "ALTER TABLE h UPDATE n = 0 WHERE p = 1 SETTINGS mutations_sync = 2")  # somebody else's
    send(db, *filter(None, [beside]))
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE
    db.query(f"{with_mark(command.text, command.tag)} SETTINGS mutations_sync = 0")
    until(lambda: db.query("SELECT count() FROM h WHERE n = 1 AND id < 40") == [(30,)])
    settled(db, command, evidence, Outcome.UNKNOWN)
    send(db, "KILL MUTATION WHERE database = currentDatabase() AND NOT is_done")
    finding = db.settle(command, evidence)
    assert finding.outcome is Outcome.UNKNOWN
    assert "a mutation that was killed, or forgotten, has written" in finding.reason


# --- somebody else --------------------------------------------------------------------------------------------

MEDDLED = {
    "CREATE TABLE new (a UInt64) ENGINE = MergeTree ORDER BY a": (
        "CREATE TABLE new (other String) ENGINE = MergeTree ORDER BY other"
    ),
    "CREATE VIEW new AS SELECT a FROM t": "CREATE VIEW new AS SELECT s FROM t",
    FILLED: "CREATE TABLE new (a UInt64) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
    "DROP TABLE u": "CREATE OR REPLACE TABLE u AS t",
    "TRUNCATE TABLE t": "CREATE OR REPLACE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a",
    "RENAME TABLE t TO old": "CREATE OR REPLACE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a",
    "EXCHANGE TABLES t AND u": "CREATE OR REPLACE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a",
    "ALTER TABLE t ADD COLUMN b UInt8": "ALTER TABLE t ADD COLUMN other UInt8",
    "ALTER TABLE t MODIFY COMMENT 'x'": "CREATE OR REPLACE TABLE t AS u",
    "ALTER TABLE w MODIFY COMMENT 'x'": "ALTER TABLE w MODIFY COMMENT 'y'",
    "ALTER TABLE t UPDATE s = '' WHERE 1": "CREATE OR REPLACE TABLE t AS u",
    "ALTER TABLE t DROP PARTITION 1": "INSERT INTO t VALUES (1001, 'x')",
    "ALTER TABLE t MOVE PARTITION 1 TO TABLE u": "INSERT INTO u VALUES (1001, 'x')",
    "INSERT INTO t VALUES (5000, 'x')": "INSERT INTO t VALUES (5001, 'y')",
    "INSERT INTO w VALUES (3)": "INSERT INTO w VALUES (4)",
}


@pytest.mark.parametrize("text", MEDDLED)
def test_what_somebody_else_did_is_never_taken_for_the_statement_s_work(db: ClickhouseDatabase, text: str) -> None:
    command = Command(text=text, tag=tag())
    evidence = db.evidence(command)
    send(db, MEDDLED[text])
    after = everything(db)
    assert db.settle(command, evidence).outcome is Outcome.UNKNOWN
    assert everything(db) == after


def test_an_alter_beside_somebody_else_s_alter_is_asked_about(db: ClickhouseDatabase) -> None:
    command = Command(text="ALTER TABLE t ADD COLUMN b UInt8")
    evidence = db.evidence(command)
    send(db, command.text, "ALTER TABLE t ADD COLUMN other UInt8")
    assert db.settle(command, evidence).outcome is Outcome.UNKNOWN


# --- what the server's log tells ------------------------------------------------------------------------------


@pytest.fixture
def server(clickhouse_url: str) -> Iterator[ClickhouseDatabase]:
    with opened(clickhouse_url) as database:
        send(database, *START)
        yield database


def test_the_log_knows_an_opaque_statement_s_end(server: ClickhouseDatabase) -> None:
    command = Command(text=f"TRUNCATE ALL TABLES FROM `{server.database}` LIKE 'nothing'", tag=tag())
    evidence = server.evidence(command)
    assert server.settle(command, evidence).outcome is Outcome.UNKNOWN
    server.run(command, evidence)
    assert server.settle(command, evidence).outcome is Outcome.DONE


def test_a_rename_that_failed_half_way_is_not_taken_for_one_that_did_nothing(server: ClickhouseDatabase) -> None:
    command = Command(text="RENAME TABLE t TO t_old, nowhere TO somewhere", tag=tag())
    evidence = server.evidence(command)
    with pytest.raises(Refused):
        server.run(command, evidence)
    assert server.columns("t_old") == ["a", "s"]
    with pytest.raises(Refused, match="nowhere"):
        server.settle(command, evidence)


def test_a_syntax_error_did_nothing_whatever_it_was_meant_to_be(server: ClickhouseDatabase) -> None:
    command = Command(text="ALTR TABLE t ADD COLUMN b UInt8", tag=tag())
    evidence = server.evidence(command)
    with pytest.raises(Refused):
        server.run(command, evidence)
    assert server.settle(command, evidence).outcome is Outcome.NOT_DONE


def test_only_the_newest_statement_of_a_tag_counts(server: ClickhouseDatabase) -> None:
    command = Command(text="INSERT INTO t VALUES (5000, 'x')", tag=tag())
    evidence = server.evidence(command)
    with pytest.raises(Refused):
        server.run(Command(text="INSERT INTO nowhere VALUES (1)", tag=command.tag))
    assert server.settle(command, evidence).outcome is Outcome.NOT_DONE
    server.run(command, evidence)
    assert server.settle(command, evidence).outcome is Outcome.DONE


def test_without_a_readable_log_the_catalog_tells(server: ClickhouseDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        server, "everywhere", lambda table: "system.no_such_log" if table == "query_log" else f"system.{table}"
    )
    for text in ("ALTER TABLE t ADD COLUMN b UInt8", "DELETE FROM t WHERE a < 10", "RENAME TABLE t TO old"):
        command = Command(text=text, tag=tag())
        evidence = server.evidence(command)
        server.run(command, evidence)
        assert server.settle(command, evidence).outcome is Outcome.DONE, text


def test_a_statement_still_at_work_is_not_settled_before_its_end(server: ClickhouseDatabase) -> None:
    command = Command(text="INSERT INTO t SELECT number + sleepEachRow(0.2), 'slow' FROM numbers(10)", tag=tag())
    evidence = server.evidence(command)
    worker = threading.Thread(target=server.run, args=(command, evidence))
    worker.start()
    _until(lambda: server.activity(command.tag) is not None)
    settled(server, command, evidence, Outcome.DONE)
    worker.join()
    assert server.query("SELECT count() FROM t WHERE s = 'slow'") == [(10,)]


def test_while_the_server_does_not_answer_nothing_is_settled(
    server: ClickhouseDatabase, clickhouse_front: ClickhouseFront
) -> None:
    command = Command(text="DROP TABLE u", tag=tag())
    evidence = server.evidence(command)
    clickhouse_front.kill()
    try:
        with pytest.raises(ConnectionLost):
            server.settle(command, evidence)
    finally:
        clickhouse_front.restart()
    assert server.settle(command, evidence).outcome is Outcome.NOT_DONE


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        pass
