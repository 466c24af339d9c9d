"""What a connection holds between the statements of a script: as in the engine's own client, or the run stops."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import dumping
import projects
from projects import Project, done
from sweeping import prepared, sweep

PSQL = max(Path("/usr/lib/postgresql").glob("*/bin/psql"), default=Path("psql"))
TABLES = {
    "sqlite": "CREATE TABLE p (id INTEGER PRIMARY KEY, n TEXT);\nCREATE TABLE c (p INT, n INT);\n",
    "postgres": "CREATE TABLE p (id SERIAL PRIMARY KEY, n TEXT);\nCREATE TABLE c (p INT, n INT);\n",
    "mysql": "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n TEXT);\nCREATE TABLE c (p INT, n INT);\n",
}
OLD = "INSERT INTO p (n) VALUES ('old');\n"
ALONE = "-- transaction: false\n"


def project(request: pytest.FixtureRequest, folder: Path, engine: str, text: str) -> Project:
    """A script behind one that made p, which has a row, and c."""
    url = str(request.getfixturevalue(f"{engine}_url"))
    return projects.make(folder / "project", {"state": url}, {"state/1_a": TABLES[engine] + OLD, "state/2_b": text})


def rows(made: Project) -> list[str]:
    return dumping.query(made.urls["state"], "SELECT p, n FROM c ORDER BY 1, 2")


def by_client(request: pytest.FixtureRequest, made: Project, engine: str) -> list[str]:
    """What the engine's own client leaves of the same two files, in a database of its own."""
    folder = made.folder / "migrations" / "state"
    texts = [(folder / file).read_text() for file in ("1_a.sql", "2_b.sql")]
    if engine == "sqlite":
        with closing(sqlite3.connect(made.folder / "client.db", isolation_level=None)) as connection:
            for statement in "".join(texts).split(";\n"):
                connection.execute(statement)
        return dumping.query(f"sqlite:///{made.folder / 'client.db'}", "SELECT p, n FROM c ORDER BY 1, 2")
    server = request.getfixturevalue({"mysql": "mariadb", "postgres": "postgres"}[engine])
    url = str(server.new_database())
    seen = urlsplit(url)
    to = [f"--host={seen.hostname}", f"--port={seen.port}"]
    if engine == "mysql":
        to = ["mariadb", *to, f"--user={seen.username}", f"--password={seen.password or ''}", seen.path[1:]]
    else:
        to = [str(PSQL), "-qX", url]
    for text in texts:
        subprocess.run(to, input=text, text=True, check=True, capture_output=True, timeout=60)
    return dumping.query(url, "SELECT p, n FROM c ORDER BY 1, 2")


UNDISTURBED = {
    "sqlite, the row just inserted": (
        "sqlite",
        ALONE + "INSERT INTO p VALUES (77, 'x'), (78, 'y');\nINSERT INTO c SELECT last_insert_rowid(), changes();\n",
        "78\t2",
    ),
    "sqlite, one that was inserted before other statements": (
        "sqlite",
        ALONE + "INSERT INTO p VALUES (77, 'x');\nUPDATE p SET n = 'z';\nPRAGMA cache_size = 100;\nVACUUM;\n"
        "CREATE TABLE more (a);\nINSERT INTO c SELECT last_insert_rowid(), 1;\n",
        "77\t1",
    ),
    "mysql, the key across a schema change": (
        "mysql",
        "INSERT INTO p (n) VALUES ('x');\nCREATE TABLE more (a INT);\nINSERT INTO c VALUES (LAST_INSERT_ID(), 1);\n",
        "2\t1",
    ),
    "mysql, the count of rows": (
        "mysql",
        "CREATE TABLE more (a INT);\nINSERT INTO p (n) VALUES ('a'), ('b');\nSET @rows = ROW_COUNT();\n"
        "INSERT INTO c VALUES (@rows, ROW_COUNT());\n",
        "2\t0",
    ),
    "mysql, the rows found": (
        "mysql",
        "CREATE TABLE more (a INT);\nINSERT INTO p (n) VALUES ('a'), ('b');\n"
        "SELECT SQL_CALC_FOUND_ROWS * FROM p LIMIT 1;\nINSERT INTO c VALUES (FOUND_ROWS(), 1);\n",
        "3\t1",
    ),
    "mysql, the warnings": (
        "mysql",
        "CREATE TABLE more (a INT);\nINSERT IGNORE INTO c (n) VALUES ('1x');\n"
        "SET @said = @@warning_count;\nUPDATE c SET p = @said, n = 2;\n",
        "1\t2",
    ),
    "postgres, the key across an index": (
        "postgres",
        "INSERT INTO p (n) VALUES ('x');\nCREATE INDEX CONCURRENTLY pn ON p (n);\nINSERT INTO c SELECT lastval(), 1;\n",
        "2\t1",
    ),
}


