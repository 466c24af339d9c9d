"""Liquibase: formatted SQL with all its attributes, and changelogs that include it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading import down, lines, scripts, up, versions, write
from stepwell.errors import BadScript
from stepwell.scripts import formats
from stepwell.scripts.formats.liquibase.choice import matches
from stepwell.scripts.front import Guard
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script

HEAD = "--liquibase formatted sql\n"
BODY = "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN; RETURN ';'; END $$"


def one(folder: Path, text: str, engine: str = "postgres", **said: str) -> Script:
    (script,) = scripts(folder, {"a.sql": HEAD + text}, engine, **said)
    return script


def refused(folder: Path, text: str) -> BadScript:
    with pytest.raises(BadScript) as caught:
        up(one(folder, text))
    return caught.value


# --- formatted SQL --------------------------------------------------------------------------------------------


def test_a_changeset_is_known_by_file_id_and_author(tmp_path: Path) -> None:
    text = '--changeset ann:1\nSELECT 1;\n-- changeset bob:1\nSELECT 2;\n--changeset "ann lee":"a b"\nSELECT 3;\n'
    found = scripts(tmp_path, {"b.sql": HEAD + "--changeset ann:1\nSELECT 4;", "a.sql": HEAD + text})
    assert versions(found) == ["a.sql::1::ann", "a.sql::1::bob", "a.sql::a b::ann lee", "b.sql::1::ann"]
    assert [up(script) for script in found] == [["SELECT 1"], ["SELECT 2"], ["SELECT 3"], ["SELECT 4"]]
    assert [lines(script) for script in found] == [[3], [5], [7], [3]]
    assert all(script.late for script in found)


def test_the_same_identity_twice_is_an_error(tmp_path: Path) -> None:
    error = refused(tmp_path, "--changeset a:1\nSELECT 1;\n--changeset a:1\nSELECT 2;\n")
    assert "a second changeset a.sql::1::a" in error.what
    assert error.where.endswith("a.sql:4")


@pytest.mark.parametrize("head", ["--liquibase formatted sql logicalFilePath:db/x.sql\n", HEAD])
def test_a_logical_path_stands_for_the_file(tmp_path: Path, head: str) -> None:
    attribute = "" if head != HEAD else " logicalFilePath:db/x.sql"
    (script,) = scripts(tmp_path, {"a.sql": f"{head}--changeset a:1{attribute}\nSELECT 1;\n"})
    assert script.version == "db/x.sql::1::a"


def test_a_rollback_has_one_line_or_many_and_several_statements(tmp_path: Path) -> None:
    text = "--changeset a:1\nSELECT 1;\n--rollback DROP TABLE a;\n--rollback DROP TABLE\n--rollback b; DROP TABLE c;\n"
    script = one(tmp_path, text)
    assert down(script) == ["DROP TABLE a", "DROP TABLE\nb", "DROP TABLE c"]
    assert script.sections.down is not None
    assert [statement.line for statement in script.sections.down] == [4, 5, 6]


def test_a_rollback_may_be_a_block(tmp_path: Path) -> None:
    text = "--changeset a:1\nSELECT 1;\n/* liquibase rollback\nDROP TABLE a;\nDROP TABLE b;\n*/\n"
    assert down(one(tmp_path, text)) == ["DROP TABLE a", "DROP TABLE b"]


@pytest.mark.parametrize("word", ["empty", "not required", "EMPTY;"])
def test_a_rollback_may_do_nothing(tmp_path: Path, word: str) -> None:
    assert down(one(tmp_path, f"--changeset a:1\nSELECT 1;\n--rollback {word}\n")) == []


def test_without_a_rollback_there_is_no_way_back(tmp_path: Path) -> None:
    assert down(one(tmp_path, "--changeset a:1\nSELECT 1;\n")) is None


def test_a_rollback_may_be_another_changeset_run_again(tmp_path: Path) -> None:
    text = "--changeset a:1\nCREATE VIEW v AS SELECT 1;\n--changeset a:2\nDROP VIEW v;\n--rollback changesetId:1 changesetAuthor:a\n"
    assert down(scripts(tmp_path, {"a.sql": HEAD + text})[1]) == ["CREATE VIEW v AS SELECT 1"]


@pytest.mark.parametrize(
    ("delimiter", "text"),
    [
        ("//", "SELECT '//;'//\nSELECT\n2\n//\n"),
        (r"\nGO", "SELECT '//;'\nGO\nSELECT\n2\ngo\n"),
        ("@@", "SELECT '//;'@@ SELECT\n2 @@"),
        (r"\n/\s*\n|\n/\s*$", None),
        (r"\|\|\|", "SELECT '//;'|||SELECT\n2"),
    ],
)
def test_another_delimiter_ends_statements(tmp_path: Path, delimiter: str, text: str | None) -> None:
    changeset = f'--changeset a:1 splitStatements:true endDelimiter:"{delimiter}"\n'
    if text is None:
        assert "a regular expression that Stepwell can't represent" in refused(tmp_path, f"{changeset}SELECT 1").what
    else:
        assert up(one(tmp_path, changeset + text)) == ["SELECT '//;'", "SELECT\n2"]


def test_a_delimiter_that_the_engine_takes_for_a_quote_is_refused(tmp_path: Path) -> None:
    assert (
        "begins a comment, a name or a string" in refused(tmp_path, "--changeset a:1 endDelimiter:$$\nSELECT 1$$").what
    )
    assert up(one(tmp_path, "--changeset a:1 endDelimiter:$$\nSELECT ';'$$\nSELECT 2$$", "mysql")) == [
        "SELECT ';'",
        "SELECT 2",
    ]


def test_a_body_is_one_statement_however_it_is_to_be_split(tmp_path: Path) -> None:
    assert up(one(tmp_path, f"--changeset a:1 splitStatements:false\n{BODY};\n")) == [BODY]
    assert up(one(tmp_path, f"--changeset a:1\n{BODY};\nSELECT 1;")) == [BODY, "SELECT 1"]


def test_comments_stay_where_they_do_no_harm(tmp_path: Path) -> None:
    text = "--changeset a:1 stripComments:false\n--comment: what it is for\n-- ordinary; one\nSELECT 1; -- behind\n/* ; */ SELECT 2;"
    assert up(one(tmp_path, text)) == ["SELECT 1", "SELECT 2"]


def test_attributes_say_how_it_runs(tmp_path: Path) -> None:
    assert one(tmp_path, "--changeset a:1 runInTransaction:false\nSELECT 1").front.transaction is False
    assert one(tmp_path, "--changeset a:1 runOnChange:true\nSELECT 1").front.repeat == "changed"
    assert one(tmp_path, "--changeset a:1 runAlways:true\nSELECT 1").front.repeat == "always"
    assert one(tmp_path, "--changeset a:1 failOnError:false\nSELECT 1").front.may_fail
    assert one(tmp_path, "--changeset a:1\n--validCheckSum: ANY\nSELECT 1").accepts == {"*"}


def test_white_space_and_directives_are_no_edit_and_statements_are(tmp_path: Path) -> None:
    texts = ["SELECT 1;", "SELECT\n   1;\n\n--rollback SELECT 2;", "SELECT 2;"]
    first, second, third = (one(tmp_path, f"--changeset a:1\n{text}").checksum for text in texts)
    assert first == second != third


@pytest.mark.parametrize(
    ("attributes", "engine", "said", "taken"),
    [
        ("dbms:postgresql", "postgres", {}, True),
        ("dbms:postgresql", "mysql", {}, False),
        ("dbms:!mysql", "mysql", {}, False),
        ("dbms:!mysql", "postgres", {}, True),
        ("dbms:h2,oracle", "sqlite", {}, False),
        ("dbms:none", "sqlite", {}, False),
        ("context:test", "postgres", {}, True),
        ("context:test", "postgres", {"contexts": "prod"}, False),
        ("context:@test", "postgres", {}, False),
        ('context:"!prod and (eu or us)"', "postgres", {"contexts": "test,eu"}, True),
        ('contextFilter:"test, prod"', "postgres", {"contexts": "prod"}, True),
        ("labels:a,b", "postgres", {"labels": "b and !c"}, True),
        ("labels:a,c", "postgres", {"labels": "a and !c"}, False),
        ("", "postgres", {"labels": "x", "contexts": "y"}, True),
        ("ignore:true", "postgres", {}, False),
    ],
)
def test_dbms_contexts_and_labels_choose(
    tmp_path: Path, attributes: str, engine: str, said: dict[str, str], taken: bool
) -> None:
    found = scripts(tmp_path, {"a.sql": f"{HEAD}--changeset a:1 {attributes}\nSELECT 1;\n"}, engine, **said)
    assert len(found) == taken


names = st.sampled_from(["a", "b", "c"])
expressions = st.recursive(
    names.map(lambda name: (name, lambda true, name=name: name in true)),
    lambda inner: st.one_of(
        inner.map(lambda x: (f"!({x[0]})", lambda true: not x[1](true))),
        st.tuples(inner, inner).map(
            lambda x: (f"({x[0][0]} and {x[1][0]})", lambda true: x[0][1](true) and x[1][1](true))
        ),
        st.tuples(inner, inner).map(
            lambda x: (f"({x[0][0]} or {x[1][0]})", lambda true: x[0][1](true) or x[1][1](true))
        ),
    ),
    max_leaves=8,
)


@given(expressions, st.sets(names))
def test_an_expression_means_what_it_says(expression: tuple[str, object], true: set[str]) -> None:
    text, oracle = expression
    assert callable(oracle)
    assert matches(text, true, Path("a.sql"), 1) == oracle(true)


def test_preconditions_become_guards(tmp_path: Path) -> None:
    text = (
        "--changeset a:1\n--preconditions onFail:MARK_RAN onError:WARN\n"
        "--precondition-sql-check expectedResult:0 SELECT count(*) FROM t;\n"
        "--precondition-sql-check expectedResult:\"a b\" SELECT 'a b'\nSELECT 1;\n"
    )
    assert one(tmp_path, text).front.guards == (
        Guard("SELECT count(*) FROM t", "0", 4, "mark", "run"),
        Guard("SELECT 'a b'", "a b", 5, "mark", "run"),
    )


def test_properties_hold_from_where_they_stand_and_the_first_wins(tmp_path: Path) -> None:
    text = (
        "--changeset a:0\nSELECT '${t}';\n--property name:t value:one\n--property name:t value:two\n"
        '--property name:type value:"varchar (9)" dbms:postgresql\n--property name:type value:text dbms:mysql\n'
        "--changeset a:1\nSELECT '${t}', '${type}', '${:t}', '${unknown}';\n"
    )
    before, after = scripts(tmp_path, {"a.sql": HEAD + text})
    assert up(before) == ["SELECT '${t}'"]
    assert up(after) == ["SELECT 'one', 'varchar (9)', '${t}', '${unknown}'"]
    assert up(after, t="from outside")[0].startswith("SELECT 'from outside'")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT 1;\n", 2, "statements that belong to no changeset"),
        ("--changset a:1\nSELECT 1;\n", 2, "unknown directive `--changset` (did you mean 'changeset'?)"),
        (
            "--changeset a:1\nSELECT 1;\n--rolback SELECT 2;\n",
            4,
            "unknown directive `--rolback` (did you mean 'rollback'?)",
        ),
        ("--changeset a:1\nSELECT 1;\n-rollback SELECT 2;\n", 4, "`-rollback` with one dash"),
        ("--changeset a\nSELECT 1;\n", 2, "a changeset without author and id"),
        (
            "--changeset a:1 runOnChnage:true\nSELECT 1;\n",
            2,
            "unknown attribute 'runOnChnage' (did you mean 'runOnChange'?)",
        ),
        ("--changeset a:1 runOnChange:yes\nSELECT 1;\n", 2, "`runOnChange` can't be 'yes'"),
        ("--changeset a:1 runWith:psql\nSELECT 1;\n", 2, "the attribute runWith"),
        ("--changeset a:1 dbms:postgressql\nSELECT 1;\n", 2, "unknown dbms 'postgressql' (did you mean 'postgresql'?)"),
        ('--changeset a:1 context:"a and"\nSELECT 1;\n', 2, ""),
        (
            "--changeset a:1\n--precondition-table-exists table:a\nSELECT 1;\n",
            3,
            "the directive `--precondition-table-exists`",
        ),
        (
            "--changeset a:1\n--preconditions onFail:MARKRAN\nSELECT 1;\n",
            3,
            "`onfail` can't be 'MARKRAN' (did you mean 'MARK_RAN'?)",
        ),
        ("--changeset a:1\n--precondition-sql-check SELECT 1\nSELECT 1;\n", 3, "a sql-check without expectedResult"),
        ("--changeset a:1\n\n", 2, "the changeset has no statement"),
        (
            "--changeset a:1\nSELECT 1;\n/* liquibase rollback\nSELECT 2;\n",
            4,
            "the rollback that opens here is never closed",
        ),
        ("--changeset a:1\nSELECT 1;\nSELECT 'x;\n", 4, "is never closed"),
        ("--changeset a:1\nSELECT 1;\nCOMMIT;\n", 4, "`COMMIT` in a script"),
    ],
)
def test_what_it_does_not_know_is_an_error_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(BadScript) as caught:
        up(one(tmp_path, text, contexts="b"))
    assert what in caught.value.what
    assert caught.value.where.endswith(f"a.sql:{line}")


def test_ordinary_comments_are_no_directives(tmp_path: Path) -> None:
    text = "-- about changesets\n--changeset a:1\n-- comments: none\n-- properties of it\n--- a line\n----\nSELECT 1;"
    assert up(one(tmp_path, text)) == ["SELECT 1"]


# --- changelogs -----------------------------------------------------------------------------------------------

CHILD = {"sql/b.sql": HEAD + "--changeset a:2\nSELECT 2;", "sql/c.sql": HEAD + "--changeset a:3\nSELECT 3;"}
YAML = """\
databaseChangeLog:
  - property: {name: t, value: one}
  - include:
      file: sql/c.sql
  - changeSet:
      id: 1
      author: ann
      changes:
        - sql:
            sql: |
              SELECT '${t}';
              SELECT 2;
        - sqlFile: {path: plain.txt, relativeToChangelogFile: true}
      rollback: DROP TABLE x;
  - includeAll: {path: sql/more}
