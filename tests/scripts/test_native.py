"""Stepwell's own script format: front matter, both directions, variables, and what it refuses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import BadScript, MissingVariable
from stepwell.scripts.folder import load
from stepwell.scripts.front import FrontMatter
from stepwell.scripts.script import Script
from stepwell.scripts.variables import fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def script(folder: Path, content: str | bytes, engine: str = "postgres", name: str = "0001_first.sql") -> Script:
    """The script that a file of this content is."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (found,) = load(folder, "state", engine)
    return found


def texts(script: Script, direction: str = "up", **variables: str) -> list[str]:
    return [statement.text for statement in script.statements(direction, variables)]


# --- what a script is ---------------------------------------------------------------------------------------


def test_a_script_has_a_reference_and_numbered_statements_with_their_lines(folder: Path) -> None:
    found = script(folder, "SELECT 1;\n\n-- two\nSELECT\n 2;\n-- down\nSELECT 3;\nSELECT 4\n")
    assert found.reference == "state/0001_first"
    assert [(s.index, s.line, s.text) for s in found.statements("up", {})] == [(1, 1, "SELECT 1"), (2, 4, "SELECT\n 2")]
    assert [(s.index, s.line, s.text) for s in found.statements("down", {})] == [(1, 7, "SELECT 3"), (2, 8, "SELECT 4")]
    assert found.reversible and not found.is_python


def test_line_ends_and_byte_order_mark_are_no_edit_and_change_nothing_that_is_sent(folder: Path) -> None:
    plain = "-- phase: expand\nSELECT 'a\nb';\n"
    unix = script(folder, plain)
    windows = script(folder, b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    assert unix.checksum == windows.checksum == hashlib.sha256(plain.encode()).hexdigest()
    assert unix.statements("up", {}) == windows.statements("up", {})
    assert windows.front.phase == "expand"


def test_any_other_edit_changes_the_checksum(folder: Path) -> None:
    assert script(folder, "SELECT 1;").checksum != script(folder, "SELECT  1;").checksum


def test_the_statements_checksum_knows_its_parameters_and_no_line_ends(folder: Path) -> None:
    (one,) = script(folder, "SELECT 'a\n';").statements("up", {})
    assert one.checksum == hashlib.sha256(b"SELECT 'a\n'").hexdigest()


def test_a_broken_statement_does_no_harm_until_statements_are_asked_for(folder: Path) -> None:
    found = script(folder, "SELECT 'a;")
    with pytest.raises(BadScript, match="never closed") as caught:
        found.statements("up", {})
    assert caught.value.where == f"{found.path}:1"
    assert caught.value.exit_code == 2


# --- the way back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["-- down", "--down", "--  DOWN  ", "  -- Down"])
def test_a_line_down_parts_the_directions(folder: Path, line: str) -> None:
    found = script(folder, f"SELECT 1;\n{line}\nSELECT 2;\n")
    assert (texts(found), texts(found, "down")) == (["SELECT 1"], ["SELECT 2"])


def test_the_last_statement_above_needs_no_semicolon(folder: Path) -> None:
    found = script(folder, "SELECT 1\n-- down\nSELECT 2")
    assert (texts(found), texts(found, "down")) == (["SELECT 1"], ["SELECT 2"])


def test_without_it_there_is_no_way_back(folder: Path) -> None:
    found = script(folder, "SELECT 1;\n-- down with it\n-- go down\n")
    assert not found.reversible
    assert texts(found, "down") == []


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("postgres", "SELECT 'a\n-- down\n';"),
        ("postgres", "DO $$\n-- down\n$$;"),
        ("postgres", "/*\n-- down\n*/ SELECT 1;"),
        ("postgres", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC\n-- down\nSELECT 1; END;"),
        ("postgres", "CREATE TABLE t (\n-- down\na int);"),
        ("mysql", "CREATE PROCEDURE p() BEGIN\n-- down\nSELECT 1; END;"),
        ("mysql", "DELIMITER //\nCREATE PROCEDURE p() BEGIN\n-- down\nSELECT 1; END //\n"),
        ("sqlite", "CREATE TRIGGER t INSERT ON a BEGIN\n-- down\nSELECT 1; END;"),
        ("clickhouse", "SELECT $$\n-- down\n$$;"),
        ("clickhouse", "SELECT 1; -- down\n"),
    ],
)
def test_inside_a_string_or_body_it_is_no_such_line(folder: Path, engine: str, text: str) -> None:
    found = script(folder, text, engine)
    assert not found.reversible
    assert len(texts(found)) == 1


