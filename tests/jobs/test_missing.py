"""Promises of a copy inside ClickHouse: each row once, told by what is missing, whatever dies and whatever comes late.

What is missing is told here by lists of rows in Python, which know nothing of checksums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import copying
import dumping
from jobbing import make, run, shown
from projects import Project
from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.jobs import sources
from stepwell.jobs.definition import Exclude, Groups, Missing

TABLE = "CREATE TABLE {} (a Int32, b String, id Int64, kind String) ENGINE = MergeTree ORDER BY (a, b, id)"
COLUMNS = ("a", "b", "id", "kind")

Row = tuple[int, str, int, str]

GROUPS = [(a, b) for a in (-1, 0, 1, 2) for b in ("", "x", "X")]


def rows_of(drawn: list[tuple[int, str]], first: int = 0) -> list[Row]:
    """Rows by a number each, of which a row's group follows; some are there twice."""
    return [(*GROUPS[number % len(GROUPS)], first + number, kind) for number, kind in drawn]


ROWS = st.lists(st.tuples(st.integers(0, 35), st.sampled_from("cd")), max_size=30)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = open_database("data", "chdb:///data?database=main", tmp_path_factory.mktemp("missing"))
    database.connect()
    for table in ("items", "copies"):
        database.query(TABLE.format(table))
    yield database
    database.close()


def fill(database: Database, table: str, rows: list[Row]) -> None:
    database.query(f"TRUNCATE TABLE {table} SYNC")
    database.insert(table, COLUMNS, rows)


def listed(database: Database, source: Groups, behind: sources.Key | None, most: int) -> dict[sources.Key, int]:
    """All groups behind a key, asked for so many at a time."""
    found: dict[sources.Key, int] = {}
    failed = ((0, "x"),) if len(source.keys) == 2 else ()
    while groups := sources.next_groups(database, source, behind, failed, most):
        keys = [group.key for group in groups]
        assert not found.keys() & set(keys) and keys == sorted(keys)
        found |= {group.key: group.rows for group in groups}
        behind = keys[-1]
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=ROWS, copied=st.lists(st.booleans(), min_size=30, max_size=30), untouched=st.sampled_from([None, 0, 1]),
    others=ROWS, by=st.sampled_from(["a", "a, b"]), key=st.sampled_from(["id", "b, id"]),
    only=st.sampled_from(["", "kind = 'c'"]), without=st.sampled_from(["", "-1", "d"]),
    most=st.sampled_from([1, 3, 1000]), at_once=st.sampled_from([1, 5, 1000]), page=st.sampled_from([1, 2, 1000]),
)  # fmt: skip
def test_what_is_missing_is_listed_and_counted_whatever_is_there(
    clickhouse: Database, drawn: Any, copied: list[bool], untouched: int | None, others: Any, by: str, key: str,
    only: str, without: str, most: int, at_once: int, page: int,
) -> None:  # fmt: skip
    items = rows_of(drawn)
    copies = [
        row for row, there in zip(items, copied, strict=False) if (there if untouched is None else row[0] != untouched)
    ]
    copies += rows_of(others, 1000)
    fill(clickhouse, "items", items)
    fill(clickhouse, "copies", copies)
    source = Groups("data", "items", by, Missing("copies", key, only))
    if without:
        source = replace(source, excluded=Exclude("kind" if without == "d" else "a", "IDS").read({"IDS": without}))

    def known(row: Row) -> tuple[Any, ...]:
        return tuple(row[COLUMNS.index(column)] for column in key.split(", "))

    there = {known(row) for row in copies if not only or row[3] == "c"}
    expected = Counter(
        tuple(row[: len(source.keys)])
        for row in items
        if known(row) not in there
        and without not in (str(row[0]), row[3])
        and not (by == "a, b" and row[:2] == (0, "x"))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "AT_ONCE", at_once)
        patch.setattr(sources, "MOST_GROUPS", page)
        assert listed(clickhouse, source, None, most) == expected


# --- to the end, and kill -9 ----------------------------------------------------------------------------------

JOB = """
-- batches: groups analytics.items by a, b
-- where: missing from copies by id
-- size: 40
-- workers: 2
INSERT INTO copies SELECT * FROM items WHERE ${batch};
"""

