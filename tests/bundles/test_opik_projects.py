"""Promises of the upgrade to projects: six jobs, row by row what the oracle says, whatever comes between."""

from __future__ import annotations

import json
import threading
import time
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
import warm
from opik_oracle import Tables
from projects import ENVIRONMENT, TESTS
from servers.clickhouse_front import ClickhouseFront
from servers.mariadb import MariadbServer
from stepwell import bundles
from stepwell.databases.database import Database
from stepwell.errors import JobNotReady, StepwellError
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
        for table in ("job", "batch", "failure", "ensured", "change", "change_pack", "before"):
            if state.columns(f"stepwell_{table}"):
                state.query(f"DELETE FROM stepwell_{table}")


def run(made: Project, *names: str) -> None:
    for name in names:
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


@pytest.fixture(scope="module")
def servers(mariadb: MariadbServer, clickhouse_front: ClickhouseFront) -> Project:
    return opik(mariadb.new_database(), clickhouse_front.new_database())


def upgrade_as_the_oracle_says(made: Project, seed: int) -> None:
    empty(made)
    write(made, installation(seed).rows)
    before, started = read(made), now()
    run(made, *JOBS)
    assert_upgraded(made, before, started)


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 40))
def test_every_row_is_what_the_oracle_says(embedded: Project, seed: int) -> None:
    upgrade_as_the_oracle_says(embedded, seed)


@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 40))
def test_so_it_is_on_mariadb_and_clickhouse_over_http(servers: Project, seed: int) -> None:
    upgrade_as_the_oracle_says(servers, seed)


def test_a_second_run_changes_nothing_and_late_arrivals_are_migrated(embedded: Project) -> None:
    empty(embedded)
    first, late = installation(11), Installation(Random(12), ids=1 << 32)
    write(embedded, first.rows)
    before, started = read(embedded), now()
    run(embedded, *JOBS)
    upgraded = read(embedded)
    run(embedded, *JOBS)
    for table, rows in read(embedded).items():
        if table not in ("traces", "experiment_items"):  # of versions that are equally new, any may be shown
            assert _without_version("", rows) == _without_version("", upgraded[table]), table
    fill_workspace(late, "a late workspace")
    fill_workspace(late, "another")
    write(embedded, late.rows)
    with_late = {
        name: [*rows, *(row for row in read(embedded)[name] if row not in upgraded[name])]
        for name, rows in before.items()
    }
    run(embedded, *JOBS)
    assert_upgraded(embedded, with_late, started)


def test_undo_gives_back_the_originals(embedded: Project) -> None:
    empty(embedded)
    write(embedded, installation(13).rows)
    before = read(embedded)
    run(embedded, *JOBS)
    for name in reversed(JOBS):
        report = embedded.undo_job(name)
        assert report.complete and report.left == ()
    for table, rows in read(embedded).items():
        # A Default Project may be in use by now, and a row of ClickHouse is put back as a newer version.
        known = {row.get("id") for row in before[table]}
        there = [row for row in rows if table != "projects" or row["id"] in known]
        assert _without_version(table, there) == _without_version(table, before[table]), table


def _without_version(table: str, rows: list[dict[str, Any]]) -> list[str]:
    dated = table in ANALYTICS
    return sorted(
        json.dumps({key: value for key, value in row.items() if not dated or key != "last_updated_at"}, sort_keys=True)
        for row in rows
    )


# --- the order of the steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "waits_for"),
    [
        ("dataset-projects", "job/experiment-projects"),
        ("prompt-projects", "job/experiment-projects"),
        ("optimization-projects", "job/dataset-projects"),
    ],
)
def test_a_job_does_not_start_before_what_it_infers_from_is_complete(
    embedded: Project, job: str, waits_for: str
) -> None:
    empty(embedded)
    with pytest.raises(JobNotReady, match=waits_for):
        embedded.run_job(job)


