"""An Opik 1.x installation made up from a seed, with the awkward rows that years of use leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from stepwell.databases.database import Command, Database

LARGEST_DATASET = 100_000
"""Items in one dataset at most."""

_AUDIT = ("created_at", "created_by", "last_updated_at", "last_updated_by")
_FIRST_DAY = datetime(2024, 3, 1, tzinfo=UTC)

# The last one has projects and nothing else.
_WORKSPACES = ("default", "acme-research", "東京-lab", "o'neill & sons", "nightly", "just-signed-up")
_AUTHORS = ("admin", "maria@acme.example", "søren", "李雷", "ci-bot")
_NAMES = (
    "Support questions",
    "Réponses à vérifier",
    "客服问答",
    "🧪 smoke tests",
    "вопросы и ответы",
    "O'Brien's \"golden\" set",
    r"C:\evals\export",
    "100%_of_traffic",
    "أسئلة العملاء",
)
_DESCRIPTIONS = (
    None,
    "",
    "Collected from production, reviewed weekly.",
    "Línea una\nlínea dos\twith a tab",
    "Do not edit! 🛑 “frozen” since the Q3 review",
)


@dataclass(frozen=True, slots=True)
class Summary:
    """How many of each kind were generated. Item rows count every row version of an item."""

    workspaces: int
    projects: int
    prompts: int
    datasets: int
    deleted_datasets: int
    versions: int
    items: int
    item_rows: int

    def __str__(self) -> str:
        items = f"{self.items:,} items in {self.item_rows:,} rows"
        return f"{self.datasets:,} datasets in {self.workspaces} workspaces, {items}"


@dataclass(frozen=True, slots=True)
class _Dataset:
    id: str
    workspace: str
    name: str
    description: str | None
    created: datetime
    author: str
    items: int
    version: str  # the id of a version made before the upgrade, '' for none
    deleted: bool  # gone from the state; its items stayed in ClickHouse


def generate(state: Database, analytics: Database, *, scale: float = 1.0, seed: int = 1) -> Summary:
    """Fill the empty tables of Opik 1.x. The same scale and seed give the same rows on every engine.

    Scale 1.0 is 60 datasets with about 20,000 items in about 28,000 rows; both numbers grow with the scale until
    the largest dataset holds 100,000 items. Where the version tables exist (`0002`), some datasets have a version
    already, as people who tried the feature early do. Killed halfway, the same call completes it. Raises Refused.
    """
    random = Random(seed)
    datasets = list(_datasets(random, scale, versions=bool(state.columns("dataset_versions"))))
    living = [dataset for dataset in datasets if not dataset.deleted]
    # The state comes last and at once, so where it is there, all is.
    item_rows = _fill_items(analytics, datasets, seed)
    with state.transaction():
        projects = _fill_projects(state, random)
        prompts = _fill_prompts(state, random)
        _fill_datasets(state, living)
    return Summary(
        workspaces=len(_WORKSPACES),
        projects=projects,
        prompts=prompts,
        datasets=len(living),
        deleted_datasets=len(datasets) - len(living),
        versions=sum(dataset.version != "" for dataset in datasets),
        items=sum(dataset.items for dataset in datasets),
        item_rows=item_rows,
    )


def _datasets(random: Random, scale: float, *, versions: bool) -> Iterator[_Dataset]:
    count = max(12, round(60 * scale))
    # Zipf: the dataset of rank r holds 1/r of what the largest holds. Every tenth was created and never filled.
    shares = [0.0 if rank % 10 == 0 else 1 / rank for rank in range(1, count + 1)]
    largest = 20_000 * scale / sum(shares)
    for rank, share in enumerate(shares, start=1):
        created = _moment(random)
        versioned = rank % 8 == 4
        yield _Dataset(
            id=_uuid7(created, random),
            workspace=random.choices(_WORKSPACES[:-1], weights=(12, 5, 3, 2, 1))[0],
            name=f"{random.choice(_NAMES)} {rank}",
            description=random.choice(_DESCRIPTIONS),
            created=created,
            author=random.choice(_AUTHORS),
            items=min(LARGEST_DATASET, round(largest * share)),
            version=_uuid7(created + timedelta(days=30), random) if versioned and versions else "",
            deleted=rank == 7,
        )


def _fill_projects(state: Database, random: Random) -> int:
    rows = []
    for workspace in _WORKSPACES:
        for name in ("Default Project", "チャットボット", "search \\ ranking")[: random.randint(1, 3)]:
            created = _moment(random)
            rows.append((_uuid7(created, random), workspace, name, None, *_audit(created, "admin")))
    state.insert("projects", ["id", "workspace_id", "name", "description", *_AUDIT], rows)
    return len(rows)


def _fill_prompts(state: Database, random: Random) -> int:
    prompts, commits = [], []
    for number in range(8):
        workspace, created = random.choice(_WORKSPACES[:-1]), _moment(random)
        prompt, author = _uuid7(created, random), random.choice(_AUTHORS)
        description = random.choice(_DESCRIPTIONS)
        prompts.append((prompt, workspace, f"answer-{number} 💬", description, *_audit(created, author)))
        for commit in range(random.randint(1, 3)):
            moment = created + timedelta(days=commit)
            version = _uuid7(moment, random)
            template = f"You are helpful.\nAnswer '{{{{question}}}}' in {commit + 1} \\n sentences. 🙂"
            commits.append((version, workspace, prompt, version[-8:], template, *_audit(moment, author)))
    state.insert("prompts", ["id", "workspace_id", "name", "description", *_AUDIT], prompts)
    columns = ["id", "workspace_id", "prompt_id", "commit", "template", *_AUDIT]
    state.insert("prompt_versions", columns, commits)
    return len(prompts)


def _fill_datasets(state: Database, datasets: list[_Dataset]) -> None:
    state.insert(
        "datasets",
        ["id", "workspace_id", "name", "description", *_AUDIT],
        [
            (each.id, each.workspace, each.name, each.description, *_audit(each.created, each.author))
            for each in datasets
        ],
    )
    versioned = [(each, _audit(each.created + timedelta(days=30), each.author)) for each in datasets if each.version]
    if not versioned:
        return
    state.insert(
        "dataset_versions",
        ["id", "workspace_id", "dataset_id", "version_hash", "items_total", "change_description", *_AUDIT],
        [
            (each.version, each.workspace, each.id, each.version[-12:], each.items, "Before the rewrite", *audit)
            for each, audit in versioned
        ],
    )
    # One of them lost its tag.
    state.insert(
        "dataset_version_tags",
        ["workspace_id", "dataset_id", "tag", "version_id", *_AUDIT],
        [(each.workspace, each.id, "latest", each.version, *audit) for each, audit in versioned[1:]],
    )


def _audit(created: datetime, author: str) -> tuple[str, str, str, str]:
    moment = created.strftime("%Y-%m-%d %H:%M:%S.%f")
    return moment, author, moment, author


def _moment(random: Random) -> datetime:
    """Some millisecond of the installation's first 600 days."""
    return _FIRST_DAY + timedelta(milliseconds=random.randrange(600 * 86_400_000))


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def _uuid7(moment: datetime, random: Random) -> str:
    time, tail = f"{_milliseconds(moment):012x}", f"{random.getrandbits(60):015x}"
    variant = random.choice("89ab")
    return f"{time[:8]}-{time[8:]}-7{tail[:3]}-{variant}{tail[3:6]}-{tail[6:]}{random.getrandbits(12):03x}"