"""
XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b">
  <include file="sql/c.sql"/>
  <changeSet id="1" author="ann" dbms="postgresql">
    <sql>SELECT 1;
      SELECT 2 &lt; 3;</sql>
    <rollback>DROP TABLE x;</rollback>
  </changeSet>
  <includeAll path="sql/more" relativeToChangelogFile="true"/>
</databaseChangeLog>
"""


def test_a_changelog_in_yaml_lists_files_and_changesets(tmp_path: Path) -> None:
    files = {
        "db.changelog-master.yaml": YAML,
        "plain.txt": "SELECT 3;\nSELECT 4;",
        "sql/more/z.sql": HEAD + "--changeset b:1\nSELECT 5;",
        "sql/more/a.sql": "SELECT 6;",
        **CHILD,
    }
    found = scripts(tmp_path, files)
    assert versions(found) == [
        "sql/c.sql::3::a",
        "db.changelog-master.yaml::1::ann",
        "sql/more/a.sql::raw::includeAll",
        "sql/more/z.sql::1::b",
    ]
    assert up(found[1]) == ["SELECT 'one'", "SELECT 2", "SELECT 3", "SELECT 4"]
    assert down(found[1]) == ["DROP TABLE x"]
    assert up(found[2]) == ["SELECT 6"]