def test_every_job_is_off_unless_its_flag_is_on(embedded: Project) -> None:
    off = Project(embedded.config, {name: value for name, value in embedded.variables.items() if name not in FLAGS})
    flags = {name: flag for name in JOBS if (flag := off.job(name).flag)}
    assert {name: flag.name for name, flag in flags.items()} == JOBS
    assert not any(flag.on(off.variables) for flag in flags.values())
    assert {off.job(name).cycle for name in JOBS} == {30}


def test_the_log_says_what_operators_look_for(embedded: Project, caplog: pytest.LogCaptureFixture) -> None:
    empty(embedded)
    with caplog.at_level("INFO", "stepwell"):
        run(embedded, *JOBS)
    kinds = [
        "eligible experiments",
        "eligible datasets",
        "orphan prompts",
        "eligible optimizations",
        "multi-project automation rules",
        "orphan alerts",
    ]
    for kind in kinds:
        assert f"No workspaces with {kind} found, consider disabling the job" in caplog.messages


def test_a_malformed_scope_counts_as_workspace_wide_and_is_logged(
    embedded: Project, caplog: pytest.LogCaptureFixture
) -> None:
    empty(embedded)
    made = Installation(Random(1))
    made.add("projects", id="p", workspace_id="w", name="alpha")
    made.add("alerts", id="a", workspace_id="w", name="a", enabled=True, webhook_id="w")
    made.add("alert_triggers", id="t", workspace_id="w", alert_id="a", event_type="trace:errors")
    made.add(
        "alert_trigger_configs",
        id="c",
        workspace_id="w",
        alert_trigger_id="t",
        config_type="scope:project",
        config_value='{"project_ids": "[oops"}',
    )
    write(embedded, made.rows)
    run(embedded, "alert-projects")
    assert any("config c: malformed scope" in message and "workspace-wide" in message for message in caplog.messages)
    [change] = [change for change in embedded.why("alert-projects", "a") if change.key == '["a"]']
    assert change.reason == "default: it names no project"


# --- what went to the default can be judged again -------------------------------------------------------------


def test_a_row_that_went_to_the_default_is_judged_again(embedded: Project) -> None:
    empty(embedded)
    made = Installation(Random(1))
    project = made.add("projects", id=made.id(), workspace_id="w", name="alpha")
    dataset, experiment, trace = made.id(), made.id(), made.id()
    made.add("experiments", id=experiment, workspace_id="w", dataset_id=dataset, name="e")
    made.add(
        "experiment_items",
        id=made.id(),
        workspace_id="w",
        experiment_id=experiment,
        dataset_item_id=made.id(),
        trace_id=trace,
    )
    write(embedded, made.rows)
    run(embedded, "experiment-projects")
    assert embedded.why("experiment-projects", experiment)[0].reason == "default: no trace of its items was found"
    later = Installation(Random(2))
    later.add("traces", id=trace, workspace_id="w", project_id=project, name="t")
    write(embedded, later.rows)
    assert embedded.reassess_job("experiment-projects").restored == 1
    run(embedded, "experiment-projects")
    [row] = read(embedded)["experiments"]
    assert (row["project_id"], row["last_updated_by"]) == (project, "system")
    assert embedded.why("experiment-projects", experiment)[0].reason == f"project {project}: 1 of 1 traces"


# --- beside others --------------------------------------------------------------------------------------------


def test_two_replicas_make_one_default_project(servers: Project) -> None:
    empty(servers)
    made = Installation(Random(1))
    for n in range(3):
        made.add("alerts", id=made.id(), workspace_id="w", name=f"a{n}", enabled=True, webhook_id="w")
    write(servers, made.rows)
    with opened(servers) as (other, _):
        theirs = "0190ffff-0000-7000-8000-000000000001"
        other.query("START TRANSACTION")
        other.query("INSERT INTO projects (id, workspace_id, name) VALUES (?, 'w', 'Default Project')", (theirs,))
        job = threading.Thread(target=run, args=(servers, "alert-projects"))
        job.start()
        waiting = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        while job.is_alive() and other.query(waiting) == [(0,)]:
            time.sleep(0.2)  # the view is renewed after 0.1 s in which nobody read it
        other.query("COMMIT")
        job.join()
    after = read(servers)
    assert [row["id"] for row in after["projects"]] == [theirs]
    assert {row["project_id"] for row in after["alerts"]} == {theirs}


