"""Step 4, at any time: an alert that watches several projects becomes one alert for each of them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from stepwell.databases.database import Database
from stepwell.jobs import Exclude, Flag, Job, Keyset, Says
from stepwell.jobs.batch import Batch

from ._projects import by_system, default_project, existing, new_id

LOGGER = logging.getLogger("stepwell")

TRIGGERS = "SELECT id FROM alert_triggers WHERE alert_id = ? ORDER BY id"

CONFIGS = """
SELECT config.alert_trigger_id, config.id, config.config_type, config.config_value
FROM alert_trigger_configs AS config
INNER JOIN alert_triggers AS its ON its.id = config.alert_trigger_id
WHERE its.alert_id = ?
ORDER BY config.id
"""


class AlertProjects(Job):
    """Put each alert into its project; split the alerts of several."""

    requires = ["state/0004_project_columns"]
    batches = Keyset("state", "alerts", key="id", where="project_id IS NULL OR project_id = ''", size=20)
    enabled = Flag("ALERT_PROJECT_MIGRATION_ENABLED", default=False)
    exclude = Exclude("workspace_id", "MIGRATION_EXCLUDED_WORKSPACE_IDS")
    largest = 200  # all that becomes of an alert commits together
    says = Says(complete="No workspaces with orphan alerts found, consider disabling the job")
    records = ["project_id", "last_updated_at", "last_updated_by"]

    def migrate(self, batch: Batch) -> None:
        for alert, workspace, webhook in batch.rows("id, workspace_id, webhook_id"):
            split(batch, alert, workspace, webhook)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger with its configs; `projects` are those it is for, none if it is for the whole workspace."""

    id: str
    projects: frozenset[str]
    scopes: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def configs(self) -> tuple[str, ...]:
        return (*self.scopes, *self.others)


def split(batch: Batch, alert: str, workspace: str, webhook: str) -> None:
    """Keep the alert for its first project that was not deleted, with a clone for each of the others.

    Triggers without such a project go to the Default Project: with the whole alert if there are no others, else to one
    clone.
    """
    state = batch.on("state")
    triggers = triggers_of(state, alert)
    named = {project for trigger in triggers for project in trigger.projects}
    valid = {project for owner, project in existing(state, named) if owner == workspace}
    homes = {project: [trigger for trigger in triggers if project in trigger.projects] for project in sorted(valid)}
    loose = [trigger for trigger in triggers if not trigger.projects & valid]
    if homes:
        kept = min(homes)
        reason = f"kept for project {kept}, the first of {len(homes)} that were not deleted"
        if loose:
            homes.setdefault(default_project(state, workspace), []).extend(loose)
    else:
        kept = default_project(state, workspace)
        homes[kept] = triggers
        reason = f"default: all of its {len(named)} projects were deleted" if named else "default: it names no project"
    batch.put({(alert,): {"project_id": kept, **by_system()}})
    batch.reason((alert,), reason)
    for project, its in homes.items():
        if project != kept:
            clone(batch, alert, webhook, project, its)
    for trigger in triggers:
        stays = trigger in homes[kept]
        for config in trigger.scopes if stays else trigger.configs:
            batch.remove("alert_trigger_configs", {"id": config}, reason=reason)
        if not stays:
            batch.remove("alert_triggers", {"id": trigger.id}, reason=reason)


def clone(batch: Batch, alert: str, webhook: str, project: str, triggers: list[Trigger]) -> None:
    """Add a copy of the alert for a project, with a webhook of its own and these triggers."""
    audit, reason = by_system(), f"the clone of alert {alert} for project {project}"
    new, own_webhook = new_id(), new_id()
    if batch.add("webhooks", {"id": own_webhook}, audit, like={"id": webhook}, reason=reason):
        webhook = own_webhook
    values = {"project_id": project, "webhook_id": webhook, **audit}
    batch.add("alerts", {"id": new}, values, like={"id": alert}, reason=reason)
    for trigger in triggers:
        its = new_id()
        values = {"alert_id": new, **audit}
        batch.add("alert_triggers", {"id": its}, values, like={"id": trigger.id}, reason=reason)
        for config in trigger.others:
            values = {"alert_trigger_id": its, **audit}
            batch.add("alert_trigger_configs", {"id": new_id()}, values, like={"id": config}, reason=reason)


def triggers_of(state: Database, alert: str) -> list[Trigger]:
    configs = state.query(CONFIGS, (alert,))
    found = []
    for (trigger,) in state.query(TRIGGERS, (alert,)):
        its = [(config, kind, value) for owner, config, kind, value in configs if owner == trigger]
        scopes = {config: value for config, kind, value in its if kind == "scope:project"}
        others = tuple(config for config, kind, _ in its if kind != "scope:project")
        found.append(Trigger(trigger, projects_of(scopes), tuple(scopes), others))
    return found


def projects_of(scopes: dict[str, str]) -> frozenset[str]:
    """The projects in a trigger's scopes. A malformed one counts as the whole workspace, which has all the others."""
    projects: set[str] = set()
    for config, value in scopes.items():
        try:
            projects |= read_scope(value)
        except (ValueError, TypeError, KeyError):
            LOGGER.warning("alert trigger config %s: malformed scope %s counts as workspace-wide", config, value)
            return frozenset()
    return frozenset(projects)


def read_scope(value: str) -> set[str]:
    """The ids in `{"project_ids": "[…]"}`, a JSON list in a JSON string. Raises ValueError, TypeError, KeyError."""
    ids = json.loads(json.loads(value)["project_ids"])
    if not isinstance(ids, list) or not all(isinstance(project, str) for project in ids):
        raise ValueError(ids)
    return set(ids)