def test_a_changelog_in_xml_says_the_same(tmp_path: Path) -> None:
    found = scripts(tmp_path, {"changelog.xml": XML, "sql/more/z.sql": HEAD + "--changeset b:1\nSELECT 5;", **CHILD})
    assert versions(found) == ["sql/c.sql::3::a", "changelog.xml::1::ann", "sql/more/z.sql::1::b"]
    assert (up(found[1]), lines(found[1])) == (["SELECT 1", "SELECT 2 < 3"], [6, 7])


def test_the_changelog_may_be_named_itself(tmp_path: Path) -> None:
    write(tmp_path, {"main.xml": XML, "sql/more/d.sql": HEAD + "--changeset a:4\nSELECT 4;", **CHILD})
    found = formats.load(Origin(tmp_path / "main.xml", "state", "mysql"))
    assert versions(found) == ["sql/c.sql::3::a", "sql/more/d.sql::4::a"]


@pytest.mark.parametrize(
    ("yaml", "what"),
    [
        ("databaseChangeLog:\n  - include: {file: none.sql}\n", "include: there is no none.sql"),
        ("databaseChangeLog:\n  - includ: {file: a.sql}\n", "the element 'includ' (did you mean 'include'?)"),
        (
            "databaseChangeLog:\n  - include: {fiel: a.sql}\n",
            "unknown attribute 'fiel' of include (did you mean 'file'?)",
        ),
        (
            "databaseChangeLog:\n  - changeSet: {id: 1, author: a, changes: [{createTable: {}}]}\n",
            "the change 'createTable'",
        ),
        ("databaseChangeLog:\n  - changeSet: {id: 1, changes: []}\n", "a changeset without author and id"),
        ("databaseChangeLog:\n  - preConditions: [{dbms: {type: oracle}}]\n", "the element 'preConditions'"),
        ("databaseChangeLog:\n  - include: {file: changelog.yaml}\n", "the changelog includes itself"),
        ("databaseChangeLog: [", "not valid YAML"),
        ("other: 1", "'other' instead of databaseChangeLog"),
    ],
)
def test_what_a_changelog_can_t_mean_is_an_error(tmp_path: Path, yaml: str, what: str) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, {"changelog.yaml": yaml})
    assert what in caught.value.what
    assert "changelog.yaml" in caught.value.where


def test_a_doctype_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><databaseChangeLog>&a;</databaseChangeLog>'
    with pytest.raises(BadScript, match="a DOCTYPE in a changelog"):
        scripts(tmp_path, {"changelog.xml": bomb})
