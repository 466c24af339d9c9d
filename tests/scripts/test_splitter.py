"""What the splitter promises for any text, and that it agrees with the engines themselves."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import psycopg
import pymysql
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymysql.constants import CLIENT

from servers.clickhouse_front import ClickhouseFront
from servers.mariadb import PASSWORD, USER, MariadbServer
from servers.postgres import PostgresServer
from stepwell.databases.lexing import Kind, Unterminated, run_end, tokens
from stepwell.scripts.pieces import PieceKind, Unsplittable
from stepwell.scripts.splitter import split

ENGINES = ["postgres", "mysql", "sqlite", "clickhouse"]
MARKER = re.compile("-- down")

# What makes splitting hard, to be mixed in any order.
WORDS = (
    "; ;; ' '' \" ` \\ \\' ( ) [ ] $ $$ $a$ E' U&' /* */ /*! /*M! -- // # #! ‘ ’ “ ” . : := , "
    "\n \r\n \t \u00a0 a 1 é "
    "CREATE TRIGGER FUNCTION PROCEDURE EVENT PACKAGE OR REPLACE TEMP BEGIN ATOMIC NOT END CASE WHEN THEN "
    "ELSE IF LOOP WHILE REPEAT UNTIL FOR DO DECLARE EXIT HANDLER AS IS EACH ROW RETURNS COPY FROM STDIN "
    "INSERT VALUES FORMAT CSV JSONEachRow DELIMITER SELECT DEFINER ${a}"
)
HARD = [*WORDS.split(" "), " ", "\nDELIMITER //\n", "\n-- down\n"]

soup = st.lists(st.one_of(st.sampled_from(HARD), st.just(" ")), max_size=40).map("".join)
anything = st.one_of(soup, soup, st.text(max_size=60))


def statements(text: str, engine: str) -> list[str]:
    return [piece.text for piece in split(text, engine) if piece.kind is PieceKind.STATEMENT]


# --- any text at all --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@given(text=anything)
def test_pieces_joined_are_the_text_or_it_is_refused(engine: str, text: str) -> None:
    try:
        pieces = split(text, engine, MARKER)
    except Unsplittable as error:
        assert 1 <= error.line <= text.count("\n") + 1
        return
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text == text[piece.offset :][: len(piece.text)] for piece in pieces)
    assert all(piece.line == text.count("\n", 0, piece.offset) + 1 for piece in pieces)


@pytest.mark.parametrize("engine", ENGINES)
@given(text=anything)
def test_a_statement_has_nothing_around_it_and_is_not_split_again(engine: str, text: str) -> None:
    assume("DELIMITER" not in text.upper())
    try:
        found = statements(text, engine)
    except Unsplittable:
        return
    for statement in found:
        assert statement.strip(" \t\n\r\f\v") == statement
        if not statement.endswith("--"):  # which MySQL takes for a comment only where nothing follows
            assert statements(statement, engine) == [statement]


@pytest.mark.parametrize("engine", ENGINES)
@given(text=anything)
def test_tokens_joined_are_the_text_and_runs_end_between_tokens(engine: str, text: str) -> None:
    ends, light = {0}, set()
    try:
        for token in tokens(text, engine):
            end = token.offset + len(token.text)
            assert token.offset in ends
            assert token.text == text[token.offset : end]
            ends.add(end)
            if token.kind is not Kind.COMMENT and token.text != ";":
                light.add(token.offset)
    except Unterminated as error:
        assert error.offset >= max(ends)
    for start in list(ends):
        stop = run_end(text, engine, start)
        assert stop in ends
        assert all(offset in light for offset in ends if start <= offset < stop)


# --- agreement with SQLite --------------------------------------------------------------------------------

SQLITE_WORDS = (
    "; ; ; ' \" ` [ ] /* */ -- . ( ) a 1 \n CREATE TEMP TRIGGER BEGIN END END; ;END; CASE SELECT "
    "CREATE\nTRIGGER CREATE\tTEMP\tTRIGGER 'a;b' /*;*/"
)


def complete_statements(text: str) -> Iterator[str]:
    """The statements of a text as SQLite's own shell tells them apart: by asking after every `;`."""
    start = 0
    for position, character in enumerate(text, start=1):
        if character == ";" and sqlite3.complete_statement(text[start:position]):
            yield text[start:position]
            start = position
    yield text[start:]


