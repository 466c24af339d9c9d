"""Order across databases, and the options that choose: as the README and --help say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dumping
import projects
from projects import Project, done


def script(table: str, requires: str = "") -> str:
    front = f"-- requires: {requires}\n" if requires else ""
    return f"{front}CREATE TABLE {table} (id INT);\n-- down\nDROP TABLE {table};\n"


@pytest.fixture
def two(tmp_path: Path) -> Project:
    """Two databases whose scripts require each other's in turn: a1, b1, b2, a2, a3, b3."""
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("a", "b")}
    return projects.make(
        tmp_path / "project",
        urls,
        {
            "a/0001_one": script("one"),
            "a/0002_two": script("two", "b/0002_two"),
            "a/0003_three": script("three"),
            "b/0001_one": script("one", "a/0001_one"),
            "b/0002_two": script("two"),
            "b/0003_three": script("three", "a/0003"),
        },
    )


def applied(project: Project, *arguments: str) -> list[str]:
    found: list[str] = json.loads(done(project("up", "--json", *arguments)))["applied"]
    return found


ALL = ["a/0001_one", "b/0001_one", "b/0002_two", "a/0002_two", "a/0003_three", "b/0003_three"]


def test_nothing_starts_before_what_it_requires_in_any_database(two: Project) -> None:
    assert applied(two) == ALL
    assert json.loads(done(two("up", "--json"))) == {"applied": [], "skipped": 6, "waiting": {}}


def test_database_works_on_one_and_tells_what_waits_for_the_other(two: Project) -> None:
    output = json.loads(done(two("up", "--database", "a", "--json")))
    assert output["applied"] == ["a/0001_one"]
    assert output["waiting"]["a/0002_two"] == ["b/0002_two"]
    assert "a/0002_two waits for b/0002_two" in done(two("up", "--database", "a"))
    assert dumping.dump(two.urls["b"]) == {"definitions": ""}


def test_to_applies_a_version_and_all_that_it_requires(two: Project) -> None:
    assert applied(two, "--to", "a/0002") == ALL[:4]


def test_to_with_a_bare_number_means_the_chosen_database(two: Project) -> None:
    done(two("up", "--to", "b/0002"))
    assert applied(two, "--database", "a", "--to", "0002") == ["a/0002_two"]


def test_count_is_the_most_scripts_of_a_run(two: Project) -> None:
    assert applied(two, "--count", "2") == ALL[:2]
    assert applied(two, "--count", "3") == ALL[2:5]
    assert applied(two, "--count", "3") == ALL[5:]


def test_plan_and_dry_run_change_nothing_and_tell_the_truth(two: Project) -> None:
    before = two.dump()
    for command in (("plan",), ("up", "--dry-run")):
        would = json.loads(done(two(*command, "--json")))
        assert [script["reference"] for script in would["would_apply"]] == ALL
        assert done(two(*command)).splitlines()[-1] == "would apply 6, skip 0"
    assert "CREATE TABLE three (id INT);" in done(two("up", "--dry-run"))
    assert two.dump() == before
    assert applied(two) == ALL


def test_down_undoes_the_last_or_as_many_as_asked_or_down_to_a_version(two: Project) -> None:
    done(two("up"))
    full = two.dump()
    assert json.loads(done(two("down", "--database", "b", "--json"))) == {"undone": ["b/0003_three"]}
    assert "would undo 2" in done(two("down", "--database", "a", "--count", "2", "--dry-run"))
    assert json.loads(done(two("down", "--to", "a/0001", "--json")))["undone"] == ["a/0003_three", "a/0002_two"]
    assert dumping.versions(two.urls["a"]) == ["0001_one"]
    assert applied(two) == ALL[3:]
    assert two.dump() == full


def test_down_does_not_take_an_edited_file_for_the_way_back_of_what_was_applied(two: Project) -> None:
    done(two("up"))
    done(two("down", "--database", "b", "--yes"))
    two.write({"a/0003_three": "CREATE TABLE other (id INT);\n-- down\nDROP TABLE IF EXISTS other;\n"})
    refused = two("down", "--database", "a", "--yes")
    assert refused.code == 3
    assert "was edited after it was applied" in refused.stderr and "stepwell down" in refused.stderr
    two.write({"a/0003_three": "CREATE TABLE three (id INT, n INT);\n-- down\nDROP TABLE three;\n"})
    done(two("down", "--database", "a", "--yes", "--accept", "a/0003_three"))
    assert "accepted" in done(two("history", "--step", "a/0003_three"))
    assert applied(two) == ["a/0003_three", "b/0003_three"]


def test_down_asks_which_database_where_there_are_two(two: Project) -> None:
    done(two("up"))
    before = two.dump()
    ended = two("down")
    assert ended.code == 2
    assert "--database a | b" in ended.stderr
    assert two.dump() == before


