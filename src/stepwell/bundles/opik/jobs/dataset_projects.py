"""Step 2 of 3: the project of a dataset is that of most experiments on it."""

from __future__ import annotations

from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import assign, dominant

VOTES = """
SELECT
    workspace_id,
    toString(dataset_id) AS subject,
    project_id,
    uniqExact(id) AS votes,
    max(created_at) AS activity
FROM experiments FINAL
WHERE project_id != '' AND dataset_id IN (SELECT arrayJoin(?))
GROUP BY workspace_id, dataset_id, project_id
"""


class DatasetProjects(Job):
    """Put each dataset into the project of most experiments on it."""

    requires = ["state/0004_project_columns", "job/experiment-projects"]
    batches = Keyset("state", "datasets", key="id", where="project_id IS NULL OR project_id = ''", size=1000)
    enabled = Flag("DATASET_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    target = 1.0
    largest = 10_000
    variables = {"largest": "DATASET_PROJECT_MIGRATION_BATCH_SIZE"}
    says = Says(complete="No workspaces with eligible datasets found, consider disabling the job")
    records = ["project_id", "last_updated_at", "last_updated_by"]

    def migrate(self, batch: Batch) -> None:
        rows = [(workspace, dataset) for workspace, dataset in batch.rows("workspace_id, id")]
        homes = dominant(batch, VOTES, ([dataset for _, dataset in rows],), "experiments")
        assign(batch, rows, homes, "no experiment on it has a project")