# Kills its own process at an INSERT: before it, half way (the blocks that ClickHouse keeps are played by a LIMIT), or
# behind it, before anything of it is recorded. Some batches are done by then, and another one is under way.
KILLED = """
import os, signal
from stepwell.databases.clickhouse.connection import ClickhouseDatabase
from stepwell.project import Project

send, sent = ClickhouseDatabase.send, []

def fused(self, text, *rest):
    sent.append(text)
    if len(sent) < 4:
        return send(self, text, *rest)
    if {where!r} != "before":
        send(self, text + (" LIMIT 17" if {where!r} == "half" else ""), *rest)
    os.kill(os.getpid(), signal.SIGKILL)

ClickhouseDatabase.send = fused
Project.load(".").run_job("copy")
"""


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    engines = {"state": "sqlite", "analytics": "clickhouse"}
    urls = {name: copying.empty(request, engine, tmp_path) for name, engine in engines.items()}
    return make(tmp_path, urls, {"copy": JOB})


@pytest.fixture
def analytics(project: Project) -> Iterator[Database]:
    """The project's database of a server, with both tables."""
    database = open_database("analytics", project.urls["analytics"], project.folder)
    database.connect()
    for table in ("items", "copies"):
        database.query(TABLE.format(table))
    yield database
    database.close()


def copies(database: Database) -> list[Row]:
    return [
        (int(a), str(b), int(key), str(kind)) for a, b, key, kind in database.query("SELECT * FROM copies ORDER BY id")
    ]


@pytest.mark.parametrize("where", ["before", "half", "behind"])
def test_a_copy_that_is_killed_has_each_row_once_when_the_next_one_ends(
    project: Project, analytics: Database, where: str
) -> None:
    items = rows_of([(number, "c") for number in range(300)])
    analytics.insert("items", COLUMNS, items)
    analytics.insert("copies", COLUMNS, items[50:60])  # by hand, some time ago
    killed = project.python(KILLED.format(where=where))
    assert killed.code == -9, killed.text
    assert 10 < len(copies(analytics)) < 300
    late = rows_of([(number, "d") for number in range(24)], 1000)
    analytics.insert("items", COLUMNS, late)
    dumping.query(project.urls["state"], "UPDATE stepwell_job SET lease_until = 1")  # half a minute later
    assert run(project, "copy")["state"] == "complete"
    assert copies(analytics) == items + late
    assert shown(project, "copy")["left"] == 0


def test_a_row_that_is_taken_out_of_the_copies_is_copied_again(project: Project, analytics: Database) -> None:
    items = rows_of([(number, "c") for number in range(100)])
    analytics.insert("items", COLUMNS, items)
    assert run(project, "copy")["rows_done"] == 100
    analytics.query("ALTER TABLE copies DELETE WHERE id = 7")
    analytics.insert("copies", COLUMNS, [(*items[7][:2], 2000, "c")])  # as many rows as before, but another one
    assert run(project, "copy")["rows_done"] == 101
    assert [row for row in copies(analytics) if row[2] < 2000] == items


# --- what tells that nothing came since the last look -----------------------------------------------------------

COPY = Groups("data", "items", "a, b", Missing("copies", "id"))


@pytest.mark.parametrize("table", ["items", "copies"])
@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO {} VALUES (0, '', 1000, 'c')",
        "DELETE FROM {} WHERE id = 7",
        "ALTER TABLE {} UPDATE kind = 'd' WHERE id = 7",
        "TRUNCATE TABLE {}",
        "CREATE OR REPLACE TABLE {} CLONE AS {}",
    ],
)
def test_a_fingerprint_is_another_after_any_change_of_either_table(
    clickhouse: Database, table: str, change: str
) -> None:
    fill(clickhouse, "items", rows_of([(number, "c") for number in range(12)]))
    fill(clickhouse, "copies", rows_of([(number, "c") for number in range(12)]))
    before = sources.fingerprint(clickhouse, COPY)
    assert before == sources.fingerprint(clickhouse, COPY) != ()
    clickhouse.query(change.format(table, table))
    assert sources.fingerprint(clickhouse, COPY) not in (before, ())


