"""`plan` says at which point of a release the old and the new server can live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import checking
import dumping
import jobbing
import projects
from projects import Project, done

SCRIPTS = {
    "state/0001_users": "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);\n",
    "state/0002_full_name": "-- phase: expand\nALTER TABLE users ADD COLUMN full_name TEXT;\n-- down\nSELECT 1;\n",
    "state/0003_drop_name": (
        "-- phase: contract\n-- requires: job/full-name, check/full-name\nALTER TABLE users DROP COLUMN name;\n"
    ),
}
JOB = """
-- batches: keyset state.users by id
-- where: full_name IS NULL AND name IS NOT NULL
-- requires: state/0002
UPDATE users SET full_name = name WHERE ${batch};
"""
CHECK = "-- expect: no rows\n-- database: state\nSELECT id FROM users WHERE full_name IS NOT name\n"


def make(folder: Path, **more: str) -> Project:
    """A release on SQLite whose first script is applied, with some rows."""
    scripts = {f"state/{name}": text for name, text in more.items()}
    made = jobbing.make(folder, {"state": f"sqlite:///{folder}/main.db"}, {"full_name": JOB}, SCRIPTS | scripts)
    checking.write(made, {"full_name": CHECK})
    done(made("up", "--to", "state/0001"))
    dumping.query(made.urls["state"], "INSERT INTO users VALUES (1, 'Ann'), (2, 'Ben')")
    return made


def release(made: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done(made("plan", "--json")))["release"]
    return found


def servers(made: Project) -> list[tuple[bool | None, bool]]:
    """For each point whether the old and the new server can live there."""
    return [(point["old"], point["new"]) for point in release(made)["points"]]


def test_a_release_has_three_points_and_says_who_can_live_at_each(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert done(made("plan")).endswith(
        "would apply 1, skip 1\n"
        "\n"
        "                          OLD SERVER  NEW SERVER\n"
        "now                       yes         no, waits for state/0002_full_name,\n"
        "                                      job/full-name\n"
        "after expand              yes         no, waits for job/full-name\n"
        "after the data migration  yes         yes\n"
        "after contract            no          yes\n"
    )
    assert [point["waits_for"] for point in release(made)["points"]] == [
        ["state/0002_full_name", "job/full-name"],
        ["job/full-name"],
        [],
        [],
    ]


def test_now_follows_what_is_done(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert servers(made)[0] == (True, False)
    done(made("up"))
    assert servers(made)[0] == (True, False)
    done(made("job", "run", "full-name"))
    assert servers(made)[0] == (True, True)
    done(made("up"))
    assert release(made) == {"points": [], "unmarked": [], "later": []}


def test_a_contract_that_has_begun_has_no_place_for_the_old_server(tmp_path: Path) -> None:
    again = "-- phase: contract\n-- requires: job/full-name, check/later\nDROP TABLE gone;\n"
    made = make(tmp_path)
    checking.write(made, {"later": CHECK.replace("IS NOT name", "IS NOT NULL")})
    made.write({"state/0004_gone": again})
    done(made("up", "--wait"))
    assert servers(made)[0] == (False, True)


def test_a_script_without_a_phase_leaves_the_old_server_unknown(tmp_path: Path) -> None:
    made = make(tmp_path)
    path = made.folder / "migrations" / "state" / "0002_full_name.sql"
    path.write_text(path.read_text().removeprefix("-- phase: expand\n"))
    assert servers(made) == [(True, False), (None, False), (None, True), (False, True)]
    out = done(made("plan"))
    assert "after expand              unknown     no, waits for job/full-name" in out
    assert "unknown: state/0002_full_name without a phase; write one at the top," in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_requires_a_contract_script_is_another_release(tmp_path: Path) -> None:
    text = "-- phase: expand\n-- requires: state/0003\nALTER TABLE users ADD COLUMN name TEXT;\n"
    made = make(tmp_path, **{"0004_next": text})
    assert release(made)["later"] == ["state/0004_next"]
    assert release(made)["points"][0]["waits_for"] == ["state/0002_full_name", "job/full-name"]


def test_a_contract_script_holds_up_none_that_stands_behind_it(tmp_path: Path) -> None:
    made = make(tmp_path, **{"0004_next": "-- phase: expand\nALTER TABLE users ADD COLUMN age INTEGER;\n"})
    out = done(made("up"))
    assert "state/0003_drop_name waits for job/full-name" in out
    assert dumping.versions(made.urls["state"]) == ["0001_users", "0002_full_name", "0004_next"]
    assert "applied 1, skipped 3" in done(made("up", "--wait"))
    assert dumping.versions(made.urls["state"])[2] == "0003_drop_name"


@pytest.mark.parametrize(
    ("requires", "says"),
    [
        ("", "waits for nothing"),
        ("-- requires: state/0002\n", "waits for nothing"),
        ("-- requires: job/full-name\n", "Nothing looks whether the data has moved"),
        ("-- requires: check/full-name\n", "The check alone may hold too soon"),
        ("-- requires: job/full-name, check/full-name\n", ""),
        ("-- requires: check/full-name, signoff/nobody-reads-it\n", ""),
    ],
)
def test_lint_refuses_a_contract_that_nothing_makes_safe(requires: str, says: str, tmp_path: Path) -> None:
    text = f"-- phase: contract\n{requires}ALTER TABLE users DROP COLUMN name;\n"
    made = projects.make(tmp_path, {"state": "sqlite:///main.db"}, SCRIPTS | {"state/0003_drop_name": text})
    ended = made("lint", "migrations/state/0003_drop_name.sql")
    assert ended.code == (2 if says else 0)
    assert says in ended.stdout.replace("\n  ", " ")


def test_a_project_without_phases_has_no_points(tmp_path: Path) -> None:
    made = jobbing.make(
        tmp_path, {"state": f"sqlite:///{tmp_path}/main.db"}, {}, {"state/0001_t": "CREATE TABLE t (a)"}
    )
    assert "OLD SERVER" not in done(made("plan"))
