"""A ledger that an older Stepwell made: brought up to date without a word, or the statement that does it is told."""

from __future__ import annotations

import urllib.parse
from dataclasses import replace
from pathlib import Path

import pytest

import copying
import dumping
from jobbing import ENGINES, add_job, fill, make, rows, run, shown
from projects import done
from stepwell.databases import open_database
from stepwell.ledger import tables

OLDER = (
    ("stepwell_change", "made_by"),
    ("stepwell_check", "statement"),
    ("stepwell_failure", "long_key"),
    ("stepwell_job", "epoch"),
    ("stepwell_job", "held_by"),
)
"""Columns that some table of the ledger came without once."""


def test_an_older_ledger_is_brought_up_to_date_by_whichever_command_comes_first(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = copying.empty(request, "sqlite", tmp_path)
    fill(url, 5)
    scripts = {"state/0001_later": "-- requires: job/add\nCREATE TABLE later (id INT);\n"}
    project = make(tmp_path, {"state": url}, {"add": add_job("records: seen")}, scripts)
    assert run(project, "add")["state"] == "complete"
    for command in (("status",), ("up",), ("job", "why", "add", "3"), ("job", "undo", "add", "--yes")):
        for table, column in OLDER:
            dumping.query(url, f"ALTER TABLE {table} DROP COLUMN {column}")
        done(project(*command))
    assert shown(project, "add")["state"] == "undone"
    assert rows(url, "SELECT sum(seen) FROM item") == [(0,)]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_column_beside_the_key_can_be_added_to_rows_that_are_there(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    database = open_database("state", copying.empty(request, engine, tmp_path), Path("/"))
    database.connect()
    try:
        tables.create(database)
        database.query("INSERT INTO stepwell_signoff VALUES ('go', 1, 'yes', 1.5, 'me', 'here', '')")
        database.query("INSERT INTO stepwell_job (job) VALUES ('add')")
        names = [
            line.split()[-2].removeprefix("{home}.")
            for text in tables.TABLES
            for line in text.splitlines()
            if "IF NOT EXISTS" in line
        ]
        before = {name: set(database.columns(name)) for name in names}
        for name in names:
            for column in before[name] - {"job", "row_key", "batch", "number", "id", "name", "check_name"}:
                database.query(f"ALTER TABLE {name} DROP COLUMN {column}")
        tables.create(database)
        assert {name: set(database.columns(name)) for name in names} == before
        assert database.query("SELECT answer, note, at FROM stepwell_signoff") == [("", "", 0)]
        assert database.query("SELECT held_by, next_batch, rows_left FROM stepwell_job") == [("", 1, -1)]
    finally:
        database.close()


def test_who_may_not_add_a_column_is_told_the_statement(postgres_url: str, tmp_path: Path) -> None:
    fill(postgres_url, 5)
    project = make(tmp_path, {"state": postgres_url}, {"add": add_job()})
    assert run(project, "add")["state"] == "complete"
    dumping.query(postgres_url, "ALTER TABLE stepwell_change DROP COLUMN made_by")
    dumping.query(postgres_url, "CREATE ROLE clerk LOGIN PASSWORD 'well-kept'")
    try:
        dumping.query(postgres_url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk")
        dumping.query(postgres_url, "GRANT CREATE ON SCHEMA public TO clerk")
        parts = urllib.parse.urlsplit(postgres_url)
        place = parts.netloc.rpartition("@")[2]
        clerk = replace(project, urls={"state": parts._replace(netloc=f"clerk:well-kept@{place}").geturl()})
        end = clerk("job", "list")
    finally:
        dumping.query(postgres_url, "DROP OWNED BY clerk")
        dumping.query(postgres_url, "DROP ROLE clerk")
    assert end.code == 2
    assert "stepwell_change has no column made_by" in end.stderr
    assert "ALTER TABLE stepwell_change ADD COLUMN made_by VARCHAR(150) NOT NULL DEFAULT '';" in end.stderr
