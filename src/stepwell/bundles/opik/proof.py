"""What must be true of Opik after both upgrades: the counts of its operators' runbook, asked of both databases."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.databases.database import Database


@dataclass(frozen=True, slots=True)
class Fact:
    """One count and what it should be; None where any number is right."""

    label: str
    value: int
    expected: int | None = None

    @property
    def ok(self) -> bool:
        return self.expected is None or self.value == self.expected

    def shown(self) -> tuple[str, str]:
        """Value and expectation as a table shows them."""
        return f"{self.value:,}", "" if self.expected is None else f"{self.expected:,}"


_DATASETS_WITH_VERSION_1 = """
SELECT count(*)
FROM datasets AS dataset
INNER JOIN dataset_versions AS version ON version.id = dataset.id AND version.dataset_id = dataset.id
"""

_DATASETS_WITH_LATEST = """
SELECT count(*)
FROM datasets AS dataset
INNER JOIN dataset_version_tags AS tag
    ON tag.workspace_id = dataset.workspace_id AND tag.dataset_id = dataset.id AND tag.tag = 'latest'
INNER JOIN dataset_versions AS version ON version.id = tag.version_id AND version.dataset_id = dataset.id
"""

# An item is one however many rows hold it. Counted dataset by dataset, as the rows lie: twice as fast.
_ITEMS = """
SELECT sum(items)
FROM (
    SELECT uniqExact(id) AS items
    FROM dataset_items
    GROUP BY workspace_id, dataset_id)
SETTINGS optimize_aggregation_in_order = 1
"""

_VERSION_1_ITEMS = """
SELECT sum(items), sum(item_rows)
FROM (
    SELECT uniqExact(id) AS items, count() AS item_rows
    FROM dataset_item_versions
    WHERE dataset_version_id = dataset_id
    GROUP BY workspace_id, dataset_id)
SETTINGS optimize_aggregation_in_order = 1
"""

_DATASETS_THAT_DIFFER = """
SELECT count()
FROM (
    SELECT workspace_id, dataset_id, uniqExact(id) AS items
    FROM dataset_items
    GROUP BY workspace_id, dataset_id) AS before
FULL JOIN (
    SELECT workspace_id, dataset_id, uniqExact(id) AS items
    FROM dataset_item_versions
    WHERE dataset_version_id = dataset_id
    GROUP BY workspace_id, dataset_id) AS after
    ON after.workspace_id = before.workspace_id AND after.dataset_id = before.dataset_id
WHERE before.items != after.items
SETTINGS optimize_aggregation_in_order = 1
"""

# The newest row of every item against its row in version 1, by hash. An item that only one side has differs too.
_ITEMS_THAT_DIFFER = """
SELECT count()
FROM (
    SELECT item
    FROM (
        SELECT
            sipHash128(workspace_id, dataset_id, id) AS item,
            argMax(
                sipHash64(data, metadata, tags, source, trace_id, span_id),
                (last_updated_at, source, trace_id, span_id)) AS content
        FROM dataset_items FINAL
        GROUP BY item
        UNION ALL
        SELECT
            sipHash128(workspace_id, dataset_id, id) AS item,
            sipHash64(data, metadata, tags, source, trace_id, span_id) AS content
        FROM dataset_item_versions FINAL
        WHERE dataset_version_id = dataset_id)
    GROUP BY item
    HAVING count() != 2 OR min(content) != max(content))
"""

_STATE_WITHOUT_PROJECT = """
SELECT count(*)
FROM {table}
WHERE coalesce(project_id, '') = ''
"""

_ANALYTICS_WITHOUT_PROJECT = """
SELECT count()
FROM {table} FINAL
WHERE project_id = ''
"""

_RULES_WITH_SEVERAL = """
SELECT count(*)
FROM (SELECT rule_id FROM automation_rule_projects GROUP BY rule_id HAVING count(*) > 1) AS several
"""


def proof(state: Database, analytics: Database) -> list[Fact]:
    """The counts that prove the upgrades, read from both databases as they are now.

    Needs the version tables; without columns for projects, only the first upgrade is looked at. Holds as long as nobody
    edits a draft item that version 1 has.
    """
    found = _versions(state, analytics)
    return [*found, *_projects(state, analytics)] if "project_id" in state.columns("datasets") else found


def _versions(state: Database, analytics: Database) -> list[Fact]:
    [(datasets,)] = state.query("SELECT count(*) FROM datasets")
    [(with_version,)] = state.query(_DATASETS_WITH_VERSION_1)
    [(with_latest,)] = state.query(_DATASETS_WITH_LATEST)
    [(uncounted,)] = state.query("SELECT count(*) FROM dataset_versions WHERE items_total = -1")
    [(items,)] = analytics.query(_ITEMS)
    [(copied, rows)] = analytics.query(_VERSION_1_ITEMS)
    [(datasets_differ,)] = analytics.query(_DATASETS_THAT_DIFFER)
    [(items_differ,)] = analytics.query(_ITEMS_THAT_DIFFER)
    return [
        Fact("datasets", datasets),
        Fact("datasets with version 1 (id = dataset_id)", with_version, datasets),
        Fact("datasets with a 'latest' tag", with_latest, datasets),
        Fact("versions that wait to be counted", uncounted, 0),
        Fact("distinct items in dataset_items", items),
        Fact("distinct items in version 1", copied, items),
        Fact("rows in version 1", rows, items),
        Fact("datasets whose item counts differ", datasets_differ, 0),
        Fact("items whose data, metadata, tags or origin differ", items_differ, 0),
    ]


def _projects(state: Database, analytics: Database) -> list[Fact]:
    facts = []
    for database, text, tables in (
        (analytics, _ANALYTICS_WITHOUT_PROJECT, ("experiments", "optimizations")),
        (state, _STATE_WITHOUT_PROJECT, ("datasets", "prompts", "alerts")),
    ):
        for table in tables:
            [(orphans,)] = database.query(text.format(table=table))
            facts.append(Fact(f"{table} without a project", orphans, 0))
    [(several,)] = state.query(_RULES_WITH_SEVERAL)
    return [*facts, Fact("rules in several projects", several, 0)]
