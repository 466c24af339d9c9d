"""What went wrong for people with other tools, and must not here."""

from __future__ import annotations

from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import Project, done

SEVEN: dict[str, str | bytes] = {
    "analytics/0001_runs_and_spans": """
CREATE TABLE run (id UInt64, agent String, tokens UInt32) ENGINE = MergeTree ORDER BY id;
CREATE TABLE span (id UInt64, run_id UInt64) ENGINE = MergeTree ORDER BY id;
INSERT INTO run SELECT number, concat('agent ', toString(number % 7)), number FROM numbers(1000);
""",
    "analytics/0002_eval_scores": "CREATE TABLE score (run_id UInt64) ENGINE = MergeTree ORDER BY run_id;\n",
    "analytics/0003_replay_captures": "CREATE TABLE replay (id UInt64) ENGINE = MergeTree ORDER BY id;\n",
    "analytics/0004_dataset_items": "CREATE TABLE dataset_item (id UInt64) ENGINE = MergeTree ORDER BY id;\n",
    "analytics/0005_billing_meters": "CREATE TABLE meter (n UInt64) ENGINE = SummingMergeTree ORDER BY n;\n",
    "analytics/0006_tenant_columns": """
CREATE TABLE run_v2 (tenant String, id UInt64, agent String, tokens UInt32) ENGINE = MergeTree ORDER BY (tenant, id);
INSERT INTO run_v2 SELECT 'none', id, agent, tokens FROM run;
RENAME TABLE run TO run_v1, run_v2 TO run;
""",
    "analytics/0007_audit_log": "CREATE TABLE audit_log (at DateTime, what String) ENGINE = MergeTree ORDER BY at;\n",
}


@pytest.fixture(params=["clickhouse", "chdb"])
def seven(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """ClickHouse alone, with the seven scripts."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return projects.make(tmp_path / "project", {"analytics": url}, SEVEN)


def test_a_file_that_creates_inserts_and_renames_does_not_double_the_rows_when_run_again(seven: Project) -> None:
    first = seven("up")
    assert first.code == 0, first.text
    assert first.stdout.splitlines()[-1] == "applied 7, skipped 0"
    before = seven.dump()
    again = seven("up")
    assert (again.code, again.stdout) == (0, "applied 0, skipped 7\n")
    assert seven.dump() == before
    assert dumping.query(seven.urls["analytics"], "SELECT count() FROM run") == ["1000"]


def test_versions_inserted_by_hand_are_enough_for_a_database_that_is_there_already(seven: Project) -> None:
    url = seven.urls["analytics"]
    assert seven("up").code == 0
    for table in ("schema_migrations", "schema_migrations_journal"):
        dumping.query(url, f"DROP TABLE {table} SYNC")
    ended = seven("baseline", "analytics")  # makes the tables, records nothing
    assert ended.code == 0, ended.text
    names = ", ".join(f"('{name.split('/')[1]}')" for name in SEVEN)
    dumping.query(url, f"insert into schema_migrations (version) values {names}")
    before = seven.dump()
    ended = seven("up")
    assert (ended.code, ended.stdout) == (0, "applied 0, skipped 7\n")
    assert seven.dump() == before


def test_a_staging_table_left_by_somebody_stops_the_script_before_anything_changes(seven: Project) -> None:
    url = seven.urls["analytics"]
    assert seven("up", "--to", "analytics/0005").code == 0
    dumping.query(
        url,
        "CREATE TABLE run_v2 (tenant String, id UInt64, agent String, tokens UInt32) ENGINE = MergeTree ORDER BY id",
    )
    dumping.query(url, "INSERT INTO run_v2 SELECT 'half', id, agent, tokens FROM run WHERE id < 400")
    before = seven.dump()
    ended = seven("up")
    assert ended.code == 1
    assert "run_v2" in ended.stderr
    assert "0006_tenant_columns.sql:2" in ended.stderr
    assert "DROP TABLE" in ended.stderr
    assert seven.dump() == before
    dumping.query(url, "DROP TABLE run_v2 SYNC")
    ended = seven("up")
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "applied 2, skipped 5")
    assert dumping.query(url, "SELECT count(), uniqExact(id) FROM run") == ["1000\t1000"]


RENAMED = {
    "sqlite": ("", "ALTER TABLE t RENAME TO {};"),
    "postgres": ("", "ALTER TABLE t RENAME TO {};"),
    "mysql": ("", "RENAME TABLE t TO {};"),
    "clickhouse": (" ENGINE = MergeTree ORDER BY id", "RENAME TABLE t TO {};"),
}
ANEW = {
    "renamed away, made anew": "{rename_away}\nCREATE TABLE t (id INT, n INT){engine};\nINSERT INTO t SELECT id, 2 FROM was;",
    "dropped, made anew, renamed": "DROP TABLE IF EXISTS t;\nCREATE TABLE t (id INT, n INT){engine};\n{rename_away}",
    "there for certain, renamed": "CREATE TABLE IF NOT EXISTS t (id INT){engine};\n{rename_away}",
}


@pytest.mark.parametrize("engine", RENAMED)
@pytest.mark.parametrize("way", ANEW)
def test_a_table_in_use_that_a_script_puts_aside_is_nobody_s_staging_table(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, way: str
) -> None:
    stored, rename = RENAMED[engine]
    text = ANEW[way].format(rename_away=rename.format("was"), engine=stored)
    scripts = {"data/0001_t": f"CREATE TABLE t (id INT){stored};\nINSERT INTO t VALUES (1);", "data/0002_anew": text}
    project = projects.make(tmp_path, {"data": copying.empty(request, engine, tmp_path)}, scripts)
    assert "applied 2" in done(project("up"))
    kept = [] if way.startswith("dropped") else ["1"]
    assert dumping.query(project.urls["data"], "SELECT id FROM was") == kept


def test_a_step_that_fails_for_lack_of_memory_is_never_followed_by_the_next(seven: Project) -> None:
    url = seven.urls["analytics"]
    assert seven("up", "--to", "analytics/0005").code == 0
    hungry = """
SET max_memory_usage = 20000000;
CREATE TABLE run_v2 (tenant String, id UInt64, agent String, tokens UInt32) ENGINE = MergeTree ORDER BY (tenant, id);
INSERT INTO run_v2 SELECT 'none', max(id), agent, max(tokens) FROM (
  SELECT number AS id, toString(cityHash64(number)) AS agent, number AS tokens FROM numbers(5000000)
) GROUP BY agent;
RENAME TABLE run TO run_v1, run_v2 TO run;
"""
    seven.write({"analytics/0006_tenant_columns": hungry})
    ended = seven("up")
    assert ended.code == 1, ended.text
    assert "analytics/0006_tenant_columns, statement 3 of 4 ran out of memory" in ended.stderr
    assert "0006_tenant_columns.sql:4" in ended.stderr
    assert dumping.query(url, "SELECT count() FROM run") == ["1000"]
    tables = dumping.query(url, "SHOW TABLES")
    assert "run_v1" not in tables
    assert "audit_log" not in tables
    assert dumping.versions(url) == [name.split("/")[1] for name in list(SEVEN)[:5]]
    # What is applied of the script stays; the rest may be corrected.
    seven.write({"analytics/0006_tenant_columns": hungry.replace("numbers(5000000)", "numbers(500)")})
    ended = seven("up")
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "applied 2, skipped 5"), ended.text
    assert dumping.query(url, "SELECT count() FROM run") == ["500"]