def test_delimiters_stay_in_force_below_it(folder: Path) -> None:
    found = script(folder, "DELIMITER //\nSELECT 1; //\n-- down\nSELECT 2 //", "mysql")
    assert (texts(found), texts(found, "down")) == (["SELECT 1"], ["SELECT 2"])


# --- front matter -------------------------------------------------------------------------------------------


def test_front_matter_is_read(folder: Path) -> None:
    found = script(
        folder,
        "-- Adds the tenants. See: nothing\n-- requires: state/0001, job/items\n--requires: check/ok\n"
        "-- phase: contract\n-- transaction: no\n-- timeout: 2h\n-- lock-timeout: 250ms\n-- key: id, part\n"
        "-- writers: none\n\n-- size: an ordinary comment\nSELECT 1;",
    )
    assert found.front == FrontMatter(
        requires=("state/0001", "job/items", "check/ok"),
        requires_lines=(2, 2, 3),
        phase="contract",
        transaction=False,
        timeout=7200.0,
        lock_timeout=0.25,
        key=("id", "part"),
        writers="none",
    )


def test_without_front_matter_nothing_is_asked_for(folder: Path) -> None:
    assert script(folder, "SELECT 1;\n-- phase: expand\n").front == FrontMatter()
    assert script(folder, "\n-- phase: expand\nSELECT 1;").front == FrontMatter()
    assert script(folder, "-- https://example.org/why\nSELECT 1;").front == FrontMatter()


@pytest.mark.parametrize(
    ("value", "seconds"), [("30s", 30.0), ("5min", 300.0), ("2h", 7200.0), ("250ms", 0.25), ("7", 7.0), ("1.5 s", 1.5)]
)
def test_spans_of_time_are_seconds(folder: Path, value: str, seconds: float) -> None:
    assert script(folder, f"-- timeout: {value}\nSELECT 1;").front.timeout == seconds


@pytest.mark.parametrize(
    ("line", "what", "do"),
    [
        ("-- requres: a/b", "unknown key 'requres' (did you mean 'requires'?)", "capital letter"),
        ("-- note: this is no key", "unknown key 'note'", "`-- Note: …`, or leave a blank line"),
        ("-- requires: a/b,,c/d", "`requires` lacks a name", "one, another"),
        ("-- requires:", "`requires` lacks a name", "one, another"),
        ("-- phase: expnd", "`phase` can't be 'expnd' (did you mean 'expand'?)", "expand or contract"),
        ("-- transaction: off", "`transaction` can't be 'off'", "true or yes or false or no"),
        ("-- timeout: 5m", "`timeout` is not a span of time: '5m'", "5min"),
        ("-- timeout: 0", "`timeout` is not a span of time: '0'", "5min"),
        ("-- writers: some", "`writers` can't be 'some'", "Write none."),
        ("-- phase: expand\n-- phase: expand", "`phase` is said a second time", "Keep one"),
    ],
)
def test_mistakes_in_front_matter_are_named_with_their_line(folder: Path, line: str, what: str, do: str) -> None:
    with pytest.raises(BadScript) as caught:
        script(folder, f"-- A comment\n{line}\nSELECT 1;")
    assert what in caught.value.what
    assert do in caught.value.do
    assert caught.value.where.endswith(f"0001_first.sql:{2 + line.count(chr(10))}")


# --- variables ----------------------------------------------------------------------------------------------


def test_variables_are_filled_everywhere_but_in_comments(folder: Path) -> None:
    found = script(folder, "SELECT '${a}', ${b_1}, \"${a}\" -- ${c}\n, /* ${c} */ $x$${a}$x$, 'it costs $5';")
    assert texts(found, a="1;", b_1="two") == ["SELECT '1;', two, \"1;\" -- ${c}\n, /* ${c} */ $x$1;$x$, 'it costs $5'"]


def test_two_dollars_keep_the_text_as_it_is(folder: Path) -> None:
    assert texts(script(folder, "SELECT '$${a} ${a} $${1}';"), a="1") == ["SELECT '${a} 1 $${1}'"]


