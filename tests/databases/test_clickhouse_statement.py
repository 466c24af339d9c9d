"""What the ClickHouse adapter reads from a statement's text, and what it adds to it, held against the real parser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.clickhouse_front import ClickhouseFront
from stepwell.databases import url
from stepwell.databases.clickhouse import ClickhouseDatabase
from stepwell.databases.clickhouse.names import parse, quote, spell
from stepwell.databases.clickhouse.rewriting import on_cluster, settings, with_mark
from stepwell.databases.clickhouse.statement import Kind, read

# ⟨…⟩ is what the adapter takes for the names, ‸ where ON CLUSTER belongs; without it nothing is added.
STATEMENTS = [
    # --- CREATE, ATTACH, UNDROP
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "d.t", "create table if not exists ⟨d.t⟩‸ (a UInt8) engine = MergeTree order by a"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩ ON CLUSTER main (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩ ON CLUSTER '{cluster}' (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩ UUID '61f0c404-5cb3-11e7-907b-a6006ad3dba0'‸ (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "`a.b`", "CREATE TABLE ⟨`a.b`⟩‸ (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "`my.db`.`a``b`", "CREATE TABLE ⟨`my.db`.`a``b`⟩‸ (a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "`my db`.t", 'CREATE TABLE ⟨"my db" . t⟩‸ (a UInt8) ENGINE = Memory'),
    (Kind.CREATE, "t", "-- a table\nCREATE /* really */ TABLE ⟨t⟩‸ -- here\n(a UInt8) ENGINE = Memory"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ AS s"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ AS d.s ENGINE = MergeTree ORDER BY a"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ AS numbers(10)"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ (a UInt8 DEFAULT CAST(1 AS UInt8)) ENGINE = Memory"),
    (Kind.CREATE, "t", "CREATE TABLE ⟨t⟩‸ ENGINE = MergeTree ORDER BY a EMPTY AS SELECT 1 AS a"),
    (Kind.CREATE_FILLED, "t", "CREATE TABLE ⟨t⟩‸ ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a"),
    (Kind.CREATE_FILLED, "t", "CREATE TABLE ⟨t⟩‸ ENGINE = Memory COMMENT 'x' AS WITH 1 AS x SELECT x AS a"),
    (Kind.CREATE_FILLED, "t", "CREATE TABLE ⟨t⟩‸ ENGINE = Memory AS (SELECT 1)"),
    (Kind.CREATE_FILLED, "t", "CREATE TABLE ⟨t⟩‸ CLONE AS s"),
    (Kind.CREATE_FILLED, "t", "CREATE OR REPLACE TABLE ⟨t⟩‸ ENGINE = Memory AS SELECT 1"),
    (Kind.CREATE, "t", "REPLACE TABLE ⟨t⟩‸ (a UInt8) ENGINE = Memory"),
    (Kind.SESSION, "", "CREATE TEMPORARY TABLE t (a UInt8)"),
    (Kind.CREATE, "v", "CREATE VIEW ⟨v⟩‸ AS SELECT 1 AS populate"),
    (Kind.CREATE, "v", "CREATE OR REPLACE VIEW ⟨v⟩‸ AS SELECT {x:UInt8}"),
    (Kind.CREATE, "m", "CREATE MATERIALIZED VIEW IF NOT EXISTS ⟨m⟩‸ TO t AS SELECT 1 AS a"),
    (Kind.CREATE, "m", "CREATE MATERIALIZED VIEW ⟨m⟩‸ REFRESH EVERY 1 HOUR APPEND TO t EMPTY AS SELECT 1 AS a"),
    (Kind.CREATE_FILLED, "m", "CREATE MATERIALIZED VIEW ⟨m⟩‸ ENGINE = Memory POPULATE AS SELECT 1 AS a"),
    (Kind.CREATE, "d", "CREATE DICTIONARY ⟨d⟩‸ (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)"),
    (Kind.CREATE, "d", "CREATE OR REPLACE DICTIONARY ⟨d⟩‸ (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT())"),
    (Kind.CREATE, "d", "CREATE DATABASE IF NOT EXISTS ⟨d⟩‸ ENGINE = Atomic"),
    (Kind.CREATE, "f", "CREATE FUNCTION ⟨f⟩‸ AS (x) -> x + 1"),
    (Kind.ALTER, "d.t", "CREATE INDEX IF NOT EXISTS i ON ⟨d.t⟩‸ (a) TYPE minmax GRANULARITY 1"),
    (Kind.OPAQUE, "", "CREATE USER u"),
    (Kind.REPEATABLE, "", "CREATE USER IF NOT EXISTS u"),
    (Kind.REPEATABLE, "", "CREATE ROW POLICY IF NOT EXISTS p ON t USING 1"),
    (Kind.OPAQUE, "", "CREATE SETTINGS PROFILE p"),
    (Kind.OPAQUE, "", "CREATE NAMED COLLECTION n AS a = 1"),
    (
        Kind.OPAQUE,
        "",
        "CREATE TABLE a (x UInt8) ENGINE = Memory PARALLEL WITH CREATE TABLE b (x UInt8) ENGINE = Memory",
    ),
    (Kind.CREATE, "t", "ATTACH TABLE IF NOT EXISTS ⟨t⟩‸"),
    (Kind.CREATE, "d", "ATTACH DICTIONARY ⟨d⟩‸"),
    (Kind.CREATE, "t", "UNDROP TABLE ⟨t⟩ UUID '61f0c404-5cb3-11e7-907b-a6006ad3dba0'‸"),
    # --- DROP, DETACH, TRUNCATE
    (Kind.DROP, "t", "DROP TABLE ⟨t⟩‸"),
    (Kind.DROP, "a, d.b", "DROP TABLE IF EXISTS ⟨a, d.b⟩‸ SYNC"),
    (Kind.DROP, "a", "DROP TABLE IF EMPTY ⟨a⟩‸"),
    (Kind.DROP, "a", "DROP TABLE ⟨a⟩‸ SETTINGS max_table_size_to_drop = 0"),
    (Kind.DROP, "v", "DROP VIEW ⟨v⟩ ON CLUSTER main"),
    (Kind.DROP, "d", "DROP DATABASE IF EXISTS ⟨d⟩‸"),
    (Kind.DROP, "d.y", "DROP DICTIONARY ⟨d.y⟩‸"),
    (Kind.DROP, "f", "DROP FUNCTION IF EXISTS ⟨f⟩‸"),
    (Kind.DROP, "t", "DETACH TABLE ⟨t⟩‸ PERMANENTLY"),
    (Kind.ALTER, "t", "DROP INDEX IF EXISTS i ON ⟨t⟩‸"),
    (Kind.OPAQUE, "", "DROP USER u"),
    (Kind.REPEATABLE, "", "DROP ROLE IF EXISTS r"),
    (Kind.TRUNCATE, "t", "TRUNCATE ⟨t⟩‸"),
    (Kind.TRUNCATE, "d.t", "TRUNCATE TABLE IF EXISTS ⟨d.t⟩‸ SYNC"),
    (Kind.OPAQUE, "", "TRUNCATE ALL TABLES FROM d LIKE 'a%'"),
    (Kind.OPAQUE, "", "TRUNCATE DATABASE d"),
    # --- RENAME, EXCHANGE
    (Kind.RENAME, "a, b", "RENAME TABLE ⟨a TO b⟩‸"),
    (Kind.RENAME, "a, b, d.c, d.e", "RENAME TABLE ⟨a TO b, d.c TO d.e⟩‸"),
    (Kind.RENAME, "a, b", "RENAME TABLE ⟨a TO b⟩ ON CLUSTER main"),
    (Kind.RENAME, "a, b, c, e", "RENAME TABLE ⟨IF EXISTS a TO b, IF EXISTS c TO e⟩‸"),
    (Kind.RENAME, "a, b", "RENAME DATABASE ⟨a TO b⟩‸"),
    (Kind.RENAME, "a, b", "RENAME DICTIONARY ⟨a TO b⟩‸"),
    (Kind.EXCHANGE, "a, d.b", "EXCHANGE TABLES ⟨a AND d.b⟩‸"),
    (Kind.EXCHANGE, "a, b, c, e", "EXCHANGE TABLES ⟨a AND b, c AND e⟩‸"),
    (Kind.EXCHANGE, "a, b", "EXCHANGE DICTIONARIES ⟨a AND b⟩‸"),
    # --- ALTER of definitions
    (Kind.ALTER, "d.t", "ALTER TABLE ⟨d.t⟩‸ ADD COLUMN IF NOT EXISTS a UInt8 AFTER b"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩ ON CLUSTER main ADD COLUMN a UInt8"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ ADD COLUMN a UInt8, DROP COLUMN b, RENAME COLUMN c TO e"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ (ADD COLUMN a UInt8), (DROP COLUMN b)"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY COLUMN a UInt64 DEFAULT 1, COMMENT COLUMN b 'x, DROP'"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY COLUMN a REMOVE TTL"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY ORDER BY (a, b)"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY TTL a + INTERVAL 1 DAY DELETE, b + INTERVAL 2 DAY TO DISK 'x'"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY SETTING max_parts_in_total = 1, comment = 2"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ RESET SETTING a, b"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ ADD INDEX i a TYPE minmax, MATERIALIZE INDEX i"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ ADD CONSTRAINT c CHECK a > 0"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ ADD PROJECTION p (SELECT a ORDER BY b)"),
    (Kind.ALTER, "v", "ALTER TABLE ⟨v⟩‸ MODIFY QUERY SELECT a, count() FROM s GROUP BY a"),
    (Kind.ALTER, "t", "ALTER TABLE ⟨t⟩‸ MODIFY COMMENT 'x'"),
    (Kind.ALTER, "d", "ALTER DATABASE ⟨d⟩‸ MODIFY COMMENT 'x'"),
    (Kind.REPEATABLE, "", "ALTER USER u DEFAULT ROLE r"),
    # --- mutations
    (Kind.MUTATION, "t", "ALTER TABLE ⟨t⟩‸ UPDATE a = 1 WHERE b"),
    (Kind.MUTATION, "t", "ALTER TABLE ⟨t⟩‸ UPDATE a = 1, comment = 'x', drop = 2 WHERE b"),
    (Kind.MUTATION, "t", "ALTER TABLE ⟨t⟩‸ UPDATE a = 1 IN PARTITION '1' WHERE b"),
    (Kind.MUTATION, "t", "ALTER TABLE ⟨t⟩‸ DELETE WHERE b IN (SELECT b FROM s WHERE c)"),
    (Kind.MUTATION, "t", "ALTER TABLE ⟨t⟩‸ UPDATE a = 1 WHERE b, DELETE WHERE c SETTINGS mutations_sync = 1"),
    (Kind.MUTATION, "t", "DELETE FROM ⟨t⟩‸ WHERE a"),
    (Kind.MUTATION, "t", "DELETE FROM ⟨t⟩ ON CLUSTER main IN PARTITION '1' WHERE a"),
    (Kind.PARTS, "d.t", "UPDATE ⟨d.t⟩‸ SET a = 1 WHERE b"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ MATERIALIZE COLUMN a"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ APPLY DELETED MASK IN PARTITION '1'"),
    (Kind.OPAQUE, "t", "ALTER TABLE ⟨t⟩‸ ADD COLUMN a UInt8, UPDATE b = 1 WHERE c"),
    # --- partitions
    (Kind.PARTS, "t", "ALTER TABLE ⟨t⟩‸ DROP PARTITION '1'"),
    (Kind.PARTS, "t", "ALTER TABLE ⟨t⟩‸ DROP PART 'all_1_1_0'"),
    (Kind.PARTS, "t", "ALTER TABLE ⟨t⟩‸ ATTACH PARTITION '1' FROM s"),
    (Kind.PARTS, "t, d.s", "ALTER TABLE ⟨t⟩‸ MOVE PARTITION '1' TO TABLE d.s"),
    (Kind.PARTS, "t", "ALTER TABLE ⟨t⟩‸ MOVE PART 'x' TO VOLUME 'y'"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ REPLACE PARTITION '1' FROM s"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ CLEAR COLUMN a IN PARTITION '1'"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ DROP DETACHED PARTITION ALL"),
    (Kind.REPEATABLE, "t", "ALTER TABLE ⟨t⟩‸ FREEZE WITH NAME 'x'"),
    # --- the rest
    (Kind.SETTING, "", "SET a = 1, b = 'x'"),
    (Kind.SESSION, "", "SET ROLE r"),
    (Kind.SESSION, "", "USE d"),
    (Kind.REPEATABLE, "", "OPTIMIZE TABLE t FINAL"),
    (Kind.REPEATABLE, "", "SYSTEM RELOAD DICTIONARIES"),
    (Kind.REPEATABLE, "", "GRANT SELECT ON d.* TO u"),
    (Kind.REPEATABLE, "", "SELECT 1"),
    (Kind.REPEATABLE, "", "WITH x AS (SELECT 1) SELECT * FROM x"),
    (Kind.OPAQUE, "", "BACKUP TABLE t TO Disk('a', 'b')"),
]

# What is taken for the target, its columns and its SELECT.
INSERTS = [
    ("t", "*", "", "INSERT INTO ⟨t⟩ VALUES (1), (2)"),
    ("d.t", "a, b", "", "INSERT INTO TABLE ⟨d.t⟩ (a, b) VALUES (1, 2)"),
    ("t", "*", "", "INSERT INTO ⟨t⟩ FORMAT CSV 1,2"),
    ("t", "a", "", "INSERT INTO ⟨t⟩ (a) SETTINGS async_insert = 1 VALUES (1)"),
    ("t", "a", "", "INSERT INTO ⟨t⟩ (a) FROM INFILE 'x.csv' COMPRESSION 'gzip' FORMAT CSV"),
    ("`a.b`", "c.d, `e f`", "SELECT 1, 2", "INSERT INTO ⟨`a.b`⟩ (c.d, `e f`) SELECT 1, 2"),
    ("t", "* EXCEPT (b, c)", "SELECT 1", "INSERT INTO ⟨t⟩ (* EXCEPT (b, c)) SELECT 1"),
    ("t", "COLUMNS('x')", "SELECT 1", "INSERT INTO ⟨t⟩ (COLUMNS('x')) SELECT 1"),
    ("t", "*", "(SELECT 1)", "INSERT INTO ⟨t⟩ (SELECT 1)"),
    ("t", "*", "((SELECT 1))", "INSERT INTO ⟨t⟩ ((SELECT 1))"),
    ("t", "a", "(SELECT 1)", "INSERT INTO ⟨t⟩ (a) (SELECT 1)"),
    ("t", "*", "FROM s SELECT a", "INSERT INTO ⟨t⟩ FROM s SELECT a"),
    ("t", "a", "SELECT 1", "INSERT INTO ⟨t⟩ (a) SETTINGS max_threads = 1 SELECT 1"),
    ("t", "*", "SELECT 1 SETTINGS max_threads = 1", "INSERT INTO ⟨t⟩ SELECT 1 SETTINGS max_threads = 1"),
    ("t", "*", "SELECT 1 UNION ALL SELECT 2", "INSERT INTO ⟨t⟩ SELECT 1 UNION ALL SELECT 2"),
    ("t", "*", "SELECT 1 ", "INSERT INTO ⟨t⟩ SELECT 1 FORMAT CSV"),
    ("t", "*", "WITH x AS (SELECT 1) SELECT * FROM x", "INSERT INTO ⟨t⟩ WITH x AS (SELECT 1) SELECT * FROM x"),
    ("t", "*", "WITH x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) INSERT INTO ⟨t⟩ SELECT * FROM x"),
    ("t", "*", "SELECT 1 -- end", "-- begin\nINSERT INTO /* into */ ⟨t⟩ SELECT 1 -- end"),
]


@pytest.fixture(scope="module")
def db(clickhouse_front: ClickhouseFront) -> Iterator[ClickhouseDatabase]:
    database = ClickhouseDatabase("analytics", url.parse(clickhouse_front.new_database()), Path("/"))
    database.connect()
    yield database
    database.close()


def plain(text: str) -> str:
    return text.translate(str.maketrans("", "", "⟨⟩‸"))


def formatted(db: ClickhouseDatabase, text: str) -> str:
    """The statement as the engine's own parser writes it. Raises Refused for what it can't parse."""
    # chDB would take any words for an expression to select.
    return str(db.query("SELECT formatQuerySingleLine(?) SETTINGS implicit_select = 0", (text,))[0][0])


@pytest.mark.parametrize(("kind", "names", "text"), STATEMENTS, ids=[plain(each[2]) for each in STATEMENTS])
def test_a_statement_is_read_by_kind_and_names(kind: Kind, names: str, text: str) -> None:
    statement = read(plain(text))
    assert (statement.kind, ", ".join(map(spell, statement.names))) == (kind, names)
    if "⟨" in text:
        start, end = statement.span
        assert plain(text)[start:end] == plain(text[text.index("⟨") : text.index("⟩")])


@pytest.mark.parametrize(("kind", "names", "text"), STATEMENTS, ids=[plain(each[2]) for each in STATEMENTS])
def test_on_cluster_stands_where_the_engine_expects_it(
    db: ClickhouseDatabase, kind: Kind, names: str, text: str
) -> None:
    sent = on_cluster(plain(text), read(plain(text)), "main")
    assert sent == plain(text.replace("‸", " ON CLUSTER 'main'"))
    assert formatted(db, sent).count("ON CLUSTER") == sent.count("ON CLUSTER")


@pytest.mark.parametrize(("name", "columns", "source", "text"), INSERTS, ids=[plain(each[3]) for each in INSERTS])
def test_an_insert_is_read_by_target_columns_and_select(
    db: ClickhouseDatabase, name: str, columns: str, source: str, text: str
) -> None:
    statement = read(plain(text))
    assert (statement.kind, spell(statement.names[0])) == (Kind.INSERT, name)
    assert (statement.columns, statement.source) == (columns, source)
    start, end = statement.span
    assert plain(text)[start:end] == text[text.index("⟨") + 1 : text.index("⟩")]
    assert on_cluster(plain(text), statement, "main") == plain(text)
    if source:
        parted = f"{statement.head}\n{statement.source}"
        assert formatted(db, parted) == formatted(db, plain(text)).replace(" FORMAT CSV", "")


@pytest.mark.parametrize(
    "text", ["INSERT INTO FUNCTION file('x') SELECT 1", "INSERT INTO TABLE FUNCTION file('x') SELECT 1"]
)
def test_an_insert_into_a_function_is_opaque(text: str) -> None:
    assert read(text).kind is Kind.OPAQUE


MARKED = [
    ("ALTER TABLE t UPDATE a = 1 WHERE b", "ALTER TABLE t UPDATE a = 1 WHERE ('m' != '') AND (b)"),
    ("ALTER TABLE t DELETE WHERE a OR b", "ALTER TABLE t DELETE WHERE ('m' != '') AND (a OR b)"),
    ("DELETE FROM t WHERE a OR b -- all", "DELETE FROM t WHERE ('m' != '') AND (a OR b) -- all"),
    (
        "DELETE FROM t WHERE a OR b SETTINGS mutations_sync = 1",
        "DELETE FROM t WHERE ('m' != '') AND (a OR b) SETTINGS mutations_sync = 1",
    ),
    (
        "ALTER TABLE t DELETE IN PARTITION '1' WHERE settings = 1 OR b",
        "ALTER TABLE t DELETE IN PARTITION '1' WHERE ('m' != '') AND (settings = 1 OR b)",
    ),
    (
        "ALTER TABLE t UPDATE a = 1 WHERE b, DELETE WHERE c IN (SELECT x FROM s WHERE y)",
        "ALTER TABLE t UPDATE a = 1 WHERE b, DELETE WHERE ('m' != '') AND (c IN (SELECT x FROM s WHERE y))",
    ),
    (
        "ALTER TABLE t DELETE WHERE a -- x\nOR /* y */ b",
        "ALTER TABLE t DELETE WHERE ('m' != '') AND (a -- x\nOR /* y */ b)",
    ),
    ("DELETE FROM t WHERE s = 'it''s; WHERE'", "DELETE FROM t WHERE ('m' != '') AND (s = 'it''s; WHERE')"),
]


@pytest.mark.parametrize(("text", "marked"), MARKED)
def test_a_mark_only_adds_a_condition_to_a_mutation(db: ClickhouseDatabase, text: str, marked: str) -> None:
    assert with_mark(text, "m") == marked
    assert "'m' != ''" in formatted(db, marked)


def test_a_mark_may_hold_anything(db: ClickhouseDatabase) -> None:
    mark = "stepwell:0001_it's \\ 100%:up:1"
    assert "100%" in formatted(db, with_mark("DELETE FROM t WHERE a", mark))


def test_a_marked_mutation_touches_the_same_rows(db: ClickhouseDatabase) -> None:
    for table, text in (("plain", "ALTER TABLE plain DELETE WHERE a < 3 OR a > 6"), ("marked", "")):
        db.query(f"CREATE TABLE {table} (a UInt8) ENGINE = MergeTree ORDER BY a")
        db.query(f"INSERT INTO {table} SELECT number FROM numbers(10)")
        db.query(text or with_mark("ALTER TABLE marked DELETE WHERE a < 3 OR a > 6", "m"))
    rows = db.query("SELECT groupArray(a) FROM plain")
    assert rows == db.query("SELECT groupArray(a) FROM marked") == [([3, 4, 5, 6],)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET a = 1", {"a": "1"}),
        ("SET a = -1.5, b = 'it\\'s', c=true", {"a": "-1.5", "b": "it's", "c": "true"}),
        ("SET a = 1 -- one\n, b = 2 /* two */", {"a": "1", "b": "2"}),
        ("SET `a` = 'x, y'", {"a": "x, y"}),
    ],
)
def test_settings_are_read_with_their_values(text: str, expected: dict[str, str]) -> None:
    assert settings(text) == expected


@given(database=st.text(st.characters(codec="utf-8", exclude_characters="\\\0"), min_size=1), table=st.text(min_size=1))
def test_a_spelled_name_is_read_as_the_same_name(database: str, table: str) -> None:
    name = (database, table.replace("\\", "").replace("\0", "") or "t")
    assert parse(spell(name)) == name
    assert parse(quote(*name)) == name
