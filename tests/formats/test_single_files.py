"""golang-migrate, dbmate, goose, Prisma and plain files: one file, one version."""

from __future__ import annotations

from pathlib import Path

import pytest

from reading import down, lines, scripts, up, versions
from stepwell.errors import BadScript, DuplicateVersion, MissingVariable

BODY = "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN; RETURN ';'; END $$"


# --- golang-migrate -------------------------------------------------------------------------------------------


def test_golang_migrate_orders_by_number_and_pairs_both_ways(tmp_path: Path) -> None:
    files = {
        "10_c.up.sql": "SELECT '${not a variable}';",
        "2_b.up.sql": f"{BODY};\nSELECT ';' /* a ; /* b ; */ */ + 1;",
        "2_b.down.sql": "DROP FUNCTION f();\nSELECT 2;",
        "10_c.down.sql": "",
    }
    two, ten = scripts(tmp_path, files)
    assert versions([two, ten]) == ["2_b", "10_c"]
    assert (up(two), down(two)) == ([BODY, "SELECT ';' /* a ; /* b ; */ */ + 1"], ["DROP FUNCTION f()", "SELECT 2"])
    assert (up(ten), down(ten)) == (["SELECT '${not a variable}'"], [])


def test_an_edit_of_the_way_back_is_no_edit_of_what_was_applied(tmp_path: Path) -> None:
    files = {"1_a.up.sql": "SELECT 1", "1_a.down.sql": "SELECT 2"}
    (before,), (after,) = scripts(tmp_path, files), scripts(tmp_path, files | {"1_a.down.sql": "SELECT 3"})
    assert before.checksum == after.checksum


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"2_b.down.sql": ""}, "2_b.down.sql is the way back of nothing"),
        ({"2_b.sql": ""}, "2_b.sql is not named as golang-migrate names migrations"),
        ({"2_b.up.json": ""}, "a migration in .json"),
        ({"99999999999999999999_b.up.sql": ""}, "larger than 64 bits"),
    ],
)
def test_golang_migrate_passes_nothing_over(tmp_path: Path, files: dict[str, str], what: str) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, {"1_a.up.sql": ""} | files, format="golang-migrate")
    assert what in caught.value.what


def test_golang_migrate_refuses_two_files_of_one_number(tmp_path: Path) -> None:
    with pytest.raises(DuplicateVersion):
        scripts(tmp_path, {"1_a.up.sql": "", "01_b.up.sql": ""})


@pytest.mark.parametrize(
    "wrapped", ["BEGIN;\n{};\nCOMMIT;", "START TRANSACTION; {}; END;", "begin transaction;{};commit"]
)
def test_one_transaction_around_a_whole_file_is_left_to_stepwell(tmp_path: Path, wrapped: str) -> None:
    (one,) = scripts(tmp_path, {"1_a.up.sql": wrapped.format("SELECT 1; SELECT 2")})
    assert up(one) == ["SELECT 1", "SELECT 2"]


@pytest.mark.parametrize(
    "text",
    ["SELECT 1; COMMIT;", "BEGIN; SELECT 1;", "BEGIN; SELECT 1; COMMIT; SELECT 2;", "BEGIN; COMMIT; BEGIN; COMMIT;"],
)
def test_any_other_use_of_transactions_is_refused(tmp_path: Path, text: str) -> None:
    (one,) = scripts(tmp_path, {"1_a.up.sql": text})
    with pytest.raises(BadScript, match="Stepwell begins and ends the transaction itself"):
        up(one)


# --- dbmate ---------------------------------------------------------------------------------------------------


def test_dbmate_has_two_blocks_in_one_file(tmp_path: Path) -> None:
    text = f"-- about it\n\n-- migrate:up\n{BODY};\nSELECT '-- migrate:up';\n\n-- migrate:down\nDROP FUNCTION f();\n"
    (one,) = scripts(tmp_path, {"20240101_a.sql": text})
    assert (up(one), down(one)) == ([BODY, "SELECT '-- migrate:up'"], ["DROP FUNCTION f()"])
    assert (one.version, one.front.transaction, lines(one)) == ("20240101_a", None, [4, 5])


