"""Migration 1: what is in a dataset goes into its version 1, is counted, and stays complete while 1.x still writes."""

from __future__ import annotations

from stepwell.jobs import Flag, Groups, Job, Keyset, Missing, Says
from stepwell.jobs.batch import Batch, Connections

MARKER = "Initial version (migrated from draft)"

# Every item once, as people see it now. FINAL gives the newest row of a sorting key. Source and trace are part of that
# key, so an item whose source or trace changed has several, and `older` holds all of them but the newest. `items` finds
# only what is not in version 1 yet, item by item, so a dataset that was left half done is completed.
COPY = """
INSERT INTO dataset_item_versions (
    id, workspace_id, dataset_id, dataset_version_id, dataset_item_id, source, trace_id, span_id,
    data, metadata, tags, item_created_at, item_created_by, item_last_updated_at, item_last_updated_by,
    created_by, last_updated_by)
WITH older AS (
    SELECT
        workspace_id, dataset_id, id,
        arrayJoin(arrayPopBack(arraySort(groupArray((last_updated_at, source, trace_id, span_id))))) AS place
    FROM dataset_items FINAL
    WHERE {items}
    GROUP BY workspace_id, dataset_id, id
    HAVING count() > 1)
SELECT
    id,
    workspace_id,
    dataset_id,
    dataset_id AS dataset_version_id,
    id AS dataset_item_id,
    source,
    trace_id,
    span_id,
    data,
    metadata,
    tags,
    created_at AS item_created_at,
    created_by AS item_created_by,
    last_updated_at AS item_last_updated_at,
    last_updated_by AS item_last_updated_by,
    created_by,
    last_updated_by
FROM dataset_items FINAL
WHERE {items}
    AND (workspace_id, dataset_id, id, source, trace_id, span_id) NOT IN (
        SELECT workspace_id, dataset_id, id, place.2, place.3, place.4
        FROM older)
SETTINGS use_index_for_in_with_subqueries = 0
"""

NOT_COPIED = Missing("dataset_item_versions", "workspace_id, dataset_id, id", "dataset_version_id = dataset_id")

COUNT = """
SELECT toString(dataset_version_id), count(DISTINCT id)
FROM dataset_item_versions
WHERE workspace_id IN ({workspaces}) AND dataset_id IN ({datasets}) AND dataset_version_id IN ({versions})
GROUP BY dataset_version_id
"""


class CopyDatasetItems(Job):
    """Copy the items of every dataset into its version 1."""

    requires = ["state/0003_version_1_of_every_dataset", "analytics/0002_dataset_item_versions"]
    batches = Groups("analytics", "dataset_items", "workspace_id, dataset_id", where=NOT_COPIED, rows=300_000)
    workers = 2
    target = 5.0
    largest = 300_000  # an item may be large, and all of a batch is in memory

    def migrate(self, batch: Batch) -> None:
        batch.execute(COPY.format(items="${batch}"))
        # A dataset that was counted before is counted again. All of the batch are, for by now nothing tells which of
        # them got items: a worker that died behind the copy may have been the one that wrote them.
        rows = batch.query(
            f"SELECT DISTINCT dataset_id FROM dataset_items WHERE {batch.whole.text}", batch.whole.parameters
        )
        datasets = [dataset.decode() for (dataset,) in rows]  # a FixedString is bytes
        if not datasets:
            return
        batch.execute(
            f"""
            UPDATE dataset_versions
            SET items_total = -1, last_updated_at = last_updated_at
            WHERE id IN ({places(datasets)}) AND id = dataset_id AND items_total != -1
            """,
            datasets,
            on="state",
        )

    def undo(self, connections: Connections) -> None:
        """Take version 1 out of ClickHouse, but for a version 1 that carries another description than ours."""
        kept = connections.get("state").query(
            "SELECT id FROM dataset_versions WHERE id = dataset_id AND coalesce(change_description, '') != ?", (MARKER,)
        )
        others = [dataset for (dataset,) in kept]
        connections.get("analytics").query(
            f"""
            ALTER TABLE dataset_item_versions
            DELETE WHERE dataset_version_id = dataset_id AND dataset_id NOT IN ({places(others) or "''"})
            """,
            others,
        )


