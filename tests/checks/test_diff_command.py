"""`stepwell diff`: what it prints, ends with, and leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import dumping
import projects
from projects import Project
from stepwell.checks.diff import ranges
from stepwell.checks.diff.rows import Difference, Finished
from stepwell.checks.diff.run import Request
from stepwell.project import Project as Loaded

MANY = 50_000

ITEMS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC)"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two SQLite files with a table items each."""
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("state", "copy")}
    made = projects.make(tmp_path / "project", urls, {})
    for name in urls:
        write(made, name, ITEMS)
    return made


def write(project: Project, name: str, *statements: str) -> None:
    with closing(sqlite3.connect(project.urls[name].removeprefix("sqlite:///"))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def fill(project: Project, rows: int) -> None:
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    write(project, "state", f"INSERT INTO items {numbers} SELECT i, 'item ' || i, i / 4.0 FROM n")
    shutil.copy(*(url.removeprefix("sqlite:///") for url in project.urls.values()))


def loaded(project: Project) -> Loaded:
    return Loaded.load(project.folder, {projects.variable(name): url for name, url in project.urls.items()})


DIFF = ("diff", "state.items", "copy.items", "--key", "id")


def test_each_difference_is_shown_with_both_values_in_80_columns(project: Project) -> None:
    fill(project, 5000)
    write(project, "copy", "DELETE FROM items WHERE id = 77", "UPDATE items SET name = 'ITEM 99' WHERE id = 99")
    write(project, "copy", "INSERT INTO items VALUES (9000, 'new', NULL)", "UPDATE items SET price = 2 WHERE id = 99")
    ended = project(*DIFF)
    assert ended.code == 7
    assert ended.stderr == ""
    *lines, last = ended.stdout.splitlines()
    assert lines == [
        "  id                  column            state.items          copy.items",
        "  77                  row               there                missing",
        "  99                  name              item 99              ITEM 99",
        "                      price             24.75                2",
        "  9000                row               missing              there",
    ]
    assert last.startswith("5,000 and 5,000 rows: 1 missing, 1 extra, 1 changed, ")
    assert all(len(line) <= 80 for line in lines)


def test_tables_that_are_the_same_end_with_0(project: Project) -> None:
    fill(project, 100)
    ended = project(*DIFF)
    assert (ended.code, ended.stdout.rpartition(",")[0]) == (0, "100 and 100 rows: the same")


def test_empty_tables_are_the_same(project: Project) -> None:
    assert project(*DIFF).code == 0
    assert project(*DIFF[:-1], "id,name").code == 0


def test_a_long_key_is_shown_whole(project: Project) -> None:
    write(project, "state", f"INSERT INTO items VALUES (1, '{'k' * 60}', 1)")
    ended = project(*DIFF[:-1], "name")
    assert "k" * 60 in ended.stdout


def test_json_is_one_object_with_one_difference_a_line(project: Project) -> None:
    fill(project, 10)
    write(project, "copy", "DELETE FROM items WHERE id IN (2, 3)", "UPDATE items SET price = NULL WHERE id = 5")
    ended = project(*DIFF, "--json")
    assert ended.code == 7
    told = json.loads(ended.stdout)
    assert [(one["kind"], one["key"]) for one in told["differences"]] == [
        ("missing", ["2"]), ("missing", ["3"]), ("changed", ["5"]),
    ]  # fmt: skip
    assert told["differences"][2]["changes"] == [{"column": "price", "left": "1.25", "right": None}]
    assert (told["rows"], told["missing"], told["changed"], told["whole"]) == ([10, 8], 2, 1, True)
    assert len(ended.stdout.splitlines()) == 5
    assert json.loads(project(*DIFF, "--where", "id = 1", "--json").stdout)["differences"] == []


def test_it_ends_at_its_limit_and_says_so(project: Project) -> None:
    fill(project, 300)
    write(project, "copy", "DELETE FROM items")
    ended = project(*DIFF)
    assert ended.code == 7
    assert ended.stdout.count("missing\n") == 100
    assert "stopped after 100 differences: 100 missing, 0 extra, 0 changed; --limit N for more" in ended.stdout
    ended = project(*DIFF, "--limit", "300")
    assert "300 and 0 rows: 300 missing, 0 extra, 0 changed" in ended.stdout


def test_columns_of_other_names_are_compared_where_they_are_named(project: Project) -> None:
    write(project, "copy", "DROP TABLE items", "CREATE TABLE items (item INTEGER PRIMARY KEY, name TEXT, cost NUMERIC)")
    write(project, "copy", "INSERT INTO items VALUES (1, 'other', 4)")
    write(project, "state", "INSERT INTO items VALUES (1, 'a', 4)")
    keyed = (*DIFF[:-1], "id=item")
    assert project(*keyed, "--columns", "price=cost").code == 0
    ended = project(*keyed)
    assert ended.code == 7
    assert "not compared, for only state.items has it: price" in ended.stderr
    assert "not compared, for only copy.items has it: cost" in ended.stderr


def test_only_rows_of_the_condition_are_compared(project: Project) -> None:
    fill(project, 10)
    write(project, "copy", "UPDATE items SET name = 'x' WHERE id = 9")
    assert project(*DIFF, "--where", "id < 9 -- the old ones").code == 0
    assert project(*DIFF, "--where", "id < 5 OR id = 9").code == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("diff", "stat.items", "copy.items", "--key", "id"), "did you mean 'state'?"),
        (
            ("diff", "state.itms", "copy.items", "--key", "id"),
            "database 'state' has no table 'itms' (did you mean 'items'?)",
        ),
        (("diff", "state", "copy.items", "--key", "id"), "database 'state' has no table ''"),
        (("diff", "state.items", "copy.items", "--key", "idd"), "state.items has no column 'idd' (did you mean 'id'?)"),
        ((*DIFF, "--columns", "name=titel"), "copy.items has no column 'titel'"),
        ((*DIFF, "--columns", "=x"), "can't read '=x'"),
    ],
)
def test_a_call_that_fits_no_table_says_what_does(project: Project, arguments: tuple[str, ...], said: str) -> None:
    ended = project(*arguments)
    assert ended.code == 2
    assert said in ended.stderr


