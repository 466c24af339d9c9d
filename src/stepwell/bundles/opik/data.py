"""An Opik 1.x installation made up from a seed, with the awkward rows that years of use leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from stepwell.bundles.opik import activity
from stepwell.bundles.opik.activity import Place, Row
from stepwell.bundles.opik.values import AUDIT, AUTHORS, audit, milliseconds, moment, sql_uuid7, uuid7
from stepwell.databases.database import Command, Database

LARGEST_DATASET = 100_000
"""Items in one dataset at most."""

EXCLUDED = ("nightly", "o'neill & sons")
"""Workspaces that an operator might leave alone, with rows of every kind."""

# The last one has projects and nothing else.
_WORKSPACES = ("default", "acme-research", "東京-lab", "o'neill & sons", "nightly", "just-signed-up")
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
    experiments: int
    traces: int
    optimizations: int
    rules: int
    alerts: int

    def __str__(self) -> str:
        items = f"{self.items:,} items in {self.item_rows:,} rows"
        runs = f"{self.experiments:,} experiments with {self.traces:,} traces"
        return f"{self.datasets:,} datasets in {self.workspaces} workspaces,\n  {items},\n  {runs}"


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

    Scale 1.0 is 60 datasets with about 20,000 items in about 28,000 rows, and 200 experiments with about 2,000 traces;
    all numbers grow with the scale until the largest dataset holds 100,000 items. Where the version tables exist
    (`0002`), some datasets have a version already, as people who tried the feature early do. Killed halfway, the same
    call completes it. Raises Refused.
    """
    random = Random(seed)
    datasets = list(_datasets(random, scale, versions=bool(state.columns("dataset_versions"))))
    living = [dataset for dataset in datasets if not dataset.deleted]
    projects = _projects(random)
    prompts, commits = _prompts(random, max(8, round(8 * scale)))
    places = [place for place in _places(random, living, projects, prompts, commits) if place.datasets]
    runs = activity.optimizations(random, places, max(8, round(20 * scale)))
    experiments = activity.experiments(random, places, runs, max(20, round(200 * scale)))
    # The state comes last and at once, so where it is there, all is.
    item_rows = _fill_items(analytics, datasets, seed)
    activity.fill_analytics(analytics, experiments, runs)
    with state.transaction():
        state.insert("projects", ["id", "workspace_id", "name", "description", *AUDIT], projects)
        state.insert("prompts", ["id", "workspace_id", "name", "description", *AUDIT], prompts)
        columns = ["id", "workspace_id", "prompt_id", "commit", "template", *AUDIT]
        state.insert("prompt_versions", columns, commits)
        rules = activity.fill_rules(state, random, places, max(1, round(scale)))
        alerts = activity.fill_alerts(state, random, places, max(1, round(scale)))
        _fill_datasets(state, living)
    return Summary(
        workspaces=len(_WORKSPACES),
        projects=len(projects),
        prompts=len(prompts),
        datasets=len(living),
        deleted_datasets=len(datasets) - len(living),
        versions=sum(dataset.version != "" for dataset in datasets),
        items=sum(dataset.items for dataset in datasets),
        item_rows=item_rows,
        experiments=len(experiments),
        traces=sum(experiment.traces for experiment in experiments if experiment.first),
        optimizations=len(runs),
        rules=rules,
        alerts=alerts,
    )


def _datasets(random: Random, scale: float, *, versions: bool) -> Iterator[_Dataset]:
    count = max(12, round(60 * scale))
    # Zipf: the dataset of rank r holds 1/r of what the largest holds. Every tenth was created and never filled.
    shares = [0.0 if rank % 10 == 0 else 1 / rank for rank in range(1, count + 1)]
    largest = 20_000 * scale / sum(shares)
    for rank, share in enumerate(shares, start=1):
        created = moment(random)
        versioned = rank % 8 == 4
        yield _Dataset(
            id=uuid7(created, random),
            workspace=random.choices(_WORKSPACES[:-1], weights=(12, 5, 3, 2, 1))[0],
            name=f"{random.choice(_NAMES)} {rank}",
            description=random.choice(_DESCRIPTIONS),
            created=created,
            author=random.choice(AUTHORS),
            items=min(LARGEST_DATASET, round(largest * share)),
            version=uuid7(created + timedelta(days=30), random) if versioned and versions else "",
            deleted=rank == 7,
        )


