"""INSERT into ClickHouse, exact whatever it was cut short by. Rows are compared by hashes, for count() deceives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clickhouse_cases import content, opened, send, settled, tag
from stepwell.databases.clickhouse import ClickhouseDatabase
from stepwell.databases.clickhouse.inserts import CLONE
from stepwell.databases.database import Command, Conduct, Outcome
from stepwell.errors import Refused

TARGET = "CREATE TABLE t (id UInt64, s String, twice UInt64 MATERIALIZED id * 2) ENGINE = MergeTree ORDER BY id"
ROWS = "INSERT INTO t (id, s) SELECT number + 1000, toString(number) FROM numbers(100)"


@pytest.fixture(params=["clickhouse", "chdb"])
def db(request: pytest.FixtureRequest) -> Iterator[ClickhouseDatabase]:
    with opened(str(request.getfixturevalue(f"{request.param}_url"))) as database:
        yield database


@pytest.fixture
def server(clickhouse_url: str) -> Iterator[ClickhouseDatabase]:
    with opened(clickhouse_url) as database:
        yield database


def own(db: ClickhouseDatabase, table: str = "t") -> frozenset[str]:
    return frozenset({f"{db.database}.{table}"})


# --- which way ------------------------------------------------------------------------------------------------

FED = "CREATE MATERIALIZED VIEW feeder TO t AS SELECT a AS id, '' AS s FROM source"
READ = "CREATE MATERIALIZED VIEW reader ENGINE = MergeTree ORDER BY id AS SELECT id FROM t"
SOURCE = "CREATE TABLE source (a UInt64) ENGINE = MergeTree ORDER BY a"
SELECT = "INSERT INTO t (id, s) SELECT number, 'x' FROM numbers(10)"
VALUES = "INSERT INTO t (id, s) VALUES (1, 'x')"
WAYS: dict[str, tuple[str, list[str], dict[str, Any], str]] = {
    "nothing known": (SELECT, [TARGET], {}, "none"),
    "the script's own, empty": (SELECT, [TARGET], {"own": True}, "restart"),
    "the script's own, filled before": (SELECT, [TARGET, ROWS], {"own": True}, "swap"),
    "no other writer": (VALUES, [TARGET, ROWS], {"sole_writer": True}, "swap"),
    "no other writer, into an empty table": (SELECT, [TARGET], {"sole_writer": True}, "swap"),
    "a key": (SELECT, [TARGET, ROWS], {"key": ("id",)}, "key"),
    "a key, but rows in the text": (VALUES, [TARGET, ROWS], {"key": ("id",)}, "none"),
    "a key and no other writer": (SELECT, [TARGET, ROWS], {"key": ("id",), "sole_writer": True}, "swap"),
    "own, but a view writes into it": (SELECT, [TARGET, SOURCE, FED], {"own": True}, "none"),
    "own with a key, but a view writes into it": (SELECT, [TARGET, SOURCE, FED], {"own": True, "key": ("id",)}, "key"),
    "own, but a view reads from it": (SELECT, [TARGET, READ], {"own": True, "key": ("id",)}, "none"),
    "no parts": (VALUES, ["CREATE TABLE t (id UInt64, s String) ENGINE = Log"], {"sole_writer": True}, "none"),
    "a table that is not there": (VALUES, [], {"sole_writer": True}, "none"),
}


@pytest.mark.parametrize("case", WAYS)
def test_the_way_back_is_chosen_by_what_is_true_of_the_target(server: ClickhouseDatabase, case: str) -> None:
    text, start, options, way = WAYS[case]
    send(server, *start)
    options = options | ({"own": own(server)} if options.get("own") else {})
    assert server.evidence(Command(text=text, **options))["way"] == way


def test_on_a_cluster_and_without_uuids_no_table_is_swapped(server: ClickhouseDatabase) -> None:
    """No cluster can run here: the adapter is only told of one after it has connected."""
    send(server, TARGET, ROWS)
    server.cluster = "main"
    assert server.evidence(Command(text=SELECT, sole_writer=True))["way"] == "none"
    server.cluster = ""
    send(server, "CREATE TABLE IF NOT EXISTS default.t (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    assert server.evidence(Command(text=SELECT.replace("t (", "default.t (", 1), sole_writer=True))["way"] == "none"


def test_only_an_insert_with_a_way_back_is_called_visible(server: ClickhouseDatabase) -> None:
    assert server.conduct(Command(text=SELECT)) is Conduct.OPAQUE
    for options in ({"own": own(server)}, {"sole_writer": True}, {"key": ("id",)}):
        assert server.conduct(Command(text=SELECT, **options)) is Conduct.VISIBLE


# --- restart and swap -----------------------------------------------------------------------------------------


def test_rows_left_in_the_script_s_own_table_are_removed_before_it_runs_again(db: ClickhouseDatabase) -> None:
    send(db, TARGET)
    command = Command(text=SELECT, own=own(db), tag=tag())
    evidence = db.evidence(command)
    send(db, "INSERT INTO t (id, s) SELECT number, 'x' FROM numbers(4)")
    settled(db, command, evidence, Outcome.NOT_DONE)
    right = content(db, "t")
    send(db, "TRUNCATE TABLE t", SELECT)
    assert content(db, "t") == right


class Killed(BaseException):
    """Stands for the end of the process."""


def run_until(db: ClickhouseDatabase, command: Command, evidence: dict[str, Any], step: int) -> None:
    """Run, and die before the statement of this number is sent."""
    sent, real = 0, db._client.command

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == step:
            raise Killed
        return real(*arguments, **options)

    db._client.command = dying
    try:
        db.run(command, evidence)
    except Killed:
        pass
    finally:
        db._client.command = real


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
def test_a_swap_that_died_before_any_of_its_steps_ends_with_each_row_once(db: ClickhouseDatabase, step: int) -> None:
    send(db, TARGET, ROWS, "CREATE TABLE right AS t", "INSERT INTO right (id, s) SELECT id, s FROM t")
    send(db, SELECT.replace("INTO t", "INTO right"))
    command = Command(text=SELECT, sole_writer=True, tag=tag())
    evidence = db.evidence(command)
    run_until(db, command, evidence, step)
    finding = db.settle(command, evidence)
    late = step == 4 and not db.embedded  # the server's log knows that the clone is complete
    assert finding.outcome is (Outcome.DONE if step > 4 or late else Outcome.NOT_DONE), finding
    if finding.outcome is Outcome.NOT_DONE:
        assert db.columns(f"t{CLONE}") == []
        db.run(command, db.evidence(command))
    assert content(db, "t") == content(db, "right")
    assert db.columns(f"t{CLONE}") == []


def test_a_complete_clone_does_not_take_the_place_of_a_table_that_was_written_to_since(
    server: ClickhouseDatabase,
) -> None:
    send(server, TARGET, ROWS)
    command = Command(text=SELECT, sole_writer=True, tag=tag())
    evidence = server.evidence(command)
    run_until(server, command, evidence, 4)
    send(server, "INSERT INTO t (id, s) VALUES (77777, 'late')")
    settled(server, command, evidence, Outcome.NOT_DONE)
    assert server.query("SELECT count(), countIf(s = 'late') FROM t") == [(111, 1)]


def test_a_table_that_somebody_put_in_the_place_of_the_target_is_not_taken_for_the_clone(
    db: ClickhouseDatabase,
) -> None:
    send(db, TARGET, ROWS)
    command = Command(text=SELECT, sole_writer=True, tag=tag())
    evidence = db.evidence(command)
    send(db, "CREATE TABLE other AS t", "EXCHANGE TABLES t AND other")
    settled(db, command, evidence, Outcome.UNKNOWN)


def test_a_swapped_table_has_the_definition_it_had(db: ClickhouseDatabase) -> None:
    send(
        db,
        """
        CREATE TABLE t (
          id UInt64 CODEC(Delta, ZSTD(3)), s LowCardinality(String) DEFAULT 'x', e DateTime TTL e + INTERVAL 90 YEAR,
          twice UInt64 MATERIALIZED id * 2, INDEX i s TYPE bloom_filter, CONSTRAINT c CHECK id >= 0,
          PROJECTION p (SELECT s, count() GROUP BY s)
        ) ENGINE = MergeTree PARTITION BY id % 3 ORDER BY id SETTINGS index_granularity = 1024 COMMENT 'it''s'
        """,
        "INSERT INTO t (id, e) SELECT number, now() FROM numbers(100)",
    )
    definition = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 't'"
    before, rows = db.query(definition), content(db, "t")
    command = Command(text="INSERT INTO t (id, e) VALUES (500, now())", sole_writer=True)
    db.run(command, db.evidence(command))
    assert db.query(definition) == before
    send(db, "ALTER TABLE t DELETE WHERE id = 500")
    assert content(db, "t") == rows


# --- key ------------------------------------------------------------------------------------------------------

SELECTS = {
    "plain": "INSERT INTO t (id, s) SELECT number, toString(number) FROM numbers(100)",
    "without a column list": "INSERT INTO t SELECT number, toString(number) FROM numbers(100)",
    "columns in another order": "INSERT INTO t (s, id) SELECT toString(number), number FROM numbers(100)",
    "columns by exception": "INSERT INTO t (* EXCEPT (s)) SELECT number FROM numbers(100)",
    "columns of one name": "INSERT INTO t (id, s) SELECT number, number FROM numbers(100)",
    "columns without a name": "INSERT INTO t (id, s) SELECT number + 1, 'it''s' FROM numbers(100)",
    "quoted names": 'INSERT INTO `t` (`id`, "s") SELECT number AS `a.b``c`, \'x\' AS "d e" FROM numbers(100)',
    "with": "INSERT INTO t (id, s) WITH 'w' AS w, n AS (SELECT number FROM numbers(100)) SELECT number, w FROM n",
    "with in front": "WITH n AS (SELECT number FROM numbers(100)) INSERT INTO t (id, s) SELECT number, 'w' FROM n",
    "from in front": "INSERT INTO t (id, s) FROM numbers(100) SELECT number, 'x'",
    "in parentheses": "INSERT INTO t (id, s) (SELECT number, 'x' FROM numbers(100))",
    "union": "INSERT INTO t SELECT number, 'a' FROM numbers(50) UNION ALL SELECT number + 50, 'b' FROM numbers(50)",
    "order and limit": "INSERT INTO t (id, s) SELECT number, 'x' FROM numbers(1000) ORDER BY number DESC LIMIT 10",
    "comments": "-- begin\nINSERT INTO t (id, s) -- into\nSELECT number, '--' /* ) */ FROM numbers(100) -- end",
    "settings": "INSERT INTO t (id, s) SETTINGS async_insert = 0 SELECT number, 'x' FROM numbers(99) SETTINGS max_threads = 1",
    "format": "INSERT INTO t (id, s) SELECT number, 'x' FROM numbers(100) FORMAT Null",
    "from the target itself": "INSERT INTO t (id, s) SELECT id + 5000, s FROM t WHERE id >= 1000 AND id < 2000",
}


def ran_in_part(db: ClickhouseDatabase, text: str, key: tuple[str, ...], new: str) -> None:
    """Run an INSERT, take away one half of its rows, then the other, as if they were not written: it puts them back."""
    command = Command(text=text, key=key, tag=tag())
    evidence = db.evidence(command)
    assert evidence["way"] == "key"
    db.run(command, evidence)
    right, columns = content(db, "t"), ", ".join(f"`{name}`" for name in db.columns("t"))
    for half in (0, 1):
        db.query(f"DELETE FROM t WHERE ({new}) AND cityHash64(toString(tuple({columns}))) % 2 = {half}")
        assert content(db, "t") != right
        settled(db, Command(text=text, key=key, tag=tag()), evidence | {"tag": ""}, Outcome.NOT_DONE)
        assert content(db, "t") == right


@pytest.mark.parametrize("case", SELECTS)
def test_rows_that_are_missing_are_found_by_their_key(server: ClickhouseDatabase, case: str) -> None:
    send(server, TARGET, ROWS)
    ran_in_part(server, SELECTS[case], ("id",), "id < 1000 OR id > 2000")


KEYS = {
    "two columns": ("a UInt64, b String", "a, b", "SELECT intDiv(number, 3) AS x, toString(number % 3) AS y"),
    "nullable": ("a Nullable(UInt64), b String", "a", "SELECT if(number = 7, NULL, number), 'x'"),
    "nullable, with an empty string beside": (
        "a Nullable(String), b String",
        "a",
        "SELECT if(number = 0, NULL, if(number = 1, '', toString(number))), 'x'",
    ),
    "nullable in the table only": ("a Nullable(UInt64), b String", "a", "SELECT number, 'x'"),
    "low cardinality": ("a LowCardinality(String), b String", "a", "SELECT toString(number), 'x'"),
    "low cardinality, nullable": (
        "a LowCardinality(Nullable(String)), b String",
        "a",
        "SELECT if(number = 7, NULL, toString(number)), 'x'",
    ),
    "fixed string": ("a FixedString(8), b String", "a", "SELECT toString(number), 'x'"),
    "another type": ("a UInt64, b String", "a", "SELECT toString(number), 'x'"),
    "cut on its way in": ("a Date, b String", "a", "SELECT toDateTime('2024-01-01 10:00:00') + number * 86400, 'x'"),
    "uuid": ("a UUID, b String", "a", "SELECT toString(reinterpretAsUUID(number)), 'x'"),
    "decimal": ("a Decimal(18, 2), b String", "a", "SELECT number / 4, 'x'"),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_key_is_compared_as_it_is_stored(server: ClickhouseDatabase, case: str) -> None:
    columns, key, select = KEYS[case]
    send(server, f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY b SETTINGS allow_nullable_key = 1")
    ran_in_part(server, f"INSERT INTO t {select} FROM numbers(100)", tuple(key.split(", ")), "1")


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("INSERT INTO t (s) SELECT toString(number) FROM numbers(3)", ("id",), "not among the columns"),
        ("INSERT INTO t (id, s) SELECT number FROM numbers(3)", ("id",), "1 columns, and the INSERT takes 2"),
        ("INSERT INTO t (id, s) SELECT nullIf(number, 1), 'x' FROM numbers(3)", ("id",), "ifNull"),
        ("INSERT INTO t (id, s) SELECT number, x FROM numbers(3)", ("id",), "identifier"),
    ],
)
def test_a_key_that_can_not_tell_rows_apart_is_refused_before_anything_is_sent(
    server: ClickhouseDatabase, text: str, key: tuple[str, ...], said: str
) -> None:
    send(server, TARGET, ROWS)
    with pytest.raises(Refused, match=said):
        server.evidence(Command(text=text, key=key))


def test_a_key_is_read_under_the_settings_of_the_script(server: ClickhouseDatabase) -> None:
    send(server, TARGET, ROWS)
    joined = "SELECT b.number, 'x' FROM numbers(3) AS a LEFT JOIN numbers(2) AS b ON a.number = b.number"
    command = Command(text=f"INSERT INTO t (id, s) {joined}", key=("id",))
    server.evidence(command)
    server.run(Command(text="SET join_use_nulls = 1"))
    with pytest.raises(Refused, match="may be NULL"):
        server.evidence(command)


def test_rows_that_are_not_unique_by_their_key_are_not_settled(server: ClickhouseDatabase) -> None:
    send(server, TARGET, ROWS)
    command = Command(text="INSERT INTO t (id, s) SELECT number % 5, 'x' FROM numbers(10)", key=("id",))
    finding = settled(server, command, server.evidence(command), Outcome.UNKNOWN)
    assert "10 rows, 5 keys" in finding.reason


# --- none -----------------------------------------------------------------------------------------------------


def test_an_insert_whose_views_have_new_rows_is_not_called_undone(db: ClickhouseDatabase) -> None:
    """A view's rows may be there before those of the table that it reads from."""
    send(db, TARGET, "CREATE TABLE behind (id UInt64) ENGINE = MergeTree ORDER BY id")
    send(db, "CREATE MATERIALIZED VIEW reader TO behind AS SELECT id FROM t", READ.replace("reader", "other"))
    send(db, READ.replace("reader", "further").replace("FROM t", "FROM behind"))
    command = Command(text=VALUES)
    evidence = db.evidence(command)
    assert db.settle(command, evidence).outcome is Outcome.NOT_DONE
    send(db, "INSERT INTO behind VALUES (1)")
    assert db.settle(command, evidence).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("engine", ["Log", "Memory", "Buffer('', 't', 1, 10, 100, 10000, 1000000, 1, 1)"])
def test_rows_that_are_in_no_parts_are_not_overlooked(server: ClickhouseDatabase, engine: str) -> None:
    send(server, TARGET, f"CREATE TABLE odd (id UInt64, s String) ENGINE = {engine}")
    command = Command(text="INSERT INTO odd VALUES (1, 'x')")
    evidence = server.evidence(command)
    server.run(command, evidence)
    assert server.settle(command, evidence).outcome is Outcome.UNKNOWN
