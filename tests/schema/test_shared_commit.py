"""Scripts in a row: the record of one shares the commit that begins the next, and nobody notices."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import dumping
import projects
from projects import done, ended, until
from servers.mariadb import MariadbServer
from stepwell import Project
from stepwell.databases import open_database
from stepwell.errors import OrphanStage, StatementFailed, StepwellError
from stepwell.schema import events
from stepwell.schema.events import Event
from stepwell.schema.journal import Journal
from sweeping import prepared, recover

ITEM, MORE = "CREATE TABLE item (id INT PRIMARY KEY);\n", "CREATE TABLE more (id INT);\n"

FIRST: dict[str, dict[str, str | bytes]] = {
    "mysql": {"state/0001_item": ITEM, "state/0002_more": f"{MORE}ALTER TABLE more ADD COLUMN n INT;\n"},
    "postgres": {
        "state/0001_item": f"-- transaction: false\n{ITEM}CREATE INDEX CONCURRENTLY item_1 ON item (id);\n",
        "state/0002_more": "CREATE INDEX CONCURRENTLY item_2 ON item (id);\n",
    },
}
LAST = {
    ("mysql", "a change of the schema"): "CREATE TABLE last (id INT);\n",
    ("mysql", "rows"): "INSERT INTO item VALUES (3);\n",
    ("mysql", "rows and a change"): "INSERT INTO item VALUES (3);\nCREATE TABLE last (id INT);\n",
    ("mysql", "a setting"): "SET SESSION group_concat_max_len = 2048;\nCREATE TABLE last (id INT);\n",
    ("mysql", "what nobody can settle"): "CREATE PROCEDURE p() SELECT 1;\nCALL p();\nDROP PROCEDURE p;\n",
    ("mysql", "one that repeats"): "-- repeat: always\nCREATE OR REPLACE VIEW seen AS SELECT id FROM item;\n",
    ("mysql", "one that takes away"): "-- phase: contract\nDROP TABLE more;\n",
    ("postgres", "a change of the schema"): "CREATE TABLE last (id INT);\n",
    ("postgres", "an index"): "CREATE INDEX CONCURRENTLY item_3 ON item (id);\n",
    ("postgres", "a setting"): "SET work_mem = '8MB';\nCREATE INDEX CONCURRENTLY item_3 ON item (id);\n",
}


def project(request: pytest.FixtureRequest, folder: Path, engine: str, last: str) -> projects.Project:
    """Two scripts that are journalled, the second in several statements on MariaDB, and a third."""
    url = str(request.getfixturevalue(f"{engine}_url"))
    return projects.make(folder / "project", {"state": url}, FIRST[engine] | {"state/0003_last": last})


def loaded(made: projects.Project) -> Project:
    return Project.load(made.folder, {projects.variable(name): url for name, url in made.urls.items()})


@pytest.mark.parametrize(("engine", "last"), LAST)
def test_what_is_said_to_be_applied_is_recorded_and_so_is_what_came_before_when_the_next_is_sent(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, last: str
) -> None:
    made = project(request, tmp_path, engine, LAST[engine, last])
    versions = ["0001_item", "0002_more", "0003_last"]
    order: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, events.Started | events.Finished | events.Begun):
            version = event.reference.removeprefix("state/")
            after = isinstance(event, events.Finished)
            recorded = dumping.versions(made.urls["state"])
            assert recorded[: versions.index(version) + after] == versions[: versions.index(version) + after]
            order.append(f"{type(event).__name__} {version}")

    loaded(made).up(tell=tell)
    assert [act for act in order if "Begun" not in act] == [
        f"{act} {version}" for version in versions for act in ("Started", "Finished")
    ]


def test_a_script_that_reads_the_history_finds_all_that_came_before_it(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    last = "SET @before = (SELECT count(*) FROM schema_migrations);\nCREATE TABLE last AS SELECT @before AS n;\n"
    made = project(request, tmp_path, "mysql", last)
    done(made("up"))
    assert dumping.query(made.urls["state"], "SELECT n FROM last") == ["2"]


def test_a_further_script_of_a_row_is_two_things_to_write_itself_and_one_commit(
    mariadb: MariadbServer, tmp_path: Path
) -> None:
    def writes(count: int) -> int:
        names = [f"state/{number:04}_t" for number in range(count)]
        scripts: dict[str, str | bytes] = {name: f"CREATE TABLE t{name[-6:]} (id INT);\n" for name in names}
        made = projects.make(tmp_path / str(count), {"state": mariadb.new_database()}, scripts)
        ended = made.killed("before", "0", "up")
        assert ended.code == 0, ended.text
        return int(ended.stderr.split()[-1])

    assert writes(6) - writes(2) == 4 * 2


# --- trouble with the next one ----------------------------------------------------------------------------

TROUBLE: dict[str, tuple[str, type[StepwellError]]] = {
    "the server can't read it": ("CREATE TABEL last (id INT);\n", StatementFailed),
    "the server refuses it": ("CREATE TABLE item (id INT);\n", StatementFailed),
    "a stage table of another run is there": ("CREATE TABLE item (id INT);\nRENAME TABLE item TO b;\n", OrphanStage),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_with_the_next_script_leaves_the_one_before_recorded_and_told(
    request: pytest.FixtureRequest, tmp_path: Path, trouble: str
) -> None:
    last, error = TROUBLE[trouble]
    made = project(request, tmp_path, "mysql", last)
    finished: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, events.Finished):
            finished.append(event.reference)

    with pytest.raises(error):
        loaded(made).up(tell=tell)
    assert finished == ["state/0001_item", "state/0002_more"]
    assert dumping.versions(made.urls["state"]) == ["0001_item", "0002_more"]


def test_only_a_table_that_was_made_is_kept_back_while_the_next_look_waits_for_a_lock(
    mysql_url: str, tmp_path: Path
) -> None:
    scripts: dict[str, str | bytes] = {
        "state/0001_item": "CREATE TABLE item (id INT, a INT);\nCREATE TABLE busy (id INT);\n",
        "state/0002_again": "-- lock-timeout: 60s\nALTER TABLE item DROP COLUMN a, ADD COLUMN a INT;\n",
        "state/0003_empty": "TRUNCATE TABLE busy;\n",
    }
    made = projects.make(tmp_path / "project", {"state": mysql_url}, scripts)
    done(made("up", "--count", "1"))
    writer = open_database("state", mysql_url, tmp_path)
    writer.connect()
    writer.query("LOCK TABLES busy WRITE")
    running = made.start("up")
    until(lambda: dumping.versions(mysql_url) == ["0001_item", "0002_again"], running)
    writer.close()
    assert ended(running).code == 0


def test_what_is_written_together_is_written_as_a_whole_or_not_at_all(mysql_url: str, tmp_path: Path) -> None:
    database = open_database("state", mysql_url, tmp_path)
    database.connect()
    journal = Journal(database, f"{database.home()}.schema_migrations")
    with pytest.raises(KeyboardInterrupt), journal.flushed(), journal.together():
        journal.write("one", "0001")
        raise KeyboardInterrupt
    database.close()
    assert dumping.query(mysql_url, "SELECT event FROM schema_migrations_journal") == ["opened"]


# --- kill -9 in between -----------------------------------------------------------------------------------

KILLED_AT = """
import os, signal
from stepwell import Project
from stepwell.schema import events

