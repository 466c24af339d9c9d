"""`stepwell convert`: other tools' files become Stepwell's own, every statement as it was, and histories go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dumping
import foreign
import projects
import sweeping
from projects import done
from reading import down, up, versions, write
from stepwell.errors import BadRequest, BadScript, EditedHalfway, NotTheSame, StatementFailed
from stepwell.project import Project
from stepwell.schema.plan import Options
from stepwell.scripts import folder
from stepwell.scripts.convert import Conversion, convert
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script

NATIVE = "migrations/native"


def project(where: Path, url: str, files: Mapping[str, str]) -> Path:
    """A project's folder whose only database, `state`, has these files."""
    write(where / "migrations/state", files)
    (where / "stepwell.toml").write_text(
        f'[databases.state]\nurl = "{url}"\nscripts = "migrations/state"\n[variables]\nten = "10"\n'
    )
    return where


def converted(where: Path) -> Path:
    """Convert a project's scripts, and use what came out."""
    Project.load(where).convert("state", NATIVE)
    config = where / "stepwell.toml"
    config.write_text(config.read_text().replace("migrations/state", NATIVE))
    return where


def turned(
    where: Path, files: Mapping[str, str | bytes], engine: str = "postgres", **said: str
) -> tuple[Conversion, list[Script]]:
    """What comes of files of another tool, and its scripts as they are read back."""
    origin = Origin(write(where / "in", files), "state", engine, **said)
    conversion = convert(origin, where / "out", {"ten": "10"}, lambda text: "CONCURRENTLY" not in text)
    return conversion, folder.load(where / "out", "state", engine)


def text(script: Script) -> str:
    return script.path.read_text()


# --- a history goes on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", foreign.PROJECTS)
def test_what_is_applied_stays_applied_and_goes_back_and_forth(tmp_path: Path, sqlite_url: str, form: str) -> None:
    made = project(tmp_path, sqlite_url, foreign.PROJECTS[form])
    Project.load(made).baseline(Options(database="state"), None)
    empty = dumping.dump(sqlite_url)
    Project.load(made).up()
    full, versions = dumping.dump(sqlite_url), dumping.versions(sqlite_url)
    result = Project.load(converted(made)).up()
    assert (result.applied, result.skipped) == ([], 2)
    assert (dumping.dump(sqlite_url), dumping.versions(sqlite_url)) == (full, versions)
    assert [state.state for state in Project.load(made).status()] == ["applied", "applied"]
    Project.load(made).down(Options(database="state", count=2))
    assert dumping.dump(sqlite_url) == empty
    Project.load(made).up()
    assert without_history(dumping.dump(sqlite_url)) == without_history(full)
    assert Project.load(made).up().applied == []


def without_history(dump: dumping.Dump) -> dumping.Dump:
    return {name: rows for name, rows in dump.items() if "schema_migrations" not in name}