@pytest.mark.parametrize("case", UNDISTURBED)
def test_an_uninterrupted_script_leaves_what_the_engines_own_client_would(
    request: pytest.FixtureRequest, tmp_path: Path, case: str
) -> None:
    engine, text, expected = UNDISTURBED[case]
    made = project(request, tmp_path, engine, text)
    done(made("up"))
    assert rows(made) == [expected]
    assert by_client(request, made, engine) == [expected]


BROKEN, MENDED = "CREATE TABLE more (a NONSENSE_ (;\n", "CREATE TABLE more (a INT);\n"
INDEX, INDEXED = "CREATE INDEX CONCURRENTLY pn ON p (nn);\n", "CREATE INDEX CONCURRENTLY pn ON p (n);\n"
RESUMED = {
    "mysql, a variable read from the tables": (
        "mysql", "SET @n = (SELECT count(*) FROM p);\n", "INSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO c VALUES (@n, 1);\n", {"@n": 1, "at": 4},
    ),
    "mysql, the key": (
        "mysql", "", "INSERT INTO p (n) VALUES ('x');\n", "INSERT INTO c VALUES (LAST_INSERT_ID(), 1);\n",
        {"LAST_INSERT_ID()": 1, "at": 3},
    ),
    "mysql, the key kept in a variable": (
        "mysql", "", "INSERT INTO p (n) VALUES ('x');\nSET @id := last_insert_id();\n",
        "INSERT INTO c VALUES (@ID, 1);\n", {"@id": 2, "at": 4},
    ),
    "mysql, a key that a later insertion does not make": (
        "mysql", "", "INSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO c VALUES (0, 0);\nUPDATE c SET p = LAST_INSERT_ID();\n", {"LAST_INSERT_ID()": 1, "at": 4},
    ),
    "mysql, a temporary table of rows that are gone": (
        "mysql", "CREATE TEMPORARY TABLE tmp AS SELECT id FROM p;\n", "DELETE FROM p;\n",
        "INSERT INTO c SELECT id, 1 FROM tmp;\n", {"tmp": 1, "at": 4},
    ),
    "mysql, a prepared text that was made from rows": (
        "mysql", "SET @q = (SELECT CONCAT('INSERT INTO c VALUES (', count(*), ', 1)') FROM p);\nPREPARE s FROM @q;\n",
        "DELETE FROM p;\n", "EXECUTE s;\n", {"PREPARE s": 2, "at": 5},
    ),
    "postgres, a temporary table of rows that are gone": (
        "postgres", "CREATE TEMP TABLE tmp AS SELECT id FROM p;\n", "DELETE FROM p;\n",
        "INSERT INTO c SELECT id, 1 FROM tmp;\n", {"tmp": 1, "at": 4},
    ),
    "postgres, the key": (
        "postgres", "", "INSERT INTO p (n) VALUES ('x');\n", "INSERT INTO c SELECT lastval(), 1;\n",
        {"lastval()": 1, "at": 3},
    ),
    "postgres, a setting read from the tables": (
        "postgres", "SELECT set_config('my.n', (SELECT count(*)::text FROM p), false);\n",
        "INSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO c SELECT current_setting('my.n', true)::int, 1;\n", {"my.n": 1, "at": 4},
    ),
    "sqlite, the row": (
        "sqlite", "", "INSERT INTO p (n) VALUES ('x');\n", "INSERT INTO c SELECT last_insert_rowid(), 1;\n",
        {"last_insert_rowid()": 1, "at": 3},
    ),
    "sqlite, a temporary table of rows that are gone": (
        "sqlite", "CREATE TEMP TABLE tmp AS SELECT id FROM p;\n", "DELETE FROM p;\n",
        "INSERT INTO c SELECT id, 1 FROM tmp;\n", {"tmp": 1, "at": 4},
    ),
}  # fmt: skip


