"""Promises of the made-up Opik installation, and of the proof of its upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dumping import Dump, dump, query
from servers.clickhouse_front import ClickhouseFront
from servers.mariadb import MariadbServer
from stepwell import bundles
from stepwell.bundles.opik import Summary, generate, proof
from stepwell.databases.database import Database
from stepwell.errors import Refused
from stepwell.project import Project
from stepwell.schema.plan import Options

SCALE = 0.05
SOME_ITEM = "SELECT id FROM dataset_item_versions WHERE dataset_version_id = dataset_id LIMIT 1"


def project(state_url: str, analytics_url: str, *, upto: str = "0002") -> Project:
    """The Opik project with its scripts up to `upto` applied."""
    environment = {"STATE_DB_URL": state_url, "ANALYTICS_DB_URL": analytics_url}
    made = Project.load(bundles.HERE / "opik", environment)
    for name in ("state", "analytics"):
        made.up(Options(to=f"{name}/{upto}"))
    return made


@contextmanager
def databases(made: Project) -> Iterator[tuple[Database, Database]]:
    with made.targets() as (state, analytics):
        yield state.database, analytics.database


def fill(made: Project, seed: int = 1) -> Summary:
    with databases(made) as (state, analytics):
        return generate(state, analytics, scale=SCALE, seed=seed)


def upgrade(made: Project) -> None:
    """Migration 1, with its jobs."""
    made.up(Options(to="state/0003"))
    for job in ("copy-dataset-items", "dataset-version-items-total"):
        assert made.run_job(job).state == "complete"


def rows(url: str) -> Dump:
    return {name: text for name, text in dump(url).items() if "schema_migrations" not in name and "rows" in name}


# --- the data ---------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_rows_on_every_engine(
    mariadb: MariadbServer, sqlite_url: str, chdb_url: str, clickhouse_url: str
) -> None:
    servers, embedded = project(mariadb.new_database(), clickhouse_url), project(sqlite_url, chdb_url)
    assert fill(servers) == fill(embedded)
    assert rows(clickhouse_url) == rows(chdb_url)
    for table in ("projects", "prompts", "prompt_versions", "datasets", "dataset_versions", "dataset_version_tags"):
        text = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        with databases(servers) as (one, _), databases(embedded) as (other, _):
            assert [list(map(str, row)) for row in one.query(text)] == _moments(other.query(text))


def _moments(found: list[tuple[object, ...]]) -> list[list[str]]:
    """Rows of SQLite as MySQL's driver shows them: no zeros behind a whole second."""
    return [[str(value).removesuffix(".000000") for value in row] for row in found]


def test_another_seed_gives_other_rows(clickhouse_front: ClickhouseFront, sqlite_url: str) -> None:
    first, second = clickhouse_front.new_database(), clickhouse_front.new_database()
    fill(project(sqlite_url, first), seed=1)
    fill(project(f"{sqlite_url}.other", second), seed=2)
    assert rows(first)["rows of dataset_items"] != rows(second)["rows of dataset_items"]


def test_the_summary_is_what_is_there(sqlite_url: str, clickhouse_url: str) -> None:
    summary = fill(project(sqlite_url, clickhouse_url))

    def count(url: str, text: str) -> int:
        return int(query(url, text)[0])

    assert count(sqlite_url, "SELECT count(*) FROM projects") == summary.projects
    assert count(sqlite_url, "SELECT count(*) FROM prompts") == summary.prompts
    assert count(sqlite_url, "SELECT count(*) FROM datasets") == summary.datasets
    assert count(sqlite_url, "SELECT count(*) FROM dataset_versions") == summary.versions
    assert count(clickhouse_url, "SELECT uniqExact(dataset_id, id) FROM dataset_items") == summary.items
    assert summary.item_rows > summary.items
    assert "generated_datasets" not in query(clickhouse_url, "SHOW TABLES")


def test_the_awkward_rows_are_among_them(sqlite_url: str, clickhouse_url: str) -> None:
    made = project(sqlite_url, clickhouse_url)
    with databases(made) as (state, analytics):
        analytics.query("SYSTEM STOP MERGES dataset_items")
        generate(state, analytics, scale=SCALE)
        analytics.query("SYSTEM START MERGES dataset_items")
    several_keys = """
        SELECT {} FROM (
            SELECT uniqExact(source, trace_id, span_id) AS keys, uniqExact(last_updated_at) AS moments
            FROM dataset_items GROUP BY dataset_id, id)
        WHERE keys > 1
    """
    present = {
        "several rows of a sorting key": "SELECT count() - uniqExact(source, trace_id, span_id, id) FROM dataset_items",
        "items with several sorting keys": several_keys.format("count()"),
        "of equal age": several_keys.format("countIf(moments = 1)"),
        "empty maps": "SELECT countIf(empty(data)) FROM dataset_items",
        "4-byte characters": "SELECT countIf(toString(data) LIKE '%🤷%') FROM dataset_items",
        "backslashes": r"SELECT countIf(position(toJSONString(data), '\\\\') > 0) FROM dataset_items",
        "newlines": r"SELECT countIf(position(data['expected'], '\n') > 0) FROM dataset_items",
        "quotes": "SELECT countIf(toString(data) LIKE '%\"quoted\"%') FROM dataset_items",
        "JSON metadata": "SELECT countIf(isValidJSON(metadata)) FROM dataset_items",
        "no metadata": "SELECT countIf(metadata = '') FROM dataset_items",
        "tags": "SELECT countIf(notEmpty(tags)) FROM dataset_items",
        "items of earlier versions": "SELECT countIf(dataset_version_id != dataset_id) FROM dataset_item_versions",
    }
    counts = {what: int(query(clickhouse_url, text)[0]) for what, text in present.items()}
    assert [what for what, count in counts.items() if count == 0] == []

    known = set(query(sqlite_url, "SELECT id FROM datasets"))
    filled = set(query(clickhouse_url, "SELECT DISTINCT dataset_id FROM dataset_items"))
    assert filled - known, "a dataset whose state row is gone"
    assert known - filled, "datasets without items"
    workspaces = "SELECT DISTINCT workspace_id FROM "
    assert set(query(sqlite_url, f"{workspaces} projects")) - set(query(sqlite_url, f"{workspaces} datasets"))
    assert not query(sqlite_url, "SELECT id FROM dataset_versions WHERE id = dataset_id")


