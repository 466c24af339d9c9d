"""Step 4, at any time: a rule for several projects becomes one rule for each of them."""

from __future__ import annotations

from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import NEWEST, by_system, default_project, existing, new_id

# Asked for each rule by itself: statements that are for one rule only must not count those of all.
SEVERAL = "(SELECT count(*) FROM automation_rule_projects AS its WHERE its.rule_id = automation_rules.id) > 1"


class AutomationRuleProjects(Job):
    """Split each automation rule of several projects into one for each."""

    requires = ["state/0004_project_columns"]
    batches = Keyset("state", "automation_rules", key="id", where=SEVERAL, size=20)
    enabled = Flag("AUTOMATION_RULE_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    largest = 200  # all that becomes of a rule commits together
    says = Says(complete="No workspaces with multi-project automation rules found, consider disabling the job")
    records = ["project_id", "enabled", "last_updated_at", "last_updated_by"]

    def migrate(self, batch: Batch) -> None:
        for rule, workspace in batch.rows("id, workspace_id"):
            split(batch, rule, workspace)


def split(batch: Batch, rule: str, workspace: str) -> None:
    """Keep the rule for its first project that was not deleted, with a copy for each of the others."""
    state, audit = batch.on("state"), by_system()
    watched = f"SELECT project_id FROM automation_rule_projects WHERE rule_id = ? {NEWEST[state.engine]}"
    rows = state.query(watched, (rule,))
    projects = sorted(project for (project,) in rows)
    alive = existing(state, projects)
    valid = [project for project in projects if (workspace, project) in alive]
    kept = valid[0] if valid else default_project(state, workspace)
    if valid:
        reason = f"kept for project {kept}, the first of {len(valid)} that were not deleted"
        batch.put({(rule,): {"project_id": None, **audit}})
    else:
        reason = f"default: all of its {len(projects)} projects were deleted"
        batch.put({(rule,): {"project_id": None, "enabled": False, **audit}})
        place = {"rule_id": rule, "project_id": kept}
        values = {"workspace_id": workspace, "created_by": "system", "last_updated_by": "system"}
        batch.add("automation_rule_projects", place, values, reason=reason)
    batch.reason((rule,), reason)
    for project in valid[1:]:
        copy(batch, rule, project)
    for project in projects:
        if project != kept:
            batch.remove("automation_rule_projects", {"rule_id": rule, "project_id": project}, reason=reason)


def copy(batch: Batch, rule: str, project: str) -> None:
    """Add a copy of the rule, with its evaluator, for one of its projects."""
    new, audit, reason = new_id(), by_system(), f"the copy of rule {rule} for project {project}"
    batch.add("automation_rules", {"id": new}, {"project_id": None, **audit}, like={"id": rule}, reason=reason)
    batch.add("automation_rule_evaluators", {"id": new}, audit, like={"id": rule}, reason=reason)
    place = {"rule_id": rule, "project_id": project}
    batch.add("automation_rule_projects", {**place, "rule_id": new}, audit, like=place, reason=reason)