def bare(statement: str) -> str:
    """A statement without the comments and white space around it, and without its `;`."""
    significant = [token for token in tokens(statement, "sqlite") if not token.silent]
    if significant and significant[-1].text == ";":
        significant.pop()
    if not significant:
        return ""
    return statement[significant[0].offset : significant[-1].offset + len(significant[-1].text)]


@given(words=st.lists(st.sampled_from(SQLITE_WORDS.split(" ")), max_size=30))
def test_sqlite_agrees_where_statements_end(words: list[str]) -> None:
    text = " ".join(words)
    try:
        found = statements(text, "sqlite")
    except Unsplittable:
        # What SQLite's shell would still be waiting for an end of.
        assert not sqlite3.complete_statement([*complete_statements(text)][-1] + ";")
        return
    assert found == [one for one in map(bare, complete_statements(text)) if one]


# --- agreement with the servers ---------------------------------------------------------------------------

nasty = st.text(alphabet="';$\\\"`-/*# \n{}aE%é’", max_size=8)


def doubled(text: str) -> str:
    return text.replace("'", "''")


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def in_dollars(text: str) -> str:
    return f"$tag${text}$tag$"


LITERALS = {
    "postgres": [
        lambda text: f"'{doubled(text)}'",
        lambda text: f"E'{escaped(text)}'",
        lambda text: f"e'a'\n -- it's; \n'{escaped(text)}'",
        in_dollars,
    ],
    "mysql": [
        lambda text: "'" + doubled(text.replace("\\", "\\\\")) + "'",
        lambda text: f"'{escaped(text)}'",
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '""') + '"',
    ],
    "clickhouse": [
        lambda text: "'" + doubled(text.replace("\\", "\\\\")) + "'",
        lambda text: f"'{escaped(text)}'",
        lambda text: f"‘{text.replace('’', '')}’",
        in_dollars,
    ],
}
COMMENTS = {
    "postgres": [" ", "\n", " -- it's; $$ \n", " /* ; ' /* $$ */ */ "],
    "mysql": [" ", "\n", " -- it's; ` \n", " # it's; \" \n", " /* ; ' /* ` */ "],
    "clickhouse": [" ", "\n", " -- it's; ` \n", " // it's; \n", " # it's; \n", " /* ; ' /* \" */ */ "],
}


@st.composite
def selects(draw: st.DrawFn, engine: str) -> tuple[str, list[str]]:
    """A script of SELECTs, each returning one text, and the statements it was made from."""
    between = st.sampled_from(COMMENTS[engine])
    parts, made = [], []
    for _ in range(draw(st.integers(1, 5))):
        literal = draw(st.sampled_from(LITERALS[engine]))(draw(nasty))
        name = "`a;b`" if engine != "postgres" else '"a;b"'
        statement = f"SELECT{draw(between)}{literal}{draw(between)}AS {name}"
        parts += [draw(between), statement, draw(between), ";"]
        made.append(statement)
    return "".join(parts), made


@pytest.fixture(scope="module")
def on_postgres(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.new_database(), autocommit=True) as connection:
        yield connection


@given(script=selects("postgres"))
def test_postgres_agrees_where_statements_end(on_postgres: psycopg.Connection, script: tuple[str, list[str]]) -> None:
    text, made = script
    assert statements(text, "postgres") == made
    whole = on_postgres.execute(text.encode())
    answers = [whole.fetchall()]
    while whole.nextset():
        answers.append(whole.fetchall())
    assert answers == [on_postgres.execute(one.encode()).fetchall() for one in statements(text, "postgres")]


BODIES = """
CREATE TABLE t (id int);
CREATE FUNCTION one() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS end; SELECT CASE WHEN true THEN 1 END; END;
CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);
CREATE PROCEDURE p(begin int) BEGIN ATOMIC INSERT INTO t VALUES (1); DELETE FROM t; END; /* ; */
SELECT one(); -- the end
"""


def test_postgres_takes_each_body_as_one_statement(on_postgres: psycopg.Connection) -> None:
    found = statements(BODIES, "postgres")
    assert len(found) == 5
    for statement in found:
        on_postgres.execute(statement.encode())


@pytest.fixture(scope="module")
def on_mariadb(mariadb: MariadbServer) -> Iterator[pymysql.Connection[pymysql.cursors.Cursor]]:
    database = mariadb.new_database().rpartition("/")[2]
    connection = pymysql.connect(
        host="127.0.0.1",
        port=mariadb.port,
        user=USER,
        password=PASSWORD,
        database=database,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )
    yield connection
    connection.close()


