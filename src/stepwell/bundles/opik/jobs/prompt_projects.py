"""Step 2 of 3: the project of a prompt is that of most experiments that used it."""

from __future__ import annotations

from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import assign, dominant

# An experiment names its prompt, or its prompts as the keys of prompt_versions; one that does both votes once.
VOTES = """
SELECT
    workspace_id,
    subject,
    project_id,
    uniqExact(id) AS votes,
    max(created_at) AS activity
FROM experiments FINAL
ARRAY JOIN arrayPushBack(arrayMap(prompt -> toString(prompt), mapKeys(prompt_versions)), prompt_id) AS subject
WHERE project_id != '' AND subject IN (SELECT arrayJoin(?))
GROUP BY workspace_id, subject, project_id
"""


class PromptProjects(Job):
    """Put each prompt into the project of most experiments that used it."""

    requires = ["state/0004_project_columns", "job/experiment-projects"]
    batches = Keyset("state", "prompts", key="id", where="project_id IS NULL OR project_id = ''", size=1000)
    enabled = Flag("PROMPT_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    target = 1.0
    largest = 10_000
    variables = {"largest": "PROMPT_PROJECT_MIGRATION_BATCH_SIZE"}
    says = Says(complete="No workspaces with orphan prompts found, consider disabling the job")
    records = ["project_id", "last_updated_at", "last_updated_by"]

    def migrate(self, batch: Batch) -> None:
        rows = [(workspace, prompt) for workspace, prompt in batch.rows("workspace_id, id")]
        homes = dominant(batch, VOTES, ([prompt for _, prompt in rows],), "experiments")
        assign(batch, rows, homes, "no experiment that used it has a project")