# --- items: made inside ClickHouse, so that millions take seconds ---------------------------------------------

_PLAN = """
CREATE TABLE generated_datasets (
    dataset_id   String,
    workspace_id String,
    author       String,
    created      Int64 COMMENT 'milliseconds since 1970',
    items        UInt32,
    version_id   String
) ENGINE = Memory
"""


def _sql_uuid7(milliseconds: str, *seeds: str) -> str:
    """SQL for the UUIDv7 text of a moment, random by `seeds`."""
    time, tail = f"lower(hex({milliseconds}))", f"lower(hex(sipHash128({', '.join(seeds)})))"
    return (
        f"concat(substring({time}, 1, 8), '-', substring({time}, 9, 4), '-7', substring({tail}, 1, 3), '-', "
        f"substring('89ab', 1 + sipHash64({', '.join(seeds)}) % 4, 1), substring({tail}, 4, 3), '-', "
        f"substring({tail}, 7, 12))"
    )


# Every item is a row of this: what dice it drew, and how often it was written (revisions, 1 to 3). An item that
# moved was attached to a trace by its last revision, which gives that row another sorting key; one in four of
# those has the same last_updated_at on both sides of the move.
_ITEMS = f"""
    SELECT
        dataset_id, workspace_id, author, number,
        created + number * 37 AS milliseconds,
        sipHash64(?, dataset_id, number) AS dice,
        [1, 1, 1, 1, 1, 1, 1, 2, 2, 3][1 + dice % 10] AS revisions,
        revisions > 1 AND intDiv(dice, 10) % 5 = 0 AS moves,
        moves AND intDiv(dice, 50) % 4 = 0 AS ties,
        {_sql_uuid7("milliseconds", "dice", "'item'")} AS id
    FROM generated_datasets
    ARRAY JOIN range(items) AS number
"""