def results(connection: pymysql.Connection[pymysql.cursors.Cursor], text: str) -> list[object]:
    """What each statement of a text returns, as the server tells them apart."""
    with connection.cursor() as cursor:
        cursor.execute(text)
        found: list[object] = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
    return found


@given(script=selects("mysql"))
def test_mariadb_agrees_where_statements_end(
    on_mariadb: pymysql.Connection[pymysql.cursors.Cursor], script: tuple[str, list[str]]
) -> None:
    text, made = script
    assert statements(text, "mysql") == made
    # A comment behind the last `;` would be an empty statement to the server.
    whole = results(on_mariadb, text[: text.rindex(";")])
    assert whole == [results(on_mariadb, one)[0] for one in made]


values = st.sampled_from(["1", "'a;'", "@x", "IF(@x, 1, 2)", "CASE @x WHEN 1 THEN 2 ELSE CASE WHEN 1 THEN 2 END END"])
simple = values.flatmap(
    lambda value: st.sampled_from(
        [f"SET @x = {value};", f"SELECT {value} INTO @x;", "/* END; */ DO 0;", f"SET @x = REPEAT({value}, 2);"]
    )
)


def labelled_block(inner: str) -> str:
    label = f"l{inner.count('BEGIN')}"  # differs from those inside
    return f"{label}: BEGIN {inner} END {label};"


def labelled_loop(inner: str) -> str:
    label = f"k{inner.count('LOOP')}"
    return f"{label}: LOOP {inner} LEAVE {label}; END LOOP {label};"


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, min_size=1, max_size=3).map("\n".join)
    maybe = st.lists(inner, max_size=2).map(" ".join)
    return st.one_of(
        st.builds("BEGIN {} END;".format, maybe),
        maybe.map(labelled_block),
        st.builds("BEGIN DECLARE EXIT HANDLER FOR NOT FOUND, 1062 {} {} END;".format, inner, maybe),
        st.builds("IF {} THEN {} END IF;".format, values, body),
        st.builds("IF {} THEN {} ELSEIF {} THEN {} ELSE {} END IF;".format, values, body, values, body, body),
        st.builds("CASE {} WHEN 1 THEN {} ELSE {} END CASE;".format, values, body, body),
        st.builds("CASE WHEN {} THEN {} END CASE;".format, values, body),
        st.builds("WHILE {} DO {} END WHILE;".format, values, body),
        body.map(labelled_loop),
        st.builds("REPEAT {} UNTIL {} END REPEAT;".format, body, values),
        st.builds("FOR i IN 1..2 DO {} END FOR;".format, body),
    )


bodies = st.recursive(simple, blocks, max_leaves=6)
HEADERS = [
    "CREATE OR REPLACE PROCEDURE p() READS SQL DATA COMMENT 'begin;' {}",
    "CREATE OR REPLACE DEFINER = CURRENT_USER PROCEDURE p(IN begin INT, end INT) {}",
    "CREATE OR REPLACE TRIGGER g BEFORE INSERT ON t FOR EACH ROW {}",
    "CREATE OR REPLACE EVENT e ON SCHEDULE EVERY 1 DAY DO {}",
    "CREATE OR REPLACE FUNCTION f() RETURNS SET('a') CHARACTER SET utf8mb4 BEGIN {} RETURN 1; END;",
]


@given(script=st.lists(st.tuples(st.sampled_from(HEADERS), bodies), min_size=1, max_size=3))
def test_mariadb_takes_each_body_as_one_statement(
    on_mariadb: pymysql.Connection[pymysql.cursors.Cursor], script: list[tuple[str, str]]
) -> None:
    made = [header.format(body) for header, body in script]
    found = statements("\n".join(made), "mysql")
    assert found == [one.removesuffix(";") for one in made]
    results(on_mariadb, "CREATE TABLE IF NOT EXISTS t (a INT)")
    for statement in found:
        results(on_mariadb, statement)


@given(script=selects("clickhouse"))
def test_clickhouse_agrees_where_statements_end(
    clickhouse_front: ClickhouseFront, script: tuple[str, list[str]]
) -> None:
    text, made = script
    assert statements(text, "clickhouse") == made
    for statement in made:
        # One row of one text, for anything after the statement's end would be refused.
        assert clickhouse_front.query(statement + " FORMAT JSONEachRow").count("a;b") == 1