@pytest.mark.parametrize("url", ["postgres_url", "mysql_url", "clickhouse_url"])
def test_every_engine_goes_on(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> None:
    where: str = request.getfixturevalue(url)
    files = foreign.PROJECTS["liquibase"]
    if url == "clickhouse_url":
        files = {
            name: said.replace("(x INT)", "(x Int32) ORDER BY x").replace("DELETE FROM b", "TRUNCATE TABLE b")
            for name, said in files.items()
        }
    made = project(tmp_path, where, files)
    assert len(Project.load(made).up().applied) == 2
    assert Project.load(converted(made)).up().skipped == 2
    assert len(Project.load(made).down(Options(database="state", count=2)).applied) == 2
    assert len(Project.load(made).up().applied) == 2
    assert dumping.query(where, "SELECT x FROM b") == ["10"]


def test_one_that_broke_off_halfway_goes_on_where_it_was(tmp_path: Path, sqlite_url: str) -> None:
    statements = "CREATE TABLE a (x INT);\nINSERT INTO a VALUES (1);\nINSERT INTO later VALUES (1);\n"
    files = {"V1__a.sql": statements, "V1__a.sql.conf": "executeInTransaction=false"}
    made = project(tmp_path, sqlite_url, files)
    with pytest.raises(StatementFailed):
        Project.load(made).up()
    converted(made)
    dumping.query(sqlite_url, "CREATE TABLE later (x INT)")
    assert Project.load(made).up().applied == ["state/0001_a"]
    assert dumping.query(sqlite_url, "SELECT x FROM a") == ["1"]


def test_an_edit_is_still_seen_and_an_edit_of_the_part_that_is_done_refused(tmp_path: Path, sqlite_url: str) -> None:
    files = {"V1__a.sql": "CREATE TABLE a (x INT);", "V2__b.sql": "CREATE TABLE b (x INT); SELECT nothing;"}
    files["V2__b.sql.conf"] = "executeInTransaction=false"
    made = project(tmp_path, sqlite_url, files)
    with pytest.raises(StatementFailed):
        Project.load(made).up()
    converted(made)
    one, two = sorted((made / NATIVE).iterdir())
    one.write_text(one.read_text().replace("x INT", "y INT"))
    assert Project.load(made).status()[0].state == "edited"
    assert Project.load(made).up(Options(accept=("state/0001_a",), to="state/0001_a", database="state")).applied == []
    two.write_text(two.read_text().replace("x INT", "y INT"))
    with pytest.raises(EditedHalfway):
        Project.load(made).up()


def test_an_edit_that_was_accepted_before_is_none(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, {"V1__a.sql": "CREATE TABLE a (x INT);"})
    Project.load(made).up()
    write(made / "migrations/state", {"V1__a.sql": "CREATE TABLE a (x INT, y INT);", "V2__b.sql": "SELECT 2;"})
    Project.load(made).up(Options(accept=("state/V1__a",)))
    result = Project.load(converted(made)).up()
    assert (result.applied, result.skipped) == ([], 2)


def test_a_repeatable_script_runs_again_when_it_has_changed_and_only_then(tmp_path: Path, sqlite_url: str) -> None:
    def view(number: int) -> str:
        return f"DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT {number} AS x;\n"

    made = project(tmp_path, sqlite_url, {"R__view.sql": view(1)})
    Project.load(made).up()
    assert Project.load(converted(made)).up().applied == []
    (script,) = (made / NATIVE).iterdir()
    script.write_text(script.read_text().replace("SELECT 1", "SELECT 2"))
    assert Project.load(made).up().applied == ["state/0001_view"]
    assert dumping.query(sqlite_url, "SELECT x FROM v") == ["2"]
    assert dumping.versions(sqlite_url) == ["0001_view"]
    assert Project.load(made).up().applied == []


def test_references_to_the_old_name_still_hold(tmp_path: Path, sqlite_url: str) -> None:
    made = project(tmp_path, sqlite_url, {"V1__a.sql": "CREATE TABLE a (x INT);"})
    write(made / "migrations/other", {"0001_b.sql": "-- requires: state/V1__a\nCREATE TABLE b (x INT);"})
    with (made / "stepwell.toml").open("a") as config:
        config.write(f'[databases.other]\nurl = "sqlite:///{tmp_path}/other.db"\n')
    assert Project.load(converted(made)).up().applied == ["state/0001_a", "other/0001_b"]


def test_two_scripts_that_say_they_were_the_same_are_refused(tmp_path: Path) -> None:
    _, (one,) = turned(tmp_path, {"V1__a.sql": "SELECT 1;"})
    (tmp_path / "out" / "0002_b.sql").write_text(text(one))
    with pytest.raises(BadScript, match="it was 'V1__a'"):
        folder.load(tmp_path / "out", "state", "postgres")


# --- nothing is lost ------------------------------------------------------------------------------------------

NOTES = ["-- {}", "/* {} */", "/* {}\n-- +goose Up\n */", "-- down {}", "-- migrate:up {}", "-- changeset a:{}"]
"""Comments, some of which another format would take for a mark; `{}` is what they are found again by."""

PLAIN = {"goose": 2, "dbmate": 2, "liquibase": 2}
"""How many of them a format itself takes for nothing but a comment, where that is not all."""

NASTY = ["SELECT 1\n-- down\n+ 1", "SELECT '${ten}'", "SELECT '$${ten}', '$$${ten}'", "SELECT '\n-- +goose Up\n'"]


class Recorder:
    """The `db` that a Python script is run with."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.variables = {"ten": "10"}

    def execute(self, text: str) -> None:
        self.sent.append(text)


def sent(script: Script, direction: str) -> list[str] | None:
    """The statements that a converted script sends, SQL or Python; None where there is no such way."""
    if not script.is_python:
        return up(script, ten="10") if direction == "up" else down(script, ten="10")
    function = script.function(direction)
    if function is None:
        return None
    recorder = Recorder()
    function(recorder)
    return recorder.sent


@pytest.mark.parametrize("form", [*foreign.PROJECTS, "plain"])
@settings(max_examples=25)
@given(data=st.data())
def test_every_statement_and_every_comment_comes_out_again(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    engine = data.draw(st.sampled_from(sorted(foreign.OWN)))
    nasty = NASTY[: 3 if form == "goose" else 4]
    statement = st.sampled_from(foreign.SHARED + foreign.OWN[engine] + nasty)
    forth, back = (data.draw(st.lists(statement, min_size=1, max_size=5)) for _ in range(2))
    notes = data.draw(st.lists(st.sampled_from(NOTES[: PLAIN.get(form, 6)]), max_size=3))
    remarks = [note.format(f"remark{number}") for number, note in enumerate(notes)]
    files = foreign.files(form, [*forth[:-1], "\n".join([*remarks, forth[-1]])], back)
    _, (script,) = turned(tmp_path_factory.mktemp("any"), files, engine, format=form)
    value = "10" if form == "liquibase" else "${ten}"
    assert sent(script, "up") == [one.replace("${ten}", value) for one in forth]
    if form == "plain" or (form == "liquibase" and not foreign.rollback(back)):
        assert sent(script, "down") is None
    else:
        assert sent(script, "down") == [one.replace("${ten}", value) for one in back]
    for number in range(len(remarks)):
        assert len(re.findall(rf"remark{number}\b", text(script))) == 1


@pytest.mark.parametrize(
    ("form", "files", "way_back"),
    [
        ("golang-migrate", {"1_a.up.sql": "", "1_a.down.sql": "-- nothing\n"}, []),
        ("golang-migrate", {"1_a.up.sql": "-- nothing\n"}, None),
        ("dbmate", {"1_a.sql": "-- migrate:up\n-- migrate:down\nSELECT 1;"}, ["SELECT 1"]),
    ],
)
def test_a_script_that_does_nothing_still_does_nothing(
    tmp_path: Path, form: str, files: dict[str, str], way_back: list[str] | None
) -> None:
    _, (script,) = turned(tmp_path, files, format=form)
    assert script.is_python
    assert (sent(script, "up"), sent(script, "down")) == ([], way_back)


def test_a_way_back_that_does_nothing_stays_sql(tmp_path: Path) -> None:
    _, (script,) = turned(tmp_path, {"1_a.sql": "-- +goose Up\nSELECT 1;\n-- +goose Down\n"})
    assert (script.is_python, sent(script, "down")) == (False, [])
    assert text(script).endswith("\n-- down: nothing\n")


def test_a_comment_that_would_be_taken_for_a_mark_gets_a_bar(tmp_path: Path) -> None:
    _, (script,) = turned(tmp_path, {"1_a.up.sql": "SELECT 1;\n-- down\n-- migrate:up\nSELECT 2;\n"})
    assert "\n-- | down\n-- | migrate:up\n" in text(script)
    assert (sent(script, "up"), sent(script, "down")) == (["SELECT 1", "SELECT 2"], None)


def test_comments_above_the_blocks_and_of_a_tool_s_own_kind_are_kept(tmp_path: Path) -> None:
    files = {
        "1_a.sql": "-- About it.\n# and more\n-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- the end\n",
    }
    _, (script,) = turned(tmp_path, files)
    assert script.front.transaction is False
    assert text(script).partition("\n\n")[2] == "-- About it.\n-- and more\n\nSELECT 1;\n-- the end\n"


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "after"),
    [
        (["1_a.up.sql", "10_c.up.sql", "9_b.up.sql"], ["1_a", "9_b", "10_c"]),
        (["20240131120000_a/migration.sql", "20240201120000_b/migration.sql"], ["20240131120000_a", "20240201120000_b"]),
        (["10_a/migration.sql", "9_b/migration.sql"], ["0001_a", "0002_b"]),  # Prisma sorts by text
        (["V1__first.sql", "V1_1__Second One.sql", "R__The_view.sql"], ["0001_first", "0002_second_one", "0003_the_view"]),
        (["V1__.sql", "V2__.sql"], ["0001_script", "0002_script"]),
    ],
)  # fmt: skip
def test_names_are_kept_where_they_give_the_same_order(tmp_path: Path, names: list[str], after: list[str]) -> None:
    form = "prisma" if "/" in names[0] else "golang-migrate" if ".up." in names[0] else "flyway"
    _, scripts = turned(tmp_path, dict.fromkeys(names, "SELECT 1;"), format=form)
    assert versions(scripts) == after
    assert [script.front.was for script in scripts] != after or form != "flyway"


# --- what only some formats have ------------------------------------------------------------------------------

CHANGELOG = """--liquibase formatted sql
-- All about tables.
--property name:schema value:app

--changeset ann:1 labels:core created:today
--comment The first.
--preconditions onFail:MARK_RAN onError:WARN
--precondition-sql-check expectedResult:0 SELECT count(*) FROM tables WHERE name = '${schema}.t'
CREATE TABLE ${schema}.t (x INT);
--rollback DROP TABLE ${schema}.t;

--changeset ann:2 failOnError:false runAlways:true
SELECT '${ten}', '${none}';

--changeset bob:3 dbms:oracle
SELECT 1 FROM dual;

--changeset bob:4
--validCheckSum ANY
SELECT 4;
--rollback changesetId:1 changesetAuthor:ann
"""


def test_all_that_liquibase_says_is_said_again(tmp_path: Path) -> None:
    conversion, (one, two, four) = turned(tmp_path, {"a.sql": CHANGELOG}, "mysql")
    assert versions([one, two, four]) == ["0001_a_1", "0002_a_2", "0003_a_4"]
    (guard,) = one.front.guards
    assert guard.query == "SELECT count(*) FROM tables WHERE name = 'app.t'"
    assert (guard.expected, guard.otherwise, guard.on_error) == ("0", "mark", "run")
    assert (up(one), down(one)) == (["CREATE TABLE app.t (x INT)"], ["DROP TABLE app.t"])
    assert (
        text(one).split("\n\n")[1]
        == "-- All about tables.\n-- The first.\n-- Of Liquibase: labels: core; created: today"
    )
    assert (two.front.may_fail, two.front.repeat) == (True, "always")
    assert up(two, ten="11") == ["SELECT '11', '${none}'"]
    assert down(four) == ["CREATE TABLE app.t (x INT)"]
    assert four.front.seal == "any"
    assert [left.partition(" ")[0] for left in conversion.left_out] == ["a.sql::3::bob"]
    assert conversion.left_out[0].endswith("a.sql:15)")


def test_a_guard_in_stepwell_s_own_format_decides_as_in_liquibase_s(tmp_path: Path, sqlite_url: str) -> None:
    guarded = "-- guard: 1 = SELECT count(*) FROM a\n-- guard-fails: skip\n"
    files = {"0001_a.sql": "CREATE TABLE a (x INT);", "0002_b.sql": f"{guarded}CREATE TABLE b (x INT);"}
    made = project(tmp_path, sqlite_url, files)
    assert Project.load(made).up().applied == ["state/0001_a"]
    dumping.query(sqlite_url, "INSERT INTO a VALUES (1)")
    assert Project.load(made).up().applied == ["state/0002_b"]


def test_a_variable_with_a_default_is_named_where_the_default_was_put_in(tmp_path: Path) -> None:
    files = {"1_a.sql": "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${ten:-1}', '${two:-2}', '$three';\n"}
    conversion, (script,) = turned(tmp_path, files)
    assert up(script, ten="10", three="3") == ["SELECT '10', '2', '3'"]
    assert conversion.scripts[0].filled == ("two",)


def test_a_transaction_that_python_would_make_too_large_is_not_made(tmp_path: Path) -> None:
    comment = "CREATE INDEX CONCURRENTLY i ON a (x)\n-- down\n"
    _, (script,) = turned(tmp_path, {"1.sql": f"{comment}WHERE x > 1;\nSELECT 1;"}, format="plain")
    assert (script.is_python, script.front.transaction) == (True, False)


REVISION = '''"""Make a table."""
import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = {after}


def upgrade():
    {up}


def downgrade():
    {down}
'''


def alembic(**revisions: tuple[str, str, str]) -> dict[str, str]:
    files = {"alembic.ini": "[alembic]\nscript_location = %(here)s/env\n", "env/env.py": ""}
    for name, (after, forth, back) in revisions.items():
        files[f"env/versions/{name}_its_title.py"] = REVISION.format(name=name, after=after, up=forth, down=back)
    return files


@pytest.mark.parametrize("engine", ["postgres", "mysql", "sqlite"])
def test_alembic_s_revisions_become_the_sql_that_it_would_send(tmp_path: Path, engine: str) -> None:
    files = alembic(
        a1=("None", "op.create_table('a', sa.Column('x', sa.Integer, nullable=True))", "op.drop_table('a')"),
        b2=("'a1'", "op.execute(\"UPDATE a SET x = 1 WHERE s LIKE '50%\\t\\\\:y'; SELECT 2\")", "pass"),
    )
    url = {"postgres": "postgresql://h/d", "mysql": "mysql://h/d", "sqlite": "sqlite:///x.db"}[engine]
    _, (one, two) = turned(tmp_path, files, engine, url=url)
    assert versions([one, two]) == ["0001_its_title", "0002_its_title"]
    assert [" ".join(said.split()) for said in up(one)] == ["CREATE TABLE a ( x INTEGER )"]
    assert down(one) == ["DROP TABLE a"]
    assert up(two) == ["UPDATE a SET x = 1 WHERE s LIKE '50%\t:y'", "SELECT 2"]
    assert down(two) == []
    assert "-- Make a table." in text(one)


@pytest.mark.parametrize(
    "said",
    [
        "op.get_bind().execute(sa.text('SELECT 1')).scalar()",
        "op.get_bind().execute(sa.text('SELECT :x'), {'x': 1})",
        "sa.inspect(op.get_bind()).get_table_names()",
        "op.execute('SELECT :x')",
    ],
)
def test_a_revision_that_can_t_be_told_without_a_database_is_an_error_with_its_line(tmp_path: Path, said: str) -> None:
    files = alembic(a1=("None", said, "pass"))
    with pytest.raises(BadScript) as caught:
        turned(tmp_path, files, url="postgresql://h/d")
    assert caught.value.where.endswith("a1_its_title.py:10")


# --- refused, and left as it was ------------------------------------------------------------------------------


def test_what_can_t_be_read_stops_it_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadScript, match="never closed"):
        turned(tmp_path, {"V1__a.sql": "SELECT 1;", "V2__b.sql": "SELECT 'open;"})
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "out", {"mine.sql": "SELECT 1;"})
    with pytest.raises(BadRequest, match="is there already"):
        turned(tmp_path, {"V1__a.sql": "SELECT 1;"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.sql"]


def test_there_is_nothing_to_convert_in_stepwell_s_own_format(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="own format already"):
        turned(tmp_path, {"0001_a.sql": "SELECT 1;"})


def test_the_command_says_what_became_of_each_script_and_what_to_do_next(tmp_path: Path, sqlite_url: str) -> None:
    files = {f"state/{name}": said for name, said in foreign.PROJECTS["flyway"].items()}
    made = projects.make(tmp_path / "project", {"state": sqlite_url}, files)
    printed = done(made("convert")).splitlines()
    assert printed[:2] == [f"{'state/V1__a':<48} 0001_a.sql", f"{'state/V1.10__more':<48} 0002_more.sql"]
    assert '  scripts = "migrations/state-native"' in printed
    assert made("convert").code == 2


# --- tried on a server ----------------------------------------------------------------------------------------

EVERYTHING = {
    "postgres_url": "CREATE SCHEMA s; CREATE TYPE s.kind AS ENUM ('a', 'b'); CREATE TABLE s.t (id int GENERATED ALWAYS AS IDENTITY "
    "PRIMARY KEY, k s.kind NOT NULL DEFAULT 'a', x int CHECK (x > 0)); CREATE INDEX CONCURRENTLY i ON s.t (k, lower('a')); "
    "CREATE VIEW v AS SELECT x FROM s.t; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; "
    "CREATE TRIGGER r BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION f(); COMMENT ON COLUMN s.t.x IS 'it''s';",
    "mysql_url": "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x INT, KEY k (x)); INSERT INTO t (x) VALUES (1), (2); "
    "CREATE VIEW v AS SELECT x FROM t; CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END; "
    "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.x = 1; END;",
    "clickhouse_url": "CREATE TABLE t (x Int32) ENGINE = MergeTree ORDER BY x; CREATE VIEW v AS SELECT x FROM t; "
    "CREATE MATERIALIZED VIEW m ENGINE = MergeTree ORDER BY x AS SELECT x FROM t;",
    "sqlite_url": "CREATE TABLE t (x INT); CREATE INDEX i ON t (x); CREATE VIEW v AS SELECT x FROM t; "
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END;",
}


@pytest.mark.parametrize("url", EVERYTHING)
def test_both_are_applied_and_make_the_same_database(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> None:
    where: str = request.getfixturevalue(url)
    made = project(tmp_path, where, {"V1__a.sql": EVERYTHING[url]})
    before = dumping.dump(where)
    proof = Project.load(made).convert("state", NATIVE, "" if url == "sqlite_url" else where).proof
    assert re.fullmatch(r"applied, both make the same database: ([4-9]|[0-9]{2}) objects", proof)
    assert dumping.dump(where) == before


def test_a_difference_is_named_and_nothing_written(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project(tmp_path, sqlite_url, {"V1__a.sql": "CREATE TABLE t (x INT);"})
    monkeypatch.setattr("stepwell.scripts.convert.proof.difference", lambda told, new, variables: "")
    monkeypatch.setattr("stepwell.scripts.convert.writing.sql", lambda told: "\nCREATE TABLE t (x TEXT);\n")
    with pytest.raises(NotTheSame) as caught:
        Project.load(made).convert("state", NATIVE)
    assert caught.value.where == "table t: 'CREATE TABLE t (x INT)' became 'CREATE TABLE t (x TEXT)'"
    assert not (made / NATIVE).exists()


def test_alembic_and_what_it_became_make_the_same_database(tmp_path: Path, postgres_url: str) -> None:
    table = (
        "op.create_table('a', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True), "
        "sa.Column('s', sa.String(10), server_default='x%y', index=True), sa.Column('j', sa.JSON, comment='c'))"
    )
    more = "op.bulk_insert(sa.table('a', sa.column('s', sa.String)), [{'s': 'it''s'}]); op.create_check_constraint('c', 'a', \"s <> ''\")"
    files = alembic(a1=("None", table, "op.drop_table('a')"), b2=("'a1'", more, "pass"))
    env = (Path(__file__).parent / "test_alembic.py").read_text().partition('ENV = """')[2].partition('"""')[0]
    made = project(tmp_path, postgres_url, files | {"env/env.py": env})
    proof = Project.load(made).convert("state", NATIVE, postgres_url).proof
    assert re.fullmatch(r"applied, both make the same database: ([7-9]|[0-9]{2}) objects", proof)


def test_scripts_that_need_more_than_an_empty_database_are_converted_untried_unless_they_are_to_be(
    tmp_path: Path, sqlite_url: str
) -> None:
    made = project(tmp_path, sqlite_url, {"V1__a.sql": "ALTER TABLE from_before ADD COLUMN x INT;"})
    with pytest.raises(StatementFailed):
        Project.load(made).convert("state", NATIVE, sqlite_url)
    assert (
        Project.load(made).convert("state", NATIVE).proof.startswith("not tried: state/V1__a, statement 1 of 1 failed")
    )


# --- kill -9 --------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("url", ["sqlite_url", "postgres_url", "mysql_url", "chdb_url"])
def test_an_undoing_that_is_killed_leaves_a_script_under_one_of_its_names_at_most(
    request: pytest.FixtureRequest, tmp_path: Path, url: str
) -> None:
    where: str = request.getfixturevalue(url)
    tables = ["CREATE TABLE {} (x INT);", "CREATE TABLE {} (x Int32) ENGINE = MergeTree ORDER BY x;"]
    files = {}
    for number in (1, 2):
        files[f"V{number}__a.sql"] = tables[url == "chdb_url"].format(f"t{number}")
        files[f"U{number}__a.sql"] = f"DROP TABLE t{number};"
    made = projects.Project(project(tmp_path, where, files), {"state": where})
    done(made("up"))
    converted(made.folder)
    full = without_history(dumping.dump(where))
    fresh = sweeping.prepared(request, tmp_path / "copies", made)
    (made.folder / "stepwell.toml").write_text(
        f'[databases.state]\nurl = "${{{projects.variable("state")}}}"\nscripts = "{NATIVE}"\n'
    )
    down = ("down", "--count", "2")
    points = int(fresh().killed("before", "0", *down).stderr.split()[-1])
    for point in range(1, points + 1):
        copy = fresh()
        assert copy.killed("before", str(point), *down).code == -9
        done(copy("up"))
        assert without_history(dumping.dump(copy.urls["state"])) == full
        assert len(dumping.versions(copy.urls["state"])) == 2
        assert done(copy("up")).splitlines()[-1] == "applied 0, skipped 2"
