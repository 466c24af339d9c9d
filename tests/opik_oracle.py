"""What the projects upgrade must make of an installation: slow, plain Python over all rows, by the runbook's rules.

It shares no code with the jobs. New rows have no ids here: alerts and rules are compared as trees, in which the id of a
new row is NEW, the Default Project is DEFAULT, and a moment after the start is NOW.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
Tables = dict[str, list[Row]]
"""The rows of an installation by table; those of ClickHouse in their newest versions."""

NEW, DEFAULT, NOW = "NEW", "DEFAULT", "NOW"
STAMP = {"last_updated_at": NOW, "last_updated_by": "system"}


def upgraded(before: Tables, excluded: set[str]) -> Tables:
    """The rows after all six jobs, as `plain` tells them."""
    after = {name: [dict(row) for row in rows] for name, rows in before.items()}
    alive = Alive({(row["workspace_id"], row["id"]): row["name"] for row in before["projects"]})
    for row in after["experiments"]:
        if row["project_id"] == "" and row["workspace_id"] not in excluded:
            row |= {"project_id": chosen(trace_votes(after, row), alive, row), **STAMP}
    for name, used in (("datasets", on_dataset), ("prompts", with_prompt)):
        for row in after[name]:
            if not row["project_id"] and row["workspace_id"] not in excluded:
                votes = [vote(each) for each in after["experiments"] if used(each, row) and each["project_id"]]
                row |= {"project_id": chosen(votes, alive, row), **STAMP}
    for row in after["optimizations"]:
        if row["project_id"] == "" and row["workspace_id"] not in excluded:
            its = [each for each in after["experiments"] if same(each, row, "optimization_id") and each["project_id"]]
            votes = [vote(each) for each in its]
            if not votes:
                datasets = [each for each in after["datasets"] if same(row, each, "dataset_id") and each["project_id"]]
                votes = [(each["project_id"], each["id"], 0) for each in datasets]
            row |= {"project_id": chosen(votes, alive, row), **STAMP}
    return {
        **{name: after[name] for name in ("projects", "experiments", "datasets", "prompts", "optimizations")},
        "rules": [tree for rule in rules(before) for tree in split_rule(rule, alive, excluded)],
        "alerts": [tree for alert in alerts(before) for tree in split_alert(alert, alive, excluded)],
    }


class Alive(dict[tuple[str, str], str]):
    """The names of the projects that were not deleted, by workspace and id."""

    def default(self, workspace: str) -> str:
        return next((id for (its, id), name in self.items() if (its, name) == (workspace, "Default Project")), DEFAULT)


# --- the dominant project -------------------------------------------------------------------------------------

Vote = tuple[str, str, Any]
"""A project, who votes for it, and when it was last at work."""


def vote(experiment: Row) -> Vote:
    return experiment["project_id"], experiment["id"], experiment["created_at"]


def chosen(votes: Iterable[Vote], alive: Alive, row: Row) -> str:
    voters: dict[str, set[str]] = {}
    latest: dict[str, Any] = {}
    for project, voter, moment in votes:
        voters.setdefault(project, set()).add(voter)
        latest[project] = max(moment, latest.get(project, moment))
    order = sorted(voters)
    order.sort(key=lambda project: latest[project], reverse=True)
    order.sort(key=lambda project: len(voters[project]), reverse=True)
    if not order or (row["workspace_id"], order[0]) not in alive:
        return alive.default(row["workspace_id"])
    return order[0]


def trace_votes(tables: Tables, experiment: Row) -> list[Vote]:
    wanted = {item["trace_id"] for item in tables["experiment_items"] if same(item, experiment, "experiment_id")}
    votes = []
    for trace in wanted:
        versions = [
            each
            for each in tables["traces"]
            if each["id"] == trace and each["workspace_id"] == experiment["workspace_id"]
        ]
        if versions:
            newest = max(each["last_updated_at"] for each in versions)
            project = min(each["project_id"] for each in versions if each["last_updated_at"] == newest)
            votes.append((project, trace, newest))
    return votes


def same(child: Row, parent: Row, column: str) -> bool:
    return bool(child[column] == parent["id"] and child["workspace_id"] == parent["workspace_id"])


def on_dataset(experiment: Row, dataset: Row) -> bool:
    return same(experiment, dataset, "dataset_id")


def with_prompt(experiment: Row, prompt: Row) -> bool:
    used = [experiment["prompt_id"], *experiment["prompt_versions"]]
    return prompt["id"] in used and experiment["workspace_id"] == prompt["workspace_id"]


# --- rules ----------------------------------------------------------------------------------------------------


def rules(tables: Tables) -> list[Row]:
    """Every rule with its evaluator and its projects."""
    return [
        rule
        | {
            "evaluator": [row for row in tables["automation_rule_evaluators"] if row["id"] == rule["id"]],
            "projects": [row for row in tables["automation_rule_projects"] if row["rule_id"] == rule["id"]],
        }
        for rule in tables["automation_rules"]
    ]


def split_rule(rule: Row, alive: Alive, excluded: set[str]) -> list[Row]:
    if len(rule["projects"]) < 2 or rule["workspace_id"] in excluded:
        return [rule]
    by_project = {row["project_id"]: row for row in rule["projects"]}
    valid = [project for project in sorted(by_project) if (rule["workspace_id"], project) in alive]
    first = rule | STAMP | {"project_id": None}
    if not valid:
        link = {
            "rule_id": rule["id"],
            "project_id": alive.default(rule["workspace_id"]),
            "workspace_id": rule["workspace_id"],
        }
        link |= {"created_at": NOW, "created_by": "system", **STAMP}
        return [first | {"enabled": 0, "projects": [link]}]
    copies = [
        first
        | {
            "id": NEW,
            "evaluator": [row | STAMP | {"id": NEW} for row in rule["evaluator"]],
            "projects": [by_project[project] | STAMP | {"rule_id": NEW}],
        }
        for project in valid[1:]
    ]
    return [first | {"projects": [by_project[valid[0]]]}, *copies]


# --- alerts ---------------------------------------------------------------------------------------------------


def alerts(tables: Tables) -> list[Row]:
    """Every alert with its webhook, its triggers, and their configs."""
    found = []
    for alert in tables["alerts"]:
        triggers = [
            trigger
            | {"configs": [row for row in tables["alert_trigger_configs"] if row["alert_trigger_id"] == trigger["id"]]}
            for trigger in tables["alert_triggers"]
            if trigger["alert_id"] == alert["id"]
        ]
        webhook = [row for row in tables["webhooks"] if row["id"] == alert["webhook_id"]]
        found.append(alert | {"webhook": webhook, "triggers": triggers})
    return found


def split_alert(alert: Row, alive: Alive, excluded: set[str]) -> list[Row]:
    if alert["project_id"] or alert["workspace_id"] in excluded:
        return [alert]
    by_project: dict[str, list[Row]] = {}
    named: set[str] = set()
    for trigger in alert["triggers"]:
        valid = [project for project in scope(trigger) if (alert["workspace_id"], project) in alive]
        named.update(valid)
        for project in valid or [alive.default(alert["workspace_id"])]:
            by_project.setdefault(project, []).append(trigger)
    kept = min(named, default=alive.default(alert["workspace_id"]))
    first = alert | STAMP | {"project_id": kept}
    first["triggers"] = [unscoped(trigger) for trigger in by_project.get(kept, [])]
    clones = [
        alert
        | STAMP
        | {
            "id": NEW,
            "project_id": project,
            "webhook_id": NEW if alert["webhook"] else alert["webhook_id"],
            "webhook": [row | STAMP | {"id": NEW} for row in alert["webhook"]],
            "triggers": [cloned(unscoped(trigger)) for trigger in triggers],
        }
        for project, triggers in by_project.items()
        if project != kept
    ]
    return [first, *clones]


def scope(trigger: Row) -> set[str]:
    projects: set[str] = set()
    for config in trigger["configs"]:
        if config["config_type"] != "scope:project":
            continue
        value = json.loads(config["config_value"])
        text = value.get("project_ids") if isinstance(value, dict) else None
        try:
            ids = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            ids = None
        if not isinstance(ids, list) or any(not isinstance(project, str) for project in ids):
            return set()
        projects.update(ids)
    return projects


def unscoped(trigger: Row) -> Row:
    return trigger | {"configs": [row for row in trigger["configs"] if row["config_type"] != "scope:project"]}


def cloned(trigger: Row) -> Row:
    configs = [row | STAMP | {"id": NEW, "alert_trigger_id": NEW} for row in trigger["configs"]]
    return trigger | STAMP | {"id": NEW, "alert_id": NEW, "configs": configs}


# --- what there is, told in the same way ----------------------------------------------------------------------


def plain(tables: Tables, before: Tables, started: str) -> Tables:
    """The rows as they are, with NEW for ids that were not there before, DEFAULT and NOW."""
    known = {row.get("id") for rows in before.values() for row in rows}
    made = {row["id"] for row in tables["projects"] if row["id"] not in known}
    ids = {row["id"] for rows in tables.values() for row in rows if "id" in row} - known - made
    names = {**dict.fromkeys(ids, NEW), **dict.fromkeys(made, DEFAULT)}
    trees = {**tables, "rules": rules(tables), "alerts": alerts(tables)}
    kept = ("projects", "experiments", "datasets", "prompts", "optimizations", "rules", "alerts")
    found = {name: [_named(row, names, started) for row in trees[name]] for name in kept}
    found["projects"] = [row for row in found["projects"] if row["id"] != DEFAULT]
    return found


def _named(row: Any, names: dict[str, str], started: str) -> Any:
    match row:
        case dict():
            return {
                key: NOW
                if key in ("created_at", "last_updated_at") and str(value) >= started
                else _named(value, names, started)
                for key, value in row.items()
            }
        case list():
            return [_named(each, names, started) for each in row]
        case str():
            return names.get(row, row)
        case _:
            return row


def in_order(tables: Tables) -> dict[str, list[str]]:
    """The rows as texts in one order, trees included."""
    return {
        name: sorted(json.dumps(_sorted(row), sort_keys=True, default=str, ensure_ascii=False) for row in rows)
        for name, rows in tables.items()
    }


def _sorted(row: Any) -> Any:
    match row:
        case dict():
            return {key: _sorted(value) for key, value in row.items()}
        case list():
            return sorted(
                (_sorted(each) for each in row), key=lambda each: json.dumps(each, sort_keys=True, default=str)
            )
        case _:
            return row
