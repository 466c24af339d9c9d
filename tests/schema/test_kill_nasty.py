"""kill -9 before every statement that is sent, with scripts chosen to be hard on each engine.

The plain suite takes a sample of the points, `make soak` all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import copying
import dumping
import projects
from sweeping import prepared, sweep

POSTGRES_START = [
    "CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT NOT NULL, price INT NOT NULL)",
    "INSERT INTO item SELECT n, 'item ' || n, n % 97 FROM generate_series(1, 500) AS n",
    "CREATE INDEX item_old ON item (price, id)",
]
POSTGRES = {
    "state/0001_named": """
        CREATE INDEX CONCURRENTLY item_name ON item (name);
        UPDATE item SET price = price + 1;
        -- down
        DROP INDEX CONCURRENTLY item_name;
        UPDATE item SET price = price - 1;
    """,
    "state/0002_unnamed_and_unique": """
        CREATE INDEX CONCURRENTLY ON item (price);
        CREATE UNIQUE INDEX CONCURRENTLY ON item (name, id);
        CREATE INDEX CONCURRENTLY ON item (price);
        UPDATE item SET price = price + 10 WHERE id <= 250;
        -- down
        DROP INDEX item_price_idx;
        DROP INDEX CONCURRENTLY item_price_idx1;
        DROP INDEX CONCURRENTLY item_name_id_idx;
        UPDATE item SET price = price - 10 WHERE id <= 250;
    """,
    "state/0003_whole": """
        CREATE TABLE shelf (id INT PRIMARY KEY, title TEXT);
        INSERT INTO shelf SELECT n, 'shelf; ' || n FROM generate_series(1, 20) AS n;
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.title := NEW.title || '; touched';
          RETURN NEW;
        END $$;
        CREATE TRIGGER shelf_touch BEFORE UPDATE ON shelf FOR EACH ROW EXECUTE FUNCTION touch();
        UPDATE shelf SET id = id + 100;
        -- down
        DROP TABLE shelf;
        DROP FUNCTION touch();
    """,
    "state/0004_dropped": """
        DROP INDEX CONCURRENTLY item_old;
        DELETE FROM item WHERE id % 50 = 0;
        ALTER TABLE item ADD COLUMN note TEXT DEFAULT 'none';
        REINDEX INDEX CONCURRENTLY item_name;
        UPDATE item SET price = price * 2;
    """,
}

MYSQL_START = [
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, price INT NOT NULL)",
    "INSERT INTO item SELECT seq, concat('item ', seq), seq % 97 FROM seq_1_to_500",
    "CREATE TABLE one (id INT PRIMARY KEY)",
    "INSERT INTO one SELECT seq FROM seq_1_to_9",
    "CREATE TABLE two (id INT PRIMARY KEY, note TEXT)",
    "INSERT INTO two SELECT seq, 'two' FROM seq_1_to_7",
    "CREATE TABLE gone_1 (id INT)",
    "CREATE TABLE gone_2 (id INT)",
    "CREATE TABLE gone_3 (id INT)",
    "CREATE TABLE filled (id INT PRIMARY KEY)",
    "INSERT INTO filled SELECT seq FROM seq_1_to_100",
]
MYSQL = {
    "state/0001_mixed": """
        ALTER TABLE item ADD COLUMN note VARCHAR(20) NOT NULL DEFAULT 'none';
        UPDATE item SET price = price + 1;
        ALTER TABLE item ADD INDEX item_price (price);
        UPDATE item SET price = price + 1, note = concat(note, '; seen');
        -- down
        UPDATE item SET price = price - 2;
        ALTER TABLE item DROP INDEX item_price;
        ALTER TABLE item DROP COLUMN note;
    """,
    "state/0002_many_names": """
        DROP TABLE gone_1, gone_2, gone_3;
        RENAME TABLE one TO spare, two TO one, spare TO two;
        INSERT INTO two VALUES (100);
        TRUNCATE TABLE filled;
        INSERT INTO filled SELECT id + 1000 FROM item WHERE id < 20;
    """,
    "state/0003_made_of_others": """
        CREATE TABLE cheap (PRIMARY KEY (id)) SELECT id, name FROM item WHERE price < 20;
        UPDATE cheap SET name = concat(name, '!');
        CREATE OR REPLACE VIEW dear AS SELECT id, price FROM item WHERE price > 90;
        CREATE TRIGGER item_named BEFORE UPDATE ON item FOR EACH ROW
        BEGIN
          IF NEW.price > 1000 THEN SET NEW.price = 1000; END IF;
        END;
        CREATE PROCEDURE dearer(IN step INT)
        BEGIN
          UPDATE item SET price = price + step;
        END;
        -- down
        DROP PROCEDURE dearer;
        DROP TRIGGER item_named;
        DROP VIEW dear;
        DROP TABLE cheap;
    """,
    "state/0004_only_rows": """
        UPDATE item SET price = price + 5;
        DELETE FROM item WHERE id > 490;
        INSERT INTO item (id, name, price) VALUES (9001, 'a; b', 1), (9002, 'it''s', 2);
        -- down
        DELETE FROM item WHERE id > 9000;
        INSERT INTO item (id, name, price, note)
        SELECT seq, concat('item ', seq), seq % 97 + 7, 'none; seen' FROM seq_491_to_500;
        UPDATE item SET price = price - 5;
    """,
}

CLICKHOUSE_START = [
    "CREATE TABLE item (id UInt64, name String, price Int64) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO item SELECT number, concat('item ', toString(number)), number % 97 FROM numbers(5000)",
    "CREATE TABLE one (id UInt64) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO one SELECT number FROM numbers(9)",
    "CREATE TABLE two (id UInt64, note String) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO two SELECT number, 'two' FROM numbers(7)",
    "CREATE TABLE old_1 (id UInt64) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE old_2 (id UInt64) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE filled (id UInt64) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO filled SELECT number FROM numbers(100)",
]
CLICKHOUSE = {
    "analytics/0001_rebuilt": """
        CREATE TABLE item_v2 (id UInt64, name String, price Int64, tenant String)
        ENGINE = MergeTree ORDER BY (tenant, id);
        INSERT INTO item_v2 SELECT id, name, price, 'none' FROM item;
        RENAME TABLE item TO item_v1, item_v2 TO item;
        -- down
        RENAME TABLE item TO item_v2, item_v1 TO item;
        DROP TABLE item_v2;
    """,
    "analytics/0002_mutated": """
        -- key: id
        ALTER TABLE item UPDATE price = price + 1 WHERE 1;
        ALTER TABLE item ADD COLUMN note String DEFAULT 'none', ADD INDEX by_name name TYPE bloom_filter;
        ALTER TABLE item UPDATE price = price + 1, note = concat(note, '; seen') WHERE id % 2 = 0;
        ALTER TABLE item DELETE WHERE id >= 4950;
        -- down
        ALTER TABLE item UPDATE price = price - 1 WHERE id % 2 = 0;
        ALTER TABLE item DROP INDEX by_name, DROP COLUMN note;
        ALTER TABLE item UPDATE price = price - 1 WHERE 1;
        INSERT INTO item
        SELECT number + 4950 AS id, concat('item ', toString(id)), toInt64(id % 97), 'none' FROM numbers(50);
    """,
    "analytics/0003_keyed": """
        -- key: id
        INSERT INTO item (id, name, price) SELECT number + 10000, 'keyed', number FROM numbers(3000);
        -- down
        ALTER TABLE item DELETE WHERE id >= 10000;
    """,
    "analytics/0004_no_other_writers": """
        -- writers: none
        INSERT INTO item (id, name, price) SELECT id + 20000, name, price FROM item WHERE id < 1000;
        INSERT INTO two VALUES (100, 'a; b'), (101, 'it\\'s');
        -- down
        ALTER TABLE two DELETE WHERE id >= 100;
        ALTER TABLE item DELETE WHERE id >= 20000;
    """,
    "analytics/0005_many_names": """
        RENAME TABLE one TO spare, two TO one, spare TO two;
        EXCHANGE TABLES one AND two;
        DROP TABLE old_1;
        DROP TABLE IF EXISTS old_2;
        TRUNCATE TABLE filled;
        -- down
        EXCHANGE TABLES one AND two;
        RENAME TABLE one TO spare, two TO one, spare TO two;
        CREATE TABLE old_1 (id UInt64) ENGINE = MergeTree ORDER BY id;
    """,
    "analytics/0006_derived": """
        CREATE TABLE cheap ENGINE = MergeTree ORDER BY id AS SELECT id, name FROM item WHERE price < 20;
        CREATE TABLE totals (name String, total Int64) ENGINE = SummingMergeTree ORDER BY name;
        INSERT INTO totals SELECT name, sum(price) FROM item GROUP BY name;
        CREATE MATERIALIZED VIEW totals_view TO totals AS SELECT name, sum(price) AS total FROM item GROUP BY name;
        CREATE OR REPLACE VIEW dear AS SELECT id FROM item WHERE price > 90;
        -- down
        DROP VIEW dear;
        DROP VIEW totals_view;
        DROP TABLE totals;
        DROP TABLE cheap;
    """,
}

SQLITE_START = [
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price INT NOT NULL)",
    """
    WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)
    INSERT INTO item SELECT x, 'item ' || x, x % 97 FROM n
    """,
]
SQLITE = {
    "state/0001_whole": """
        ALTER TABLE item ADD COLUMN note TEXT DEFAULT 'none';
        UPDATE item SET price = price + 1;
        CREATE TRIGGER item_named AFTER UPDATE ON item WHEN NEW.price > 1000 BEGIN
          UPDATE item SET price = 1000 WHERE id = NEW.id;
        END;
        -- down
        DROP TRIGGER item_named;
        UPDATE item SET price = price - 1;
        ALTER TABLE item DROP COLUMN note;
    """,
    "state/0002_by_statement": """
        -- transaction: false
        UPDATE item SET price = price + 1;
        CREATE INDEX item_price ON item (price);
        VACUUM;
        UPDATE item SET price = price + 1;
        -- down
        DROP INDEX item_price;
        UPDATE item SET price = price - 2;
    """,
}

CASES = {
    "postgres": (POSTGRES_START, POSTGRES),
    "mysql": (MYSQL_START, MYSQL),
    "sqlite": (SQLITE_START, SQLITE),
    "clickhouse": (CLICKHOUSE_START, CLICKHOUSE),
    "chdb": (CLICKHOUSE_START, CLICKHOUSE),
}


def dedented(scripts: dict[str, str]) -> dict[str, str | bytes]:
    return {
        name: "\n".join(line.strip() for line in text.strip().splitlines()) + "\n" for name, text in scripts.items()
    }


def starting(request: pytest.FixtureRequest, folder: Path, engine: str) -> projects.Project:
    """A project of one engine, its database as it is before the first script."""
    start, scripts = CASES[engine]
    url = copying.empty(request, engine, folder)
    for text in start:
        dumping.query(url, text)
    # Beside another database ClickHouse needs no lock of its own, whose lease a dead holder leaves behind for a minute.
    beside = copying.empty(request, "sqlite", folder)
    dumping.query(beside, "PRAGMA user_version = 1")
    urls = {"state": beside, "analytics": url} if scripts is CLICKHOUSE else {"state": url}
    return projects.make(folder / "project", urls, dedented(scripts))


SAMPLES = {"postgres": 4, "mysql": 4, "sqlite": 3, "clickhouse": 3, "chdb": 2}
LAST_UNDONE = {
    "postgres": ("state/0003", "state/0001"),
    "mysql": ("state/0004", "state/0002"),
    "sqlite": ("state/0002", "state/0001"),
    "clickhouse": ("analytics/0006", "analytics/0001"),
    "chdb": ("analytics/0006", "analytics/0001"),
}
"""How far up a case goes before it goes down again, and where to."""

# In the process the same engine goes the same ways, a quarter of a minute each.
ENGINES = [pytest.param(engine, marks=pytest.mark.soak) if engine == "chdb" else engine for engine in CASES]


@pytest.mark.parametrize("engine", ENGINES)
def test_up_killed_anywhere_is_finished_exactly_by_the_next_up(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    sweep(prepared(request, tmp_path, starting(request, tmp_path, engine)), "up", sample=SAMPLES[engine])


@pytest.mark.parametrize("engine", ENGINES)
def test_down_killed_anywhere_is_finished_exactly_by_the_next_down(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    down_then_down(request, tmp_path, engine, 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_down_killed_anywhere_can_be_turned_round_by_up(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    down_then_up(request, tmp_path, engine, 2)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ENGINES)
class TestEveryPoint:
    """The same at every single point."""

    def test_up(self, request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
        sweep(prepared(request, tmp_path, starting(request, tmp_path, engine)), "up", sample=None)

    def test_down_then_down(self, request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
        down_then_down(request, tmp_path, engine, None)

    def test_down_then_up(self, request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
        down_then_up(request, tmp_path, engine, None)


def down_then_down(request: pytest.FixtureRequest, folder: Path, engine: str, sample: int | None) -> None:
    project, down = applied(request, folder, engine)
    sweep(prepared(request, folder, project), *down, sample=sample, again=down)


def down_then_up(request: pytest.FixtureRequest, folder: Path, engine: str, sample: int | None) -> None:
    project, down = applied(request, folder, engine)
    # Every way back here is exact, so wherever a `down` was killed, `up` leads to what was there before it.
    sweep(prepared(request, folder, project), *down, sample=sample, left=project.dump())


def applied(request: pytest.FixtureRequest, folder: Path, engine: str) -> tuple[projects.Project, tuple[str, ...]]:
    """A project as far up as it can be undone from, and the command that undoes it."""
    project = starting(request, folder, engine)
    last, first = LAST_UNDONE[engine]
    # What lies beyond has no way back.
    for path in (project.folder / "migrations").glob("*/*.sql"):
        if path.name[:4] > last.split("/")[1]:
            path.unlink()
    ended = project("up")
    assert ended.code == 0, ended.text
    return project, ("down", "--database", first.split("/")[0], "--to", first)
