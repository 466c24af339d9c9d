"""Promises of the item copy: every item once, as people see it, whatever the table holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.clickhouse_front import ClickhouseFront
from stepwell import bundles
from stepwell.databases import open_database
from stepwell.databases.database import Command, Database
from stepwell.scripts.folder import load

FOLDER = bundles.HERE / "opik" / "migrations" / "analytics"
SOURCES = ["unknown", "sdk", "manual", "span", "trace"]
COPIED = """
    workspace_id, dataset_id, id, dataset_version_id, dataset_item_id, toString(source), trace_id, span_id,
    data, metadata, tags, toUnixTimestamp64Milli(item_created_at), item_created_by,
    toUnixTimestamp64Milli(item_last_updated_at), item_last_updated_by, created_by, last_updated_by
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A row of dataset_items; times are milliseconds."""

    workspace_id: str
    dataset_id: str
    id: str
    source: str
    trace_id: str
    span_id: str
    data: dict[str, str]
    metadata: str
    tags: list[str]
    created_at: int
    created_by: str
    last_updated_at: int
    last_updated_by: str


def uuid(number: int) -> str:
    return f"018f0000-0000-7000-8000-{number:012d}"


texts = st.sampled_from(
    ["", "plain", 'it\'s "quoted"', "C:\\temp\\n", "two\nlines", "100%s ?", "🧪𝒲", "\x00 bell \x07"]
)
items = st.builds(
    Item,
    workspace_id=st.sampled_from(["default", "東京 o'lab"]),
    dataset_id=st.integers(1, 3).map(uuid),
    id=st.integers(10, 14).map(uuid),
    source=st.sampled_from(SOURCES),
    trace_id=st.sampled_from(["", uuid(20), uuid(21)]),
    span_id=st.sampled_from(["", uuid(30)]),
    data=st.dictionaries(texts, texts, max_size=3),
    metadata=texts,
    tags=st.lists(texts, max_size=2),
    created_at=st.just(1_700_000_000_000),
    created_by=texts,
    last_updated_at=st.integers(1_700_000_000_000, 1_700_000_000_003),  # few, so that many are equal
    last_updated_by=texts,
)


@pytest.fixture(scope="module")
def analytics(clickhouse_front: ClickhouseFront) -> Iterator[Database]:
    """The tables of before the copy."""
    database = open_database("analytics", clickhouse_front.new_database(), FOLDER)
    database.connect()
    for script in load(FOLDER, "analytics", database.engine)[:2]:
        for statement in script.statements("up", {}):
            database.run(Command(text=statement.text))
    yield database
    database.close()


def write(database: Database, rows: Iterable[Item]) -> None:
    names = [field.name for field in fields(Item)]
    times = names.index("created_at"), names.index("last_updated_at")
    values = [[value / 1000 if place in times else value for place, value in enumerate(astuple(row))] for row in rows]
    database.insert("dataset_items", names, values)


def copy(database: Database) -> None:
    script = load(FOLDER, "analytics", database.engine)[2]
    for statement in script.statements("up", {}):
        database.run(Command(text=statement.text))


def version_1(database: Database) -> list[tuple[object, ...]]:
    found = database.query(f"SELECT {COPIED} FROM dataset_item_versions WHERE dataset_version_id = dataset_id")
    return sorted([tuple(_plain(value) for value in row) for row in found], key=repr)


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def expected(batches: list[list[Item]]) -> list[tuple[object, ...]]:
    """The same by hand: the last of the newest rows of a sorting key, then the newest of an item's sorting keys."""
    seen: dict[tuple[object, ...], Item] = {}
    for item in (item for batch in batches for item in batch):
        key = (item.workspace_id, item.dataset_id, item.source, item.trace_id, item.span_id, item.id)
        if key not in seen or item.last_updated_at >= seen[key].last_updated_at:
            seen[key] = item
    newest: dict[tuple[str, str, str], Item] = {}
    for item in seen.values():
        one = (item.workspace_id, item.dataset_id, item.id)
        if one not in newest or _age(item) > _age(newest[one]):
            newest[one] = item
    return sorted([_copied(item) for item in newest.values()], key=repr)


def _age(item: Item) -> tuple[int, int, str, str]:
    return item.last_updated_at, SOURCES.index(item.source), item.trace_id, item.span_id


def _copied(item: Item) -> tuple[object, ...]:
    origin = (item.source, item.trace_id, item.span_id)
    audit = (item.created_at, item.created_by, item.last_updated_at, item.last_updated_by)
    return (
        item.workspace_id, item.dataset_id, item.id, item.dataset_id, item.id, *origin,
        item.data, item.metadata, item.tags, *audit, item.created_by, item.last_updated_by,
    )  # fmt: skip


def empty(database: Database) -> None:
    database.query("TRUNCATE TABLE dataset_items")
    database.query("TRUNCATE TABLE dataset_item_versions")


@given(batches=st.lists(st.lists(items, min_size=1, max_size=8), max_size=5))
def test_every_item_is_copied_once_and_as_its_newest_row_says(analytics: Database, batches: list[list[Item]]) -> None:
    empty(analytics)
    for batch in batches:
        write(analytics, batch)
    copy(analytics)
    assert version_1(analytics) == expected(batches)


@settings(max_examples=20)
@given(first=st.lists(items, min_size=1, max_size=8), second=st.lists(items, min_size=1, max_size=8))
def test_a_second_copy_adds_what_the_first_had_not_and_leaves_the_rest(
    analytics: Database, first: list[Item], second: list[Item]
) -> None:
    empty(analytics)
    write(analytics, first)
    copy(analytics)
    before = version_1(analytics)
    write(analytics, second)
    copy(analytics)
    after = version_1(analytics)
    assert [row for row in after if row in before] == before
    assert {row[:3] for row in after} == {row[:3] for row in expected([first, second])}
    assert len(after) == len({row[:3] for row in after})


def test_a_dataset_that_another_tool_left_half_copied_is_completed(analytics: Database) -> None:
    empty(analytics)
    half = [Item("w", uuid(1), uuid(n), "sdk", "", "", {"n": str(n)}, "", [], 1, "a", 2, "b") for n in range(10)]
    write(analytics, half[:5])
    copy(analytics)
    write(analytics, half[5:])
    copy(analytics)
    assert version_1(analytics) == expected([half])


def test_items_of_a_later_version_are_neither_in_the_way_nor_touched(analytics: Database) -> None:
    empty(analytics)
    item = Item("w", uuid(1), uuid(10), "sdk", "", "", {"a": "b"}, "{}", ["t"], 1, "a", 2, "b")
    write(analytics, [item])
    columns = ["id", "workspace_id", "dataset_id", "dataset_version_id", "dataset_item_id"]
    analytics.insert("dataset_item_versions", columns, [[uuid(10), "w", uuid(1), uuid(2), uuid(10)]])
    copy(analytics)
    assert version_1(analytics) == expected([[item]])
    assert analytics.query("SELECT count() FROM dataset_item_versions") == [(2,)]