def test_dbmate_blocks_may_be_empty_or_end_with_the_file(tmp_path: Path) -> None:
    empty, none = scripts(
        tmp_path, {"1_a.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\n", "2_b.sql": "-- migrate:up"}
    )
    assert (up(empty), down(empty), up(none), down(none)) == (["SELECT 1"], [], [], None)


@pytest.mark.parametrize(
    "text", ["-- migrate:up transaction:false\nSELECT 1;", "-- migrate:up\n-- migrate:down transaction:false\n"]
)
def test_dbmate_blocks_that_are_no_transaction_are_journalled(tmp_path: Path, text: str) -> None:
    (one,) = scripts(tmp_path, {"1_a.sql": text})
    assert one.front.transaction is False


def test_dbmate_orders_by_name_and_takes_late_files(tmp_path: Path) -> None:
    found = scripts(tmp_path, dict.fromkeys(["10_c.sql", "2_b.sql", "1_a.sql"], "-- migrate:up\n"))
    assert versions(found) == ["10_c", "1_a", "2_b"]
    assert all(script.late for script in found)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT 1;\n", 1, "no `-- migrate:up`"),
        ("-- a\nSELECT 1;\n-- migrate:up\n", 2, "statements that belong to no block"),
        ("-- migrate:up\n-- migrate:dwon\n", 2, "unknown block `migrate:dwon` (did you mean 'down'?)"),
        ("-- migrate:up transation:false\n", 1, "unknown option 'transation' (did you mean 'transaction'?)"),
        ("-- migrate:up transaction:fasle\n", 1, "`transaction` can't be 'fasle' (did you mean 'false'?)"),
        ("-- migrate:down\n-- migrate:up\n", 1, "a block `migrate:down` in the wrong place"),
        ("-- migrate:up\n-- migrate:up\n", 2, "a block `migrate:up` in the wrong place"),
        ("-- migrate:up\n-- migrate:down\n-- migrate:down\n", 3, "a block `migrate:down` in the wrong place"),
    ],
)
def test_dbmate_says_where_a_file_is_not_its_own(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, {"1_a.sql": text}, format="dbmate")
    assert what in caught.value.what
    assert caught.value.where.endswith(f"1_a.sql:{line}")


# --- goose ----------------------------------------------------------------------------------------------------


def test_goose_has_two_parts_and_blocks_that_stand_for_themselves(tmp_path: Path) -> None:
    text = f"""-- a comment
-- +goose Up
CREATE TABLE a (x text);
-- +goose StatementBegin
{BODY}
-- +goose StatementEnd
INSERT INTO a VALUES ('x;
-- not the end');

-- +goose Down
DROP FUNCTION f();
DROP TABLE a;
"""
    (one,) = scripts(tmp_path, {"00001_a.sql": text})
    assert up(one) == ["CREATE TABLE a (x text)", BODY, "INSERT INTO a VALUES ('x;\n-- not the end')"]
    assert down(one) == ["DROP FUNCTION f()", "DROP TABLE a"]
    assert lines(one) == [3, 5, 7]


def test_goose_orders_by_number(tmp_path: Path) -> None:
    found = scripts(tmp_path, dict.fromkeys(["10_c.sql", "2_b.sql"], "-- +goose up\nSELECT 1;\n-- +goose down\n"))
    assert versions(found) == ["2_b", "10_c"]
    assert down(found[0]) == []


def test_goose_no_transaction_is_of_the_whole_file(tmp_path: Path) -> None:
    (one,) = scripts(tmp_path, {"1_a.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n"})
    assert (one.front.transaction, down(one)) == (False, None)