def test_a_condition_that_is_refused_is_told_with_the_table(project: Project) -> None:
    ended = project(*DIFF, "--where", "nonsense = 1", "--json")
    assert ended.code == 1
    told = json.loads(ended.stdout)["error"]
    assert told["kind"] == "DiffBroken"
    assert "nonsense" in told["said"]


def test_rows_of_one_key_are_compared_as_a_whole(project: Project) -> None:
    for name, prices in (("state", (1, 2, 2)), ("copy", (2, 1, 1))):
        write(project, name, *(f"INSERT INTO items VALUES ({place}, 'a', {p})" for place, p in enumerate(prices)))
    by_name = (*DIFF[:-1], "name", "--columns", "price")
    ended = project(*by_name)
    assert ended.code == 7
    assert "  a                   rows              3                    3" in ended.stdout
    assert "0 changed, 1 repeated" in ended.stdout
    write(project, "copy", "UPDATE items SET price = 2 WHERE id = 1")
    assert project(*by_name).code == 0


def test_thousands_of_rows_of_one_key_are_none(project: Project) -> None:
    fill(project, 2000)
    write(project, "state", "UPDATE items SET name = 'same'")
    write(project, "copy", "UPDATE items SET name = 'same', price = 0 WHERE id > 1")
    ended = project(*DIFF[:-1], "name", "--columns", "price", "--json")
    assert ended.code == 2
    told = json.loads(ended.stdout)
    assert told["error"]["kind"] == "KeyTooWide"


# --- going on -------------------------------------------------------------------------------------------------


def told(project: Project, request: Request) -> list[object]:
    found: list[object] = []
    loaded(project).diff(request, found.append)
    return [one for one in found if isinstance(one, Difference)]


class Cut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("key", ["id", "name"])
def test_what_was_cut_off_goes_on_and_tells_everything_once(
    project: Project, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "ROWS", 50)
    monkeypatch.setattr("stepwell.checks.diff.hashes.PASS", 5)
    fill(project, 1000)
    write(project, "copy", "DELETE FROM items WHERE id % 40 = 7", "UPDATE items SET price = 0 WHERE id % 100 = 1")
    request = Request(left="state.items", right="copy.items", key={key: key}, progress=tmp_path / "kept")
    whole = told(project, Request(left="state.items", right="copy.items", key={key: key}))
    assert len(whole) == 35
    for stop in range(1, 40, 6):
        left = stop

        def until_cut(event: object) -> None:
            nonlocal left
            left -= isinstance(event, Difference | Finished)
            if not left:
                raise Cut

        with pytest.raises(Cut):
            loaded(project).diff(request, until_cut)
        with (tmp_path / "kept").open("ab") as file:
            file.write(b'{"difference": {"kind": "extra", "key": ["lost"], "chan')
    assert told(project, request) == whole
    assert not (tmp_path / "kept").exists()


