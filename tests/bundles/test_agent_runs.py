"""Promises of the agent runs project that its way back alone does not show."""

from __future__ import annotations

import pytest

from dumping import query
from stepwell import bundles
from stepwell.bundles import agent_runs
from stepwell.project import Project
from stepwell.schema.plan import Options

ARRIVAL = """
    INSERT INTO run (id, agent, status, started_at, ended_at, tokens, cost)
    VALUES (generateUUIDv4(), 'acme/late', 'ok', '2026-01-02 03:04:05', '2026-01-02 03:04:06', 10, 0.5)
"""
BILLED = "SELECT sum(runs), sum(tokens), toString(sum(cost)) FROM billing_meter WHERE agent = 'acme/late'"


@pytest.fixture
def project(postgres_url: str, clickhouse_url: str) -> Project:
    environment = {"APP_DB_URL": postgres_url, "ANALYTICS_DB_URL": clickhouse_url}
    made = Project.load(bundles.HERE / "agent_runs", environment)
    made.up(Options(to="app/0002"))
    made.up(Options(to="analytics/0001"))
    with made.targets() as (app, analytics):
        agent_runs.generate(app.database, analytics.database, runs=100, seed=1)
    return made


def test_everything_is_applied_and_a_second_run_finds_nothing_to_do(project: Project) -> None:
    assert len(project.up().applied) == 8
    assert project.up().applied == []


def test_runs_get_their_tenant(project: Project, clickhouse_url: str) -> None:
    before = query(clickhouse_url, "SELECT agent, count() FROM run GROUP BY agent ORDER BY agent")
    project.up()
    assert query(clickhouse_url, "SELECT agent, count() FROM run GROUP BY agent ORDER BY agent") == before
    assert query(clickhouse_url, "SELECT count() FROM run WHERE NOT startsWith(agent, concat(tenant, '/'))") == ["0"]


def test_bills_go_on_across_the_new_sorting_key_and_back(project: Project, clickhouse_url: str) -> None:
    project.up(Options(to="analytics/0005"))
    query(clickhouse_url, ARRIVAL)
    project.up(Options(to="analytics/0006"))
    query(clickhouse_url, ARRIVAL)
    assert query(clickhouse_url, BILLED) == ["2\t20\t1"]
    project.down(Options(database="analytics", count=1))
    query(clickhouse_url, ARRIVAL)
    assert query(clickhouse_url, BILLED) == ["3\t30\t1.5"]


def test_the_way_back_keeps_the_runs_that_arrived_meanwhile(project: Project, clickhouse_url: str) -> None:
    project.up(Options(to="analytics/0006"))
    query(clickhouse_url, ARRIVAL)
    runs = "SELECT id, agent, started_at, tokens FROM run ORDER BY id"
    before = query(clickhouse_url, runs)
    project.down(Options(database="analytics", count=1))
    assert query(clickhouse_url, runs) == before
    assert len(before) == 101


def test_the_database_keeps_updated_at(project: Project, postgres_url: str) -> None:
    unchanged = "SELECT count(*) FROM agent WHERE updated_at = created_at"
    assert query(postgres_url, unchanged) == ["6"]
    with project.targets() as (app, _):
        app.database.query("UPDATE agent SET settings = '{\"model\": \"large\"}' WHERE slug = 'support-bot'")
    assert query(postgres_url, unchanged) == ["5"]
