"""Servers that restart, answers that get lost, locks, full disks, missing memory and privileges.

Whatever happens is recorded as what it is, nothing is recorded as done that was not, and once the cause is gone the
next run goes on.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

import copying
import dumping
import projects
from projects import Project, done, ended, until
from servers.clickhouse_front import ClickhouseFront
from servers.mariadb import MariadbServer
from servers.postgres import PostgresServer
from stepwell.databases import open_database
from stepwell.errors import Refused


def state(project: Project, reference: str) -> dict[str, str]:
    steps: list[dict[str, str]] = json.loads(done(project("status", "--json")))["steps"]
    return next(step for step in steps if step["reference"] == reference)


def clickhouse(request: pytest.FixtureRequest, folder: Path, script: str, options: str = "") -> Project:
    """ClickHouse beside an SQLite file, which lends its lock."""
    urls = {
        "state": copying.empty(request, "sqlite", folder),
        "analytics": copying.empty(request, "clickhouse", folder),
    }
    dumping.query(urls["analytics"], "CREATE TABLE event (id UInt64) ENGINE = MergeTree ORDER BY id")
    dumping.query(urls["analytics"], "INSERT INTO event SELECT number FROM numbers(100)")
    return projects.make(
        folder / "project", urls | {"analytics": urls["analytics"] + options}, {"analytics/0001_slow": script}
    )


SLOW = """CREATE TABLE copied (id UInt64, n UInt8) ENGINE = MergeTree ORDER BY id;
INSERT INTO copied SELECT id, sleepEachRow(0.03) FROM event SETTINGS max_block_size = 10;
ALTER TABLE copied UPDATE n = n + 1 WHERE 1;
"""
COPIED = "SELECT count(), uniqExact(id), sum(n) FROM copied"


# --- connections ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["CREATE TABLE copied", "INSERT INTO copied", "UPDATE n = n + 1"])
def test_a_dropped_connection_is_no_failure_the_statement_is_followed_to_its_end(
    request: pytest.FixtureRequest, tmp_path: Path, clickhouse_front: ClickhouseFront, part: str
) -> None:
    project = clickhouse(request, tmp_path, SLOW)
    clickhouse_front.lose_answer(part, after=0.1)
    assert done(project("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(project.urls["analytics"], COPIED) == ["100\t100\t100"]
    assert done(project("up")) == "applied 0, skipped 1\n"


def test_a_read_timeout_is_no_failure_the_statement_is_followed_to_its_end(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = clickhouse(request, tmp_path, SLOW, "?read_timeout=1")
    assert done(project("up")).splitlines()[-1] == "applied 1, skipped 0"
    assert dumping.query(project.urls["analytics"].partition("?")[0], COPIED) == ["100\t100\t100"]
    assert done(project("up")) == "applied 0, skipped 1\n"


def test_a_clickhouse_server_restarted_in_a_statement_is_found_again(
    request: pytest.FixtureRequest, tmp_path: Path, clickhouse_front: ClickhouseFront
) -> None:
    project = clickhouse(request, tmp_path, SLOW)
    url = project.urls["analytics"]
    running = project.start("up")
    until(lambda: dumping.at_work(url, "INSERT INTO copied"), running)
    clickhouse_front.kill()
    clickhouse_front.restart()
    first = ended(running)
    if first.code != 0:
        assert "lost its connection" in first.stderr
        assert state(project, "analytics/0001_slow")["state"] == "in doubt"
        done(project("up"))
    assert dumping.query(url, COPIED) == ["100\t100\t100"]
    assert done(project("up")) == "applied 0, skipped 1\n"


POSTGRES_SLOW = """-- transaction: false
CREATE TABLE item (id INT);
INSERT INTO item SELECT 1 FROM (SELECT pg_sleep(1)) AS s;
CREATE INDEX CONCURRENTLY item_id ON item (id);
INSERT INTO item SELECT 2 FROM (SELECT pg_sleep(1)) AS s;
"""
MYSQL_SLOW = """CREATE TABLE item (id INT);
INSERT INTO item SELECT 1 FROM (SELECT sleep(1)) AS s;
CREATE INDEX item_id ON item (id);
INSERT INTO item SELECT 2 FROM (SELECT sleep(1)) AS s;
"""


@pytest.mark.parametrize("how", ["kill", "restart"])
@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_relational_server_that_goes_away_in_a_statement_leaves_nothing_half_done(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, how: str
) -> None:
    server: PostgresServer | MariadbServer = request.getfixturevalue({"mysql": "mariadb"}.get(engine, engine))
    url = server.new_database()
    script = POSTGRES_SLOW if engine == "postgres" else MYSQL_SLOW
    project = projects.make(tmp_path / "project", {"state": url}, {"state/0001_slow": script})
    running = project.start("up")
    until(lambda: dumping.at_work(url, "INTO item SELECT 2"), running)
    if how == "kill":
        server.kill()
    server.restart()
    first = ended(running)
    assert first.code == 1, first.text
    assert "lost its connection" in first.stderr
    assert dumping.query(url, "SELECT id FROM item") == ["1"]
    done(project("up"))
    assert dumping.query(url, "SELECT id FROM item ORDER BY id") == ["1", "2"]
    assert done(project("up")) == "applied 0, skipped 1\n"


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_a_record_that_is_refused_takes_its_script_along(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    script = "CREATE TABLE item (id INT);\nINSERT INTO schema_migrations (version) VALUES ('0001_item');\n"
    project = projects.make(tmp_path / "project", {"state": url}, {"state/0001_item": script})
    first = project("up")
    assert first.code == 1, first.text
    assert "schema_migrations" in first.stderr and "rolled back: nothing of this script remains" in first.stderr
    assert dumping.versions(url) == []
    project.write({"state/0001_item": script.splitlines()[0]})
    assert done(project("up")).endswith("applied 1, skipped 0\n")


# --- locks ------------------------------------------------------------------------------------------------


def holding(url: str, *statements: str) -> Any:
    """A connection of somebody else's that has run these statements and keeps its transaction open."""
    if url.startswith("postgresql"):
        connection: Any = psycopg.connect(url, application_name="somebody's psql")
    else:
        head, _, database = url.removeprefix("mysql://").rpartition("/")
        account, _, place = head.rpartition("@")
        user, _, password = account.partition(":")
        host, _, port = place.partition(":")
        connection = pymysql.connect(host=host, port=int(port), user=user, password=password, database=database)
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
        if not url.startswith("postgresql"):
            cursor.fetchall()
    return connection


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_ddl_behind_a_lock_gives_way_names_the_holder_and_gets_through_when_it_is_free(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    dumping.query(url, "CREATE TABLE item (id INT)")
    project = projects.make(
        tmp_path / "project",
        {"state": url},
        {"state/0001_a": "-- lock-timeout: 1s\nALTER TABLE item ADD COLUMN name VARCHAR(20);\n"},
    )
    holder = holding(url, "SELECT * FROM item")
    threading.Timer(3.5, holder.close).start()
    end = project("up")
    assert done(end).splitlines()[-1] == "applied 1, skipped 0"
    assert "gave way to" in end.stderr
    assert ("somebody's psql" if engine == "postgres" else "connection ") in end.stderr
    assert done(project("up")) == "applied 0, skipped 1\n"


# --- resources and privileges -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, for as long as the test runs."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.fail(f"no file system can be mounted here: {made.stderr}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_as_such_and_the_run_goes_on_when_there_is_space(small_disk: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{small_disk / 'main.db'}"
    project = projects.make(
        tmp_path / "project",
        {"state": url},
        {
            "state/0001_a": "CREATE TABLE item (id INT, name TEXT);\n",
            "state/0002_b": """
INSERT INTO item
WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
SELECT x, hex(randomblob(1000)) FROM n;
""",
        },
    )
    (small_disk / "ballast").write_bytes(b"x" * 1_500_000)
    end = project("up")
    assert end.code == 1, end.text
    assert "state/0002_b, statement 1 of 1 ran out of disk space" in end.stderr
    assert dumping.versions(url) == ["0001_a"]
    assert dumping.query(url, "SELECT count(*) FROM item") == ["0"]
    (small_disk / "ballast").unlink()
    assert done(project("up")).splitlines()[-1] == "applied 1, skipped 1"
    assert dumping.query(url, "SELECT count(*) FROM item") == ["1000"]


def test_too_little_memory_is_recorded_as_such(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    hungry = """SET max_memory_usage = 30000000;
CREATE TABLE sums (id String, n UInt64) ENGINE = MergeTree ORDER BY id;
INSERT INTO sums SELECT toString(cityHash64(number)) AS id, count() FROM numbers(3000000) GROUP BY id;
"""
    project = clickhouse(request, tmp_path, hungry)
    url = project.urls["analytics"]
    end = project("up")
    assert end.code == 1, end.text
    assert "statement 3 of 3 ran out of memory" in end.stderr
    found = state(project, "analytics/0001_slow")
    assert found["state"] == "applied in part"
    assert "MemoryLimit" in found["detail"]
    assert dumping.query(url, "SELECT count() FROM sums") == ["0"]
    project.write({"analytics/0001_slow": hungry.replace("(3000000)", "(1000)")})
    done(project("up"))
    assert dumping.query(url, "SELECT count() FROM sums") == ["1000"]


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_missing_privilege_is_recorded_as_such(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    url = copying.empty(request, engine, tmp_path)
    database = url.rpartition("/")[2]
    role = f"weak_{database}"
    if engine == "postgres":
        prepare = [
            "CREATE TABLE secret (id INT)",
            f"CREATE ROLE {role} LOGIN PASSWORD 'weak'",
            f"GRANT CREATE ON SCHEMA public TO {role}",
        ]
        grant = f"GRANT INSERT ON secret TO {role}"
    else:
        prepare = [
            "CREATE TABLE secret (id INT)",
            f"CREATE USER {role} IDENTIFIED BY 'weak'",
            f"GRANT CREATE ON {database}.* TO {role}",
        ]
        grant = f"GRANT INSERT ON {database}.secret TO {role}"
    for statement in prepare:
        dumping.query(url, statement)
    weak = f"{url.partition('://')[0]}://{role}:weak@{url.rpartition('@')[2]}"
    project = projects.make(
        tmp_path / "project",
        {"state": url},
        {"state/0001_a": "CREATE TABLE a (id INT);\n", "state/0002_b": "INSERT INTO secret VALUES (1);\n"},
    )
    done(project("up", "--to", "state/0001"))
    for statement in (
        (f"GRANT ALL ON schema_migrations, schema_migrations_journal TO {role}",)
        if engine == "postgres"
        else tuple(
            f"GRANT SELECT, INSERT, DELETE, CREATE ON {database}.{table} TO {role}"
            for table in ("schema_migrations", "schema_migrations_journal")
        )
    ):
        dumping.query(url, statement)
    as_weak = project.with_urls({"state": weak})
    end = as_weak("up")
    assert end.code == 1, end.text
    assert "state/0002_b, statement 1 of 1 lacks a privilege" in end.stderr
    assert "secret" in end.stderr
    found = state(project, "state/0002_b")
    assert found["state"] == "failed"
    assert "Denied" in found["detail"]
    assert dumping.versions(url) == ["0001_a"]
    dumping.query(url, grant)
    done(as_weak("up"))
    assert dumping.query(url, "SELECT id FROM secret") == ["1"]


def test_rows_that_come_into_a_table_that_if_not_exists_found_are_kept(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    slow = """CREATE TABLE IF NOT EXISTS event (id UInt64) ENGINE = MergeTree ORDER BY id;
INSERT INTO event SELECT id + 1000 + sleepEachRow(0.03) FROM event SETTINGS max_block_size = 10;
"""
    project = clickhouse(request, tmp_path, slow)
    url = project.urls["analytics"]
    running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%sleepEachRow%'"
    up = project.start("up")
    until(lambda: dumping.query(url, running) != ["0"], up)
    dumping.query(url, "INSERT INTO event VALUES (500)")
    done(ended(up, 60))
    assert dumping.query(url, "SELECT count(), countIf(id = 500) FROM event") == ["201\t1"]


# --- what nothing can tell --------------------------------------------------------------------------------

OPAQUE = """INSERT INTO event SELECT number + 1000 + sleepEachRow(0.04) FROM numbers(50)
SETTINGS max_block_size = 5, min_insert_block_size_rows = 5, min_insert_block_size_bytes = 0;
"""


@pytest.mark.parametrize(("answer", "added"), [("done", 0), ("not-done", 50)])
def test_an_insert_that_nothing_can_tell_about_stops_with_4_until_a_person_says(
    request: pytest.FixtureRequest, tmp_path: Path, answer: str, added: int
) -> None:
    urls = {
        name: copying.empty(request, engine, tmp_path) for name, engine in (("state", "sqlite"), ("analytics", "chdb"))
    }
    url = urls["analytics"]
    dumping.query(url, "CREATE TABLE event (id UInt64) ENGINE = MergeTree ORDER BY id")
    project = projects.make(tmp_path / "project", urls, {"analytics/0001_a": OPAQUE})
    assert "may need `stepwell resolve`" in done(project("plan"))
    killed = project.killed("during", "sleepEachRow", "1", "up")
    assert killed.code == -9, killed.text
    (left,) = dumping.query(url, "SELECT count() FROM event")
    assert 0 < int(left) < 50
    before = project.dump()
    for _ in range(2):
        end = project("up")
        assert end.code == 4, end.text
        assert "analytics/0001_a, statement 1 is in doubt" in end.stderr
        assert "stepwell resolve analytics/0001_a:1 done" in end.stderr
    assert state(project, "analytics/0001_a")["state"] == "in doubt"
    assert project.dump() == before
    done(project("resolve", "analytics/0001:1", answer))
    done(project("up"))
    assert dumping.query(url, "SELECT count() FROM event") == [str(int(left) + added)]
    assert done(project("up")) == "applied 0, skipped 1\n"


def test_what_a_commit_refuses_is_not_said_of_the_last_statement(postgres_url: str, tmp_path: Path) -> None:
    text = """
    CREATE TABLE a (id INT PRIMARY KEY);
    CREATE TABLE b (a INT REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO b VALUES (7);
    CREATE TABLE c (id INT);
    """
    project = projects.make(tmp_path / "project", {"state": postgres_url}, {"state/0001_a": text})
    end = project("up")
    assert end.code == 1
    assert "said behind the last statement, with its record or at COMMIT: " in end.stderr, end.text
    assert "rolled back: nothing of this script remains" in end.stderr
    assert dumping.versions(postgres_url) == []


# --- outside of a script ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql", "clickhouse"])
def test_a_refusal_outside_of_a_script_names_the_database_and_what_was_asked(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    urls = {name: copying.empty(request, engine, tmp_path / name) for name in ("one", "two")}
    if engine == "sqlite":
        (tmp_path / "two").mkdir(exist_ok=True)
    database = open_database("two", urls["two"], tmp_path)
    database.connect()
    with pytest.raises(Refused) as caught:
        database.query("SELECT 1 FROM no_such_table")
    database.close()
    assert caught.value.where == "database 'two': SELECT 1 FROM no_such_table"
    assert caught.value.do == "Correct the statement and run the same command again."
