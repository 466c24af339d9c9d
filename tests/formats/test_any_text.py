"""Any text at all: what goes in as statements comes out, and what can't be read is an error and never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign import OWN, SHARED, files, rollback
from reading import down, scripts, up
from stepwell.errors import StepwellError

FORMS = ["flyway", "golang-migrate", "dbmate", "goose", "prisma", "plain", "liquibase"]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(data=st.data(), mark=st.booleans(), windows=st.booleans())
def test_the_statements_that_go_in_come_out(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject, mark: bool, windows: bool
) -> None:
    engine = data.draw(st.sampled_from(sorted(OWN)))
    some = st.lists(st.sampled_from(SHARED + OWN[engine]), min_size=1, max_size=6)
    forth, back = data.draw(some), data.draw(some)
    made = files(form, forth, back)
    encoded = {name: text.replace("\n", "\r\n" if windows else "\n").encode() for name, text in made.items()}
    if mark:
        encoded = {name: b"\xef\xbb\xbf" + text for name, text in encoded.items()}
    (script,) = scripts(tmp_path_factory.mktemp("in"), encoded, engine, format=form)
    assert up(script) == forth
    assert down(script) in (back, None if form == "plain" or (form == "liquibase" and not rollback(back)) else back)


PIECES = (
    "-- migrate:up|-- migrate:down|transaction:false|-- +goose Up|-- +goose Down|-- +goose StatementBegin|"
    "-- +goose StatementEnd|-- +goose NO TRANSACTION|-- +goose ENVSUB ON|-- +goose ENVSUB OFF|-- +goose|--changeset a:1|"
    "--changeset b:2 endDelimiter:// runOnChange:true|--changeset|--rollback|--rollback SELECT 1;|--comment x|"
    "--preconditions onFail:WARN|--precondition-sql-check expectedResult:0 SELECT 0|--property name:a value:b|"
    "/* liquibase rollback|*/|--liquibase formatted sql|--validCheckSum ANY|-- flyway:encoding=UTF-8|${a}|$a|$$|'|\"|`|;|//|"
    "SELECT 1|SELECT ';'|BEGIN|COMMIT|END|CREATE TRIGGER|CREATE PROCEDURE p()|DELIMITER //|(|)|[|\\|\0|é|#"
)
soup = st.lists(st.sampled_from([*PIECES.split("|"), "\n", "\n", "\n", " ", "\r\n"]), max_size=30).map("".join)

NAMES = {"flyway": "V1__a.sql", "golang-migrate": "1_a.up.sql", "prisma": "1_a/migration.sql"}


@pytest.mark.parametrize("form", FORMS)
@given(text=soup, engine=st.sampled_from(sorted(OWN)))
def test_any_soup_is_read_or_refused_with_its_place(
    tmp_path_factory: pytest.TempPathFactory, form: str, text: str, engine: str
) -> None:
    head = "--liquibase formatted sql\n" if form == "liquibase" else ""
    folder = tmp_path_factory.mktemp("soup")
    try:
        for script in scripts(folder, {NAMES.get(form, "1_a.sql"): head + text}, engine, format=form):
            found = [*up(script, a="1"), *(down(script, a="1") or [])]
            assert all(one.strip() for one in found)
    except StepwellError as error:
        assert str(folder) in error.where
        place = error.where.rpartition(":")[2]
        assert not place.isdigit() or 1 <= int(place) <= (head + text).count("\n") + 1


@given(st.text(max_size=80))
@pytest.mark.parametrize("name", ["changelog.xml", "changelog.yaml", "changelog.json"])
def test_any_changelog_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    folder: Path = tmp_path_factory.mktemp("log")
    try:
        scripts(folder, {name: text})
    except StepwellError as error:
        assert str(folder) in error.where