class DatasetVersionItemsTotal(Job):
    """Count the items of each dataset version."""

    requires = ["job/copy-dataset-items"]
    batches = Keyset("state", "dataset_versions", key="id", where="items_total = -1", size=100)
    enabled = Flag("DATASET_VERSION_ITEMS_TOTAL_MIGRATION_ENABLED", default=True)
    largest = 100
    lock_timeout = 3600
    startup_delay = 30
    timeout = 3600
    variables = {
        "size": "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_BATCH_SIZE",
        "largest": "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_BATCH_SIZE",
        "lock_timeout": "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_LOCK_TIMEOUT_SECONDS",
        "startup_delay": "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_STARTUP_DELAY_SECONDS",
        "timeout": "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_JOB_TIMEOUT_SECONDS",
    }
    says = Says(
        starting="Starting dataset versioning items_total migration...",
        batch="Processing dataset versions batch...",
        complete="Migration completed successfully, processed {rows} dataset versions\n"
        "Dataset version items_total migration completed successfully",
        off="Dataset version items_total migration is disabled and skipped",
    )

    def migrate(self, batch: Batch) -> None:
        count(batch, [version for (version,) in batch.keys()])

    def undo(self, connections: Connections) -> None:
        """Let what the migration made be uncounted again."""
        connections.get("state").query(
            "UPDATE dataset_versions SET items_total = -1 WHERE id = dataset_id AND change_description = ?", (MARKER,)
        )


class ReconcileDatasets(Job):
    """Give version 1 to datasets that 1.x wrote during the migration, each when it is accessed next."""

    requires = ["state/0003_version_1_of_every_dataset", "analytics/0002_dataset_item_versions"]
    batches = Keyset(
        "state",
        "datasets",
        key="id",
        where="NOT EXISTS (SELECT 1 FROM dataset_versions AS one WHERE one.id = datasets.id AND one.items_total >= 0)",
        size=100,
    )
    enabled = Flag("DATASET_VERSIONING_MIGRATION_LAZY_ENABLED", default=False)
    startup_delay = 60

    def reopen(self, key: tuple[str], connections: Connections) -> None:
        """A dataset that got items behind the back of the copy is to be counted again, so it is migrated again."""
        late = str(NOT_COPIED).replace("${batch}", "dataset_id = ?")
        text = f"SELECT 1 FROM dataset_items WHERE dataset_id = ? AND {late} LIMIT 1"
        if connections.get("analytics").query(text, (*key, *key)):
            connections.get("state").query(
                "UPDATE dataset_versions SET items_total = -1 WHERE id = ? AND id = dataset_id", key
            )

    def migrate(self, batch: Batch) -> None:
        batch.execute(
            f"""
            INSERT INTO dataset_versions (
                id, workspace_id, dataset_id, version_hash, items_total, items_added, items_modified, items_deleted,
                change_description, created_at, created_by, last_updated_at, last_updated_by)
            SELECT
                id, workspace_id, id, 'v1', -1, 0, 0, 0,
                '{MARKER}', created_at, created_by, last_updated_at, last_updated_by
            FROM datasets
            WHERE ${{batch}} AND id NOT IN (SELECT id FROM dataset_versions)
            """
        )
        batch.execute(
            """
            INSERT INTO dataset_version_tags (
                workspace_id, dataset_id, tag, version_id, created_at, created_by, last_updated_at, last_updated_by)
            SELECT
                workspace_id, id, 'latest', id, created_at, created_by, last_updated_at, last_updated_by
            FROM datasets
            WHERE ${batch}
                AND NOT EXISTS (
                    SELECT 1
                    FROM dataset_version_tags AS other
                    WHERE other.workspace_id = datasets.workspace_id
                        AND other.dataset_id = datasets.id
                        AND other.tag = 'latest')
            """
        )
        datasets = [dataset for (dataset,) in batch.keys()]
        if datasets:
            copy(batch, datasets)
            count(batch, datasets)


def copy(batch: Batch, datasets: list[str]) -> None:
    """Copy what version 1 of these datasets lacks. Safe to repeat."""
    found = f"dataset_id IN ({places(datasets)})"
    items = f"{found} AND {str(NOT_COPIED).replace('${batch}', found)}"
    batch.execute(COPY.format(items=items), datasets * 4, on="analytics")


def count(batch: Batch, versions: list[str]) -> None:
    """Fill in how many items these versions hold."""
    # Locks the rows: what is copied into one of them from here on has it counted again.
    batch.database.query(
        f"UPDATE dataset_versions SET items_total = items_total WHERE id IN ({places(versions)})", versions
    )
    rows = batch.database.query(
        f"SELECT workspace_id, dataset_id, id FROM dataset_versions WHERE id IN ({places(versions)})", versions
    )
    columns = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    workspaces, datasets, found = columns
    text = COUNT.format(workspaces=places(workspaces), datasets=places(datasets), versions=places(found))
    totals = dict(batch.on("analytics").query(text, (*workspaces, *datasets, *found)))
    cases = " ".join("WHEN ? THEN ?" for _ in found)
    batch.database.query(
        f"""
        UPDATE dataset_versions
        SET items_total = CASE id {cases} END, last_updated_at = last_updated_at
        WHERE id IN ({places(found)})
        """,
        [value for version in found for value in (version, totals.get(version, 0))] + found,
    )


def places(values: list[str]) -> str:
    """A placeholder for each value."""
    return ", ".join("?" * len(values))