def test_a_value_never_splits_a_statement_nor_is_filled_itself(folder: Path) -> None:
    assert texts(script(folder, "SELECT ${a};"), a="1; SELECT ${b}") == ["SELECT 1; SELECT ${b}"]


def test_a_missing_variable_is_named_with_its_line_and_the_ways_to_set_it(folder: Path) -> None:
    found = script(folder, "SELECT 1;\nSELECT 2,\n  ${cluster};")
    with pytest.raises(MissingVariable) as caught:
        found.statements("up", {})
    assert "cluster" in caught.value.what
    assert caught.value.where == f"{found.path}:3"
    assert "[variables]" in caught.value.do and "environment variable cluster" in caught.value.do


@pytest.mark.parametrize("engine", ["postgres", "mysql", "sqlite", "clickhouse"])
@given(text=st.text(alphabet="${}a'\"-/* \n", max_size=30))
def test_without_a_variable_in_it_a_statement_stays_as_it_is(engine: str, text: str) -> None:
    if "${a" not in text:
        assert fill(text, engine, {}) == text


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "no statement"),
        ("-- only a comment\n;\n", 1, "no statement"),
        ("-- down\nSELECT 1;", 1, "no statement"),
        ("SELECT 1;\n-- down\n-- nothing\n", 2, "nothing stands below `-- down`"),
        ("SELECT 1;\n-- down\nSELECT 2;\n-- down\nSELECT 3;", 4, "a second `-- down`; the first is on line 2"),
        ("SELECT 1;\n\\d t\n", 2, "a command of psql"),
        ("SELECT 1;\nCOPY t FROM stdin;\n1\n\\.\n", 2, "COPY … FROM STDIN"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(folder: Path, text: str, line: int, what: str) -> None:
    found = script(folder, text)
    with pytest.raises(BadScript) as caught:
        _ = found.reversible
    assert what in caught.value.what
    assert caught.value.where == f"{found.path}:{line}"
    assert caught.value.do


@pytest.mark.parametrize(
    ("engine", "statement"),
    [
        ("postgres", "BEGIN"),
        ("postgres", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
        ("postgres", "commit work"),
        ("postgres", "ROLLBACK"),
        ("postgres", "END"),
        ("postgres", "PREPARE TRANSACTION 'x'"),
        ("mysql", "BEGIN"),
        ("mysql", "/* first */ START TRANSACTION"),
        ("mysql", "COMMIT"),
        ("mysql", "SET @@session.autocommit = 0"),
        ("sqlite", "BEGIN IMMEDIATE"),
        ("sqlite", "END TRANSACTION"),
        ("clickhouse", "BEGIN TRANSACTION"),
    ],
)
def test_transactions_are_not_a_scripts_business(folder: Path, engine: str, statement: str) -> None:
    found = script(folder, f"SELECT 1;\n{statement};\n", engine)
    with pytest.raises(BadScript, match="begins and ends the transaction itself") as caught:
        found.statements("up", {})
    assert caught.value.where == f"{found.path}:2"
    assert "transaction: false" in caught.value.do


@pytest.mark.parametrize(
    ("engine", "statement"),
    [
        ("postgres", "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; ROLLBACK WORK TO a; RELEASE a"),
        ("postgres", "COMMIT PREPARED 'x'"),
        ("mysql", "BEGIN NOT ATOMIC START TRANSACTION; COMMIT; END"),
        ("mysql", "CREATE PROCEDURE p() BEGIN START TRANSACTION; COMMIT; END"),
        ("mysql", "SET @a = 1"),
    ],
)
def test_savepoints_and_transactions_inside_bodies_are(folder: Path, engine: str, statement: str) -> None:
    assert texts(script(folder, statement, engine))


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b"SELECT 1;\r\nSELECT '\xe9';", ":2", "byte 19 of the file is 0xe9, which is not UTF-8"),
        ("SELECT 1;".encode("utf-16"), "", "UTF-16"),
        ("SELECT 1;".encode("utf-16-le"), "", "zero bytes"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused(folder: Path, content: bytes, where: str, what: str) -> None:
    with pytest.raises(BadScript) as caught:
        script(folder, content)
    assert what in caught.value.what
    assert caught.value.where == f"{folder / '0001_first.sql'}{where}"