UNFORESEEN = {
    "mysql, a key that a later insertion does not make",  # whether one makes a key is seen when it has run
    "mysql, a prepared text that was made from rows",  # its EXECUTE is named for another reason
}
"""Of these `plan` does not say that they can't be resumed."""


def half_applied(
    request: pytest.FixtureRequest, folder: Path, engine: str, before: str, after: str
) -> tuple[Project, str]:
    """A script of which a statement in the middle failed, and its text with that one corrected."""
    broken, mended = (INDEX, INDEXED) if engine == "postgres" else (BROKEN, MENDED)
    if engine == "sqlite":
        broken, mended = "VACUUM nonsense_;\n", "VACUUM;\n"
    made = project(request, folder, engine, ALONE + before + broken + after)
    assert made("up").code == 1
    return made, ALONE + before + mended + after


@pytest.mark.parametrize("case", RESUMED)
def test_what_only_the_interrupted_session_knew_stops_the_resume_until_a_person_answers(
    request: pytest.FixtureRequest, tmp_path: Path, case: str
) -> None:
    engine, before, change, after, lacking = RESUMED[case]
    made, text = half_applied(request, tmp_path, engine, before + change, after)
    made.write({"state/2_b": text})
    name, origin = next(iter(lacking.items()))
    if case not in UNFORESEEN:
        told = " ".join(done(made("plan")).split())
        assert f"statement {lacking['at']} (line {lacking['at'] + 1}) needs {name} of statement {origin}" in told
    for _ in range(2):
        ended = made("up")
        assert ended.code == 4, ended.text
        assert f"state/2_b, statement {lacking['at']} needs {name} of statement {origin}" in ended.stderr
        assert f"2_b.sql:{lacking['at'] + 1}" in ended.stderr
    assert f"needs {name}" in done(made("status"))
    found = rows(made)
    assert found in ([], ["0\t0"])
    done(made("resolve", f"state/2_b:{lacking['at']}", "done"))
    done(made("up"))
    assert rows(made) == found
    assert "applied 0, skipped 2" in done(made("up"))


