"""What is wrong with files, configuration, histories and calls: told with its place, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import copying
import dumping
import projects
from projects import Project, done

GOOD = "CREATE TABLE item (id INT);\n"
CANARY = "canary-7f3a"


def make(folder: Path, scripts: Mapping[str, str | bytes], url: str = "") -> Project:
    """A project of one SQLite database, or of the one given."""
    return projects.make(folder / "project", {"state": url or f"sqlite:///{folder / 'state.db'}"}, scripts)


def refused(project: Project, *arguments: str, code: int) -> str:
    """Run a command that must end with this code and change nothing; what it told a person."""
    before = project.dump()
    ended = project(*arguments)
    assert ended.code == code, ended.text
    assert ended.stderr.startswith("error: "), ended.stderr
    assert "Traceback" not in ended.text
    assert project.dump() == before
    return ended.stderr


# --- files ------------------------------------------------------------------------------------------------

BAD_FILES: dict[str, tuple[str | bytes, int, str]] = {
    "an empty file": ("", 1, "no statement"),
    "comments alone": ("\n-- Nothing here.\n\n", 1, "no statement"),
    "nothing below -- down": ("SELECT 1;\n\n-- down\n", 3, "-- down"),
    "two ways back": ("SELECT 1;\n-- down\nSELECT 2;\n-- down\nSELECT 3;\n", 4, "second"),
    "an unknown key": ("-- require: state/0001\nSELECT 1;\n", 1, "requires"),
    "bytes that are not UTF-8": (b"SELECT 1;\nSELECT '\xff';\n", 2, "UTF-8"),
    "a string that never ends": ("SELECT 1;\n\nSELECT 'a;\nSELECT 2;\n", 3, "never closed"),
    "a transaction of its own": ("SELECT 1;\nCOMMIT;\n", 2, "COMMIT"),
    "transaction: true where it can't be": ("-- transaction: true\nSELECT 1;\nVACUUM;\n", 3, "transaction"),
    "a variable without a value": ("SELECT 1;\nSELECT '${NOT_THERE}';\n", 2, "NOT_THERE"),
    "a requirement that nothing is": (
        "-- phase: expand\n-- requires: state/0099_nothing\nSELECT 1;\n",
        2,
        "state/0099_nothing",
    ),
    "a Python script with a syntax error": ("def up(db):\n    db.execute('x'\n", 2, "never closed"),
    "a Python script without up": ("def down(db):\n    pass\n", 0, "up"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_file_is_named_with_its_line_before_any_script_is_applied(tmp_path: Path, what: str) -> None:
    text, line, word = BAD_FILES[what]
    name = "state/0002_bad.py" if "Python" in what else "state/0002_bad.sql"
    project = make(tmp_path, {"state/0001_good": GOOD, name: text})
    told = refused(project, "up", code=2)
    assert Path(name).name + (f":{line}" if line else "") in told
    assert word in told


@pytest.mark.parametrize("what", BAD_FILES)
def test_plan_and_dry_run_tell_the_same_trouble(tmp_path: Path, what: str) -> None:
    text, _, word = BAD_FILES[what]
    project = make(tmp_path, {"state/0002_bad.py" if "Python" in what else "state/0002_bad.sql": text})
    for command in (("plan",), ("up", "--dry-run")):
        assert word in refused(project, *command, code=2)


def test_two_files_of_one_version_are_both_named(tmp_path: Path) -> None:
    project = make(tmp_path, {"state/0001_a": GOOD, "state/1_b": GOOD})
    told = refused(project, "up", code=2)
    assert "0001_a.sql" in told
    assert "1_b.sql" in told


def test_requirements_in_a_circle_are_told_as_a_circle(tmp_path: Path) -> None:
    project = make(tmp_path, {"state/0001_a": f"-- requires: state/0002_b\n{GOOD}", "state/0002_b": GOOD})
    told = refused(project, "up", code=2)
    assert "state/0001_a" in told
    assert "state/0002_b" in told
    assert "circle" in told
    assert "0001_a.sql:1" in told


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql", "clickhouse"])
def test_windows_line_ends_a_byte_order_mark_and_semicolons_in_strings_are_no_trouble(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    keeping = " ENGINE = MergeTree ORDER BY id" if engine == "clickhouse" else ""
    text = f"CREATE TABLE item (id INT, name VARCHAR(30)){keeping};\r\n\r\nINSERT INTO item VALUES (1, 'a; b;');\r\n"
    project = make(tmp_path, {"state/0001_a": b"\xef\xbb\xbf" + text.encode()}, url)
    done(project("up"))
    assert dumping.query(url, "SELECT name FROM item") == ["a; b;"]
    # Another checkout, with the other kind of line ends, is no edit.
    project.write({"state/0001_a": text.replace("\r\n", "\n")})
    assert done(project("up")) == "applied 0, skipped 1\n"


# --- configuration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no database"),
        ("[databases.state\n", "line 1"),
        ("[database.state]\nurl = 'sqlite:///a.db'\n", "did you mean 'databases'"),
        ("[databases.state]\nurl = 'sqlite:///a.db'\nscript = 'here'\n", "did you mean 'scripts'"),
        ("[databases.state]\nscripts = 'here'\n", "no url"),
        (
            "[databases.state]\nurl = '${UNSET_A}'\n[variables]\nb = '${UNSET_B}'\n",
            "UNSET_A, which databases.state.url needs; UNSET_B",
        ),
        ("[databases.state]\nurl = 'sqlit:///a.db'\n", "did you mean 'sqlite'"),
        ("[databases.state]\nurl = 'sqlite:///a.db'\n[ledger]\ndatabase = 'stat'\n", "did you mean 'state'"),
        ("[databases.state]\nurl = 'sqlite:///a.db'\nscripts = 'nowhere'\n", "nowhere"),
    ],
)
def test_a_bad_configuration_is_told_with_its_key(tmp_path: Path, text: str, word: str) -> None:
    project = make(tmp_path, {"state/0001_good": GOOD})
    (project.folder / "stepwell.toml").write_text(text)
    assert word in refused(project, "up", code=2)


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    assert "stepwell init" in refused(Project(tmp_path, {}), "status", code=2)


# --- databases that can't be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://someone:{CANARY}@127.0.0.1:1/app",
        f"mysql://someone:{CANARY}@127.0.0.1:1/app",
        f"clickhouse://someone:{CANARY}@127.0.0.1:1/app",
    ],
)
def test_an_unreachable_database_ends_with_6_and_no_password_is_shown(tmp_path: Path, url: str) -> None:
    project = make(tmp_path, {"state/0001_good": GOOD}, url)
    for command in (("up",), ("up", "--json"), ("status",), ("plan", "--json"), ("down",)):
        ended = project(*command)
        assert ended.code == 6, ended.text
        assert "127.0.0.1" in ended.stderr
        assert CANARY not in ended.text
        assert "Traceback" not in ended.text


@pytest.mark.parametrize(
    "password", ["{}@eim#99", "ge/{}", "ge?{}", "ge#{}", "ge:{}", "12/{}@x", "ge[{}", "ge\u2100{}"]
)
@pytest.mark.parametrize("scheme", ["postgresql", "clickhouse"])
def test_no_part_of_a_password_is_shown_that_should_have_been_written_in_percent_signs(
    tmp_path: Path, scheme: str, password: str
) -> None:
    url = f"{scheme}://someone:{password.format(CANARY)}@127.0.0.1:1/app"
    ended = make(tmp_path, {"state/0001_good": GOOD}, url)("up")
    assert ended.code in (2, 6), ended.text
    assert ended.code == 6 or "%23 for #" in ended.stderr
    for part in (CANARY, "eim", "99"):
        assert part not in ended.text
    assert "@127.0.0.1:1/app" in ended.stderr


@pytest.mark.parametrize(
    ("path", "told", "do"),
    [
        ("/proc/x", "/proc/x.stepwell-lock", "Let this user write in /proc"),
        ("/proc/y/x", "/proc/y", "Let this user write in /proc/y"),
        ("{}/file/x", "{}/file", "Let this user write in {}/file"),
        ("{}/file", "it is a file", "Name a folder"),
    ],
)
def test_a_folder_that_chdb_cannot_have_ends_with_6_and_says_why(tmp_path: Path, path: str, told: str, do: str) -> None:
    (tmp_path / "file").write_text("no folder")
    url = f"chdb:///{path.format(tmp_path)}?database=main"
    ended = make(tmp_path, {"state/0001_good": GOOD}, url)("plan")
    assert ended.code == 6, ended.text
    assert told.format(tmp_path) in ended.stderr
    assert do.format(tmp_path) in ended.stderr
    assert "lsof" not in ended.text and "Traceback" not in ended.text


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_wrong_password_ends_with_6_and_is_never_shown(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    head, _, place = url.rpartition("@")
    project = make(tmp_path, {"state/0001_good": GOOD}, f"{head.rpartition(':')[0]}:{CANARY}@{place}")
    for command in (("up",), ("up", "--json")):
        ended = project(*command)
        assert ended.code == 6, ended.text
        assert CANARY not in ended.text
        assert "assword" in ended.text


@pytest.mark.parametrize("engine", ["postgres", "mysql", "clickhouse"])
def test_a_database_that_does_not_exist_ends_with_6_and_the_statement_that_makes_it(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    project = make(tmp_path, {"state/0001_good": GOOD}, f"{url.rpartition('/')[0]}/nowhere")
    ended = project("up")
    assert ended.code == 6, ended.text
    assert "CREATE DATABASE" in ended.stderr
    assert "nowhere" in ended.stderr


# --- histories that are not ours --------------------------------------------------------------------------

FOREIGN = {
    "golang-migrate": ("CREATE TABLE schema_migrations (version BIGINT, dirty BOOLEAN)", "(7, false)"),
    "Rails": ("CREATE TABLE schema_migrations (version VARCHAR(100))", "('20240101000000')"),
    "dbmate": ("CREATE TABLE schema_migrations (version VARCHAR(128) PRIMARY KEY)", "('20240101000000')"),
}
FOREIGN_CLICKHOUSE = {
    "golang-migrate": (
        "CREATE TABLE schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
        "(7, 0, 1)",
    ),
    "dbmate": (
        "CREATE TABLE schema_migrations (version String, ts DateTime DEFAULT now(), applied UInt8 DEFAULT 1) "
        "ENGINE = ReplacingMergeTree(ts) ORDER BY version",
        "('0001', '2024-01-01 00:00:00', 1)",
    ),
    "Rails": (
        "CREATE TABLE schema_migrations (version String, active Int8 DEFAULT 1, ver DateTime DEFAULT now()) "
        "ENGINE = ReplacingMergeTree(ver) ORDER BY version",
        "('0001', 1, '2024-01-01 00:00:00')",
    ),
}


@pytest.mark.parametrize("tool", FOREIGN)
@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql", "clickhouse"])
def test_the_history_of_another_tool_is_recognised_and_never_written_to(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, tool: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    made, row = (FOREIGN_CLICKHOUSE if engine == "clickhouse" else FOREIGN)[tool]
    dumping.query(url, made)
    dumping.query(url, f"INSERT INTO schema_migrations VALUES {row}")
    project = make(tmp_path, {"state/0001_good": GOOD}, url)
    rows = dumping.query(url, "SELECT * FROM schema_migrations")
    for command in (("up",), ("status",), ("baseline", "state/0001"), ("down",)):
        told = refused(project, *command, code=6)
        assert tool in told
    assert dumping.query(url, "SELECT * FROM schema_migrations") == rows


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql", "clickhouse"])
def test_a_history_of_a_newer_stepwell_is_left_alone(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    project = make(tmp_path, {"state/0001_good": GOOD}, url)
    done(project("baseline", "state/0001"))
    dumping.query(url, "INSERT INTO schema_migrations (version, layout) VALUES ('0002_later', 2)")
    project.write({"state/0003_more": "CREATE TABLE more (id INT);\n"})
    for command in (("up",), ("status",), ("down",)):
        assert "newer" in refused(project, *command, code=6)


# --- files that changed after they were applied -----------------------------------------------------------

THREE: dict[str, str | bytes] = {
    "state/0001_a": "CREATE TABLE a (id INT);\n",
    "state/0003_c": "CREATE TABLE c (id INT);\n",
}


def test_an_edited_file_stops_up_until_it_is_accepted_by_name(tmp_path: Path) -> None:
    project = make(tmp_path, THREE)
    done(project("up"))
    project.write(
        {"state/0001_a": "CREATE TABLE a (id INT, more INT);\n", "state/0004_d": "CREATE TABLE d (id INT);\n"}
    )
    told = refused(project, "up", code=3)
    assert "state/0001_a: was edited" in told
    assert "0001_a.sql" in told
    assert "--accept state/0001_a" in told
    refused(project, "up", "--accept", "state/0003_c", code=3)
    assert "applied 1, skipped 2" in done(project("up", "--accept", "state/0001_a"))
    assert done(project("up")) == "applied 0, skipped 3\n"
    who = dumping.query(
        project.urls["state"], "SELECT who, version FROM schema_migrations_journal WHERE event = 'accepted'"
    )
    assert len(who) == 1
    assert "@" in who[0]
    assert who[0].endswith("\t0001_a")
    # Edited once more, it is asked about once more.
    project.write({"state/0001_a": "CREATE TABLE a (id INT, less INT);\n"})
    refused(project, "up", code=3)


def test_a_file_that_is_gone_stops_up_until_it_is_accepted(tmp_path: Path) -> None:
    project = make(tmp_path, THREE)
    done(project("up"))
    (project.folder / "migrations/state/0001_a.sql").unlink()
    assert "state/0001_a: is applied, but its file is gone" in refused(project, "up", code=3)
    done(project("up", "--accept", "state/0001_a"))
    assert done(project("up")).startswith("applied 0, skipped")


def test_a_file_that_comes_late_stops_up_until_it_is_accepted(tmp_path: Path) -> None:
    project = make(tmp_path, THREE)
    done(project("up"))
    project.write({"state/0002_b": "CREATE TABLE b (id INT);\n"})
    assert "state/0002_b: is new, and sorts before 0003_c" in refused(project, "up", code=3)
    assert "applied 1, skipped 2" in done(project("up", "--accept", "state/0002_b"))
    assert done(project("up")) == "applied 0, skipped 3\n"


HALF = """CREATE TABLE a (id INT);
CREATE TABLE b (id INT);
CREATE TABLE b (id INT);
CREATE TABLE c (id INT);
"""


def test_a_half_applied_script_whose_file_is_gone_or_renamed_stops_up_and_down_until_it_is_accepted(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    half = "INSERT INTO a (id) VALUES (7);\nALTER TABLE a ADD COLUMN name NONSENSE;\n"
    project = make(
        tmp_path,
        {"state/1_a": "CREATE TABLE a (id INT);\n-- down\nDROP TABLE a;\n", "state/2_b": half},
        copying.empty(request, "mysql", tmp_path),
    )
    assert project("up").code == 1
    (project.folder / "migrations/state/2_b.sql").unlink()
    # Another checkout does not have the file; in another one it has a better name.
    for scripts in ({}, {"state/2_better": half.replace("NONSENSE", "INT")}):
        project.write(scripts)
        told = refused(project, "up", code=3)
        assert "state/2_b: is applied in part (1 statement), but no file has this name" in told
        assert "Give the file its name back; `up` then goes on behind what is done of it." in told
        assert "state/2_b is applied in part" in refused(project, "down", code=2)
        assert "state/2_b is applied in part" in done(project("plan"))
        steps = json.loads(done(project("status", "--json")))["steps"]
        assert ("state/2_b", "gone") in [(step["reference"], step["state"]) for step in steps]
    assert dumping.query(project.urls["state"], "SELECT id FROM a") == ["7"]

    # Under its own name it goes on; or else a person says that the rest is not wanted.
    project.write({"state/2_b": half.replace("NONSENSE", "INT"), "state/3_c": half.replace("name", "more")})
    (project.folder / "migrations/state/2_better.sql").unlink()
    assert project("up").code == 1
    assert dumping.query(project.urls["state"], "SELECT id FROM a") == ["7", "7"]
    (project.folder / "migrations/state/3_c.sql").unlink()
    assert "applied 0, skipped 2" in done(project("up", "--accept", "state/3_c"))
    assert done(project("up")) == "applied 0, skipped 2\n"


def test_a_half_applied_script_may_be_edited_only_behind_what_is_applied(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = make(tmp_path, {"state/0001_half": HALF}, copying.empty(request, "mysql", tmp_path))
    ended = project("up")
    assert ended.code == 1, ended.text
    assert "state/0001_half, statement 3 of 4" in ended.stderr
    assert "0001_half.sql:3" in ended.stderr
    state = json.loads(done(project("status", "--json")))["steps"][0]
    assert state["state"] == "applied in part"
    assert "2 statements are done" in state["detail"]

    project.write({"state/0001_half": HALF.replace("TABLE a (id INT)", "TABLE a (id BIGINT)")})
    told = refused(project, "up", code=3)
    assert "0001_half.sql:1" in told
    project.write({"state/0001_half": "CREATE TABLE a (id INT);\n"})
    refused(project, "up", code=3)
    project.write({"state/0001_half": HALF.replace("b (id INT);\nCREATE TABLE b", "b (id INT);\nCREATE TABLE b2")})
    assert "applied 1, skipped 0" in done(project("up"))
    tables = dumping.query(project.urls["state"], "SHOW TABLES")
    assert {"a", "b", "b2", "c"} <= set(tables)


# --- calls that do not fit --------------------------------------------------------------------------------


def test_what_another_database_still_requires_is_not_undone(tmp_path: Path) -> None:
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("state", "other")}
    project = projects.make(
        tmp_path / "project",
        urls,
        {
            "state/0001_a": "CREATE TABLE a (id INT);\n-- down\nDROP TABLE a;\n",
            "other/0001_b": "-- requires: state/0001_a\nCREATE TABLE b (id INT);\n-- down\nDROP TABLE b;\n",
        },
    )
    done(project("up"))
    assert "other/0001_b" in refused(project, "down", "--database", "state", code=2)
    done(project("down", "--database", "other"))
    done(project("down", "--database", "state"))


def test_down_of_a_script_without_a_way_back_changes_nothing(tmp_path: Path) -> None:
    project = make(
        tmp_path, {"state/0001_a": GOOD, "state/0002_b": "CREATE TABLE b (id INT);\n-- down\nDROP TABLE b;\n"}
    )
    done(project("up"))
    told = refused(project, "down", "--count", "2", code=2)
    assert "state/0001_a has no way back" in told


def test_resolve_answers_only_for_what_is_in_doubt(tmp_path: Path) -> None:
    project = make(tmp_path, {"state/0001_a": GOOD})
    done(project("up"))
    for statement in ("state/0001:1", "state/0001_a:9"):
        assert "not in doubt" in refused(project, "resolve", statement, "done", code=2)
    refused(project, "resolve", "state/0099:1", "done", code=2)
    refused(project, "resolve", "nonsense", "not-done", code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--database", "stat"),
        ("up", "--to", "state/0099"),
        ("down", "--to", "state/0099"),
        ("baseline", "state/0099"),
        ("up", "-x"),
        ("job", "list", "--nothing"),
    ],
)
def test_a_call_that_names_what_is_not_there_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    project = make(tmp_path, {"state/0001_a": GOOD})
    refused(project, *arguments, code=2)


@pytest.mark.parametrize("arguments", [("up", "--count", "0"), ("up", "--count", "many"), ()])
def test_a_call_that_can_not_be_read_ends_with_2_and_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = make(tmp_path, {"state/0001_a": GOOD})(*arguments)
    assert ended.code == 2
    assert "usage: stepwell" in ended.stderr


def test_a_command_that_is_not_there_ends_with_2_and_the_one_that_may_be_meant(tmp_path: Path) -> None:
    ended = make(tmp_path, {"state/0001_a": GOOD})("statsu")
    assert ended.code == 2
    assert "no command `stepwell statsu` (did you mean 'status'?)" in ended.stderr


def test_an_error_as_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    ended = make(tmp_path, {"state/0001_a": ""})("up", "--json")
    assert ended.code == 2
    error = json.loads(ended.stdout)["error"]
    assert error["kind"] == "BadScript"
    assert error["where"].endswith("0001_a.sql:1")
    assert error.keys() == {"kind", "what", "where", "said", "now", "do"}
