"""Step 1 of 3: the project of an experiment is that of most traces of its items."""

from __future__ import annotations

from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import assign, dominant

# Each trace votes once, in the project that its newest row says.
VOTES = """
SELECT
    workspace_id,
    toString(experiment_id) AS subject,
    project_id,
    count() AS votes,
    max(last_updated_at) AS activity
FROM (
    SELECT DISTINCT workspace_id, experiment_id, trace_id
    FROM experiment_items FINAL
    WHERE (workspace_id, experiment_id) IN (SELECT workspace_id, id FROM experiments FINAL WHERE ${batch})) AS item
INNER JOIN (
    SELECT workspace_id, id AS trace_id, project_id, last_updated_at
    FROM traces FINAL
    WHERE (workspace_id, id) IN (
        SELECT workspace_id, trace_id
        FROM experiment_items
        WHERE (workspace_id, experiment_id) IN (SELECT workspace_id, id FROM experiments FINAL WHERE ${batch}))
    ORDER BY last_updated_at DESC, project_id
    LIMIT 1 BY workspace_id, id) AS trace
    USING (workspace_id, trace_id)
GROUP BY workspace_id, experiment_id, project_id
"""

ROWS = "SELECT workspace_id, toString(id) FROM experiments FINAL WHERE ${batch}"


class ExperimentProjects(Job):
    """Put each experiment into the project of most of its traces."""

    requires = ["analytics/0001_opik_1x", "state/0004_project_columns"]
    batches = Keyset(
        "analytics", "experiments FINAL", key="workspace_id, dataset_id, id", where="project_id = ''", size=5000
    )
    enabled = Flag("EXPERIMENT_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    target = 10.0  # each batch reads all traces of its workspaces
    largest = 10_000
    variables = {"largest": "EXPERIMENT_PROJECT_MIGRATION_BATCH_SIZE"}
    says = Says(complete="No workspaces with eligible experiments found, consider disabling the job")
    records = ["project_id", "last_updated_by"]
    row_key = ["id"]

    def migrate(self, batch: Batch) -> None:
        homes = dominant(batch, VOTES, (), "traces")
        assign(batch, batch.query(ROWS), homes, "no trace of its items was found")