def test_generating_again_after_it_died_halfway_gives_the_same(
    clickhouse_front: ClickhouseFront, sqlite_url: str
) -> None:
    whole, broken = clickhouse_front.new_database(), clickhouse_front.new_database()
    fill(project(sqlite_url, whole))
    made = project(f"{sqlite_url}.other", broken)
    with databases(made) as (state, analytics):
        state.query("ALTER TABLE prompts RENAME TO hidden")
        with pytest.raises(Refused):
            generate(state, analytics, scale=SCALE)
        state.query("ALTER TABLE hidden RENAME TO prompts")
    fill(made)
    assert rows(broken) == rows(whole)
    assert rows(f"{sqlite_url}.other") == rows(sqlite_url)


# --- the upgrade and its proof ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["sqlite", "mysql"])
def test_the_upgrade_is_proved(state: str, clickhouse_url: str, request: pytest.FixtureRequest) -> None:
    made = project(str(request.getfixturevalue(f"{state}_url")), clickhouse_url)
    summary = fill(made)
    upgrade(made)
    with databases(made) as opened:
        facts = {fact.label: fact for fact in proof(*opened)}
    assert [fact for fact in facts.values() if not fact.ok] == []
    assert facts["datasets"].value == summary.datasets
    assert facts["distinct items in version 1"].value == summary.items


def test_version_1_carries_the_audit_of_its_dataset(sqlite_url: str, clickhouse_url: str) -> None:
    made = project(sqlite_url, clickhouse_url)
    fill(made)
    upgrade(made)
    audit = "created_at, created_by, last_updated_at, last_updated_by"
    datasets = query(sqlite_url, f"SELECT id, workspace_id, {audit} FROM datasets ORDER BY id")
    marked = "WHERE id = dataset_id AND version_hash = 'v1' AND items_total >= 0"
    assert query(sqlite_url, f"SELECT id, workspace_id, {audit} FROM dataset_versions {marked} ORDER BY id") == datasets


def test_a_tag_that_people_have_set_stays(sqlite_url: str, clickhouse_url: str) -> None:
    made = project(sqlite_url, clickhouse_url)
    fill(made)
    tags = query(sqlite_url, "SELECT * FROM dataset_version_tags")
    upgrade(made)
    assert tags
    assert set(tags) <= set(query(sqlite_url, "SELECT * FROM dataset_version_tags"))


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE dataset_item_versions DELETE WHERE id = '{id}'",
        "ALTER TABLE dataset_item_versions UPDATE data = map('other', 'content') WHERE id = '{id}'",
        "ALTER TABLE dataset_item_versions UPDATE metadata = 'other' WHERE id = '{id}'",
        """
        INSERT INTO dataset_item_versions (id, workspace_id, dataset_id, dataset_version_id)
        SELECT toString(generateUUIDv4()), workspace_id, dataset_id, dataset_version_id
        FROM dataset_item_versions WHERE id = '{id}'
        """,
    ],
    ids=["lost", "other data", "other metadata", "too many"],
)
def test_the_proof_sees_one_wrong_item(damage: str, sqlite_url: str, clickhouse_url: str) -> None:
    made = project(sqlite_url, clickhouse_url)
    fill(made)
    upgrade(made)
    [item] = query(clickhouse_url, SOME_ITEM)
    with databases(made) as (state, analytics):
        analytics.query(damage.format(id=item))
        facts = proof(state, analytics)
    assert [fact for fact in facts if not fact.ok]


def test_the_proof_sees_an_item_that_was_copied_twice(sqlite_url: str, clickhouse_url: str) -> None:
    made = project(sqlite_url, clickhouse_url)
    fill(made)
    upgrade(made)
    with databases(made) as (state, analytics):
        analytics.query("SYSTEM STOP MERGES dataset_item_versions")
        [item] = query(clickhouse_url, SOME_ITEM)
        analytics.query(f"INSERT INTO dataset_item_versions SELECT * FROM dataset_item_versions WHERE id = '{item}'")
        facts = proof(state, analytics)
    assert [fact.label for fact in facts if not fact.ok] == ["rows in version 1"]