def test_killed_with_9_it_goes_on(project: Project, tmp_path: Path) -> None:
    fill(project, MANY)
    write(project, "copy", "UPDATE items SET price = 0 WHERE id % 5000 = 7", "DELETE FROM items WHERE id = 49999")
    kept = tmp_path / "kept"
    running = project.start(*DIFF, "--resume", str(kept))
    projects.until(lambda: kept.exists() and b"finished" in kept.read_bytes(), running)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    finished = kept.read_bytes().count(b"finished")
    ended = project(*DIFF, "--resume", str(kept))
    assert finished > 0
    assert f"{MANY:,} and {MANY - 1:,} rows: 1 missing, 0 extra, 10 changed" in ended.stdout
    assert ended.stdout.count("price") == 10
    assert not kept.exists()


def test_the_progress_of_another_comparison_is_left_alone(project: Project, tmp_path: Path) -> None:
    fill(project, 200)
    write(project, "copy", "DELETE FROM items")
    kept = str(tmp_path / "kept")
    assert project(*DIFF, "--limit", "3", "--resume", kept).code == 7
    before = Path(kept).read_bytes()
    ended = project(*DIFF, "--where", "id < 3", "--resume", kept)
    assert ended.code == 2
    assert "is not the progress of this comparison" in ended.stderr
    assert Path(kept).read_bytes() == before
    Path(kept).write_text("anything\n")
    assert project(*DIFF, "--resume", kept).code == 2
    assert Path(kept).read_text() == "anything\n"


# --- many rows on servers ------------------------------------------------------------------------------------


@pytest.fixture
def servers(postgres_url: str, mysql_url: str, tmp_path: Path) -> Project:
    """MANY rows in PostgreSQL and MariaDB, with a gap in their keys."""
    dumping.query(postgres_url, "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL)")
    dumping.query(mysql_url, "CREATE TABLE items (id bigint PRIMARY KEY, name varchar(50) NOT NULL)")
    gap = "CASE WHEN {0} > 30000 THEN {0} + 1000000000000 ELSE {0} END"
    numbers = f"generate_series(1, {MANY}) AS n"
    dumping.query(postgres_url, f"INSERT INTO items SELECT {gap.format('n')}, 'item ' || n FROM {numbers}")
    dumping.query(mysql_url, f"INSERT INTO items SELECT {gap.format('seq')}, CONCAT('item ', seq) FROM seq_1_to_{MANY}")
    return projects.make(tmp_path / "servers", {"state": postgres_url, "copy": mysql_url}, {})


def test_one_row_among_many_is_found_and_so_is_a_segment_that_is_missing(servers: Project) -> None:
    dumping.query(servers.urls["copy"], "UPDATE items SET name = CONCAT(name, ' ') WHERE id = 1000000040000")
    dumping.query(servers.urls["state"], "DELETE FROM items WHERE id BETWEEN 2001 AND 22000")
    ended = servers(*DIFF, "--limit", "30000", "--json")
    told = json.loads(ended.stdout)
    assert told["rows"] == [MANY - 20_000, MANY]
    assert (told["missing"], told["extra"], told["changed"]) == (0, 20_000, 1)
    assert [one["key"][0] for one in told["differences"][:-1]] == [str(number) for number in range(2001, 22001)]
    by_name = json.loads(servers(*DIFF[:-1], "name", "--where", "id > 22000", "--json").stdout)
    assert sorted(one["key"][0] for one in by_name["differences"]) == ["item 40000", "item 40000 "]


def test_a_condition_can_change_nothing(servers: Project) -> None:
    function = "CREATE FUNCTION emptied() RETURNS boolean LANGUAGE sql AS 'DELETE FROM items; SELECT true'"
    dumping.query(servers.urls["state"], function)
    ended = servers("diff", "state.items", "state.items", "--key", "id", "--where", "emptied()")
    assert ended.code == 1
    assert "read-only" in ended.stderr
    assert dumping.query(servers.urls["state"], "SELECT count(*) FROM items") == [str(MANY)]
