"""Promises of the item copy: every item once, as people see it, whatever the table holds and whatever dies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from opik_installation import JOBS, Opik, installed
from opik_versions import (
    Dataset,
    Item,
    copied,
    items,
    later,
    state_rows,
    uuid,
    version_1,
    versioned,
    write_datasets,
    write_items,
)
from projects import Project as Folder
from stepwell import bundles
from stepwell.jobs.runner import Progress
from stepwell.project import Project
from stepwell.schema.plan import Options

WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
rows = st.lists(items(), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def embedded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opik]:
    yield from installed(request, tmp_path_factory.mktemp("embedded"), "sqlite", "chdb")


@pytest.fixture
def opik(embedded: Opik) -> Opik:
    embedded.anew()
    embedded.project.up(Options(to="state/0003"))
    return embedded


def copy(opik: Opik) -> None:
    """Copy, also where that was complete once."""
    with opik.project.ledger() as ledger:
        ledger.query("UPDATE stepwell_job SET state = 'pending', quiet_passes = 0")
    assert opik.project.run_job("copy-dataset-items").failed == 0


@settings(max_examples=8, phases=WITHOUT_SHRINKING)
@given(first=rows, second=rows)
def test_a_second_copy_adds_what_the_first_had_not_and_leaves_the_rest(
    embedded: Opik, first: list[Item], second: list[Item]
) -> None:
    embedded.anew()
    embedded.project.up(Options(to="state/0003"))
    write_items(embedded.analytics, first)
    copy(embedded)
    once = version_1(embedded.analytics)
    assert once == copied([first])
    write_items(embedded.analytics, second)
    copy(embedded)
    twice = version_1(embedded.analytics)
    assert [row for row in twice if row in once] == once
    assert {row[:3] for row in twice} == {row[:3] for row in copied([first, second])}
    assert len(twice) == len({row[:3] for row in twice})


def some(number: int, count: int) -> list[Item]:
    return [
        Item(
            "default", uuid(number), uuid(1000 * number + each), "sdk", "", "", {"n": str(each)}, "", [], 1, "a", 2, "b"
        )
        for each in range(count)
    ]


def test_a_dataset_that_another_tool_left_half_copied_is_completed(opik: Opik) -> None:
    write_items(opik.analytics, some(1, 5))
    copy(opik)
    write_items(opik.analytics, some(1, 10)[5:])
    copy(opik)
    assert version_1(opik.analytics) == copied([some(1, 10)])


def test_items_of_a_later_version_are_neither_in_the_way_nor_touched(opik: Opik) -> None:
    write_items(opik.analytics, some(1, 1))
    columns = ["id", "workspace_id", "dataset_id", "dataset_version_id", "dataset_item_id"]
    opik.analytics.insert("dataset_item_versions", columns, [[uuid(1000), "default", uuid(1), uuid(2), uuid(1000)]])
    copy(opik)
    assert version_1(opik.analytics) == copied([some(1, 1)])
    assert opik.analytics.query("SELECT count() FROM dataset_item_versions") == [(2,)]


def test_what_arrives_during_the_copy_is_there_at_its_end(opik: Opik) -> None:
    with opik.project.ledger() as ledger:
        ledger.query("UPDATE stepwell_job SET limits = '{\"size\": 3}'")
    write_items(opik.analytics, [item for number in (2, 4, 6) for item in some(number, 4)])
    late = [item for number in (1, 2, 4, 7) for item in some(number, 6)[4:]]
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        if not told:
            write_items(opik.analytics, late)
        told.append(progress)

    outcome = opik.project.run_job("copy-dataset-items", tell)
    with opik.project.ledger() as ledger:
        ledger.query("UPDATE stepwell_job SET limits = ''")
    assert outcome.state == "complete"
    assert len(told) > 3
    assert version_1(opik.analytics) == copied([[item for number in (2, 4, 6) for item in some(number, 4)], late])


def test_a_copy_whose_client_stops_listening_is_followed_to_its_end(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for opik in installed(request, tmp_path, "sqlite", "clickhouse"):
        write_items(opik.analytics, some(1, 12))
        # Each row takes a fifth of a second, which makes more than the client's patience.
        slow = "ALTER TABLE dataset_item_versions ADD CONSTRAINT slow CHECK sleepEachRow(0.2) = 0"
        opik.analytics.query(slow)
        urls = {name: url for name, url in opik.project.variables.items() if name.endswith("_DB_URL")}
        urls["ANALYTICS_DB_URL"] += "?read_timeout=1"
        hasty = Project.load(bundles.HERE / "opik", urls)
        hasty.up(Options(to="state/0003"))
        assert hasty.run_job("copy-dataset-items").state == "complete"
        assert version_1(opik.analytics) == copied([some(1, 12)])


# --- kill -9 --------------------------------------------------------------------------------------------------

# Kills its own process where a statement with a text is sent: before, half way through an INSERT (the blocks that
# ClickHouse keeps are played by a LIMIT), or behind it, before anything of it is recorded.
KILLED = """
import os, signal, sys
from stepwell.databases.clickhouse.connection import ClickhouseDatabase
from stepwell.databases.sqlite import SqliteDatabase
from stepwell.project import Project

