"""Promises of dataset versioning: whatever 1.x left, the upgrade is what a slow reader makes of it, and it can go back."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from opik_installation import JOBS, Opik, installed
from opik_versions import (
    Dataset,
    Item,
    batches,
    before,
    copied,
    later,
    state_rows,
    states,
    uuid,
    version_1,
    versioned,
    write_datasets,
    write_items,
)
from stepwell.errors import JobNotReady
from stepwell.schema.plan import Options

WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # an upgrade takes a second

LAZY = {"DATASET_VERSIONING_MIGRATION_LAZY_ENABLED": "true"}
COUNTER = "DATASET_VERSION_ITEMS_TOTAL_MIGRATION_"


@pytest.fixture(scope="module")
def embedded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opik]:
    yield from installed(request, tmp_path_factory.mktemp("embedded"), "sqlite", "chdb")


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opik]:
    yield from installed(request, tmp_path_factory.mktemp("served"), "mysql", "clickhouse")


@pytest.fixture
def opik(embedded: Opik) -> Opik:
    embedded.anew()
    return embedded


def dataset(number: int, version: str = "") -> Dataset:
    return Dataset(uuid(number), "default", f"d{number}", number, "maria", version)


def items_of(number: int, count: int = 3) -> list[Item]:
    row = Item("default", uuid(number), "", "sdk", "", "", {"a": "b"}, "{}", ["t"], 1000, "maria", 2000, "ci")
    return [later(row, id=uuid(100 * number + each)) for each in range(count)]


# --- against the oracle ---------------------------------------------------------------------------------------


def check_the_upgrade(opik: Opik, datasets: list[Dataset], batches: list[list[Item]]) -> None:
    opik.anew()
    write_datasets(opik.state, datasets)
    for batch in batches:
        write_items(opik.analytics, batch)
    opik.upgrade()
    assert version_1(opik.analytics) == copied(batches)
    assert state_rows(opik.state) == versioned(datasets, batches)


@settings(max_examples=8, phases=WITHOUT_SHRINKING)
@given(datasets=states, batches=batches)
def test_the_upgrade_is_what_a_slow_reader_makes_of_the_rows(
    embedded: Opik, datasets: list[Dataset], batches: list[list[Item]]
) -> None:
    check_the_upgrade(embedded, datasets, batches)


@settings(max_examples=4, phases=WITHOUT_SHRINKING)
@given(datasets=states, batches=batches)
def test_so_it_is_on_servers(served: Opik, datasets: list[Dataset], batches: list[list[Item]]) -> None:
    check_the_upgrade(served, datasets, batches)


# --- again, and back ------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(opik: Opik) -> None:
    write_datasets(opik.state, [dataset(1), dataset(2, "tagged")])
    write_items(opik.analytics, items_of(1) + items_of(2))
    opik.upgrade()
    once = opik.tables()
    rows = opik.analytics.query("SELECT * FROM dataset_item_versions ORDER BY id")
    assert opik.project.up(Options(database="state", to="state/0003")).applied == []
    for job in JOBS:
        assert opik.project.run_job(job).state == "complete"
    assert opik.tables() == once
    assert opik.analytics.query("SELECT * FROM dataset_item_versions ORDER BY id") == rows


@pytest.mark.parametrize("engines", ["embedded", "served"])
def test_the_way_back_removes_what_the_migration_made_and_nothing_else(
    request: pytest.FixtureRequest, engines: str
) -> None:
    opik: Opik = request.getfixturevalue(engines)
    opik.anew()
    datasets = [dataset(1), dataset(2, "tagged"), dataset(3, "untagged")]
    write_datasets(opik.state, datasets)
    batch = items_of(1) + items_of(2)
    write_items(opik.analytics, batch)
    columns = ["id", "workspace_id", "dataset_id", "dataset_version_id", "dataset_item_id"]
    theirs = [uuid(777), "default", uuid(2), datasets[1].own_version, uuid(200)]
    opik.analytics.insert("dataset_item_versions", columns, [theirs])
    opik.upgrade()
    opik.roll_back()
    assert state_rows(opik.state) == before(datasets)
    left = "SELECT toString(id), toString(dataset_version_id) FROM dataset_item_versions"
    assert opik.analytics.query(left) == [(uuid(777), datasets[1].own_version)]
    opik.upgrade()
    assert version_1(opik.analytics) == copied([batch])
    assert state_rows(opik.state) == versioned(datasets, [batch])


def test_a_version_1_that_somebody_described_anew_is_theirs(opik: Opik) -> None:
    write_datasets(opik.state, [dataset(1), dataset(2)])
    write_items(opik.analytics, items_of(1) + items_of(2))
    opik.upgrade()
    opik.state.query("UPDATE dataset_versions SET change_description = 'golden' WHERE id = ?", (uuid(2),))
    opik.roll_back()
    assert opik.state.query("SELECT id, items_total FROM dataset_versions") == [(uuid(2), 3)]
    assert opik.state.query("SELECT version_id FROM dataset_version_tags") == [(uuid(2),)]
    assert version_1(opik.analytics) == copied([items_of(2)])


# --- the counter ----------------------------------------------------------------------------------------------


def test_nothing_is_counted_before_all_is_copied(opik: Opik) -> None:
    opik.project.up(Options(to="state/0003"))
    with pytest.raises(JobNotReady, match="job/copy-dataset-items"):
        opik.project.run_job("dataset-version-items-total")


def test_the_counter_says_what_operators_look_for(opik: Opik, caplog: pytest.LogCaptureFixture) -> None:
    write_datasets(opik.state, [dataset(number) for number in range(1, 6)])
    opik.project.up(Options(to="state/0003"))
    opik.project.run_job("copy-dataset-items")
    caplog.clear()
    with caplog.at_level(logging.INFO, "stepwell"):
        opik.told(**{f"{COUNTER}BATCH_SIZE": "2"}).run_job("dataset-version-items-total")
    assert caplog.messages == [
        "Starting dataset versioning items_total migration...",
        *["Processing dataset versions batch..."] * 3,
        "Migration completed successfully, processed 5 dataset versions",
        "Dataset version items_total migration completed successfully",
    ]


def test_the_counter_can_be_switched_off(opik: Opik, caplog: pytest.LogCaptureFixture) -> None:
    opik.project.up(Options(to="state/0003"))
    opik.project.run_job("copy-dataset-items")
    with caplog.at_level(logging.INFO, "stepwell"):
        outcome = opik.told(**{f"{COUNTER}ENABLED": "false"}).run_job("dataset-version-items-total")
    assert outcome.state == "off"
    assert caplog.messages[-1] == "Dataset version items_total migration is disabled and skipped"


def test_the_counter_obeys_its_variables(opik: Opik) -> None:
    usual = opik.project.job("dataset-version-items-total")
    assert (usual.largest, usual.lock_timeout, usual.startup_delay, usual.timeout) == (100, 3600, 30, 3600)
    numbers = {"BATCH_SIZE": 7, "LOCK_TIMEOUT_SECONDS": 8, "STARTUP_DELAY_SECONDS": 9, "JOB_TIMEOUT_SECONDS": 10}
    told = opik.told(**{f"{COUNTER}{name}": str(value) for name, value in numbers.items()})
    job = told.job("dataset-version-items-total")
    assert (job.largest, job.lock_timeout, job.startup_delay, job.timeout) == (7, 8, 9, 10)


# --- lazily ---------------------------------------------------------------------------------------------------


def test_a_dataset_that_1x_makes_during_the_migration_is_migrated_when_it_is_accessed(opik: Opik) -> None:
    opik.project.up(Options(to="state/0003"))
    made = dataset(1, "untagged")
    write_datasets(opik.state, [made])
    write_items(opik.analytics, items_of(1))
    lazy = opik.told(**LAZY).lazy("reconcile-datasets")
    lazy.ensure(uuid(1))
    assert version_1(opik.analytics) == copied([items_of(1)])
    assert state_rows(opik.state) == versioned([made], [items_of(1)])
    lazy.close()


def test_items_that_1x_adds_to_a_migrated_dataset_are_there_at_the_next_access(opik: Opik) -> None:
    write_datasets(opik.state, [dataset(1), dataset(2)])
    first, second, third = items_of(1, 3), items_of(1, 5)[3:], items_of(1, 6)[5:]
    write_items(opik.analytics, first)
    opik.upgrade()
    lazy = opik.told(**LAZY).lazy("reconcile-datasets")
    lazy.ensure(uuid(1))
    for late in (second, third):
        write_items(opik.analytics, late)
        lazy.ensure(uuid(1))
        lazy.ensure(uuid(2))
    batch = [*first, *second, *third]
    assert version_1(opik.analytics) == copied([batch])
    assert state_rows(opik.state) == versioned([dataset(1), dataset(2)], [batch])
    lazy.close()


def test_accessing_a_migrated_dataset_changes_nothing(opik: Opik) -> None:
    write_datasets(opik.state, [dataset(1), dataset(2, "tagged")])
    write_items(opik.analytics, items_of(1))
    opik.upgrade()
    once = opik.tables()
    lazy = opik.told(**LAZY).lazy("reconcile-datasets")
    for number in (1, 2, 99):
        lazy.ensure(uuid(number))
    lazy.close()
    assert opik.tables() == once


def test_nothing_is_lazy_unless_it_is_switched_on(opik: Opik) -> None:
    opik.project.up(Options(to="state/0003"))
    write_datasets(opik.state, [dataset(1)])
    lazy = opik.project.lazy("reconcile-datasets")
    lazy.ensure(uuid(1))
    lazy.close()
    assert state_rows(opik.state) == ([], [])


def test_items_that_come_after_the_count_are_copied_and_counted_again(opik: Opik) -> None:
    write_datasets(opik.state, [dataset(1), dataset(2)])
    write_items(opik.analytics, items_of(1, 2) + items_of(2))
    opik.upgrade()
    write_items(opik.analytics, items_of(1, 4)[2:])
    with opik.project.ledger() as ledger:
        ledger.query("UPDATE stepwell_job SET state = 'pending', quiet_passes = 0")  # as `stepwell work` reopens them
    opik.upgrade()
    batch = items_of(1, 4) + items_of(2)
    assert version_1(opik.analytics) == copied([batch])
    assert state_rows(opik.state) == versioned([dataset(1), dataset(2)], [batch])
