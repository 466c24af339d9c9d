"""Promises of the upgrade to projects: six jobs, row by row what the oracle says, whatever comes between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import opik_oracle as oracle
from opik_oracle import Tables
from stepwell import bundles
from stepwell.databases.database import Database
from stepwell.project import Project

JOBS = {
    "experiment-projects": "EXPERIMENT_PROJECT_MIGRATION_ENABLED",
    "dataset-projects": "DATASET_PROJECT_MIGRATION_ENABLED",
    "prompt-projects": "PROMPT_PROJECT_MIGRATION_ENABLED",
    "optimization-projects": "OPTIMIZATION_PROJECT_MIGRATION_ENABLED",
    "automation-rule-projects": "AUTOMATION_RULE_PROJECT_MIGRATION_ENABLED",
    "alert-projects": "ALERT_PROJECT_MIGRATION_ENABLED",
}
FLAGS = dict.fromkeys(JOBS.values(), "true")
EXCLUDED = "left alone"

STATE = (
    "projects", "datasets", "prompts", "automation_rules", "automation_rule_evaluators", "automation_rule_projects",
    "alerts", "webhooks", "alert_triggers", "alert_trigger_configs",
)  # fmt: skip
ANALYTICS = ("traces", "experiments", "experiment_items", "optimizations")


def opik(state_url: str, analytics_url: str, **variables: str) -> Project:
    """The bundled project with its tables of 1.x and the columns of 2.0."""
    environment = {"STATE_DB_URL": state_url, "ANALYTICS_DB_URL": analytics_url, **FLAGS}
    made = Project.load(
        bundles.HERE / "opik", environment | {"MIGRATION_EXCLUDED_WORKSPACE_IDS": f" {EXCLUDED} ,"} | variables
    )
    made.up()
    return made


@contextmanager
def opened(made: Project) -> Iterator[tuple[Database, Database]]:
    state, analytics = made.open("state"), made.open("analytics")
    state.connect()
    analytics.connect()
    try:
        yield state, analytics
    finally:
        state.close()
        analytics.close()


def read(made: Project) -> Tables:
    with opened(made) as (state, analytics):
        tables = {name: _rows(state, name, name) for name in STATE}
        return tables | {name: _rows(analytics, name, f"{name} FINAL") for name in ANALYTICS}


def _rows(database: Database, table: str, source: str) -> list[dict[str, Any]]:
    columns = database.columns(table)
    selected = ", ".join(
        f"toString({column}) AS {column}_text" if database.engine == "clickhouse" and column.endswith("_at") else column
        for column in columns
    )
    found = database.query(f"SELECT {selected} FROM {source}")
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in found]


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode()
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.%f")
        case dict():
            return {_plain(key): [_plain(each) for each in its] for key, its in value.items()}
        case _:
            return value


def empty(made: Project) -> None:
    """Forget all rows, and all that the jobs have done."""
    with opened(made) as (state, analytics):
        for table in STATE:
            state.query(f"DELETE FROM {table}")
        for table in ANALYTICS:
            analytics.query(f"TRUNCATE TABLE {table}")
        for table in ("job", "batch", "failure", "ensured", "change", "before"):
            if state.columns(f"stepwell_{table}"):
                state.query(f"DELETE FROM stepwell_{table}")


def run(made: Project, *names: str) -> None:
    for name in names or JOBS:
        assert made.run_job(name).state == "complete"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def assert_upgraded(made: Project, before: Tables, started: str) -> None:
    expected = oracle.in_order(oracle.upgraded(before, {EXCLUDED}))
    found = oracle.in_order(oracle.plain(read(made), before, started))
    for table, rows in expected.items():
        assert found[table] == rows, table


# --- small, nasty installations -------------------------------------------------------------------------------


@dataclass(slots=True)
class Installation:
    """Rows of 1.x by table, in the order in which they were written; every choice is made by `random`."""

    random: Random
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in (*STATE, *ANALYTICS)})
    ids: int = 0

    def id(self) -> str:
        self.ids += 1
        return f"018f{self.random.getrandbits(16):04x}-0000-7000-8000-{self.ids:012x}"

    def moment(self) -> str:
        """One of few, so that many are equal."""
        return f"2024-01-0{self.random.randint(1, 3)} 00:00:00.000000"

    def add(self, table: str, **values: Any) -> str:
        audit = {
            "created_at": self.moment(),
            "created_by": "ada",
            "last_updated_at": self.moment(),
            "last_updated_by": "grace",
        }
        self.rows[table].append({**audit, **values})
        return str(values.get("id", ""))

    def some(self, pool: Sequence[str], most: int) -> list[str]:
        return self.random.sample(pool, min(len(pool), self.random.randint(0, most)))


def installation(seed: int) -> Installation:
    made = Installation(Random(seed))
    for workspace in ("default", "東京 o'lab", EXCLUDED, "empty")[: made.random.randint(1, 4)]:
        if workspace == "empty":
            continue
        fill_workspace(made, workspace)
    return made


def fill_workspace(made: Installation, workspace: str) -> None:
    random, add = made.random, made.add
    names = ["alpha", "ünï 🧪", "Default Project"][: random.randint(0, 3)]
    alive = [add("projects", id=made.id(), workspace_id=workspace, name=name) for name in names]
    projects = [*alive, made.id(), made.id()]  # the last two are deleted
    traces = []
    for _ in range(random.randint(0, 8)):
        traces.append(made.id())
        for _ in range(random.choice([1, 1, 2])):  # a trace that was moved has two rows
            add("traces", id=traces[-1], workspace_id=workspace, project_id=random.choice(projects), name="t")
    datasets = [
        add(
            "datasets",
            id=made.id(),
            workspace_id=workspace,
            name=f"d{n}",
            project_id=random.choice([None, None, "", projects[0]]),
        )
        for n in range(random.randint(0, 3))
    ]
    prompts = [
        add(
            "prompts",
            id=made.id(),
            workspace_id=workspace,
            name=f"p{n}",
            project_id=random.choice([None, None, "", projects[-1]]),
        )
        for n in range(random.randint(0, 3))
    ]
    optimizations = []
    for _ in range(random.randint(0, 3)):
        optimization = {"id": made.id(), "workspace_id": workspace, "dataset_id": random.choice([*datasets, made.id()])}
        optimizations.append(optimization["id"])
        for version in range(random.choice([1, 2])):
            project = random.choice(["", "", projects[0]])
            moment = f"2024-02-0{version + 1} 00:00:00.000000"
            add(
                "optimizations",
                **optimization,
                name=f"o{version}",
                objective_name="f1",
                status="running",
                metadata="{}",
                project_id=project,
                last_updated_at=moment,
            )
    for n in range(random.randint(0, 6)):
        experiment = {"id": made.id(), "workspace_id": workspace, "dataset_id": random.choice([*datasets, made.id()])}
        for version in range(random.choice([1, 2, 3])):
            add(
                "experiments", **experiment, name=f"e{n}.{version} 🧪", metadata='{"a": "\\n\'"}',
                prompt_id=random.choice(["", *prompts]), optimization_id=random.choice(["", *optimizations]),
                prompt_versions={prompt: [made.id()] for prompt in made.some(prompts, 2)},
                project_id=random.choice(["", "", "", projects[0], projects[-1]]),
                last_updated_at=f"2024-02-0{version + 1} 00:00:00.000000",
            )  # fmt: skip
        for trace in made.some([*traces, made.id()], 6):
            item = {"id": made.id(), "workspace_id": workspace, "experiment_id": experiment["id"], "trace_id": trace}
            for _ in range(random.choice([1, 1, 2])):
                add("experiment_items", **item, dataset_item_id=item["id"])
    for _ in range(random.randint(0, 4)):
        rule = add(
            "automation_rules",
            id=made.id(),
            workspace_id=workspace,
            project_id=random.choice([None, projects[0]]),
            action="evaluator",
            sampling_rate=random.choice([0.1, 1, 0.123456789]),
            enabled=random.random() < 0.8,
        )
        if random.random() < 0.8:
            add(
                "automation_rule_evaluators",
                id=rule,
                workspace_id=workspace,
                type="llm_as_judge",
                code='{"a": [1, "ü"]}',
            )
        for project in random.choice([made.some(projects, 5), projects[-2:]]):
            add("automation_rule_projects", rule_id=rule, project_id=project, workspace_id=workspace)
    for n in range(random.randint(0, 4)):
        fill_alert(made, workspace, f"a{n}", projects)


def fill_alert(made: Installation, workspace: str, name: str, projects: list[str]) -> None:
    random, add = made.random, made.add
    webhook = made.id()
    if random.random() < 0.9:
        add(
            "webhooks",
            id=webhook,
            workspace_id=workspace,
            name=name,
            url="http://x",
            secret_token="s",
            headers='{"k": "v"}',
        )
    project = random.choice([None, None, None, "", projects[0]])
    alert = add(
        "alerts", id=made.id(), workspace_id=workspace, name=name, enabled=True, webhook_id=webhook, project_id=project
    )
    for _ in range(random.randint(0, 3)):
        trigger = add("alert_triggers", id=made.id(), workspace_id=workspace, alert_id=alert, event_type="trace:errors")
        for _ in range(random.choice([0, 1, 1, 2])):
            value = random.choice(
                [
                    *[{"project_ids": json.dumps(made.some(projects, 4))} for _ in range(5)],
                    {"project_ids": "[not json"}, {"project_ids": '["a", 1]'}, {"project_ids": '"a"'},
                    {"project_ids": projects[:1]}, {}, ["x"], {"project_ids": None},
                ]
            )  # fmt: skip
            add(
                "alert_trigger_configs",
                id=made.id(),
                workspace_id=workspace,
                alert_trigger_id=trigger,
                config_type="scope:project",
                config_value=json.dumps(value),
            )
        if random.random() < 0.5:
            add(
                "alert_trigger_configs",
                id=made.id(),
                workspace_id=workspace,
                alert_trigger_id=trigger,
                config_type="threshold:feedback_score",
                config_value='{"threshold": 0.5}',
            )


def write(made: Project, rows: Mapping[str, list[dict[str, Any]]]) -> None:
    with opened(made) as (state, analytics):
        for table, its in rows.items():
            for row in its:  # one by one, so that each version leaves a part of its own
                (state if table in STATE else analytics).insert(table, list(row), [list(row.values())])


# --- equal to the oracle --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("opik")
    return opik(f"sqlite:///{folder / 'state.db'}", f"chdb:///{folder / 'analytics'}?database=opik")


def upgrade_as_the_oracle_says(made: Project, seed: int) -> None:
    empty(made)
    write(made, installation(seed).rows)
    before, started = read(made), now()
    run(made)
    assert_upgraded(made, before, started)


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 40))
def test_every_row_is_what_the_oracle_says(embedded: Project, seed: int) -> None:
    upgrade_as_the_oracle_says(embedded, seed)
