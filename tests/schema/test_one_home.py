"""Stepwell's tables on PostgreSQL stay where they were made, whatever comes to stand on the search path."""

from __future__ import annotations

from pathlib import Path

import pytest

import dumping
import jobbing
from projects import Project, done

ADD = "-- batches: keyset state.t by id\nUPDATE t SET v = v + 1 WHERE ${batch};\n"
"""Nothing in a row tells whether the job took it: only the ledger knows."""

AHEAD = {
    "the first that $user means": "CREATE SCHEMA stepwell;",  # our role's name
    "first on another path": "CREATE SCHEMA app;\nDO $$ BEGIN EXECUTE"
    " format('ALTER DATABASE %I SET search_path = app, public', current_database()); END $$;",
}
"""Scripts that let a schema appear before the one that the tables are in."""


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> Project:
    scripts = {"state/1_t": "CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1, 0), (2, 0);\n"}
    return jobbing.make(tmp_path, {"state": postgres_url}, {"inc": ADD}, scripts)


def ours(url: str) -> set[str]:
    """The schemas that have tables of Stepwell's."""
    return set(
        dumping.query(
            url,
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^(schema_migrations|stepwell_)'",
        )
    )


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize("begun", ["with a complete job", "before the ledger was made"])
def test_a_schema_that_appears_ahead_on_the_path_changes_nothing(project: Project, ahead: str, begun: str) -> None:
    url = project.urls["state"]
    done(project("up"))
    if begun == "with a complete job":
        jobbing.run(project, "inc")
    project.write({"state/2_schema": AHEAD[ahead]})
    done(project("up", "--wait"))
    project.write({"state/3_more": "CREATE INDEX CONCURRENTLY more ON t (v);\nCREATE TABLE x (id INT);"})
    assert done(project("up", "--wait")).splitlines()[-1] == "applied 1, skipped 2"
    assert jobbing.run(project, "inc")["state"] == "complete"
    assert done(project("up")) == "applied 0, skipped 3\n"
    assert dumping.query(url, "SELECT id, v FROM public.t ORDER BY id") == ["1\t1", "2\t1"]
    assert ours(url) == {"public"}
    assert dumping.query(url, "SELECT schemaname FROM pg_tables WHERE tablename = 'x'") == [
        "stepwell" if "user" in ahead else "app"  # a script sees the path as its user has it
    ]


def test_tables_in_two_schemas_of_the_path_stop_every_command_until_one_is_meant(project: Project) -> None:
    url = project.urls["state"]
    done(project("up"))
    dumping.query(url, "CREATE SCHEMA stepwell")
    dumping.query(url, "CREATE TABLE stepwell.schema_migrations AS SELECT * FROM public.schema_migrations LIMIT 0")
    for command in ("up", "status", "plan"):
        end = project(command)
        assert end.code == 6, end.text
        assert (
            "at   public: schema_migrations, schema_migrations_journal\n       stepwell: schema_migrations\n"
            in end.stderr
        )
    alone = project.with_urls({"state": f"{url}?options=-csearch_path%3Dpublic"})
    assert done(alone("up")) == "applied 0, skipped 1\n"
    dumping.query(url, "ALTER TABLE stepwell.schema_migrations RENAME TO old_schema_migrations")
    assert done(project("up")) == "applied 0, skipped 1\n"


def test_a_table_of_the_ledger_that_hides_another_stops_the_job(project: Project) -> None:
    url = project.urls["state"]
    done(project("up"))
    jobbing.run(project, "inc")
    dumping.query(url, "CREATE SCHEMA stepwell")
    dumping.query(url, "CREATE TABLE stepwell.stepwell_batch (LIKE public.stepwell_batch)")
    end = project("job", "run", "inc")
    assert (end.code, "stepwell: stepwell_batch" in end.stderr) == (6, True), end.text


def test_tables_that_the_path_leaves_out_by_now_are_not_made_anew(project: Project) -> None:
    url = project.urls["state"]
    done(project("up"))
    dumping.query(url, "CREATE SCHEMA app")
    dumping.query(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET search_path = app")
    end = project("up")
    assert end.code == 6, end.text
    assert "they are in public; the search_path is app" in end.stderr
    assert ours(url) == {"public"}
    # A path in the URL is the project's own word: it may share the database with another.
    own = project.with_urls({"state": f"{url}?options=-csearch_path%3Dapp"})
    assert "applied 1, skipped 0" in done(own("up"))
    assert ours(url) == {"public", "app"}


def test_another_tools_table_ahead_on_the_path_is_not_taken_for_ours(project: Project) -> None:
    url = project.urls["state"]
    done(project("up"))
    dumping.query(url, "CREATE SCHEMA stepwell")
    dumping.query(url, "CREATE TABLE stepwell.schema_migrations (version TEXT)")
    project.write({"state/2_more": "CREATE INDEX CONCURRENTLY more ON t (v);"})
    assert done(project("up")).splitlines()[-1] == "applied 1, skipped 1"
    assert "state/2_more" in done(project("history"))
    assert dumping.query(url, "SELECT count(*) FROM stepwell.schema_migrations") == ["0"]


def test_without_a_schema_on_the_path_it_says_so(project: Project) -> None:
    lost = project.with_urls({"state": f"{project.urls['state']}?options=-csearch_path%3Dnowhere"})
    end = lost("up")
    assert (end.code, "the search_path is nowhere; none of it exists" in end.stderr) == (6, True), end.text
