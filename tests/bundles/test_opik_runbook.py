"""The runbook of both Opik upgrades: what it refers to is there, and it stands as the upgrade does."""

from __future__ import annotations

from pathlib import Path

import checking
from projects import Project
from stepwell import bundles
from stepwell.errors import RollbackStopped
from stepwell.runbook.evidence import Mark
from stepwell.schema.plan import Options


def test_it_ticks_as_the_upgrade_goes_on_and_knows_the_way_back(
    tmp_path: Path, sqlite_url: str, clickhouse_url: str
) -> None:
    bundles.copy("opik", tmp_path)
    made = Project(tmp_path, {"state": sqlite_url, "analytics": clickhouse_url})
    here = checking.loaded(made)
    for reference in ("state/0002", "analytics/0002"):
        here.up(Options(to=reference))
    here.take_snapshot("before-versioning")
    progress = here.runbook("upgrade")
    assert [phase.name[:2] for phase, _ in progress.sections[:5]] == ["1.", "2.", "3.", "4.", "5."]
    marks = {status.item.label: status.mark for _, statuses in progress.sections for status in statuses}
    done = {label for label, mark in marks.items() if mark is Mark.DONE}
    assert done >= {"state/0002_dataset_versions", "analytics/0002_dataset_item_versions", "snapshot/before-versioning"}
    assert done.isdisjoint({"state/0003_version_1_of_every_dataset", "job/copy-dataset-items", "check/items-are-equal"})
    moves = here.way_back_of("upgrade")
    assert [move.status.item.label for move in moves if move.does][:1] == ["signoff/roll-back"]
    assert not any(move.does for move in moves if move.status.item.undo)  # nothing is to be taken back yet
    try:
        here.roll_back("upgrade")
    except RollbackStopped as stopped:
        assert stopped.what.endswith("signoff/roll-back")
    else:
        raise AssertionError("it went back without a yes")
