"""The look before a release, on real servers: what it finds, what stops `up`, and what does not."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import psycopg
import pymysql
import pytest

import checking
import dumping
import jobbing
import projects
from projects import Project, done
from stepwell.databases import url as urls
from stepwell.errors import BadRequest
from stepwell.safety.doctor import servers
from stepwell.safety.doctor.copies import copied
from stepwell.safety.doctor.finding import ITEMS, Finding, Level

TABLE = {
    "sqlite": "CREATE TABLE t (id INTEGER PRIMARY KEY)",
    "chdb": "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id",
}


def project(folder: Path, url: str, doctor: str = "", **scripts: str) -> Project:
    made = projects.make(folder / "project", {"main": url}, {f"main/{name}": text for name, text in scripts.items()})
    with (made.folder / "stepwell.toml").open("a") as config:
        config.write(f"\n[doctor]\n{doctor}\n" if doctor else "")
    return made


def table(url: str) -> str:
    return TABLE["chdb" if urls.parse(url).engine == "clickhouse" else "sqlite"]


def look(made: Project, *names: str) -> list[Finding]:
    return checking.loaded(made).doctor(*names)


def only(found: list[Finding], item: str) -> Finding:
    (one,) = [each for each in found if each.item == item]
    return one


# --- what it finds --------------------------------------------------------------------------------------------


def test_a_database_that_is_well_has_no_warning_but_for_the_backup_and_nothing_is_left(
    tmp_path: Path, any_url: str
) -> None:
    made = project(tmp_path, any_url, a0001_t=table(any_url))
    before = made.dump()
    found = look(made)
    assert [one for one in found if one.level is not Level.OK and one.item != "backup"] == []
    engine = urls.parse(any_url).engine
    silent = {"sqlite": {"replication", "transactions"}}.get(engine, set())
    silent |= {"transactions"} if engine == "clickhouse" else {"mutations", "parts"}
    assert {one.item for one in found} >= ITEMS.keys() - silent - {"parts"}
    assert made.dump() == before


def test_every_finding_has_a_line_and_json_has_them_all(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, "backup-marker = 'stepwell.toml'", a0001_t=TABLE["sqlite"])
    out = done(made("doctor"))
    assert "ok       disk-space    main: the release copies no table, and " in out
    assert out.endswith("0 warnings, 0 blockers\n")
    assert all(len(line) <= 80 or line.split() == [line.strip()] for line in out.splitlines())  # a path stays whole
    answer = json.loads(done(made("doctor", "--json", "version", "doctor/backup")))
    assert [one["item"] for one in answer["findings"]] == ["version", "backup"]
    assert answer["counts"] == {"ok": 2, "warning": 0, "blocker": 0}


def test_an_unknown_item_is_refused_with_the_one_that_may_be_meant(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url)
    with pytest.raises(BadRequest, match="did you mean 'disk-space'"):
        look(made, "disc-space")


def test_a_database_that_can_not_be_reached_is_a_blocker_and_the_others_are_looked_at(
    tmp_path: Path, sqlite_url: str
) -> None:
    urls_ = {"gone": "postgresql://user:secret@127.0.0.1:1/none", "main": sqlite_url}
    made = projects.make(tmp_path / "project", urls_, {"main/0001_t": TABLE["sqlite"]})
    end = made("doctor", "connection", "version")
    assert end.code == 8
    assert "BLOCKER  connection    gone: it can't be used" in end.stdout
    assert "ok       version       main: SQLite" in end.stdout
    assert "secret" not in end.text


def test_what_a_user_may_not_do_is_told_with_the_statement(tmp_path: Path, postgres_url: str, mysql_url: str) -> None:
    name = f"reader_{os.getpid()}"
    dumping.query(postgres_url, f"CREATE ROLE {name} LOGIN PASSWORD 'pass'")
    mysql = urls.parse(mysql_url)
    dumping.query(mysql_url, f"CREATE USER {name}@'%' IDENTIFIED BY 'pass'")
    dumping.query(mysql_url, f"GRANT SELECT, CREATE ON {mysql.database}.* TO {name}@'%'")
    postgres = urls.parse(postgres_url)
    for url, statement, hidden in (
        (f"postgresql://{name}:pass@{postgres.host}:{postgres.port}/{postgres.database}", "CREATE TABLE", "pg_monitor"),
        (f"mysql://{name}:pass@{mysql.host}:{mysql.port}/{mysql.database}", "INSERT INTO", "PROCESS"),
    ):
        found = look(project(tmp_path, url), "privileges")
        blockers = [one.what for one in found if one.level is Level.BLOCKER]
        assert blockers[0].startswith(f"our user may not: {statement} stepwell_scratch")
        assert any(hidden in one.do for one in found if one.level is Level.WARNING), found


def test_a_server_that_takes_no_writes_stops_a_release(tmp_path: Path, postgres_url: str) -> None:
    made = project(tmp_path, postgres_url, a0001_t=TABLE["sqlite"])
    name = urls.parse(postgres_url).database
    dumping.query(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end = made("up")
    assert end.code == 8
    assert "writable: main: it takes no writes: default_transaction_read_only is on" in end.stderr


def test_a_transaction_that_is_open_for_long_is_named_and_does_not_stop_a_release(
    tmp_path: Path, postgres_url: str, mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LONG", -1.0)
    mysql = urls.parse(mysql_url)
    for url in (postgres_url, mysql_url):
        made = project(tmp_path / urls.parse(url).engine, url, a0001_t=TABLE["sqlite"])
        done(made("up"))
        with (
            psycopg.connect(url)
            if url == postgres_url
            else pymysql.connect(
                host=mysql.host, port=mysql.port or 0, user=mysql.user, password=mysql.password, database=mysql.database
            )
        ) as session:
            session.cursor().execute("INSERT INTO t VALUES (1)")
            time.sleep(0.2)  # InnoDB tells its transactions as they were up to a tenth of a second ago
            found = look(made, "transactions")
            assert {one.level for one in found} == {Level.WARNING}
            assert any("stepwell@" in one.what and "has had a transaction open for" in one.what for one in found)
            made.write({"main/a0002_other": "CREATE TABLE other (id INT)"})
            told: list[object] = []
            result = checking.loaded(made).up(tell=told.append)
            assert result.applied == ["main/a0002_other"]
            assert any("transactions: main: " in str(event) for event in told)
            session.rollback()


def test_a_lock_that_somebody_holds_is_a_warning_and_nothing_is_tried(tmp_path: Path, relational_url: str) -> None:
    made = project(tmp_path, relational_url)
    other = checking.loaded(made).open("main")
    other.connect()
    with other.lock(1.0, lambda holder: None):
        found = look(made, "lock", "privileges")
    other.close()
    assert [(one.item, one.level) for one in found] == [("lock", Level.WARNING)]
    assert "held by" in found[0].what


def test_a_mutation_that_fails_stops_a_release_that_names_its_table_alone(tmp_path: Path, clickhouse_url: str) -> None:
    made = project(
        tmp_path,
        clickhouse_url,
        a0001_t="CREATE TABLE t (id UInt64, n UInt64) ENGINE = MergeTree ORDER BY id; INSERT INTO t VALUES (1, 1)",
    )
    done(made("up"))
    with pytest.raises(Exception, match="throwIf"):
        dumping.query(clickhouse_url, "ALTER TABLE t UPDATE n = throwIf(id = 1) WHERE 1 SETTINGS mutations_sync = 2")
    made.write({"main/a0002_other": "CREATE TABLE other (id UInt8) ENGINE = Memory"})
    end = made("up")
    assert "doctor: mutations: main: a mutation of t fails since" in end.stderr
    assert "applied 1" in done(end)
    made.write({"main/a0003_more": "ALTER TABLE t ADD COLUMN more UInt8"})
    end = made("up")
    assert end.code == 8
    assert "mutations: main: a mutation of t fails since" in end.stderr
    [kill] = re.findall(r"KILL MUTATION WHERE database = '\w+' AND table = 't' AND mutation_id = '\S+';", end.stderr)
    dumping.query(clickhouse_url, kill)
    assert "applied 1" in done(made("up"))


# --- disk -----------------------------------------------------------------------------------------------------


def test_a_release_that_copies_more_than_there_is_room_for_is_stopped_unless_it_is_overridden_by_name(
    tmp_path: Path, postgres_url: str
) -> None:
    made = project(
        tmp_path,
        postgres_url,
        a0001_big="CREATE TABLE big (id BIGINT PRIMARY KEY)",
        a0002_copy="CREATE TABLE copy_of_big AS SELECT id FROM big WHERE false",
    )
    done(made("up", "--to", "main/a0001"))
    # As large as a catalog can tell, and as small as a disk can hold: files of nothing but holes, a GB each.
    [folder] = dumping.query(postgres_url, "SHOW data_directory")
    [file] = dumping.query(postgres_url, "SELECT pg_relation_filepath('big')")
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    for number in range(int(free / 2**30 / 2) + 2):
        path = Path(folder, file if number == 0 else f"{file}.{number}")
        path.touch()
        os.truncate(path, 2**30)
    one = only(look(made, "disk-space"), "disk-space")
    assert one.level is Level.BLOCKER
    assert "to copy big" in one.what
    end = made("up")
    assert end.code == 8
    assert "now  nothing was changed" in end.stderr
    assert "stepwell up --override disk-space" in end.stderr
    assert dumping.versions(postgres_url) == ["a0001_big"]
    assert "applied 1" in done(made("up", "--override", "disk-space"))
    assert "main/a0002_copy  overridden  " in done(made("history"))
    assert "doctor/disk-space: main: the release needs" in done(made("history", "--step", "main/a0002"))


@pytest.mark.parametrize(
    ("engine", "text", "tables"),
    [
        ("clickhouse", "INSERT INTO a SELECT * FROM db.b FINAL JOIN c USING (id)", ["db.b", "c"]),
        ("clickhouse", "INSERT INTO a SELECT * FROM mysql('host', 'db', 'b')", []),
        ("clickhouse", "ALTER TABLE a UPDATE x = 1 WHERE y", ["a"]),
        ("clickhouse", "ALTER TABLE a ADD COLUMN x Int8", []),
        ("clickhouse", "CREATE MATERIALIZED VIEW v TO a AS SELECT * FROM b", []),
        ("mysql", "CREATE TABLE a AS SELECT * FROM `b c` -- FROM d", ["b c"]),
        ("mysql", "REPLACE INTO a SELECT 'FROM x' FROM b", ["b"]),
        ("postgres", "INSERT INTO a VALUES ('SELECT 1 FROM b')", []),
        ("postgres", "WITH x AS (SELECT * FROM b) INSERT INTO a SELECT * FROM x", ["b", "x"]),
        ("sqlite", "UPDATE a SET b = (SELECT c FROM d)", []),
    ],
)
def test_the_tables_that_a_statement_copies_are_told_from_its_text(engine: str, text: str, tables: list[str]) -> None:
    assert copied(text, engine) == tables


# --- backups --------------------------------------------------------------------------------------------------


def test_a_backup_is_as_old_as_its_marker_or_its_command_says(tmp_path: Path, sqlite_url: str) -> None:
    def found(config: str) -> tuple[Level, str]:
        one = only(look(project(tmp_path, sqlite_url, config), "backup"), "backup")
        return one.level, one.what

    marker = tmp_path / "marker"
    assert found(f"backup-marker = '{marker}'")[0] is Level.BLOCKER
    marker.touch()
    assert found(f"backup-marker = '{marker}'")[0] is Level.OK
    os.utime(marker, (time.time() - 7200, time.time() - 7200))
    aged = found(f"backup-marker = '{marker}'\nbackup-age = '1h'")
    assert aged == (Level.BLOCKER, "the last backup is 2 h old; it may be 60 min")
    assert found("backup-command = 'date -u +%Y-%m-%dT%H:%M:%SZ'")[0] is Level.OK
    assert found("backup-command = 'date +%s'")[0] is Level.OK
    assert found("backup-command = 'echo yesterday'")[0] is Level.BLOCKER
    failing = found("backup-command = 'echo secret; false'")
    assert failing[0] is Level.BLOCKER
    assert "ended with 1" in failing[1]
    assert "secret" not in failing[1]


@pytest.mark.parametrize(
    "command", ["echo nan", "echo -inf", "date +%s000", "echo hidden-words", "printf '\\377'", ":"]
)
def test_what_is_no_time_of_a_backup_is_told_and_not_shown(tmp_path: Path, sqlite_url: str, command: str) -> None:
    one = only(look(project(tmp_path, sqlite_url, f"backup-command = {json.dumps(command)}"), "backup"), "backup")
    assert one.level is Level.BLOCKER, one
    assert "hidden-words" not in one.words


def test_up_stops_at_an_old_backup_but_never_looks_with_nothing_to_do(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, "backup-command = 'echo looked >> looks; echo 0'", a0001_t=TABLE["sqlite"])
    end = made("up")
    assert end.code == 8
    assert "backup: the last backup is" in end.stderr
    done(made("up", "--override", "backup"))
    looks = (made.folder / "looks").read_text()
    assert looks == "looked\n" * 2
    assert "applied 0, skipped 1" in done(made("up"))
    assert (made.folder / "looks").read_text() == looks
    assert made("up", "--override", "backups").code == 0  # nothing to do, so nothing to override either


# --- jobs -----------------------------------------------------------------------------------------------------


def test_how_long_a_job_will_take_is_told_from_its_rows_and_its_pace(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, a0001_t="CREATE TABLE t (id INTEGER PRIMARY KEY, n INT)")
    done(made("up"))
    dumping.query(sqlite_url, "INSERT INTO t (id) WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 50) SELECT i FROM s")  # fmt: skip
    jobbing.write_jobs(made, {"fill.sql": "-- batches: keyset main.t by id\n-- where: n IS NULL\nUPDATE t SET n = 1 WHERE ${batch};"})  # fmt: skip
    one = only(look(made, "jobs"), "jobs")
    assert one.what == "job/fill: 50 rows left, its first batches will tell how long they take"
    done(made("job", "run", "fill"))
    assert only(look(made, "jobs"), "jobs").what == "none is left to run"