where, text, job = {where!r}, {text!r}, {job!r}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fused(kind, name):
    send = getattr(kind, name)
    def sent(self, statement, *rest):
        if text not in statement:
            return send(self, statement, *rest)
        if where == "half":
            send(self, statement.replace("SETTINGS", "LIMIT 70 SETTINGS"), *rest)
        elif where == "behind":
            send(self, statement, *rest)
        die()
    setattr(kind, name, sent)

fused(ClickhouseDatabase, "send")
fused(SqliteDatabase, "query")
Project.load(".").run_job(job)
"""
INSERT, TOTALS = "INSERT INTO dataset_item_versions", "SET items_total = CASE"


@pytest.mark.parametrize(
    ("where", "text"),
    [("before", INSERT), ("half", INSERT), ("behind", INSERT), ("before", TOTALS), ("behind", TOTALS)],
    ids=["before the copy", "half way through", "behind the copy", "before the totals", "behind the totals"],
)
def test_a_worker_that_is_killed_leaves_what_the_next_one_completes(
    request: pytest.FixtureRequest, tmp_path: Path, where: str, text: str
) -> None:
    random.seed(where + text)
    datasets = [Dataset(uuid(number), "default", f"d{number}", number, "ada", "") for number in range(1, 9)]
    first = [item for each in range(1, 10) for item in some(each, random.randrange(40))]
    second = [later(item, source="trace", trace_id=uuid(5)) for item in random.sample(first, 20)]
    for opik in installed(request, tmp_path, "sqlite", "clickhouse"):
        write_datasets(opik.state, datasets)
        write_items(opik.analytics, first)
        write_items(opik.analytics, second)
        opik.project.up(Options(to="state/0003"))
        job = JOBS[text == TOTALS]
        if text == TOTALS:
            opik.project.run_job(JOBS[0])
        folder = Folder(
            tmp_path / "project", {name: config.url for name, config in opik.project.config.databases.items()}
        )
        bundles.copy("opik", folder.folder)
        killed = folder.python(KILLED.format(where=where, text=text, job=job))
        assert killed.code == -9, killed.text
        with opik.project.ledger() as ledger:
            ledger.query("UPDATE stepwell_job SET lease_until = 1")  # half a minute later
        opik.upgrade()
        assert version_1(opik.analytics) == copied([first, second])
        assert state_rows(opik.state) == versioned(datasets, [first, second])


def test_a_dataset_is_counted_again_though_the_worker_died_that_copied_its_late_items(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    datasets = [Dataset(uuid(number), "default", f"d{number}", number, "ada", "") for number in range(1, 4)]
    first, late = [item for each in range(1, 4) for item in some(each, 5)], some(2, 9)[5:]
    for opik in installed(request, tmp_path, "sqlite", "clickhouse"):
        write_datasets(opik.state, datasets)
        write_items(opik.analytics, first)
        opik.upgrade()
        write_items(opik.analytics, late)
        folder = Folder(
            tmp_path / "project", {name: config.url for name, config in opik.project.config.databases.items()}
        )
        bundles.copy("opik", folder.folder)
        killed = folder.python(KILLED.format(where="behind", text=INSERT, job=JOBS[0]))
        assert killed.code == -9, killed.text
        with opik.project.ledger() as ledger:
            ledger.query("UPDATE stepwell_job SET lease_until = 1")  # half a minute later
        for job in JOBS:
            opik.project.run_job(job)
        assert version_1(opik.analytics) == copied([first, late])
        assert state_rows(opik.state) == versioned(datasets, [first, late])
