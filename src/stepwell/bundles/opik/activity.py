"""What an Opik 1.x installation did with its datasets: experiments and their traces, optimizations, rules and alerts.

None of it says which project it belongs to. Every way is among it by which one can be inferred, or can't be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from stepwell.bundles.opik.values import AUDIT, AUTHORS, audit, milliseconds, moment, sql_uuid7, uuid7
from stepwell.databases.database import Command, Database

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace: its datasets, the projects it has, those that were deleted, and its prompts with their versions."""

    workspace: str
    datasets: Sequence[str]
    projects: Sequence[str]
    deleted: Sequence[str]
    prompts: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One run of a dataset. Its first `split` traces are in the project `first`, the others in `second`.

    Without a project it has items whose traces are gone. `tie`: all traces were last updated at the same moment.
    """

    id: str
    workspace: str
    dataset: str
    name: str
    created: datetime
    author: str
    traces: int
    split: int
    first: str
    second: str
    tie: bool
    project: str
    prompt: str
    prompt_versions: dict[str, list[str]]
    optimization: str


def experiments(random: Random, places: Sequence[Place], runs: Sequence[Row], count: int) -> list[Experiment]:
    """Experiments of every shape in these places, some of them part of the optimizations `runs`."""
    found = []
    for number in range(count):
        place = random.choice(places)
        # Two in three optimizations never get an experiment.
        own = [str(run[0]) for run in runs[::3] if run[1] == place.workspace]
        found.append(_experiment(random, place, number, random.choice(own) if own and number % 3 == 0 else ""))
    return found


def _experiment(random: Random, place: Place, number: int, optimization: str) -> Experiment:
    traces = 2 * random.randint(1, 12)
    first, second = (random.choice(place.projects) for _ in range(2))
    split, tie, project = traces, False, ""
    match number % 10:
        case 0 | 1 | 2 | 3:
            second = first
        case 4:
            split = traces * 2 // 3 + 1
        case 5:
            split = traces // 2
        case 6:
            split, tie = traces // 2, True
        case 7:
            first, split = place.deleted[0], traces - 1
        case 8:
            first = second = ""
            traces = traces if number % 20 == 8 else 0
        case 9:
            second = project = first
    prompt, versions = random.choice(place.prompts)
    created = moment(random)
    return Experiment(
        id=uuid7(created, random),
        workspace=place.workspace,
        dataset=random.choice(place.datasets),
        name=f"run {number} {random.choice(('', '🧪', 'naïve', '再评估'))}",
        created=created,
        author=random.choice(AUTHORS),
        traces=traces,
        split=min(split, traces),
        first=first,
        second=second,
        tie=tie,
        project=project,
        prompt=prompt if number % 4 == 0 else "",
        prompt_versions={prompt: list(versions)} if number % 4 in (0, 1) else {},
        optimization=optimization,
    )


# --- ClickHouse -----------------------------------------------------------------------------------------------

_PLAN = """
CREATE TABLE generated_experiments (
    experiment_id String,
    workspace_id  String,
    author        String,
    created       Int64 COMMENT 'milliseconds since 1970',
    traces        UInt32,
    split         UInt32,
    first         String,
    second        String,
    tie           Bool
) ENGINE = Memory
"""

_TRACES = f"""
    SELECT
        *, number,
        created + number * 1000 AS milliseconds,
        {sql_uuid7("milliseconds", "experiment_id", "number", "'trace'")} AS trace_id,
        fromUnixTimestamp64Milli(milliseconds, 'UTC') AS moment
    FROM generated_experiments
    ARRAY JOIN range(traces) AS number
"""

# A trace in seven was written twice, as an application does that adds the output when it knows it.
_INSERT_TRACES = f"""
INSERT INTO traces (
    id, workspace_id, project_id, name, start_time, end_time, input, output, metadata, tags,
    created_at, created_by, last_updated_at, last_updated_by)
