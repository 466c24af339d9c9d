"""The guard: a server starts on a schema that it fits, and on no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import projects
from projects import Project, done

CONTRACT = "-- phase: contract\nALTER TABLE item DROP COLUMN old;\n"
SCRIPTS = {"state/0001_item": "CREATE TABLE item (id INT, old INT, new INT);\n"}


@pytest.fixture
def project(tmp_path: Path, sqlite_url: str) -> Project:
    return projects.make(tmp_path / "new", {"state": sqlite_url}, SCRIPTS)


def older(project: Project) -> Project:
    """The release of before: the same databases, without the newest files."""
    folder = project.folder.parent / "old"
    shutil.copytree(project.folder, folder)
    return Project(folder, project.urls)


def test_a_schema_that_is_too_old_is_refused_with_what_is_missing(project: Project) -> None:
    end = project("guard", "--needs", "state/0001")
    assert end.code == 9
    assert "state/0001 is not applied" in end.stderr
    assert "stepwell up" in end.stderr
    done(project("up"))
    assert done(project("guard", "--needs", "state/0001")) == "the schema fits\n"
    assert json.loads(project("guard", "--needs", "state/0002", "--json").stdout)["error"]["kind"] == "SchemaUnfit"


def test_a_server_of_the_release_before_refuses_a_schema_that_a_contract_script_has_made_too_new(
    tmp_path: Path, relational_url: str
) -> None:
    project = projects.make(tmp_path / "new", {"state": relational_url}, SCRIPTS)
    before = older(project)
    project.write({"state/0002_drop": CONTRACT})
    done(project("up"))
    end = before("guard", "--needs", "state/0001")
    assert end.code == 9
    assert "state/0002_drop, a contract script, is applied since 20" in end.stderr
    assert before("guard", "--tolerates-contract", "yes").code == 0
    assert project("guard", "--needs", "state/0002").code == 0
    assert project("guard", "--tolerates-contract", "no").code == 9


def test_what_a_release_adds_does_not_stop_servers_of_the_one_before(project: Project) -> None:
    before = older(project)
    project.write({"state/0002_add": "-- phase: expand\nALTER TABLE item ADD COLUMN more INT;\n"})
    done(project("up"))
    assert before("guard", "--needs", "state/0001").code == 0


def test_a_contract_script_that_failed_and_left_nothing_counts_as_not_there(project: Project) -> None:
    before = older(project)
    project.write({"state/0002_drop": "-- phase: contract\nALTER TABLE item DROP COLUMN nowhere;\n"})
    assert project("up").code == 1
    assert before("guard").code == 0


def test_a_contract_script_that_is_taken_back_counts_no_more(project: Project) -> None:
    before = older(project)
    project.write({"state/0002_drop": f"{CONTRACT}-- down\nALTER TABLE item ADD COLUMN old INT;\n"})
    done(project("up"))
    assert before("guard").code == 9
    done(project("down"))
    assert before("guard").code == 0


def test_a_contract_script_applied_in_part_counts_as_applied(project: Project) -> None:
    done(project("up"))
    before = older(project)
    wrong = "ALTER TABLE item DROP COLUMN nowhere;\n"
    project.write({"state/0002_drop": f"-- transaction: false\n{CONTRACT}{wrong}"})
    assert project("up").code == 1
    end = before("guard")
    assert end.code == 9
    assert "state/0002_drop, a contract script, is applied in part" in end.stderr


def test_a_server_whose_image_has_no_scripts_is_guarded_by_the_history_alone(project: Project) -> None:
    project.write({"state/0002_drop": CONTRACT})
    done(project("up"))
    shutil.rmtree(project.folder / "migrations")
    assert project("guard", "--needs", "state/0002").code == 9
    assert project("guard", "--needs", "state/0002", "--tolerates-contract", "yes").code == 0


def test_it_changes_nothing(project: Project) -> None:
    before = project.dump()
    assert project("guard", "--needs", "state/0001").code == 9
    assert project.dump() == before


def test_a_job_can_be_needed(project: Project) -> None:
    (project.folder / "jobs").mkdir()
    (project.folder / "jobs/fill.sql").write_text(
        "-- batches: keyset state.item by id\n-- where: new IS NULL\n-- unindexed: accept\n"
        "-- requires: state/0001\nUPDATE item SET new = old WHERE ${batch}\n"
    )
    done(project("up"))
    end = project("guard", "--needs", "job/fill")
    assert (end.code, "job/fill is not complete" in end.stderr) == (9, True)
    done(project("job", "run", "fill"))
    assert project("guard", "--needs", "job/fill").code == 0


def test_a_database_that_is_none_is_no_reason_to_refuse_but_a_mistake(project: Project) -> None:
    end = project("guard", "--needs", "sate/0001")
    assert end.code == 2
    assert "did you mean 'state'" in end.stderr
