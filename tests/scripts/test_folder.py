"""Which files of a folder count, for which engine, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import BadScript, DuplicateVersion, NoScriptFolder
from stepwell.scripts.folder import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("SELECT 1;" if name.endswith("sql") else "def up(db): pass\n")


def files(folder: Path, engine: str = "postgres") -> list[str]:
    return [script.path.name for script in load(folder, "state", engine)]


def test_scripts_come_in_the_order_of_their_numbers(folder: Path) -> None:
    write(folder, "10_c.sql", "2_b.sql", "0001_a.sql", "20240101120000_d.py")
    assert files(folder) == ["0001_a.sql", "2_b.sql", "10_c.sql", "20240101120000_d.py"]


def test_any_prefix_that_sorts_will_do(folder: Path) -> None:
    write(folder, "v1.10_b.sql", "v1.9_a.sql", "v2_c.sql", "w1_d.sql", "1_e.sql")
    assert files(folder) == ["1_e.sql", "v1.9_a.sql", "v1.10_b.sql", "v2_c.sql", "w1_d.sql"]


@given(numbers=st.sets(st.integers(0, 10**15), min_size=1, max_size=8))
def test_numbers_sort_whatever_their_width(tmp_path_factory: pytest.TempPathFactory, numbers: set[int]) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    write(folder, *(f"{number:0{number % 7}}_x.sql" for number in numbers))
    assert [int(name.split("_")[0]) for name in files(folder)] == sorted(numbers)


def test_a_version_is_the_name_without_its_endings(folder: Path) -> None:
    write(folder, "0006_tenant_columns.mysql.sql", "0007_b.py")
    assert [script.version for script in load(folder, "state", "mysql")] == ["0006_tenant_columns", "0007_b"]


@pytest.mark.parametrize(
    ("suffix", "engine"),
    [
        ("postgres", "postgres"),
        ("postgresql", "postgres"),
        ("mysql", "mysql"),
        ("mariadb", "mysql"),
        ("sqlite", "sqlite"),
        ("clickhouse", "clickhouse"),
    ],
)
def test_the_file_for_this_engine_goes_before_the_one_for_all(folder: Path, suffix: str, engine: str) -> None:
    write(folder, "0001_a.sql", f"0001_a.{suffix}.sql", "0002_b.sql")
    others = {"postgres", "mysql", "sqlite", "clickhouse"} - {engine}
    assert files(folder, engine) == [f"0001_a.{suffix}.sql", "0002_b.sql"]
    assert [files(folder, other) for other in others] == [["0001_a.sql", "0002_b.sql"]] * 3


def test_what_is_no_script_is_passed_over(folder: Path) -> None:
    write(folder, ".0001_a.sql", "_shared.sql", "__init__.py", "README.md", "0001_a.sql~", "notes.txt")
    (folder / "0002_old.sql").mkdir()
    assert files(folder) == []


def test_a_folder_may_be_empty_but_not_absent(folder: Path) -> None:
    assert files(folder) == []
    with pytest.raises(NoScriptFolder) as caught:
        files(folder / "absent")
    assert str(folder / "absent") in caught.value.what
    assert "`scripts` below [databases.state]" in caught.value.do


@pytest.mark.parametrize(
    "names",
    [
        ("0001_a.sql", "1_b.sql"),
        ("0001_a.sql", "0001_b.sql"),
        ("01_a.sql", "1_a.sql"),
        ("0001_a.sql", "0001_a.py"),
        ("0001_a.postgres.sql", "0001_a.postgresql.sql"),
    ],
)
def test_two_files_of_one_number_are_both_named(folder: Path, names: tuple[str, str]) -> None:
    write(folder, *names)
    with pytest.raises(DuplicateVersion) as caught:
        files(folder)
    assert all(name in str(caught.value) for name in names)


def test_a_version_that_this_engine_lacks_is_an_error(folder: Path) -> None:
    write(folder, "0001_a.mysql.sql")
    with pytest.raises(BadScript) as caught:
        files(folder, "sqlite")
    assert caught.value.what == "0001_a is written for mysql only, and this database is sqlite"
    assert "0001_a.sqlite.sql" in caught.value.do


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("0001_init.mysq.sql", "unknown engine 'mysq' in the name 0001_init.mysq.sql (did you mean 'mysql'?)"),
        ("0001_init.v2.mysql.sql", "unknown engine 'v2.mysql'"),
        ("init.sql", "init.sql is not named like a script"),
        ("0001.sql", "0001.sql is not named like a script"),
        ("0001_.sql", "0001_.sql is not named like a script"),
        ("helpers.py", "helpers.py is not named like a script"),
    ],
)
def test_a_misspelt_name_is_an_error_and_not_passed_over(folder: Path, name: str, what: str) -> None:
    write(folder, name)
    with pytest.raises(BadScript) as caught:
        files(folder)
    assert what in caught.value.what
    assert caught.value.where == str(folder / name)


def test_a_version_fits_the_column_it_is_kept_in(folder: Path) -> None:
    # File systems stop at 255 bytes a name, ending included, so only a path that is longer can show it.
    from stepwell.scripts.folder import named

    assert named(folder / f"1_{'a' * 253}.sql").version == f"1_{'a' * 253}"
    with pytest.raises(BadScript, match="the version has 256 characters, but 255 is the most"):
        named(folder / f"1_{'a' * 254}.sql")