SELECT
    trace_id,
    workspace_id,
    if(number < split, first, second),
    concat('answer ', toString(number)),
    moment,
    if(number % 7 = 3 AND ? = 0, NULL, moment + toIntervalSecond(2)),
    '{{"question": "où ?"}}',
    if(number % 7 = 3 AND ? = 0, '', '{{"answer": "là 🗺️"}}'),
    '{{"model": "small"}}',
    ['eval'],
    moment,
    author,
    if(tie, fromUnixTimestamp64Milli(created, 'UTC'), moment) + toIntervalMinute(?),
    author
FROM ({_TRACES})
WHERE first != '' AND (? = 0 OR number % 7 = 3)
"""

# One trace of each experiment has two items.
_INSERT_ITEMS = f"""
INSERT INTO experiment_items (
    id, workspace_id, experiment_id, dataset_item_id, trace_id,
    created_at, created_by, last_updated_at, last_updated_by)
SELECT
    {sql_uuid7("milliseconds", "experiment_id", "number", "copy", "'item'")},
    workspace_id,
    experiment_id,
    {sql_uuid7("milliseconds", "workspace_id", "number", "'dataset item'")},
    trace_id,
    moment,
    author,
    moment,
    author
FROM ({_TRACES})
ARRAY JOIN if(number = 0, [0, 1], [0]) AS copy
"""

# An experiment in five was written again, with another name.
_INSERT_REVISIONS = """
INSERT INTO experiments
SELECT * REPLACE (concat(name, ', renamed') AS name, last_updated_at + toIntervalDay(1) AS last_updated_at)
FROM experiments FINAL
WHERE sipHash64(id) % 5 = 0 AND last_updated_at = created_at
"""


def fill_analytics(analytics: Database, found: Sequence[Experiment], runs: Sequence[Row]) -> None:
    """Write experiments with their traces, and the optimizations `runs`."""
    analytics.run(Command(text="DROP TABLE IF EXISTS generated_experiments"))
    analytics.run(Command(text=_PLAN))
    analytics.insert(
        "generated_experiments",
        ["experiment_id", "workspace_id", "author", "created", "traces", "split", "first", "second", "tie"],
        [
            (e.id, e.workspace, e.author, milliseconds(e.created), e.traces, e.split, e.first, e.second, e.tie)
            for e in found
        ],
    )
    for revision in (0, 1):
        analytics.run(Command(text=_INSERT_TRACES, parameters=(revision, revision, revision, revision)))
    analytics.run(Command(text=_INSERT_ITEMS))
    analytics.run(Command(text="DROP TABLE generated_experiments"))
    analytics.insert(
        "experiments",
        [
            "id", "workspace_id", "dataset_id", "project_id", "name", "metadata", "prompt_id", "prompt_versions",
            "optimization_id", *AUDIT,
        ],
        [
            (
                e.id, e.workspace, e.dataset, e.project, e.name, '{"seed": 7}', e.prompt, e.prompt_versions,
                e.optimization, *audit(e.created, e.author),
            )
            for e in found
        ],
    )  # fmt: skip
    analytics.run(Command(text=_INSERT_REVISIONS))
    columns = ["id", "workspace_id", "dataset_id", "name", "objective_name", "status", "metadata", *AUDIT]
    analytics.insert("optimizations", columns, runs)


def optimizations(random: Random, places: Sequence[Place], count: int) -> list[Row]:
    """Optimizations of datasets in these places."""
    rows: list[Row] = []
    for number in range(count):
        place, created = random.choice(places), moment(random)
        about = (f"tune {number}", "accuracy", ("completed", "running", "cancelled")[number % 3], "{}")
        author = random.choice(AUTHORS)
        rows.append(
            (uuid7(created, random), place.workspace, random.choice(place.datasets), *about, *audit(created, author))
        )
    return rows


# --- the state ------------------------------------------------------------------------------------------------


def scopes(place: Place) -> Iterator[list[str]]:
    """Sets of projects that a rule or an alert may name: none, one, several, deleted ones among them, only deleted."""
    some = list(place.projects)
    yield []
    yield some[:1]
    yield some
    yield [*some[:1], *place.deleted]
    yield list(place.deleted)


def fill_rules(state: Database, random: Random, places: Sequence[Place], rounds: int) -> int:
    """Write automation rules of every shape in every workspace, `rounds` times."""
    rules: list[Row] = []
    evaluators: list[Row] = []
    junction: list[Row] = []
    for place in places:
        for number, scope in enumerate([scope for _ in range(rounds) for scope in scopes(place)]):
            created = moment(random)
            rule, by = uuid7(created, random), audit(created, random.choice(AUTHORS))
            legacy = scope[0] if scope and number % 2 else None
            rules.append(
                (rule, place.workspace, legacy, "evaluator", (1.0, 0.5, 0.0)[number % 3], number % 4 != 3, *by)
            )
            kind = ("llm_as_judge", "user_defined_metric_python")[number % 2]
            code = json.dumps({"prompt": "Is {{answer}} right? 🤔", "number": number}, ensure_ascii=False)
            evaluators.append((rule, place.workspace, kind, code, *by))
            junction += [(rule, project, place.workspace, *by) for project in scope]
    columns = ["id", "workspace_id", "project_id", "action", "sampling_rate", "enabled", *AUDIT]
    state.insert("automation_rules", columns, rules)
    state.insert("automation_rule_evaluators", ["id", "workspace_id", "type", "code", *AUDIT], evaluators)
    state.insert("automation_rule_projects", ["rule_id", "project_id", "workspace_id", *AUDIT], junction)
    return len(rules)


def fill_alerts(state: Database, random: Random, places: Sequence[Place], rounds: int) -> int:
    """Write alerts of every shape in every workspace, `rounds` times."""
    webhooks: list[Row] = []
    alerts: list[Row] = []
    triggers: list[Row] = []
    configs: list[Row] = []
    for place in places:
        every: list[list[str] | str | None] = [*scopes(place)]
        # Of each alert, the scopes of its triggers; None is a trigger without one, a text one that can't be read.
        shapes: list[list[list[str] | str | None]] = [
            [],
            [None],
            *[[scope] for scope in every],
            [every[2], None],
            [every[1], every[4]],
            ["not a list"],
            ['{"a": 1}', every[1]],
        ]
        for number, shape in enumerate([shape for _ in range(rounds) for shape in shapes]):
            created = moment(random)
            by = audit(created, random.choice(AUTHORS))
            webhook, alert = uuid7(created, random), uuid7(created + timedelta(milliseconds=1), random)
            url = f"https://hooks.example/{number}?a=1&b=ü"
            webhooks.append((webhook, place.workspace, f"hook {number}", url, "s3cr€t", '{"X-From": "opik"}', *by))
            alerts.append((alert, place.workspace, f"alert {number} 🚨", number % 3 != 2, webhook, *by))
            for event, scope in zip(("trace:errors", "trace:feedback_score", "prompt:created"), shape, strict=False):
                trigger = uuid7(created + timedelta(milliseconds=2), random)
                triggers.append((trigger, place.workspace, alert, event, *by))
                if scope is not None:
                    listed = scope if isinstance(scope, str) else json.dumps(scope)
                    value = json.dumps({"project_ids": listed})
                    configs.append((uuid7(created, random), place.workspace, trigger, "scope:project", value, *by))
                if event == "trace:feedback_score":
                    value = '{"threshold": "0.5", "window": "60"}'
                    kind = "threshold:feedback_score"
                    configs.append((uuid7(created, random), place.workspace, trigger, kind, value, *by))
    hooks = ["id", "workspace_id", "name", "url", "secret_token", "headers", *AUDIT]
    state.insert("webhooks", hooks, webhooks)
    state.insert("alerts", ["id", "workspace_id", "name", "enabled", "webhook_id", *AUDIT], alerts)
    state.insert("alert_triggers", ["id", "workspace_id", "alert_id", "event_type", *AUDIT], triggers)
    columns = ["id", "workspace_id", "alert_trigger_id", "config_type", "config_value", *AUDIT]
    state.insert("alert_trigger_configs", columns, configs)
    return len(alerts)
