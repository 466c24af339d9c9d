"""Sentences that are not understood, changes that can't be lived through, and what is said then."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dumping
import projects
import writing
from projects import Project, done, variable
from stepwell import project
from stepwell.errors import BadSentence, CannotConnect, LedgerNotRelational, NoThreePoints, StepwellError
from stepwell.threepoint import sentence
from stepwell.threepoint.widening import holds_all

TABLES = {
    "postgres": [
        "CREATE TABLE teams (id bigint PRIMARY KEY)",
        """
        CREATE TABLE users (
          id bigint PRIMARY KEY, name text, email text UNIQUE, age integer CHECK (age > 0), team bigint REFERENCES teams,
          shown text, made uuid DEFAULT gen_random_uuid(), number serial, code text NOT NULL, price double precision,
          twice integer GENERATED ALWAYS AS (2 * 2) STORED, found text
        )
        """,
        "CREATE INDEX users_found ON users (found)",
        "CREATE VIEW shown_users AS SELECT shown FROM users",
        "CREATE TABLE keyless (name text)",
    ],
    "mysql": [
        "CREATE TABLE teams (id BIGINT PRIMARY KEY)",
        """
        CREATE TABLE users (
          id BIGINT PRIMARY KEY, name TEXT, email VARCHAR(50) UNIQUE, age INTEGER CHECK (age > 0),
          team BIGINT, FOREIGN KEY (team) REFERENCES teams (id), shown VARCHAR(20), made CHAR(36) DEFAULT (uuid()),
          code VARCHAR(20) NOT NULL, price DOUBLE, twice INTEGER AS (2 * 2) STORED, found VARCHAR(20),
          changed TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP, INDEX users_found (found)
        )
        """,
        "CREATE VIEW shown_users AS SELECT shown FROM users",
        "CREATE TABLE keyless (name TEXT)",
    ],
    "sqlite": [
        "CREATE TABLE teams (id INTEGER PRIMARY KEY)",
        """
        CREATE TABLE users (
          id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE, age INTEGER CHECK (age > 0), team INTEGER REFERENCES teams,
          shown TEXT, made TEXT DEFAULT (hex(randomblob(8))), code TEXT NOT NULL, price REAL,
          twice INTEGER AS (2 * 2) STORED, found TEXT
        )
        """,
        "CREATE INDEX users_found ON users (found)",
        "CREATE VIEW shown_users AS SELECT shown FROM users",
        "CREATE TABLE keyless (name TEXT)",
    ],
}
REFUSED = [
    ("rename users.id to users.number2", "primary key|users_pkey"),
    ("rename users.email to users.mail", "users_email_key|unique index"),
    ("rename users.age to users.years", "CHECK|users_age_check"),
    ("rename users.team to users.crew", "foreign key|users_team_fkey"),
    ("rename users.shown to users.visible", "view shown_users"),
    ("drop users.shown", "view shown_users"),
    ("rename users.twice to users.double", "its own definition"),
    ("rename users.made to users.created", "made anew for each row"),
    ("change users.price to numeric(20,4)", "may hold values that are no numeric"),
    ("change users.name to integer", "may hold values that are no integer"),
    ("rename keyless.name to keyless.title", "no primary key"),
    ("rename users.nme to users.title", "has no column nme \\(did you mean 'name'\\?\\)"),
    ("rename user.name to user.title", "has no table user \\(did you mean 'users'\\?\\)"),
    ("rename users.name to users.email", "has a column email already"),
    ("add users.name text", "has a column name already"),
    ("add users.rank integer not null", "NOT NULL without a default"),
    ("add users.rank integer unique", "UNIQUE is more than a column"),
    ("add users.token text default (uuid())", "made anew for each row"),
    ("drop users.code", "NOT NULL without a default"),
]


@pytest.fixture(scope="module", params=["postgres", "mysql", "sqlite"])
def refusing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[project.Project]:
    """A project on a database with columns that much hangs on."""
    folder, engine = tmp_path_factory.mktemp("project"), str(request.param)
    server = {"postgres": "postgres", "mysql": "mariadb"}.get(engine)
    url = request.getfixturevalue(server).new_database() if server else f"sqlite:///{folder}/main.db"
    with closing(writing.connect(url)) as connection:
        for text in TABLES[engine]:
            connection.cursor().execute(text)
    made = projects.make(folder, {"state": url}, {})
    yield project.Project.load(made.folder, {variable("state"): url})
    assert not list(folder.glob("migrations/state/*")), "a refusal wrote a file"


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_is_not_safe_is_refused_with_the_reason(refusing: project.Project, text: str, why: str) -> None:
    with pytest.raises(NoThreePoints, match="can't be done in three points") as refused:
        refusing.new_three_point(text)
    assert refused.value.do and refused.value.now == "nothing was written"
    assert re.search(why, refused.value.said), refused.value.said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("renam users.name to users.title", "did you mean 'rename'?"),
        ("rename users.name users.title", "rename users.name to users.full_name"),
        ("rename users.name to teams.name", "users and teams are two tables"),
        ("rename users.name to users.Name", "two columns can't have one name"),
        ("split users.name into users.first by ' '", "one column is not split into one"),
        ("drop name", "drop users.legacy"),
        ("", "Write a sentence such as"),
    ],
)
def test_a_sentence_that_is_not_understood_shows_the_form(text: str, says: str) -> None:
    with pytest.raises(BadSentence) as bad:
        sentence.read(text)
    assert says in str(bad.value)


@given(st.text(max_size=60), st.sampled_from(["", *sentence.VERBS]))
@settings(max_examples=30)
def test_any_text_is_a_sentence_or_refused_as_one(text: str, verb: str) -> None:
    try:
        assert sentence.read(f"{verb} {text}").verb in sentence.VERBS
    except BadSentence as bad:
        assert bad.do


def test_without_the_database_only_a_column_can_be_added(tmp_path: Path) -> None:
    made = projects.make(
        tmp_path, {"state": "postgresql://nobody@127.0.0.1:1/nowhere"}, {"state/0001_users": "SELECT 1;"}
    )
    loaded = project.Project.load(made.folder, {variable("state"): made.urls["state"]})
    files, notes = loaded.new_three_point("add users.age integer default 0")
    assert [file.name for file in files] == ["0002_users_age.sql"]
    assert "could not be reached" in notes[-1]
    with pytest.raises(CannotConnect):
        loaded.new_three_point("rename users.name to users.title")


def test_no_file_is_written_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/main.db"
    made = projects.make(tmp_path / "p", {"state": url}, {})
    dumping.query(url, "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    loaded = project.Project.load(made.folder, {variable("state"): url})
    loaded.new_three_point("rename users.name to users.title")
    before = {path: path.read_text() for path in made.folder.rglob("*.sql")}
    with pytest.raises(StepwellError, match="is there already"):
        loaded.new_three_point("rename users.name to users.title")
    assert {path: path.read_text() for path in made.folder.rglob("*.sql")} == before


@pytest.mark.parametrize(
    ("engine", "old", "new", "fits"),
    [
        ("postgres", "integer", "bigint", True),
        ("postgres", "bigint", "integer", False),
        ("postgres", "integer", "numeric(20,4)", True),
        ("postgres", "bigint", "numeric(20,4)", False),
        ("postgres", "numeric(10,2)", "numeric(20,4)", True),
        ("postgres", "numeric(10,2)", "numeric(12,1)", False),
        ("postgres", "numeric", "numeric(20,4)", False),
        ("postgres", "double precision", "numeric(20,4)", False),
        ("postgres", "character varying(50)", "text", True),
        ("postgres", "text", "character varying(50)", False),
        ("postgres", "integer", "text", True),
        ("postgres", "bigint", "double precision", False),
        ("mysql", "int(10) unsigned", "int(11)", False),
        ("mysql", "int(10) unsigned", "bigint(20)", True),
        ("mysql", "smallint(6)", "int(10) unsigned", False),
        ("postgres", "numeric(9)", "integer", True),
        ("postgres", "numeric(10)", "integer", False),
        ("mysql", "varchar(20000)", "text", False),
        ("clickhouse", "UInt32", "Int64", True),
        ("clickhouse", "UInt64", "Int64", False),
        ("clickhouse", "Float64", "Decimal(18, 4)", False),
        ("sqlite", "INTEGER", "numeric(20,4)", True),
        ("postgres", "jsonb", "text", False),
    ],
)
def test_which_types_hold_all_values_of_another(engine: str, old: str, new: str, fits: bool) -> None:
    assert holds_all(old, new, engine) is fits


# --- ClickHouse -----------------------------------------------------------------------------------------------


def clickhouse(folder: Path, url: str) -> Project:
    first = (
        "CREATE TABLE users (id UInt64, name String, day Date DEFAULT today()) ENGINE = MergeTree ORDER BY (id, day);\n"
        "-- down\nDROP TABLE users SETTINGS max_table_size_to_drop = 0;\n"
    )
    made = projects.make(
        folder / "project", {"state": f"sqlite:///{folder}/main.db", "analytics": url}, {"analytics/0001_users": first}
    )
    done(made("up"))
    return made


@contextmanager
def inserting(url: str, first: int, *columns: str) -> Iterator[list[str]]:
    """A server that inserts while the block runs, the same text into each of `columns`; the texts. No insert may fail."""
    wrote, said, stop = list[str](), list[Exception](), threading.Event()

    def run() -> None:
        try:
            while not stop.is_set():
                text = f"n{first + len(wrote)}"
                values = ", ".join(f"'{text}'" for _ in columns)
                insert = f"INSERT INTO users (id, {', '.join(columns)}) VALUES ({first + len(wrote)}, {values})"
                dumping.query(url, insert)
                wrote.append(text)
                time.sleep(0.05)  # each makes a part
        except Exception as error:  # whatever it is, the server would have met it
            said.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield wrote
    finally:
        stop.set()
        thread.join()
        assert not said, said


@pytest.mark.soak
def test_in_clickhouse_a_default_carries_the_old_servers_values_over_and_is_turned_around(
    clickhouse_url: str, tmp_path: Path
) -> None:
    made, url = clickhouse(tmp_path, clickhouse_url), clickhouse_url
    dumping.query(url, "INSERT INTO users (id, name) VALUES (1, 'n1')")
    out = done(made("new", "--three-point", "rename users.name to users.full_name", "--database", "analytics"))
    assert "new servers must write users.name as well" in " ".join(out.split())
    assert "0 errors, 0 warnings" in done(made("lint"))

    def columns_agree() -> bool:
        return dumping.query(url, "SELECT count() FROM users WHERE full_name != name") == ["0"]

    with inserting(url, 1_000, "name") as old:
        done(made("up", "--to", "analytics/0002"))
        with inserting(url, 2_000, "name", "full_name") as new:
            done(made("up"))
    assert columns_agree()
    dumping.query(url, "INSERT INTO users (id, full_name) VALUES (4, 'forgotten')")
    done(made("runbook", "sign", "signoff/users-name-unused"))
    assert "waits for check/users-full-name: 1 row" in done(made("up"))
    dumping.query(url, "ALTER TABLE users DELETE WHERE id = 4 SETTINGS mutations_sync = 2")
    with inserting(url, 3_000, "name", "full_name") as newer:
        assert "signoff/users-name-unwritten" in (applied := done(made("up"))) and "applied 1" in applied
        with inserting(url, 4_000, "full_name") as newest:
            done(made("check"))
    assert columns_agree()
    with inserting(url, 5_000, "full_name") as last:
        done(made("runbook", "sign", "signoff/users-name-unwritten"))
        assert "applied 1" in done(made("up"))
    texts = ["n1", *old, *new, *newer, *newest, *last]
    assert all([old, new, newer, newest, last])
    assert dumping.query(url, "SELECT full_name FROM users ORDER BY id") == texts
    columns = "SELECT name FROM system.columns WHERE table = 'users' AND database = currentDatabase()"
    assert dumping.query(url, columns) == ["id", "day", "full_name"]


def test_in_clickhouse_the_way_back_gives_up_the_new_column_alone(clickhouse_url: str, tmp_path: Path) -> None:
    made, url = clickhouse(tmp_path, clickhouse_url), clickhouse_url
    done(made("new", "--three-point", "rename users.name to users.full_name", "--database", "analytics"))
    done(made("up", "--to", "analytics/0002"))
    dumping.query(url, "INSERT INTO users (id, name) VALUES (2, 'Ben')")
    assert "undone 1" in done(made("down", "--database", "analytics"))
    assert dumping.query(url, "SELECT name FROM users") == ["Ben"]


def test_in_clickhouse_a_column_of_the_sorting_key_stays(clickhouse_url: str, tmp_path: Path) -> None:
    made = clickhouse(tmp_path, clickhouse_url)
    ended = made("new", "--three-point", "drop users.day", "--database", "analytics")
    assert ended.code == 2
    assert "the sorting key" in ended.stderr


def test_without_a_ledger_that_can_hold_a_sign_off_there_is_no_contract(clickhouse_url: str, tmp_path: Path) -> None:
    made = projects.make(tmp_path, {"analytics": clickhouse_url}, {})
    loaded = project.Project.load(made.folder, {variable("analytics"): clickhouse_url})
    with pytest.raises(LedgerNotRelational):
        loaded.new_three_point("drop users.day")


DROPPED = {
    "postgres": "CREATE VIEW seen AS SELECT gone FROM users",
    "mysql": "CREATE TRIGGER seen BEFORE INSERT ON users FOR EACH ROW SET NEW.gone = 'x'",
    "sqlite": "CREATE VIEW seen AS SELECT gone FROM users",
}


@pytest.mark.parametrize("engine", DROPPED)
def test_a_column_is_dropped_when_nothing_in_the_database_uses_it(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    first = "CREATE TABLE users (id INTEGER PRIMARY KEY, gone VARCHAR(20), undergone VARCHAR(20));\n"
    made = projects.make(tmp_path / "project", {"state": url}, {"state/0001_users": first})
    done(made("up"))
    done(made("new", "--three-point", "drop users.gone"))
    dumping.query(url, "CREATE VIEW others AS SELECT undergone FROM users")
    dumping.query(url, DROPPED[engine])
    done(made("runbook", "sign", "signoff/users-gone-unused"))
    assert "waits for check/users-gone-unused: 1 row" in done(made("up"))
    dumping.query(url, f"DROP {DROPPED[engine].split()[1]} seen")
    assert "applied 1" in done(made("up"))