def test_a_fingerprint_is_the_same_after_a_merge(clickhouse: Database) -> None:
    fill(clickhouse, "items", rows_of([(number, "c") for number in range(12)]))
    for first in (0, 100, 200):
        clickhouse.insert("items", COLUMNS, rows_of([(1, "c")], first))
    before = sources.fingerprint(clickhouse, COPY)
    clickhouse.query("OPTIMIZE TABLE items FINAL")
    assert len(clickhouse.query("SELECT 1 FROM system.parts WHERE active AND table = 'items'")) == 1
    assert sources.fingerprint(clickhouse, COPY) == before


def test_a_fingerprint_is_another_after_a_late_mutation_whose_part_was_merged_with_a_newer_one(
    clickhouse: Database,
) -> None:
    fill(clickhouse, "items", rows_of([(number, "c") for number in range(12)]))
    clickhouse.query("SYSTEM STOP MERGES items")
    clickhouse.query("ALTER TABLE items UPDATE kind = 'd' WHERE id = 7 SETTINGS mutations_sync = 0")
    clickhouse.insert("items", COLUMNS, rows_of([(1, "c")], 100))
    before = sources.fingerprint(clickhouse, COPY)
    clickhouse.query("SYSTEM START MERGES items")
    clickhouse.query("OPTIMIZE TABLE items FINAL")
    assert clickhouse.query("SELECT count() FROM items WHERE kind = 'd'") == [(1,)]
    assert sources.fingerprint(clickhouse, COPY) not in (before, ())


def test_a_row_whose_group_is_null_is_named_and_hides_no_other(clickhouse_url: str, tmp_path: Path) -> None:
    url = clickhouse_url
    job = """
    -- batches: groups data.items by g
    -- where: missing from copies by id
    -- unindexed: accept
    INSERT INTO copies SELECT * FROM items WHERE ${batch};
    """
    project = make(tmp_path, {"state": f"sqlite:///{tmp_path / 'state'}", "data": url}, {"copy": job})
    for table in ("items", "copies"):
        dumping.query(url, f"CREATE TABLE {table} (g Nullable(Int32), id Int64) ENGINE = MergeTree ORDER BY id")
    dumping.query(url, "INSERT INTO items SELECT number % 3, number FROM numbers(30)")
    assert run(project, "copy")["state"] == "complete"
    dumping.query(url, "INSERT INTO items VALUES (NULL, 100), (1, 101), (7, 102)")
    end = project("job", "run", "copy")
    assert end.code != 0
    assert "1 of its rows have no g" in end.stderr, end.text
    assert dumping.query(url, "SELECT id FROM items WHERE id NOT IN (SELECT id FROM copies)") == ["100"]


def test_what_is_not_in_parts_or_may_look_at_other_tables_has_no_fingerprint(clickhouse: Database) -> None:
    clickhouse.query("CREATE OR REPLACE VIEW seen AS SELECT * FROM items")
    assert sources.fingerprint(clickhouse, replace(COPY, table="seen")) == ()
    assert sources.fingerprint(clickhouse, replace(COPY, where=Missing("copies", "id", "id IN (SELECT 1)"))) == ()
    assert sources.fingerprint(clickhouse, replace(COPY, where="kind = 'c'")) == ()
    assert (
        sources.fingerprint(clickhouse, replace(COPY, table="items FINAL"))
        == sources.fingerprint(clickhouse, COPY)
        != ()
    )


# Adds a row behind the first look that finds nothing left.
LATE = """
from stepwell.jobs import runner
from stepwell.project import Project

note_pass = runner._Run.note_pass

def and_add(self, *given, **more):
    before, quiet = given[1], note_pass(self, *given, **more)
    if (before, quiet) == (0, 1) and self.migrated == 100:
        self.source.insert("items", {columns!r}, [(0, "", 1000, "d")])
    return quiet

runner._Run.note_pass = and_add
print(Project.load(".").run_job("copy").rows_done)
"""


def test_a_row_that_comes_between_the_last_two_looks_is_copied(project: Project, analytics: Database) -> None:
    analytics.insert("items", COLUMNS, rows_of([(number, "c") for number in range(100)]))
    ended = project.python(LATE.format(columns=COLUMNS))
    assert ended.stdout.split() == ["101"], ended.text
    assert copies(analytics)[-1] == (0, "", 1000, "d")