def _projects(random: Random) -> list[Row]:
    rows: list[Row] = []
    for workspace in _WORKSPACES:
        # Not every workspace has a default project, and the last has nothing else.
        names = ["Default Project", "チャットボット", "search \\ ranking"]
        first = 1 if workspace == "acme-research" else 0
        last = 1 if workspace == _WORKSPACES[-1] else random.randint(2, 3)
        for name in names[first:last]:
            created = moment(random)
            rows.append((uuid7(created, random), workspace, name, None, *audit(created, "admin")))
    return rows


def _prompts(random: Random, count: int) -> tuple[list[Row], list[Row]]:
    """Prompts and their versions."""
    prompts: list[Row] = []
    commits: list[Row] = []
    for number in range(count):
        workspace, created = _WORKSPACES[number % (len(_WORKSPACES) - 1)], moment(random)
        prompt, author = uuid7(created, random), random.choice(AUTHORS)
        description = random.choice(_DESCRIPTIONS)
        prompts.append((prompt, workspace, f"answer-{number} 💬", description, *audit(created, author)))
        for commit in range(random.randint(1, 3)):
            committed = created + timedelta(days=commit)
            version = uuid7(committed, random)
            template = f"You are helpful.\nAnswer '{{{{question}}}}' in {commit + 1} \\n sentences. 🙂"
            commits.append((version, workspace, prompt, version[-8:], template, *audit(committed, author)))
    return prompts, commits


def _places(
    random: Random, datasets: list[_Dataset], projects: list[Row], prompts: list[Row], commits: list[Row]
) -> Iterator[Place]:
    for workspace in _WORKSPACES:
        own = {
            str(id_): [str(row[0]) for row in commits if row[2] == id_]
            for id_, place, *_ in prompts
            if place == workspace
        }
        yield Place(
            workspace,
            [dataset.id for dataset in datasets if dataset.workspace == workspace],
            [str(id_) for id_, place, *_ in projects if place == workspace],
            [uuid7(moment(random), random) for _ in range(2)],
            [(prompt, [str(id_) for id_, _, of, *_ in commits if of == prompt]) for prompt in own],
        )


def _fill_datasets(state: Database, datasets: list[_Dataset]) -> None:
    state.insert(
        "datasets",
        ["id", "workspace_id", "name", "description", *AUDIT],
        [
            (each.id, each.workspace, each.name, each.description, *audit(each.created, each.author))
            for each in datasets
        ],
    )
    versioned = [(each, audit(each.created + timedelta(days=30), each.author)) for each in datasets if each.version]
    if not versioned:
        return
    state.insert(
        "dataset_versions",
        ["id", "workspace_id", "dataset_id", "version_hash", "items_total", "change_description", *AUDIT],
        [
            (each.version, each.workspace, each.id, each.version[-12:], each.items, "Before the rewrite", *by)
            for each, by in versioned
        ],
    )
    # One of them lost its tag.
    state.insert(
        "dataset_version_tags",
        ["workspace_id", "dataset_id", "tag", "version_id", *AUDIT],
        [(each.workspace, each.id, "latest", each.version, *by) for each, by in versioned[1:]],
    )


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
        {sql_uuid7("milliseconds", "dice", "'item'")} AS id
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
    if(origin >= 3, {sql_uuid7("milliseconds", "dice", "'trace'", "moved")}, '') AS trace_id,
    if(origin = 3, {sql_uuid7("milliseconds", "dice", "'span'")}, '') AS span_id,
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
    {sql_uuid7("plan.created", "item.id", "plan.version_id")},
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
            (each.id, each.workspace, each.author, milliseconds(each.created), each.items, each.version)
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
