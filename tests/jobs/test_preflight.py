"""Before its first batch a job looks whether its table can be gone through by its key, and refuses where it can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dumping
import jobbing
from stepwell.databases.database import Database
from stepwell.databases.keys import KeyFacts
from stepwell.errors import NoTransactions, UnfitKey
from stepwell.jobs.runner import Outcome
from stepwell.project import Project

ENGINES = ("sqlite", "postgres", "mysql", "chdb")
RELATIONAL = ("sqlite", "postgres", "mysql")
TEXT = {"sqlite": "VARCHAR(20)", "postgres": "VARCHAR(20)", "mysql": "VARCHAR(20)", "chdb": "String"}


class Place:
    """A database of an engine with a ledger beside it, and one job over table t."""

    def __init__(self, folder: Path, engine: str, url: str) -> None:
        self.folder, self.engine, self.url = folder, engine, url
        self.ledger = f"sqlite:///{folder / 'ledger.db'}"
        self.project: Project | None = None

    def table(self, columns: str, *rows: str, order: str = "tuple()") -> None:
        """CREATE TABLE t and its rows; on ClickHouse with this sorting key, and without constraints."""
        if self.engine == "chdb":
            columns = columns.replace("PRIMARY KEY", "").replace("UNIQUE", "").replace("NOT NULL", "")
            columns = ", ".join(
                part.replace("NULL", "").replace(kind, f"Nullable({kind})") if " NULL" in part else part
                for part in columns.split(", ")
                for kind in [part.split()[1]]
            )
            settings = "SETTINGS allow_nullable_key = 1"
            self.query(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY {order} {settings}")
        else:
            self.query(f"CREATE TABLE t ({columns})")
        if rows:
            self.query(f"INSERT INTO t VALUES {', '.join(rows)}")

    def query(self, text: str) -> list[tuple[object, ...]]:
        if self.engine != "chdb":
            return [tuple(row.split("\t")) for row in dumping.query(self.url, text)]
        with self.opened() as database:  # this process alone may open the folder
            return database.query(text)

    def opened(self) -> Opened:
        return Opened(self.load({}).open("data"))

    def load(self, jobs: dict[str, str], **environment: str) -> Project:
        made = jobbing.make(self.folder, {"data": self.url, "ledger": self.ledger}, jobs)
        toml = made.folder / "stepwell.toml"
        toml.write_text(toml.read_text() + '\n[ledger]\ndatabase = "ledger"\n')
        urls = {"DATA_DB_URL": self.url, "LEDGER_DB_URL": self.ledger}
        return Project.load(made.folder, urls | environment)

    def run(self, *front: str, job: str = "walk", **environment: str) -> Outcome:
        """Run a job with this front matter, whose statement changes nothing."""
        lines = [*front, "SELECT count(*) FROM t WHERE ${batch};"]
        text = "\n".join([*(f"-- {line}" for line in front), *lines[-1:], ""])
        return self.load({job: text}, **environment).run_job(job)


class Opened:
    def __init__(self, database: Database) -> None:
        self.database = database

    def __enter__(self) -> Database:
        self.database.connect()
        return self.database

    def __exit__(self, *error: object) -> None:
        self.database.close()


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path, request.param, request.getfixturevalue(f"{request.param}_url"))


def refused(place: Place, what: str, *front: str) -> UnfitKey:
    with pytest.raises(UnfitKey) as caught:
        place.run(*front)
    error = caught.value
    assert what in error.what, error
    assert error.exit_code == 2 and error.where.endswith("jobs/walk.sql:1")
    assert error.do
    return error


# --- what is refused --------------------------------------------------------------------------------------


def test_a_table_that_is_not_there(place: Place) -> None:
    refused(place, "there is no table t in database 'data'", "batches: keyset data.t by id")


@pytest.mark.parametrize("kept_by", ["MyISAM", "Aria"])
def test_a_table_without_transactions(tmp_path: Path, mysql_url: str, kept_by: str) -> None:
    place = Place(tmp_path, "mysql", mysql_url)
    place.query(f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY) ENGINE = {kept_by}")
    with pytest.raises(NoTransactions, match=f"t is kept by {kept_by}") as caught:
        place.run("batches: keyset data.t by id")
    place.query(caught.value.do.partition(": ")[2].rstrip(";"))
    assert place.run("batches: keyset data.t by id").state == "complete"


def test_a_column_that_is_not_there(place: Place) -> None:
    place.table("id INT NOT NULL PRIMARY KEY, name INT", order="id")
    error = refused(place, "t has no column ident", "batches: keyset data.t by ident")
    assert "it has id, name" in error.said
    [shown] = place.load({}).overview()
    assert (shown.state, "t has no column ident" in shown.reason) == ("stalled", True)


def test_a_key_without_an_index_and_the_index_to_add_helps(place: Place) -> None:
    place.table("id INT NOT NULL, a INT NOT NULL", "(1, 1)", order="id")
    error = refused(place, "no index of t begins with a, id", "batches: keyset data.t by a, id")
    if place.engine == "chdb":
        assert "Go by columns that its sorting key" in error.do
        assert "there are indexes by (id)" in error.said
        return
    assert ("CONCURRENTLY" in error.do) == (place.engine == "postgres")
    place.query(error.do.splitlines()[1].rstrip(";"))
    assert place.run("batches: keyset data.t by a, id").state == "complete"


def test_a_key_without_an_index_is_taken_where_the_job_says_so(place: Place) -> None:
    place.table("id INT NOT NULL, a INT NOT NULL", "(1, 1)", order="id")
    assert place.run("batches: keyset data.t by a", "unindexed: accept").state == "complete"


@pytest.mark.parametrize("source", ["keyset data.t by a", "groups data.t by a", "drain data.t by a"])
def test_rows_whose_key_is_null_are_counted_and_shown_how_to_find(place: Place, source: str) -> None:
    place.table("a INT NULL, n INT NOT NULL", "(1, 0)", "(NULL, 0)", "(NULL, 0)", "(NULL, 1)", order="a")
    if place.engine != "chdb":
        place.query("CREATE UNIQUE INDEX a_of_t ON t (a)")
    error = refused(place, "2 of its rows have no a", f"batches: {source}", "where: n = 0")
    statement = error.do.splitlines()[1].removeprefix("They are found by: ")
    assert len(place.query(statement)) == 2
    front = f"batches: {source}", "where: n = 0 AND NOT (a IS NULL) AND a > 5"
    assert place.run(*front).state == "complete"


def test_a_key_that_is_not_unique_is_shown_with_one_that_is_there_twice(place: Place) -> None:
    place.table("a INT NOT NULL, b INT NOT NULL", "(1, 1)", "(7, 1)", "(7, 2)", order="a")
    if place.engine == "chdb":  # where nothing is unique: rows with the same key are in one batch
        assert place.run("batches: keyset data.t by a", "size: 1").rows_done == 3
        return
    place.query("CREATE INDEX a_of_t ON t (a, b)")
    error = refused(place, "a is not unique in t", "batches: keyset data.t by a")
    assert error.said == "2 rows have 7"
    assert place.query(error.do.splitlines()[1].removeprefix("All such keys: ")) == [("7", "2")]
    assert place.run("batches: keyset data.t by a, b").state == "complete"
    assert place.run("batches: groups data.t by a", job="in-groups").state == "complete"


KINDS = {
    "postgres": ["real", "interval", "inet"],
    "mysql": ["FLOAT", "ENUM('z', 'a')", "TIME"],
    "chdb": ["Float32", "DateTime64(9)", "IPv4"],
    "sqlite": [],
}
VALUES = {
    "real": "0.1", "FLOAT": "0.1", "Float32": "0.1", "interval": "'1 day'", "inet": "'10.0.0.1'", "ENUM('z', 'a')": "'z'",
    "TIME": "'10:00:00'", "DateTime64(9)": "'2024-01-01 00:00:00.123456789'", "IPv4": "'10.0.0.1'",
}  # fmt: skip


def test_values_that_do_not_come_back_as_they_are(place: Place) -> None:
    for kind in KINDS[place.engine]:
        place.table(f"k {kind} NOT NULL PRIMARY KEY", f"({VALUES[kind]})", order="k")
        error = refused(place, "do not come back as they are", "batches: keyset data.t by k")
        assert error.said.lower() == f"k is of type {kind.lower().replace(', ', ',')}"
        assert "a date with its time" in error.do
        place.query("DROP TABLE t")


# --- what is taken ----------------------------------------------------------------------------------------


def test_an_empty_table_and_one_of_text_keys_are_taken(place: Place) -> None:
    place.table(f"name {TEXT[place.engine]} NOT NULL PRIMARY KEY", order="name")
    assert place.run("batches: keyset data.t by name").state == "complete"
    place.query("INSERT INTO t VALUES ('b'), ('a')")
    assert place.run("batches: keyset data.t by name").rows_done == 2


@pytest.mark.parametrize("place", RELATIONAL, indirect=True)  # a sorting key of ClickHouse can't be dropped
def test_only_the_first_run_looks(place: Place) -> None:
    place.table("id INT NOT NULL", "(1)", "(2)")
    place.query("CREATE UNIQUE INDEX i ON t (id)")
    assert place.run("batches: keyset data.t by id").rows_done == 2
    place.query("DROP INDEX i" + (" ON t" if place.engine == "mysql" else ""))
    assert place.run("batches: keyset data.t by id").state == "complete"


def facts(place: Place, *columns: str) -> KeyFacts:
    with place.opened() as database:
        return database.key_facts("t", columns)


def test_the_beginning_of_a_longer_index_will_do_and_its_middle_will_not(place: Place) -> None:
    if place.engine == "chdb":
        place.table("a INT NOT NULL, b INT NOT NULL, c INT NOT NULL", order="(a, b, toString(c))")
    else:
        place.table("a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, PRIMARY KEY (a, b, c)")
    assert [facts(place, *columns).indexed for columns in (["a"], ["a", "b"], ["b"], ["b", "a"])] == [
        True,
        True,
        False,
        False,
    ]
    assert facts(place, "a", "b", "c").indexed == (place.engine != "chdb")
    assert not facts(place, "a").unique
    assert facts(place, "c", "b", "a").unique == (place.engine != "chdb")


PARTIAL = {
    "sqlite": ["CREATE UNIQUE INDEX i ON t (a) WHERE b = 1", "CREATE UNIQUE INDEX i ON t (abs(a))", "CREATE INDEX i ON t (b, a)"],
    "postgres": [
        "CREATE UNIQUE INDEX i ON t (a) WHERE b = 1",
        "CREATE UNIQUE INDEX i ON t (abs(a))",
        "CREATE INDEX i ON t (b) INCLUDE (a)",
        "CREATE INDEX i ON t USING hash (a)",
        "CREATE INDEX i ON t (name text_pattern_ops)",
        'CREATE INDEX i ON t (name COLLATE "C")',
    ],
    "mysql": ["CREATE UNIQUE INDEX i ON t (name(3))", "CREATE FULLTEXT INDEX i ON t (name)"],
    "chdb": ["ALTER TABLE t ADD INDEX i a TYPE minmax"],
}  # fmt: skip


def test_an_index_of_some_rows_or_in_another_order_does_not_count(place: Place) -> None:
    place.table(f"a INT NOT NULL, b INT NOT NULL, name {TEXT[place.engine]} NOT NULL")
    for statement in PARTIAL[place.engine]:
        place.query(statement)
        for column in ("a", "name"):
            found = facts(place, column)
            assert (found.indexed, found.unique) == (False, False), statement
        if place.engine != "chdb":
            place.query("DROP INDEX i" + (" ON t" if place.engine == "mysql" else ""))


@pytest.mark.parametrize("place", RELATIONAL, indirect=True)  # a sorting key of ClickHouse runs forwards
def test_an_index_that_runs_backwards_will_do_and_one_that_turns_round_will_not(place: Place) -> None:
    place.table("a INT NOT NULL, b INT NOT NULL")
    place.query("CREATE UNIQUE INDEX i ON t (a DESC, b DESC)")
    place.query("CREATE UNIQUE INDEX j ON t (b, a DESC)")
    assert facts(place, "a", "b").indexed
    assert facts(place, "b", "a").unique
    assert not facts(place, "b", "a").indexed
    assert facts(place, "b").indexed


def test_names_are_read_as_the_engine_reads_them(place: Place) -> None:
    quote = {"mysql": "`", "chdb": "`"}.get(place.engine, '"')
    name = f"{quote}OddId{quote}"
    place.table(f"{name} INT NOT NULL PRIMARY KEY", order=name)
    found = facts(place, name)
    assert (found.missing, found.nullable, found.indexed) == ((), (), True)
    assert facts(place, "OddId").missing == (("OddId",) if place.engine == "postgres" else ())
    assert facts(place, "oddid").missing == (("oddid",) if place.engine in ("postgres", "chdb") else ())


def test_a_clickhouse_table_may_be_read_with_final(tmp_path: Path, chdb_url: str) -> None:
    place = Place(tmp_path, "chdb", chdb_url)
    place.query("CREATE TABLE t (a Int32, b Int32) ENGINE = ReplacingMergeTree ORDER BY (a, b)")
    place.query("INSERT INTO t VALUES (1, 1), (2, 1)")
    place.query("INSERT INTO t VALUES (1, 1)")
    assert place.run("batches: keyset data.t FINAL by a, b").rows_done == 2
