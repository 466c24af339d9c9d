"""Flyway's files: versions, the way back, repeatable scripts, placeholders and settings of single scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading import down, lines, scripts, up, versions
from stepwell.errors import BadScript, DuplicateVersion, MissingVariable
from stepwell.scripts.formats import flyway


def test_versions_compare_number_by_number_and_repeatable_scripts_come_last(tmp_path: Path) -> None:
    names = ["V10__j.sql", "V1.10__c.sql", "V1_2__b.sql", "V1__a.sql", "R__z_view.sql", "R__a_view.sql", "V2.1__d.sql"]
    found = scripts(tmp_path, dict.fromkeys(names, "SELECT 1;"))
    assert versions(found) == ["V1__a", "V1_2__b", "V1.10__c", "V2.1__d", "V10__j", "R__a_view", "R__z_view"]
    assert [script.front.repeat for script in found] == [""] * 5 + ["changed"] * 2


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_a_version_is_a_row_of_numbers_and_zeros_at_its_end_are_nothing(a: list[int], b: list[int]) -> None:
    def padded(numbers: list[int]) -> list[int]:
        return numbers + [0] * (4 - len(numbers))

    first, second = (flyway.version(".".join(map(str, numbers))) for numbers in (a, b))
    assert (first < second) == (padded(a) < padded(b))
    assert (first == second) == (padded(a) == padded(b))


def test_folders_inside_are_read_too(tmp_path: Path) -> None:
    found = scripts(tmp_path, {"V1__a.sql": "SELECT 1", "2025/V2__b.sql": "SELECT 2"})
    assert versions(found) == ["V1__a", "V2__b"]


def test_a_u_file_is_the_way_back(tmp_path: Path) -> None:
    files = {
        "V1.0__a.sql": "CREATE TABLE a (x INT);\nCREATE TABLE b (x INT);",
        "U1__a.sql": "DROP TABLE b;\nDROP TABLE a;",
    }
    one, two = scripts(tmp_path, {**files, "V2__c.sql": "SELECT 1"})
    assert (up(one), down(one)) == (
        ["CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)"],
        ["DROP TABLE b", "DROP TABLE a"],
    )
    assert down(two) is None


def test_placeholders_are_filled_in_everywhere_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (one,) = scripts(
        tmp_path, {"V1__a.sql": "INSERT INTO ${schema}.t VALUES ('${who}', '${flyway:filename}');\nSELECT ${none};"}
    )
    assert up(one, schema="s", who="me", none="1")[0] == "INSERT INTO s.t VALUES ('me', 'V1__a.sql')"
    with pytest.raises(MissingVariable) as caught:
        up(one, schema="s", who="me")
    assert caught.value.where.endswith("V1__a.sql:2")


@pytest.mark.parametrize(
    "files",
    [
        {"V1__a.sql.conf": "# about it\nexecuteInTransaction=false\nplaceholderReplacement=false\n"},
        {"V1__a.sql": "-- flyway:executeInTransaction=false\n-- flyway:placeholderReplacement=false\nSELECT '${x}';"},
    ],
)
def test_a_script_may_say_that_it_is_no_transaction_and_has_no_placeholders(
    tmp_path: Path, files: dict[str, str]
) -> None:
    (one,) = scripts(tmp_path, {"V1__a.sql": "SELECT '${x}';"} | files)
    assert one.front.transaction is False
    assert up(one)[-1].endswith("SELECT '${x}'")


def test_byte_order_marks_and_line_ends_of_windows_are_no_difference(tmp_path: Path) -> None:
    (one,) = scripts(tmp_path / "a", {"V1__a.sql": b"\xef\xbb\xbfSELECT 1;\r\nSELECT\r\n 2;\r\n"})
    (two,) = scripts(tmp_path / "b", {"V1__a.sql": "SELECT 1;\nSELECT\n 2;\n"})
    assert (up(one), lines(one), one.checksum) == (["SELECT 1", "SELECT\n 2"], [1, 2], two.checksum)


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"V1_a.sql": ""}, "V1_a.sql is not named as Flyway names migrations"),
        ({"v1__a.sql": ""}, "v1__a.sql is not named as Flyway names migrations"),
        ({"U2__a.sql": "SELECT 1"}, "U2__a.sql is the way back of nothing"),
        ({"B1__a.sql": ""}, "a baseline migration"),
        ({"afterMigrate.sql": ""}, "a callback of Flyway"),
        ({"V2__B.java": ""}, "a migration in Java"),
        ({"V2__b.SQL": ""}, "ends otherwise than .sql"),
        ({"V1__a.sql.conf": "executeInTransactio=false"}, "unknown setting 'executeInTransactio' (did you mean"),
        ({"V1__a.sql.conf": "executeInTransaction=no"}, "`executeInTransaction` can't be 'no'"),
    ],
)
def test_what_it_does_not_know_is_an_error_and_never_passed_over(
    tmp_path: Path, files: dict[str, str], what: str
) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, {"V1__a.sql": "SELECT 1;"} | files, format="flyway")
    assert what in caught.value.what


def test_two_files_of_one_version_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(DuplicateVersion):
        scripts(tmp_path, {"V1.0__a.sql": "", "V1__b.sql": ""})