def test_it_goes_on_with_the_value_written_into_the_file(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    insert, use = "INSERT INTO p (n) VALUES ('x');\n", "INSERT INTO c VALUES (LAST_INSERT_ID(), 1);\n"
    made, text = half_applied(request, tmp_path, "mysql", insert, use)
    made.write({"state/2_b": text})
    assert made("up").code == 4
    made.write({"state/2_b": text.replace("LAST_INSERT_ID()", "2")})
    done(made("up"))
    assert rows(made) == ["2\t1"]


def test_it_goes_on_as_it_is_where_a_person_says_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made, text = half_applied(
        request, tmp_path, "sqlite", "INSERT INTO c VALUES (1, 1);\n", "UPDATE c SET n = last_insert_rowid();\n"
    )
    made.write({"state/2_b": text})
    assert made("up").code == 4
    done(made("resolve", "state/2_b:3", "not-done"))
    done(made("up"))
    assert rows(made) == ["1\t0"]


AGAIN = {
    "mysql, a variable that nothing came behind": (
        "mysql", "INSERT INTO p (n) VALUES ('x');\nSET @n = (SELECT count(*) FROM p);\n",
        "INSERT INTO c VALUES (@n, 1);\n", "2\t1",
    ),
    "mysql, variables that come from no table": (
        "mysql", "SET @a = 3, @b = CONCAT('1', @@auto_increment_increment);\nINSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO c VALUES (@a, @b);\n", "3\t11",
    ),
    "mysql, a key that this session made": (
        "mysql", "INSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO p (n) VALUES ('y');\nCREATE TABLE further (a INT);\nINSERT INTO c VALUES (LAST_INSERT_ID(), 1);\n",
        "3\t1",
    ),
    "mysql, a prepared text for each change": (
        "mysql", "SET @q = (SELECT 'INSERT INTO c VALUES (1, 1)');\nPREPARE s FROM @q;\nEXECUTE s;\n",
        "SET @q = (SELECT CONCAT('UPDATE c SET n = ', count(*)) FROM p);\nPREPARE s FROM @q;\nEXECUTE s;\n", "1\t1",
    ),
    "postgres, a temporary table that nothing came behind": (
        "postgres", "INSERT INTO p (n) VALUES ('x');\nCREATE TEMP TABLE tmp AS SELECT id FROM p;\n"
        "CREATE INDEX ON tmp (id);\nDELETE FROM tmp WHERE id = 1;\n",
        "INSERT INTO c SELECT id, 1 FROM tmp;\nDROP TABLE tmp;\n", "2\t1",
    ),
    "sqlite, a temporary table of rows that the file names": (
        "sqlite", "CREATE TEMP TABLE tmp (id INT);\nINSERT INTO tmp VALUES (5);\nINSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO c SELECT id, 1 FROM tmp;\n", "5\t1",
    ),
    "sqlite, one that was dropped and made anew": (
        "sqlite", "CREATE TEMP TABLE tmp AS SELECT id FROM p;\nDELETE FROM p;\nDROP TABLE tmp;\n",
        "CREATE TEMP TABLE tmp AS SELECT 7 AS id;\nINSERT INTO c SELECT id, 1 FROM tmp;\n", "7\t1",
    ),
    "sqlite, a row that this session inserted": (
        "sqlite", "INSERT INTO p (n) VALUES ('x');\n",
        "INSERT INTO p VALUES (9, 'y');\nINSERT INTO c SELECT last_insert_rowid(), changes();\n", "9\t1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AGAIN)
def test_what_can_be_had_again_is_there_on_the_resume(
    request: pytest.FixtureRequest, tmp_path: Path, case: str
) -> None:
    engine, before, after, expected = AGAIN[case]
    made, text = half_applied(request, tmp_path, engine, before, after)
    made.write({"state/2_b": text})
    done(made("up"))
    assert rows(made) == [expected]


@pytest.mark.parametrize("engine", ["mysql", "postgres", "sqlite"])
def test_a_key_and_the_row_that_names_it_are_one_transaction(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    key = {"mysql": "LAST_INSERT_ID()", "postgres": "lastval()", "sqlite": "last_insert_rowid()"}[engine]
    text = f"{ALONE}INSERT INTO p (n) VALUES ('x');\nINSERT INTO c SELECT {key}, 1 FROM p WHERE id = 1;\nNONSENSE_;\n"
    made = project(request, tmp_path, engine, text.replace("WHERE id", "WHERE idd"))
    assert made("up").code == 1
    assert dumping.query(made.urls["state"], "SELECT count(*) FROM p") == ["1"]
    made.write({"state/2_b": text.replace("NONSENSE_;\n", "CREATE TABLE more (a INT);\n")})
    done(made("up"))
    assert [row.split("\t")[1] for row in rows(made)] == ["1"]
    assert dumping.query(made.urls["state"], "SELECT count(*) FROM p JOIN c ON c.p = p.id WHERE p.n = 'x'") == ["1"]


@pytest.mark.parametrize("engine", ["mysql", "sqlite"])
def test_killed_anywhere_a_key_and_the_row_that_names_it_are_as_without_the_kill(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    key, counted = {"mysql": ("LAST_INSERT_ID()", "ROW_COUNT()"), "sqlite": ("last_insert_rowid()", "changes()")}[
        engine
    ]
    text = (
        f"{ALONE}CREATE TABLE more (a INT);\nINSERT INTO p (n) VALUES ('x');\n"
        f"INSERT INTO c SELECT {key}, {counted} FROM p WHERE id = 1;\nCREATE TABLE further (a INT);\n"
    )
    made = project(request, tmp_path, engine, text)
    done(made("up", "--count", "1"))
    sweep(prepared(request, tmp_path, made), "up", sample=5)


def test_what_tells_of_the_statement_before_is_refused_where_that_commits_by_itself(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text = "CREATE TABLE more AS SELECT * FROM p;\nSET @rows = ROW_COUNT();\nINSERT INTO c VALUES (@rows, 1);\n"
    made = project(request, tmp_path, "mysql", text)
    ended = made("up")
    assert ended.code == 2, ended.text
    assert "statement 2 needs ROW_COUNT() of the statement just before" in ended.stderr
    assert dumping.query(made.urls["state"], "SHOW TABLES LIKE 'more'") == []
