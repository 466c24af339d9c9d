"""Migration 1 of Opik by hand: what a slow reader of plain rows would make of them. Shares nothing with the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace

from hypothesis import strategies as st

from stepwell.databases.database import Database

SOURCES = ["unknown", "sdk", "manual", "span", "trace"]
MARKER = "Initial version (migrated from draft)"
AUDIT = ("created_at", "created_by", "last_updated_at", "last_updated_by")

Row = tuple[object, ...]


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


@dataclass(frozen=True, slots=True)
class Dataset:
    """A row of datasets; `version` is what people made of it before the upgrade: '', 'tagged' or 'untagged'."""

    id: str
    workspace_id: str
    name: str
    day: int
    author: str
    version: str

    @property
    def audit(self) -> tuple[str, str, str, str]:
        return (f"2024-05-{self.day:02} 10:00:00.123456", self.author, f"2024-06-{self.day:02} 23:59:59.000001", "bot")

    @property
    def own_version(self) -> str:
        return uuid(int(self.id[-12:]) + 900)


def uuid(number: int) -> str:
    return f"018f0000-0000-7000-8000-{number:012d}"


# --- small and nasty ------------------------------------------------------------------------------------------

WORKSPACES = ["default", "東京 o'lab"]
texts = st.sampled_from(
    ["", "plain", 'it\'s "quoted"', "C:\\temp\\n", "two\nlines", "100%s ?", "🧪𝒲", "\x00 bell \x07"]
)


def items(datasets: int = 3) -> st.SearchStrategy[Item]:
    return st.builds(
        lambda dataset, **given: Item(workspace_id=WORKSPACES[dataset % 2], dataset_id=uuid(dataset), **given),
        dataset=st.integers(1, datasets),
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


# Items go into datasets 1 to 5. Of these some are gone from the state, or were never filled.
states = st.lists(
    st.builds(
        lambda number, **given: Dataset(uuid(number), WORKSPACES[number % 2], f"d{number} 🧪", **given),
        number=st.integers(1, 6),
        day=st.integers(1, 28),
        author=st.sampled_from(["admin", "o'neill", "李雷"]),
        version=st.sampled_from(["", "", "tagged", "untagged"]),
    ),
    max_size=6,
    unique_by=lambda dataset: dataset.id,
)
batches = st.lists(st.lists(items(5), min_size=1, max_size=8), max_size=5)


# --- into the tables ------------------------------------------------------------------------------------------


def write_items(analytics: Database, rows: Iterable[Item]) -> None:
    names = [field.name for field in fields(Item)]
    times = names.index("created_at"), names.index("last_updated_at")
    values = [[value / 1000 if place in times else value for place, value in enumerate(astuple(row))] for row in rows]
    analytics.insert("dataset_items", names, values)


def write_datasets(state: Database, datasets: Sequence[Dataset]) -> None:
    with state.transaction():
        state.insert(
            "datasets",
            ["id", "workspace_id", "name", *AUDIT],
            [(each.id, each.workspace_id, each.name, *each.audit) for each in datasets],
        )
        own = [each for each in datasets if each.version]
        state.insert(
            "dataset_versions",
            ["id", "workspace_id", "dataset_id", "version_hash", "items_total", "change_description", *AUDIT],
            [(each.own_version, each.workspace_id, each.id, "mine", 7, "by hand", *each.audit) for each in own],
        )
        state.insert(
            "dataset_version_tags",
            ["workspace_id", "dataset_id", "tag", "version_id", *AUDIT],
            [
                (each.workspace_id, each.id, "latest", each.own_version, *each.audit)
                for each in own
                if each.version == "tagged"
            ],
        )


def empty(state: Database, analytics: Database) -> None:
    for table in ("dataset_items", "dataset_item_versions"):
        analytics.query(f"TRUNCATE TABLE {table}")
    with state.transaction():
        for table in ("dataset_version_tags", "dataset_versions", "datasets"):
            state.query(f"DELETE FROM {table}")


# --- what is there --------------------------------------------------------------------------------------------

_COPIED = """
    workspace_id, dataset_id, id, dataset_version_id, dataset_item_id, toString(source), trace_id, span_id,
    data, metadata, tags, toUnixTimestamp64Milli(item_created_at), item_created_by,
    toUnixTimestamp64Milli(item_last_updated_at), item_last_updated_by, created_by, last_updated_by
