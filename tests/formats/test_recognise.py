"""Which format a folder is in: told by its files, said why, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from reading import scripts, up, write
from stepwell.errors import BadProject, BadScript
from stepwell.scripts import formats
from stepwell.scripts.origin import Origin


def recognised(folder: Path, files: dict[str, str], said: str = "") -> tuple[str, str]:
    return formats.recognise(Origin(write(folder, files), "state", "postgres", said))


@pytest.mark.parametrize(
    ("files", "format", "why"),
    [
        ({"0001_a.sql": "SELECT 1;\n-- down\n"}, "native", ""),
        ({}, "native", ""),
        ({"V1__a.sql": ""}, "flyway", "V1__a.sql is named as it names files"),
        ({"1_a.up.sql": ""}, "golang-migrate", "1_a.up.sql is named as it names files"),
        ({"1_a.sql": "\n-- migrate:up\n"}, "dbmate", "1_a.sql:2 says `-- migrate:up`"),
        ({"1_a.sql": "-- +goose Up\n"}, "goose", "1_a.sql:1 says `-- +goose`"),
        ({"a.sql": "--liquibase formatted sql\n"}, "liquibase", "a.sql:1 says `--liquibase formatted sql`"),
        ({"db.changelog-master.yaml": ""}, "liquibase", "db.changelog-master.yaml is named as it names files"),
        ({"1_a/migration.sql": ""}, "prisma", "migration.sql is there"),
        ({"env.py": ""}, "alembic", "env.py is named as it names files"),
    ],
)
def test_a_format_is_recognised_and_why_is_said(tmp_path: Path, files: dict[str, str], format: str, why: str) -> None:
    found, because = recognised(tmp_path, files)
    assert found == format
    assert why in because


def test_a_folder_in_two_formats_is_not_guessed_at(tmp_path: Path) -> None:
    files = {"V1__a.sql": "", "1_a.up.sql": ""}
    with pytest.raises(BadProject) as caught:
        recognised(tmp_path, files)
    assert "V1__a.sql" in caught.value.where and "1_a.up.sql" in caught.value.where
    assert recognised(tmp_path, files, "flyway") == ("flyway", "")


def test_an_unknown_format_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match=r"unknown format 'flywya' \(did you mean 'flyway'\?\)"):
        recognised(tmp_path, {}, "flywya")


@pytest.mark.parametrize(
    ("line", "tool"),
    [("-- migrate:down", "dbmate"), ("-- +goose Down", "goose"), ("--changeset a:1", "liquibase")],
)
def test_a_script_of_another_tool_among_native_ones_is_not_run_both_ways(tmp_path: Path, line: str, tool: str) -> None:
    (one,) = scripts(tmp_path, {"0001_a.sql": f"CREATE TABLE a (x INT);\n{line}\nDROP TABLE a;\n"}, format="native")
    with pytest.raises(BadScript) as caught:
        up(one)
    assert f'format = "{tool}"' in caught.value.do
    assert caught.value.where.endswith("0001_a.sql:2")