def test_goose_fills_in_the_environment_only_where_envsub_is_on(tmp_path: Path) -> None:
    text = (
        "-- +goose Up\nSELECT '${A}';\n-- +goose ENVSUB ON\nSELECT '${A}', '$B', '${C:-c}', '${D-d}';\n"
        "-- +goose ENVSUB OFF\nSELECT '$B';\n"
    )
    (one,) = scripts(tmp_path, {"1_a.sql": text})
    assert up(one, A="a", B="b", C="") == ["SELECT '${A}'", "SELECT 'a', 'b', 'c', 'd'", "SELECT '$B'"]
    with pytest.raises(MissingVariable):
        up(one, A="a")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT 1;\n-- +goose Up\n", 1, "statements that belong to no block"),
        ("SELECT 1;\n", 1, "statements that belong to no block"),
        ("-- nothing\n", 1, "no `-- +goose Up`"),
        ("-- +goose Up\n-- +goose Dwn\n", 2, "unknown annotation 'Dwn' (did you mean 'Down'?)"),
        ("-- +goose Down\n", 1, "`Down` in the wrong place"),
        ("-- +goose Up\n-- +goose Up\n", 2, "`Up` in the wrong place"),
        ("-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n", 2, "the StatementBegin of this line is never ended"),
        ("-- +goose Up\n-- +goose StatementBegin\n-- +goose Down\n", 3, "`Down` inside the StatementBegin of line 2"),
        ("-- +goose Up\n-- +goose StatementEnd\n", 2, "StatementEnd without StatementBegin"),
        ("-- +goose Up\n-- +goose ENVSUB ON\nSELECT $$a$$;\n", 3, "`$$` where goose fills in variables"),
    ],
)
def test_goose_says_where_a_file_is_not_its_own(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(BadScript) as caught:
        scripts(tmp_path, {"1_a.sql": text}, format="goose")
    assert what in caught.value.what
    assert caught.value.where.endswith(f"1_a.sql:{line}")


def test_goose_wants_every_statement_ended(tmp_path: Path) -> None:
    (one,) = scripts(tmp_path, {"1_a.sql": "-- +goose Up\nSELECT 1;\nSELECT\n 2\n-- +goose Down\n"})
    with pytest.raises(BadScript) as caught:
        up(one)
    assert caught.value.where.endswith("1_a.sql:3")


@pytest.mark.parametrize("name", ["0_a.sql", "a.sql", "00001.sql", "00002_b.go"])
def test_goose_passes_nothing_over(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadScript):
        scripts(tmp_path, {"1_a.sql": "-- +goose Up\n", name: ""}, format="goose")


# --- Prisma and plain files -----------------------------------------------------------------------------------


def test_prisma_has_a_folder_for_each_migration(tmp_path: Path) -> None:
    files = {
        "migration_lock.toml": 'provider = "postgresql"\n',
        "20240102000000_b/migration.sql": 'CREATE TABLE "b" (x INT);\n',
        "20240101000000_a/migration.sql": '-- CreateTable\nCREATE TABLE "a" (x INT);\n\n-- AddIndex\nCREATE INDEX i ON "a" (x);\n',
        "20240101000000_a/down.sql": 'DROP TABLE "a";\n',
    }
    one, two = scripts(tmp_path, files)
    assert versions([one, two]) == ["20240101000000_a", "20240102000000_b"]
    assert up(one) == ['CREATE TABLE "a" (x INT)', 'CREATE INDEX i ON "a" (x)']
    assert (down(one), down(two), lines(one)) == (['DROP TABLE "a"'], None, [2, 5])


def test_a_folder_of_prisma_without_its_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadScript, match=r"the folder has no migration\.sql"):
        scripts(tmp_path, {"1_a/migration.sql": "", "2_b/README": ""})


def test_plain_files_begin_with_a_number(tmp_path: Path) -> None:
    files = {"10.sql": "SELECT '${A}';", "2-b.sql": "-- requires: nothing\nSELECT 2;\n-- down\nSELECT 3;"}
    two, ten = scripts(tmp_path, files, format="plain")
    assert versions([two, ten]) == ["2-b", "10"]
    assert (up(two), down(two), up(ten)) == (["SELECT 2", "SELECT 3"], None, ["SELECT '${A}'"])
    with pytest.raises(BadScript, match=r"b\.sql has no number"):
        scripts(tmp_path, {"b.sql": ""}, format="plain")