def test_a_change_that_a_writer_makes_meanwhile_is_not_lost(servers: Project) -> None:
    empty(servers)
    made = Installation(Random(1))
    ids = {"id": made.id(), "workspace_id": "w", "dataset_id": made.id()}
    made.add("experiments", **ids, name="before")
    write(servers, made.rows)
    # Dated when it begins, there three seconds later: in between lies all of the job.
    insert = """
        INSERT INTO experiments (id, workspace_id, dataset_id, name, last_updated_at)
        SELECT ?, ?, ?, 'the writer''s', now64(9) FROM numbers(1) WHERE sleep(3) = 0
    """
    with opened(servers) as (_, analytics):
        writer = threading.Thread(target=analytics.query, args=(insert, tuple(ids.values())))
        writer.start()
        time.sleep(0.2)
        run(servers, "experiment-projects")
        writer.join()
    run(servers, "experiment-projects")
    [row] = read(servers)["experiments"]
    assert row["name"] == "the writer's" and row["project_id"]


def test_no_row_of_live_writers_is_lost(servers: Project) -> None:
    empty(servers)
    write(servers, installation(21).rows)
    late = Installation(Random(22), ids=1 << 32)
    failed: list[StepwellError] = []

    def keep_writing() -> None:
        for number in range(10):
            one = Installation(late.random, ids=late.ids)
            fill_workspace(one, f"workspace {number}")
            late.ids = one.ids
            try:
                write(servers, one.rows)
            except StepwellError as error:
                failed.append(error)
            for table, rows in one.rows.items():
                late.rows[table] += rows

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        run(servers, *JOBS)
    finally:
        writer.join()
    run(servers, *JOBS)
    assert not failed
    after = read(servers)
    for table, rows in late.rows.items():
        if table not in ("automation_rule_projects", "alert_triggers", "alert_trigger_configs"):
            assert {row["id"] for row in rows} <= {row["id"] for row in after[table]}, table
    for table in ("experiments", "optimizations", "datasets", "prompts", "alerts"):
        assert [row for row in after[table] if not row["project_id"] and row["workspace_id"] != EXCLUDED] == []


# --- kill -9 --------------------------------------------------------------------------------------------------


def test_each_job_goes_on_after_kill_9_to_what_the_oracle_says(embedded: Project) -> None:
    empty(embedded)
    write(embedded, installation(7).rows)
    before, started = read(embedded), now()
    killed = {}
    for name in JOBS:
        run(embedded, *(other[4:] for other in embedded.job(name).requires if other.startswith("job/")))
        killed[name] = sum(_killed(embedded, name, point) for point in (2, 8))
    assert all(killed.values()), killed
    run(embedded, *JOBS)
    assert_upgraded(embedded, before, started)
    with opened(embedded) as (state, _):
        assert state.query("SELECT row_key FROM stepwell_change WHERE reason = ''") == []


def _killed(made: Project, name: str, point: int) -> bool:
    """Whether the job died before the statement of this number that changes something in its batches."""
    arguments = ("batch", str(point), "job", "run", name)
    environment = ENVIRONMENT | dict(made.variables)
    code, _, said = warm.run(arguments, bundles.HERE / "opik", environment, 100, str(TESTS / "killing.py"))
    assert code in (0, -9), said
    with opened(made) as (state, _):
        state.query("UPDATE stepwell_job SET lease_until = 0")  # that of the dead worker ends later by itself
    return code == -9