def test_status_shows_every_script_and_its_state(two: Project) -> None:
    done(two("up", "--to", "a/0001"))
    states = {step["reference"]: step for step in json.loads(done(two("status", "--json")))["steps"]}
    assert {name: step["state"] for name, step in states.items()} == {
        "a/0001_one": "applied",
        "a/0002_two": "pending",
        "a/0003_three": "pending",
        "b/0001_one": "pending",
        "b/0002_two": "pending",
        "b/0003_three": "pending",
    }
    assert "@" in states["a/0001_one"]["by"]
    text = done(two("status"))
    assert text.splitlines()[0].split() == ["STEP", "STATE", "SINCE"]


def test_json_is_one_object_and_nothing_else_on_standard_output(two: Project) -> None:
    for command in (("plan",), ("up",), ("status",), ("down", "--database", "b"), ("baseline", "b/0003")):
        json.loads(done(two(*command, "--json")))


def test_baseline_records_what_is_there_without_running_it(two: Project) -> None:
    assert done(two("baseline", "a/0003")).splitlines()[-1] == "recorded 3"
    assert dumping.versions(two.urls["a"]) == ["0001_one", "0002_two", "0003_three"]
    assert dumping.query(two.urls["a"], "SELECT name FROM sqlite_master WHERE name = 'one'") == []
    assert applied(two) == ["b/0001_one", "b/0002_two", "b/0003_three"]


def test_a_failing_statement_ends_with_1_and_nothing_behind_it_was_started(two: Project) -> None:
    two.write({"b/0002_two": "-- transaction: false\nCREATE TABLE two (id INT);\nCREATE TABLE one (id INT);\n"})
    ended = two("up")
    assert ended.code == 1
    assert "b/0002_two, statement 2 of 2 failed" in ended.stderr
    assert "0002_two.sql:3" in ended.stderr
    assert dumping.versions(two.urls["a"]) == ["0001_one"]
    assert dumping.versions(two.urls["b"]) == ["0001_one"]


@settings(max_examples=8)
@given(st.data())
def test_any_graph_is_applied_in_an_order_that_keeps_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    counts = {name: data.draw(st.integers(1, 4)) for name in ("a", "b", "c")}
    # References drawn from one order of all scripts can't form a circle, and may skip about between databases.
    order = data.draw(st.permutations([name for name, count in counts.items() for _ in range(count)]))
    flips: list[bool] = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    seen: list[str] = []
    requires: dict[str, str] = {}
    for name in order:
        number = sum(reference.startswith(f"{name}/") for reference in seen) + 1
        if seen and flips.pop():
            requires[f"{name}/000{number}_x"] = data.draw(st.sampled_from(seen))
        seen.append(f"{name}/000{number}_x")
    urls = {name: f"sqlite:///{folder / name}.db" for name in counts}
    scripts: dict[str, str | bytes] = {
        reference: script(f"t{reference[5]}", requires.get(reference, "")) for reference in seen
    }
    ran = applied(projects.make(folder / "project", urls, scripts))
    assert sorted(ran) == sorted(seen)
    places = {reference: place for place, reference in enumerate(ran)}
    for reference, required in requires.items():
        assert places[required] < places[reference]
    for name in counts:
        assert [reference for reference in ran if reference[0] == name] == sorted(r for r in seen if r[0] == name)


@pytest.mark.parametrize(("older", "newer"), [("9_a", "10_b"), ("0009_a", "0010_b"), ("2_a", "1_late")])
def test_down_passes_over_no_script_that_came_later_and_whose_file_is_gone(
    tmp_path: Path, older: str, newer: str
) -> None:
    """By their numbers, whatever they look like as text; and what was applied late is later, too."""
    url = f"sqlite:///{tmp_path}/a.db"
    project = projects.make(tmp_path / "project", {"a": url}, {f"a/{older}": script("t")})
    done(project("up"))
    view: dict[str, str | bytes] = {f"a/{newer}": "CREATE VIEW v AS SELECT id FROM t;\n-- down\nDROP VIEW v;\n"}
    project.write(view)
    done(project("up", "--accept", f"a/{newer}"))
    (project.folder / f"migrations/a/{newer}.sql").unlink()
    for arguments in (("--count", "1"), ("--dry-run",)):
        ended = project("down", *arguments)
        assert ended.code == 2, ended.text
        assert f"a/{newer} came after a/{older} and is applied, but its file is gone" in ended.stderr
    project.write(view)
    assert "undone 2" in done(project("down", "--count", "2"))


def test_a_script_that_came_before_and_whose_file_is_gone_holds_nothing_up(tmp_path: Path) -> None:
    scripts = {f"a/{number}_x": script(f"t{number}") for number in (9, 10)}
    project = projects.make(tmp_path / "project", {"a": f"sqlite:///{tmp_path}/a.db"}, scripts)
    done(project("up"))
    (project.folder / "migrations/a/9_x.sql").unlink()
    assert "undone 1" in done(project("down"))