def tell(event):
    if event == events.{event}:
        os.kill(os.getpid(), signal.SIGKILL)

Project.load().up(tell=tell)
"""


@pytest.mark.parametrize(
    ("engine", "event", "recorded"),
    [
        ("mysql", "Returned('state/0001_item', 1)", []),
        ("mysql", "Returned('state/0002_more', 1)", ["0001_item"]),
        ("mysql", "Returned('state/0002_more', 2)", ["0001_item"]),
        ("mysql", "Returned('state/0003_last', 1)", ["0001_item", "0002_more"]),
        ("postgres", "Returned('state/0001_item', 2)", []),
        ("postgres", "Returned('state/0002_more', 1)", ["0001_item"]),
    ],
)
def test_killed_between_a_statement_and_the_commit_that_two_share_it_is_found_done_and_not_done_again(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, event: str, recorded: list[str]
) -> None:
    made = project(request, tmp_path, engine, LAST[engine, "a change of the schema"])
    fresh = prepared(request, tmp_path, made)
    undisturbed = fresh()
    done(undisturbed("up"))
    killed = fresh()
    assert killed.start_python(KILLED_AT.format(event=event)).wait(60) == -signal.SIGKILL
    assert dumping.versions(killed.urls["state"]) == recorded
    assert recover(killed, undisturbed.dump()) == ""
    settled = "SELECT count(*) FROM schema_migrations_journal WHERE event = 'done' AND note LIKE 'settled: %'"
    assert dumping.query(killed.urls["state"], settled) == ["1"]
