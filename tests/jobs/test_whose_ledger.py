"""A ledger is one project's, and stays where it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dumping
import jobbing
from projects import Project, done

ADD = {
    "inc": "-- batches: keyset state.t by id\n-- requires: state/1\n-- records: v\nUPDATE t SET v = v + 1 WHERE ${batch};\n"
}
MADE = {"state/1_t": "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0), (2, 0);"}
COPY = """
-- batches: groups ana.old by id
-- where: missing from new by id
INSERT INTO new SELECT * FROM old WHERE ${batch};
"""
TWINS = """
CREATE TABLE old (id UInt64) ENGINE = MergeTree ORDER BY id;
INSERT INTO old SELECT number FROM numbers(10);
CREATE TABLE new (id UInt64) ENGINE = MergeTree ORDER BY id;
"""
FILLED = "SELECT v, count(*) FROM t GROUP BY v"


def project(folder: Path, urls: Mapping[str, str], jobs: Mapping[str, str] = ADD) -> Project:
    found = jobbing.make(folder, urls, jobs, MADE)
    if "led" in urls:
        toml = found.folder / "stepwell.toml"
        toml.write_text(toml.read_text() + '\n[ledger]\ndatabase = "led"\n')
    return found


def with_one_above(old: Project, name: str, url: str) -> Project:
    """The project with one more database, its section above the others."""
    toml = old.folder / "stepwell.toml"
    toml.write_text(f'[databases.{name}]\nurl = "{url}"\n\n{toml.read_text()}')
    old.write({f"{name}/1_log": "CREATE TABLE log (id INT);"})
    return old


def sqlite(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{folder / name}.db"


def test_a_database_written_above_the_others_does_not_move_the_ledger(tmp_path: Path, relational_url: str) -> None:
    moved = project(tmp_path, {"state": relational_url})
    done(moved("up", "--wait"))
    with_one_above(moved, "audit", sqlite(tmp_path, "audit"))
    for command in ("up", "plan", "status", "job list", "job run inc"):
        end = moved(*command.split())
        assert (end.code, "'state' has one" in end.text) == (2, True), f"{command}: {end.text}"
    assert '[ledger] database = "state"' in end.text
    end = moved("doctor")
    assert (end.code, "'state' has one" in " ".join(end.text.split())) == (8, True), end.text
    toml = moved.folder / "stepwell.toml"
    toml.write_text(toml.read_text() + '\n[ledger]\ndatabase = "state"\n')
    done(moved("up", "--wait"))
    assert dumping.query(relational_url, FILLED) == ["1\t2"]


def test_a_new_ledger_is_begun_by_who_names_it(tmp_path: Path) -> None:
    moved = project(tmp_path, {"state": sqlite(tmp_path, "state")})
    done(moved("up", "--wait"))
    with_one_above(moved, "audit", sqlite(tmp_path, "audit"))
    toml = moved.folder / "stepwell.toml"
    toml.write_text(toml.read_text() + '\n[ledger]\ndatabase = "audit"\n')
    assert "pending" in done(moved("job", "list"))


def test_a_tenant_never_takes_another_tenants_job_for_its_own(tmp_path: Path, relational_url: str) -> None:
    led = sqlite(tmp_path, "led")
    ana = project(tmp_path / "ana", {"state": sqlite(tmp_path, "ana"), "led": led})
    done(ana("up", "--wait"))
    ben = project(tmp_path / "ben", {"state": relational_url, "led": led})
    for command in ("up", "up --wait", "plan", "job run inc", "job undo inc --yes", "snapshot take before"):
        end = ben(*command.split())
        assert (end.code, "another 'state' than this project's" in end.text) == (2, True), f"{command}: {end.text}"
    done(ana("up", "--wait"))


def test_a_tenant_that_was_built_before_is_told_by_its_history(tmp_path: Path, relational_url: str) -> None:
    led, other = sqlite(tmp_path, "led"), {"state": relational_url}
    done(project(tmp_path / "early", other, {})("up"))
    done(project(tmp_path / "ana", {"state": sqlite(tmp_path, "ana"), "led": led})("up", "--wait"))
    ben = project(tmp_path / "ben", {**other, "led": led})
    end = ben("up", "--wait")
    assert end.code == 2 and "began with run" in end.text, end.text
    assert dumping.query(relational_url, FILLED) == ["0\t2"]


def test_two_projects_with_databases_of_other_names_share_no_ledger(tmp_path: Path) -> None:
    led = sqlite(tmp_path, "led")
    done(project(tmp_path / "ana", {"state": sqlite(tmp_path, "ana"), "led": led})("up", "--wait"))
    shop = {"inc": ADD["inc"].replace("state", "shop")}
    ben = jobbing.make(
        tmp_path / "ben", {"led": led, "shop": sqlite(tmp_path, "shop")}, shop, {"shop/1_t": "SELECT 1;"}
    )
    end = ben("up")
    assert end.code == 2 and "it knows state, and not shop" in end.text, end.text
    done(ben("up", "--accept", "state"))
    done(ben("up"))


def test_another_url_of_the_same_database_is_the_same(tmp_path: Path) -> None:
    urls = {"state": sqlite(tmp_path, "state"), "led": sqlite(tmp_path, "led")}
    done(project(tmp_path / "ana", urls)("up", "--wait"))
    (tmp_path / "state.db").rename(tmp_path / "promoted.db")
    again = project(tmp_path / "again", {**urls, "state": sqlite(tmp_path, "promoted")})
    done(again("up", "--wait"))
    done(again("job", "run", "inc"))
    assert dumping.query(again.urls["state"], FILLED) == ["1\t2"]


def test_a_project_gains_and_loses_databases(tmp_path: Path) -> None:
    urls = {"state": sqlite(tmp_path, "state"), "led": sqlite(tmp_path, "led")}
    first = project(tmp_path / "first", urls)
    done(first("up", "--wait"))
    more = project(tmp_path / "more", {**urls, "audit": sqlite(tmp_path, "audit")})
    more.write({"audit/1_log": "CREATE TABLE log (id INT);", "state/2_u": "CREATE TABLE u (id INT);"})
    done(more("up", "--wait"))
    more.write({"state/3_w": "CREATE TABLE w (id INT);"})
    done(more("up", "--wait"))
    first.write({"state/2_u": "CREATE TABLE u (id INT);", "state/3_w": "CREATE TABLE w (id INT);"})
    done(first("up", "--wait"))


def test_a_database_made_anew_is_taken_by_a_persons_word(tmp_path: Path) -> None:
    urls = {"state": sqlite(tmp_path, "state"), "led": sqlite(tmp_path, "led")}
    anew = project(tmp_path / "ana", urls)
    done(anew("up", "--wait"))
    (tmp_path / "state.db").unlink()
    end = anew("up")
    assert end.code == 2 and "stepwell up --accept state" in end.text, end.text
    done(anew("up", "--accept", "state"))
    done(anew("up", "--wait"))
    assert dumping.query(urls["state"], FILLED) == ["1\t2"]
    assert "accepted" in done(anew("history"))
    (tmp_path / "state.db").unlink()
    assert anew("up").code == 2


def test_clickhouse_made_anew_is_not_the_one_that_the_job_ran_on(tmp_path: Path, clickhouse_url: str) -> None:
    made = jobbing.make(
        tmp_path,
        {"state": sqlite(tmp_path, "state"), "ana": clickhouse_url},
        {"copy": COPY},
        {"ana/1_t": TWINS},
    )
    done(made("up", "--wait"))
    for table in ("old", "new", "schema_migrations", "schema_migrations_journal"):
        dumping.query(clickhouse_url, f"DROP TABLE {table} SYNC")
    end = made("up")
    assert end.code == 2 and "this one has none" in end.text, end.text