"""


def version_1(analytics: Database, final: str = "") -> list[Row]:
    """The rows of version 1; without FINAL, so that one written twice shows."""
    found = analytics.query(
        f"SELECT {_COPIED} FROM dataset_item_versions {final} WHERE dataset_version_id = dataset_id"
    )
    return sorted([tuple(map(_plain, row)) for row in found], key=repr)


def state_rows(state: Database) -> tuple[list[Row], list[Row]]:
    """Versions and tags."""
    versions = f"""
        SELECT id, workspace_id, dataset_id, version_hash, items_total, items_added, items_modified, items_deleted,
               change_description, {", ".join(AUDIT)}
        FROM dataset_versions
    """
    tags = f"SELECT workspace_id, dataset_id, tag, version_id, {', '.join(AUDIT)} FROM dataset_version_tags"
    return tuple(sorted(tuple(map(_plain, row)) for row in state.query(text)) for text in (versions, tags))  # type: ignore[return-value]  # two of them


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if hasattr(value, "strftime") else value


# --- what should be there -------------------------------------------------------------------------------------


def copied(batches: Sequence[Sequence[Item]]) -> list[Row]:
    """Version 1 of all: the last of the newest rows of a sorting key, then the newest of an item's sorting keys."""
    seen: dict[Row, Item] = {}
    for item in (item for batch in batches for item in batch):
        key = (item.workspace_id, item.dataset_id, item.source, item.trace_id, item.span_id, item.id)
        if key not in seen or item.last_updated_at >= seen[key].last_updated_at:
            seen[key] = item
    newest: dict[Row, Item] = {}
    for item in seen.values():
        one = (item.workspace_id, item.dataset_id, item.id)
        if one not in newest or _age(item) > _age(newest[one]):
            newest[one] = item
    return sorted([_row(item) for item in newest.values()], key=repr)


def _age(item: Item) -> tuple[int, int, str, str]:
    return item.last_updated_at, SOURCES.index(item.source), item.trace_id, item.span_id


def _row(item: Item) -> Row:
    origin = (item.source, item.trace_id, item.span_id)
    audit = (item.created_at, item.created_by, item.last_updated_at, item.last_updated_by)
    return (
        item.workspace_id, item.dataset_id, item.id, item.dataset_id, item.id, *origin,
        item.data, item.metadata, item.tags, *audit, item.created_by, item.last_updated_by,
    )  # fmt: skip


def versioned(datasets: Sequence[Dataset], batches: Sequence[Sequence[Item]]) -> tuple[list[Row], list[Row]]:
    """The versions and tags that should be there."""
    versions: list[Row] = []
    tags: list[Row] = []
    for each in datasets:
        total = len({item.id for batch in batches for item in batch if item.dataset_id == each.id})
        versions.append((each.id, each.workspace_id, each.id, "v1", total, 0, 0, 0, MARKER, *each.audit))
        if each.version:
            mine = (each.own_version, each.workspace_id, each.id, "mine", 7, 0, 0, 0, "by hand", *each.audit)
            versions.append(mine)
        latest = each.own_version if each.version == "tagged" else each.id
        tags.append((each.workspace_id, each.id, "latest", latest, *each.audit))
    return sorted(versions, key=lambda row: tuple(map(str, row))), sorted(tags, key=lambda row: tuple(map(str, row)))


def before(datasets: Sequence[Dataset]) -> tuple[list[Row], list[Row]]:
    """The versions and tags of before the upgrade."""
    versions, tags = versioned(datasets, [])
    own = [row for row in versions if row[3] == "mine"]
    ids = {row[0] for row in own}
    return own, [row for row in tags if row[3] in ids]


def later(item: Item, **changed: object) -> Item:
    """The item written again, a second later."""
    return replace(item, last_updated_at=item.last_updated_at + 1000, **changed)  # type: ignore[arg-type]  # fields
