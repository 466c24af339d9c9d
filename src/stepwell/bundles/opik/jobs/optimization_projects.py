"""Step 3 of 3: the project of an optimization is that of most of its experiments, or else that of its dataset."""

from __future__ import annotations

from collections.abc import Collection

from stepwell.databases.database import Database
from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import Home, assign, dominant

VOTES = """
SELECT
    workspace_id,
    optimization_id AS subject,
    project_id,
    uniqExact(id) AS votes,
    max(created_at) AS activity
FROM experiments FINAL
WHERE project_id != '' AND optimization_id IN (SELECT toString(id) FROM optimizations FINAL WHERE ${batch})
GROUP BY workspace_id, optimization_id, project_id
"""

ROWS = "SELECT workspace_id, toString(id), toString(dataset_id) FROM optimizations FINAL WHERE ${batch}"


class OptimizationProjects(Job):
    """Put each optimization into the project of most of its experiments, or of its dataset."""

    requires = ["job/dataset-projects", "job/prompt-projects"]
    batches = Keyset(
        "analytics", "optimizations FINAL", key="workspace_id, dataset_id, id", where="project_id = ''", size=1000
    )
    enabled = Flag("OPTIMIZATION_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    target = 1.0
    largest = 10_000
    variables = {"largest": "OPTIMIZATION_PROJECT_MIGRATION_BATCH_SIZE"}
    says = Says(complete="No workspaces with eligible optimizations found, consider disabling the job")
    records = ["project_id", "last_updated_by"]
    row_key = ["id"]

    def migrate(self, batch: Batch) -> None:
        rows = batch.query(ROWS)
        homes = dict(dominant(batch, VOTES, (), "experiments"))
        of_dataset = dataset_projects(batch.on("state"), {dataset for _, _, dataset in rows})
        for workspace, optimization, dataset in rows:
            if (workspace, dataset) in of_dataset:
                homes.setdefault((workspace, optimization), of_dataset[workspace, dataset])
        silence = "neither its experiments nor its dataset have a project"
        assign(batch, [(workspace, optimization) for workspace, optimization, _ in rows], homes, silence)


def dataset_projects(state: Database, datasets: Collection[str]) -> dict[tuple[str, str], Home]:
    """The projects of those of these datasets that have one."""
    if not datasets:
        return {}
    marks = ", ".join("?" * len(datasets))
    rows = state.query(f"SELECT workspace_id, id, project_id FROM datasets WHERE id IN ({marks})", tuple(datasets))
    return {
        (workspace, dataset): Home(project, f"that of dataset {dataset}")
        for workspace, dataset, project in rows
        if project
    }
