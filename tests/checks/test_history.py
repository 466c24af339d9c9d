"""History: what was done, by whom, when; nothing of it is ever taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import dumping
import jobbing
from projects import ENVIRONMENT, Project, done


def acts(project: Project, *arguments: str) -> list[tuple[str, str]]:
    """Steps and acts, the oldest first."""
    found = json.loads(done(project("history", "--json", *arguments)))["acts"]
    return [(act["step"], act["act"]) for act in reversed(found)]


SCRIPTS: Mapping[str, str] = {
    "state/0001_a": "CREATE TABLE a (id INT)\n;\n-- down\nDROP TABLE a",
    "state/0002_b": "CREATE TABLE b (id INT)\n;\n-- down\nDROP TABLE b",
}


@pytest.fixture
def project(tmp_path: Path, any_url: str) -> Project:
    scripts = SCRIPTS
    if dumping.scheme(any_url) in ("chdb", "clickhouse"):
        scripts = {
            name: text.replace("INT)", "Int32) ENGINE = MergeTree ORDER BY id") for name, text in SCRIPTS.items()
        }
    return jobbing.make(tmp_path, {"state": any_url}, {}, scripts)


def test_scripts_applied_failed_undone_and_accepted(project: Project) -> None:
    done(project("up"))
    done(project("down", "--database", "state"))
    done(project("up"))
    project.write({"state/0003_c": "INSERT INTO nowhere VALUES (1)"})
    assert project("up").code == 1
    path = project.folder / "migrations/state/0001_a.sql"
    path.write_text("-- Edited.\n" + path.read_text())
    (project.folder / "migrations/state/0003_c.sql").unlink()
    done(project("up", "--accept", "state/0001_a"))
    found = acts(project)
    assert [act for act in found if act[0] == "state/0001_a"] == [
        ("state/0001_a", "applied"),
        ("state/0001_a", "accepted"),
    ]
    assert [act for act in found if act[0] == "state/0002_b"][-2:] == [
        ("state/0002_b", "undone"),
        ("state/0002_b", "applied"),
    ]
    assert any(step == "state/0003_c" for step, _ in found)
    assert acts(project, "--step", "state/0002")[-1] == ("state/0002_b", "applied")
    assert len(acts(project, "--limit", "2")) == 2


def test_a_script_undone_still_tells_who_had_applied_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "STEPWELL_ACTOR", "ada")
    done(project("up"))
    monkeypatch.setitem(ENVIRONMENT, "STEPWELL_ACTOR", "bob")
    done(project("down", "--database", "state"))
    out = done(project("history", "--step", "state/0002"))
    assert "undone  bob@" in out
    assert "by ada@" in out


def test_baseline_is_told(project: Project) -> None:
    done(project("baseline", "state/0002"))
    out = done(project("history", "--step", "state/0001_a"))
    assert "applied" in out
    assert "baseline" in out


def test_jobs_started_paused_completed_and_undone(tmp_path: Path, relational_url: str) -> None:
    jobbing.fill(relational_url, 5)
    project = jobbing.make(tmp_path, {"state": relational_url}, {"add": jobbing.add_job("records: n, seen")})
    done(project("job", "pause", "add"))
    done(project("job", "resume", "add"))
    jobbing.run(project, "add")
    done(project("job", "undo", "add", "--yes"))
    found = [act for _, act in acts(project, "--step", "job/add")]
    assert found == ["paused", "resumed", "started", "completed", "undone"]
    assert "5 rows in all, 0 failed" in done(project("history"))


def test_an_empty_project_has_no_history(project: Project) -> None:
    assert acts(project) == []
    assert project("history", "--step", "job/none").code == 0


def test_no_secret_is_told(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = {"state/0001_a": "CREATE TABLE a (id INT);\nSELECT '${TOKEN}'::text"}
    project = jobbing.make(tmp_path, {"state": postgres_url}, {}, script)
    monkeypatch.setitem(ENVIRONMENT, "TOKEN", "hidden-words")
    done(project("up"))
    assert "hidden-words" not in project("history", "--json").text
