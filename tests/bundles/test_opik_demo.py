"""Promises of `stepwell demo opik` and of `stepwell init --from opik`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from conftest import Finished, Stepwell


def facts(ended: Finished) -> dict[str, tuple[int, int | None]]:
    assert ended.code == 0, ended.stdout + ended.stderr
    return {fact["label"]: (fact["value"], fact["expected"]) for fact in json.loads(ended.stdout)["facts"]}


def test_the_demo_proves_both_upgrades_beside_an_application_that_writes_and_a_second_one_changes_nothing(
    stepwell: Stepwell,
) -> None:
    once = facts(stepwell("demo", "opik", "here", "--scale", "0.1", "--live", "--json", timeout=240))
    assert {label for label, (value, expected) in once.items() if expected not in (None, value)} == set()
    assert {"datasets without a project", "versions that wait to be counted"} <= set(once)
    assert facts(stepwell("demo", "opik", "here", "--scale", "0.1", "--json", timeout=240)) == once


def test_the_demo_goes_its_way_in_80_columns(stepwell: Stepwell) -> None:
    ended = stepwell("demo", "opik", "here", "--scale", "0.05", timeout=240)
    assert ended.code == 0, ended.stdout + ended.stderr
    assert [line for line in ended.stdout.splitlines() if len(line) > 80] == []
    for name in ("datasets-are-untouched", "items-are-untouched", "later-versions-are-untouched", "items-are-complete"):
        assert f"check/{name}" in ended.stdout.split("checks:")[1]
    assert re.search(r"^checks that do not hold +0 +0 +ok$", ended.stdout, re.MULTILINE)


def test_an_operator_gets_scripts_jobs_checks_and_a_guide(stepwell: Stepwell, tmp_path: Path) -> None:
    assert stepwell("init", "--from", "opik", "mine").code == 0
    made = {str(path.relative_to(tmp_path / "mine")) for path in (tmp_path / "mine").rglob("*.*")}
    assert {
        "README.md", "stepwell.toml", "migrations/state/0003_version_1_of_every_dataset.sql",
        "jobs/dataset_versions.py", "checks/items_are_equal.sql",
    } <= made  # fmt: skip
    found = stepwell("job", "list", "--json", cwd=tmp_path / "mine")
    assert found.code == 0, found.stderr
    assert "copy-dataset-items" in {job["name"] for job in json.loads(found.stdout)["jobs"]}
