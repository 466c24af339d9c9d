"""Checks through the command line: what holds, what does not, and what can't be told is never a pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import checking
import dumping
from projects import Project, done

ROWS = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, s VARCHAR(50))"


@pytest.fixture
def two(tmp_path: Path, postgres_url: str) -> Project:
    """Two databases with the same three rows, the ledger in the first."""
    urls = {"state": postgres_url, "copy": f"sqlite:///{tmp_path}/copy.db"}
    for url in urls.values():
        dumping.query(url, ROWS)
        dumping.query(url, "INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three')")
    return checking.make(tmp_path, urls, {})


MATCH = """
    -- All rows are in the copy.
    -- expect: match on id

    -- database: state
    SELECT id, n, s FROM t
    -- database: copy
    SELECT id, n, s FROM t
"""


def test_checks_that_hold_end_well(two: Project) -> None:
    checking.write(two, {
        "t_match": MATCH,
        "no_holes": "-- expect: no rows\n-- database: state\nSELECT id FROM t WHERE n IS NULL",
        "nothing_lost": "-- expect: zero\n-- database: state\nSELECT count(*) AS lost, 0.0 AS more FROM t WHERE id > 3",
        "sums": "-- expect: equal\n-- database: state\nSELECT sum(n) AS n FROM t\n-- database: copy\nSELECT sum(n) AS n FROM t",
        "small.py": "def check(on):\n    return on('copy').query('SELECT id FROM t WHERE n > 100')\n",
    })  # fmt: skip
    assert "5 checks: 5 hold, 0 do not" in done(two("check"))
    assert len(checking.results(two.urls["state"])) == 5


def test_a_failing_check_shows_both_sides_beside_each_other_in_80_columns(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    dumping.query(two.urls["copy"], f"UPDATE t SET n = 11, s = '{'long ' * 40}' WHERE id = 1")
    dumping.query(two.urls["copy"], "DELETE FROM t WHERE id = 2")
    dumping.query(two.urls["copy"], "INSERT INTO t VALUES (7, 1, 'x')")
    end = two("check")
    assert end.code == 7
    lines = end.stdout.splitlines()
    assert lines[0].startswith("check/t-match: FAILS: 3 of 4 rows differ")
    assert [line.split() for line in lines[1:3]] == [["id", "column", "state", "copy"], ["1", "n", "10", "11"]]
    assert lines[3].split()[:3] == ["s", "one", "long"]
    assert [line.split() for line in lines[4:6]] == [["2", "row", "there", "missing"], ["7", "row", "missing", "there"]]
    assert max(map(len, lines)) <= 80


def test_texts_that_only_look_alike_are_written_out(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    dumping.query(two.urls["state"], "UPDATE t SET s = 'caf\u00e9' WHERE id = 1")
    dumping.query(two.urls["copy"], "UPDATE t SET s = 'cafe\u0301' WHERE id = 1")
    out = two("check").stdout
    assert "'caf\\xe9'" in out
    assert "'cafe\\u0301'" in out


def test_texts_that_part_late_are_shown_where_they_part(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    for url in two.urls.values():
        end = "A" if url.startswith("sqlite") else "B"
        dumping.query(url, f"UPDATE t SET s = '{'x' * 48}{end}' WHERE id = 1")
    line = two("check").stdout.splitlines()[2]
    assert "xA" in line
    assert "xB" in line


def test_the_result_is_one_json_object(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    dumping.query(two.urls["copy"], "UPDATE t SET n = 11 WHERE id = 1")
    end = two("check", "check/t-match", "--json")
    (found,) = json.loads(end.stdout)["checks"]
    assert end.code == 7
    assert (found["check"], found["verdict"], found["compared"], found["differing"]) == ("t-match", "fails", 3, 1)
    assert found["rows"] == [
        {
            "changed": ["n"],
            "state": {"id": "1", "n": "10", "s": "one"},
            "copy": {"id": "1", "n": "11", "s": "one"},
        }
    ]


@pytest.mark.parametrize(("tolerance", "code"), [("1", 0), ("0.9", 7), ("10 %", 0), ("9 %", 7)])
def test_numbers_may_lie_as_far_apart_as_the_tolerance_says(two: Project, tolerance: str, code: int) -> None:
    checking.write(two, {"t_match": MATCH.replace("match on id", f"match on id\n    -- tolerance: {tolerance}")})
    dumping.query(two.urls["copy"], "UPDATE t SET n = 11 WHERE id = 1")
    assert two("check").code == code


def test_a_tolerance_is_for_numbers_alone(two: Project) -> None:
    checking.write(two, {"t_match": MATCH.replace("match on id", "match on id\n    -- tolerance: 100 %")})
    dumping.query(two.urls["copy"], "UPDATE t SET s = 'other' WHERE id = 1")
    assert two("check").code == 7


def test_nothing_compared_is_no_pass_unless_the_check_accepts_it(two: Project) -> None:
    for url in two.urls.values():
        dumping.query(url, "DELETE FROM t")
    checking.write(two, {"t_match": MATCH})
    end = two("check")
    assert end.code == 7
    assert "nothing was compared: state and copy have no rows" in end.stdout
    checking.write(two, {"t_match": MATCH.replace("match on id", "match on id\n    -- empty: accept")})
    assert two("check").code == 0


def test_a_sum_of_nothing_is_not_zero(two: Project) -> None:
    checking.write(two, {"z": "-- expect: zero\n-- database: state\nSELECT sum(n) AS n FROM t WHERE id > 99"})
    end = two("check")
    assert end.code == 7
    assert "n is NULL, not zero" in end.stdout


def test_three_databases_are_compared_at_once(two: Project, tmp_path: Path) -> None:
    checking.write(two, {"t": MATCH + "    -- database: copy\n    SELECT id, n, 'else' AS s FROM t WHERE id > 1\n"})
    end = two("check")
    assert end.code == 7
    assert "3 of 3 rows differ" in end.stdout
    assert end.stdout.splitlines()[2].split() == ["1", "row", "there", "there", "missing"]


def test_a_statement_that_takes_too_long_is_trouble_and_no_pass(two: Project) -> None:
    text = "-- expect: no rows\n-- timeout: 300 ms\n-- database: state\nSELECT pg_sleep(20) WHERE false OR pg_sleep(20) IS NULL"
    checking.write(two, {"slow": text})
    end = two("check")
    assert end.code == 1
    assert "check/slow: ERROR" in end.stdout
    assert checking.results(two.urls["state"]) == []


def test_one_that_could_not_be_run_does_not_keep_the_others_from_it(two: Project) -> None:
    checking.write(two, {
        "a_broken": "-- expect: no rows\n-- database: state\nSELECT nothing FROM nowhere",
        "b_fails": "-- expect: no rows\n-- database: state\nSELECT id FROM t",
        "c_holds": "-- expect: no rows\n-- database: state\nSELECT id FROM t WHERE id > 9",
    })  # fmt: skip
    end = two("check")
    assert end.code == 1
    assert "checks/a_broken.sql:3, database state" in end.stdout
    assert checking.results(two.urls["state"]) == ["b-fails\t\tfails", "c-holds\t\tholds"]


def test_a_check_changes_nothing(two: Project) -> None:
    text = "WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone"
    checking.write(two, {"bad": f"-- expect: no rows\n-- database: state\n{text}"})
    assert two("check").code == 1
    assert dumping.query(two.urls["state"], "SELECT count(*) FROM t") == ["3"]


def test_a_python_check_says_where_it_broke(two: Project) -> None:
    checking.write(two, {"broken.py": "def check(on):\n    yield 1\n    raise ValueError('gone wrong')\n"})
    end = two("check")
    assert end.code == 1
    assert "checks/broken.py:3" in end.stdout
    assert "gone wrong" in end.stdout


LOOKED_AT_NOTHING = {
    "forgets to give its rows": ("def check(on):\n    on('copy').query('SELECT id FROM t')\n", "it gave None"),
    "answers": ("def check(on):\n    return on('copy').query('SELECT id FROM t') == []\n", "it gave False"),
    "is late": ("# timeout: 10 ms\nimport time\ndef check(on):\n    time.sleep(0.1)\n    return []\n", "still at work"),
}


@pytest.mark.parametrize("name", LOOKED_AT_NOTHING)
def test_a_python_check_that_gives_no_rows_to_look_at_is_no_pass(two: Project, name: str) -> None:
    text, said = LOOKED_AT_NOTHING[name]
    checking.write(two, {"nothing.py": text})
    (outcome,) = checking.loaded(two).check()
    assert outcome.error is not None
    assert said in outcome.error.said
    assert "checks/nothing.py:" in outcome.error.where
    assert checking.results(two.urls["state"]) == []


def test_a_project_without_checks_has_none_that_hold(two: Project) -> None:
    end = two("check")
    assert end.code == 2
    assert "this project has no check" in end.stderr


def test_variables_are_filled_in(two: Project) -> None:
    (two.folder / "stepwell.toml").open("a").write('\n[variables]\nMOST = "2"\n')
    checking.write(two, {"few": "-- expect: no rows\n-- database: state\nSELECT id FROM t WHERE id > ${MOST}"})
    assert "1 row that should not be" in two("check").stdout


ONE = "-- database: state\nSELECT id FROM t\n"
BAD = {
    "no expectation": (ONE, 1, "does not say what it expects"),
    "an unknown expectation": (f"-- expect: nothing\n{ONE}", 1, "`expect` can't be 'nothing'"),
    "an unknown key": (f"-- expect: no rows\n-- tolerence: 5\n{ONE}", 2, "did you mean 'tolerance'?"),
    "a key said twice": (f"-- expect: no rows\n-- expect: zero\n{ONE}", 2, "a second time"),
    "a strange tolerance": (f"-- expect: equal\n-- tolerance: some\n{ONE}{ONE}", 2, "`tolerance` can't be 'some'"),
    "a tolerance for nothing": (f"-- expect: no rows\n-- tolerance: 5\n{ONE}", 2, "compares nothing"),
    "an unknown database": ("-- expect: no rows\n-- database: stat\nSELECT 1", 2, "did you mean 'state'?"),
    "no section": ("-- expect: no rows\nSELECT 1", 1, "where its statement runs"),
    "a statement before the sections": (f"-- expect: no rows\nSELECT 1;\n{ONE}", 2, "before the first section"),
    "an empty section": ("-- expect: no rows\n-- database: state\n-- nothing here\n", 2, "no statement"),
    "two statements": ("-- expect: no rows\n-- database: state\nSELECT 1;\nSELECT 2", 4, "a second statement"),
    "a statement that changes": ("-- expect: no rows\n-- database: state\nDELETE FROM t", 3, "this is no SELECT"),
    "one section for two": (f"-- expect: equal\n{ONE}", 1, "there is one section"),
    "two sections for one": (f"-- expect: no rows\n{ONE}{ONE}", 5, "a second section"),
    "an open quote": ("-- expect: no rows\n-- database: state\nSELECT 'x", 3, "never closed"),
    "an unknown variable": ("-- expect: no rows\n-- database: state\nSELECT\n${NONE}", 4, "NONE has no value"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_wrong_is_told_by_its_line_and_nothing_is_recorded(two: Project, name: str) -> None:
    text, line, said = BAD[name]
    checking.write(two, {"bad": text, "fine": MATCH})
    end = two("check")
    assert end.code == 2
    assert f"checks/bad.sql:{line}\n" in end.stderr
    assert said in end.stderr
    assert checking.results(two.urls["state"]) == []


MISMATCHED = {
    "different columns": ("SELECT id, n FROM t", "SELECT id, s FROM t", "state has a column 'n', which copy lacks"),
    "a column more": ("SELECT id FROM t", "SELECT id, s FROM t", "copy has a column 's', which state lacks"),
    "no such key": ("SELECT n FROM t", "SELECT n FROM t", "the key 'id' is none of the columns n"),
    "a key that is not unique": ("SELECT 5 AS id FROM t", "SELECT 5 AS id FROM t", "two rows of state have the key id 5"),
    "two columns of one name": ("SELECT id, n AS id FROM t", "SELECT id FROM t", "two columns are named 'id'"),
    "different columns of no rows": ("SELECT id, n FROM t WHERE 1 = 0", "SELECT id, s FROM t", "which copy lacks"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHED)
def test_sides_that_can_not_be_compared_are_trouble_and_no_pass(two: Project, name: str) -> None:
    one, other, said = MISMATCHED[name]
    checking.write(two, {"bad": f"-- expect: match on id\n-- database: state\n{one}\n-- database: copy\n{other}\n"})
    end = two("check")
    assert end.code == 1
    assert said in end.stdout
    assert "checks/bad.sql:" in end.stdout
    assert checking.results(two.urls["state"]) == []


def test_an_unknown_name_is_told(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    end = two("check", "t-mach")
    assert end.code == 2
    assert "did you mean 't-match'?" in end.stderr


def test_a_password_is_never_shown(two: Project) -> None:
    broken = two.with_urls(dict(two.urls) | {"copy": "postgresql://someone:hidden-words@127.0.0.1:1/none"})
    checking.write(two, {"t_match": MATCH})
    end = broken("check")
    assert end.code == 6
    assert "hidden-words" not in end.text


def test_watching_ends_when_all_hold(two: Project) -> None:
    checking.write(two, {"t_match": MATCH})
    assert two("check", "--watch").code == 0