_INSERT_REVISION = rf"""
INSERT INTO dataset_items (
    id, workspace_id, dataset_id, source, trace_id, span_id, input, expected_output, metadata, data, tags,
    created_at, created_by, last_updated_at, last_updated_by)
WITH
    ? AS revision,
    ['What is our refund policy?', 'Où est ma commande ?', '退货政策是什么？', '𝒲𝒽𝓎 🤷 not 👩‍🚀?', '', 'it''s "quoted"',
        'C:\\temp\\new', 'two\nlines\tand a tab', 'כן או לא?', '100%_sure? {{{{no}}}}'] AS phrases,
    moves AND revision = revisions - 1 AS moved,
    if(moved, 4, [1, 1, 1, 2, 3, 4, 0][1 + intDiv(dice, 200) % 7]) AS origin,
    intDiv(dice, 2000) AS luck,
    phrases[1 + (luck + revision) % 10] AS question,
    phrases[1 + intDiv(luck, 10) % 10] AS answer,
    fromUnixTimestamp64Milli(milliseconds, 'UTC') AS created_at
SELECT
    id,
    workspace_id,
    dataset_id,
    CAST(origin, 'Enum8(\'unknown\' = 0, \'sdk\' = 1, \'manual\' = 2, \'span\' = 3, \'trace\' = 4)') AS source,
    if(origin >= 3, {_sql_uuid7("milliseconds", "dice", "'trace'", "moved")}, '') AS trace_id,
    if(origin = 3, {_sql_uuid7("milliseconds", "dice", "'span'")}, '') AS span_id,
    if(luck % 9 = 0, toJSONString(map('question', question)), '') AS input,
    if(luck % 9 = 0, toJSONString(answer), '') AS expected_output,
    if(luck % 4 = 0, '', concat('{{"reviewed": true, "note": ', toJSONString(answer),
        ', "revision": ', toString(revision), '}}')) AS metadata,
    multiIf(
        luck % 50 = 0, map(),
        luck % 7 = 0, map('ключ', question, '言語', 'ja', '', answer, 'json', toJSONString([question, answer])),
        map('question', concat(question, ' #', toString(number)), 'expected', answer,
            'context', repeat(concat(question, ' '), luck % 20))) AS data,
    arraySlice(['golden', 'needs review', '難しい', '🔥'], 1 + luck % 4, luck % 3) AS tags,
    created_at,
    author AS created_by,
    created_at + toIntervalHour(if(ties, 0, revision)) AS last_updated_at,
    if(revision = 0, author, 'reviewer') AS last_updated_by
FROM ({_ITEMS})
WHERE revision < revisions
"""

_COUNT_ROWS = f"SELECT sum(revisions) FROM ({_ITEMS})"

_INSERT_VERSIONS = f"""
INSERT INTO dataset_item_versions (
    id, workspace_id, dataset_id, dataset_version_id, dataset_item_id, source, trace_id, span_id, data, metadata,
    tags, item_created_at, item_created_by, item_last_updated_at, item_last_updated_by,
    created_at, created_by, last_updated_at, last_updated_by)
SELECT
    {_sql_uuid7("plan.created", "item.id", "plan.version_id")},
    item.workspace_id, item.dataset_id, plan.version_id, item.id, item.source, item.trace_id, item.span_id, item.data,
    item.metadata, item.tags, item.created_at, item.created_by, item.last_updated_at, item.last_updated_by,
    item.last_updated_at, item.created_by, item.last_updated_at, item.created_by
FROM dataset_items AS item FINAL
INNER JOIN generated_datasets AS plan ON plan.dataset_id = item.dataset_id
WHERE plan.version_id != ''
ORDER BY item.dataset_id, item.id, item.last_updated_at DESC, item.source DESC, item.trace_id DESC
LIMIT 1 BY item.dataset_id, item.id
"""


def _fill_items(analytics: Database, datasets: list[_Dataset], seed: int) -> int:
    """Write the items of every dataset, one INSERT a revision so that each leaves its own rows."""
    analytics.run(Command(text="DROP TABLE IF EXISTS generated_datasets"))
    analytics.run(Command(text=_PLAN))
    analytics.insert(
        "generated_datasets",
        ["dataset_id", "workspace_id", "author", "created", "items", "version_id"],
        [
            (each.id, each.workspace, each.author, _milliseconds(each.created), each.items, each.version)
            for each in datasets
        ],
    )
    for revision in range(3):
        analytics.run(Command(text=_INSERT_REVISION, parameters=(revision, seed)))
    if any(each.version for each in datasets):
        analytics.run(Command(text=_INSERT_VERSIONS))
    [(rows,)] = analytics.query(_COUNT_ROWS, [seed])
    analytics.run(Command(text="DROP TABLE generated_datasets"))
    return int(rows)
