"""`stepwell lint`: what it prints, what a comment allows, and when a release looks at it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import projects
from projects import ENVIRONMENT, done
from stepwell.safety.lint.rules import RULES

ROOT = Path(__file__).parents[2]
FIRST = "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT);\n-- down\nDROP TABLE orders;\n"
EVERYTHING = "UPDATE orders SET status = 'open';\n-- down\nSELECT 1;\n"
SOME = "UPDATE orders SET status = 'open' WHERE status IS NULL;\n-- down\nSELECT 1;\n"


def project(folder: Path, **scripts: str) -> projects.Project:
    return projects.make(
        folder, {"state": "sqlite:///state.db"}, {f"state/{name}": text for name, text in scripts.items()}
    )


def configure(made: projects.Project, up: str) -> None:
    with (made.folder / "stepwell.toml").open("a") as file:
        file.write(f'\n[lint]\nup = "{up}"\n')


@pytest.fixture
def bad(tmp_path: Path) -> projects.Project:
    """A project with one error and one warning."""
    return project(tmp_path / "project", s0001_orders=FIRST, s0002_everything=EVERYTHING, s0003_some=SOME)


# --- what is printed ------------------------------------------------------------------------------------------


def test_a_finding_says_where_what_happens_and_what_to_do_in_80_columns(bad: projects.Project) -> None:
    ended = bad("lint")
    assert ended.code == 2
    assert ended.stdout.startswith(
        "migrations/state/s0002_everything.sql:1: error: unqualified\n  UPDATE has no condition"
    )
    assert "\n  do  Say which rows are meant" in ended.stdout
    assert ended.stdout.endswith("\n1 error, 1 warning in 3 scripts\n")
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    made = project(tmp_path, s0001_orders=FIRST, s0002_some=SOME)
    assert done(made("lint")).endswith("0 errors, 1 warning in 2 scripts\n")


def test_nothing_is_connected_to_and_nothing_made(bad: projects.Project) -> None:
    bad("lint")
    assert not (bad.folder / "state.db").exists()


def test_json_holds_every_finding(bad: projects.Project) -> None:
    said = json.loads(bad("lint", "--json").stdout)
    assert (said["errors"], said["warnings"], said["scripts"]) == (1, 1, 3)
    first = said["findings"][0]
    assert (first["rule"], first["level"], first["line"], first["step"]) == (
        "unqualified", "error", 1, "state/s0002_everything",
    )  # fmt: skip


def test_github_shows_it_beside_the_line(bad: projects.Project) -> None:
    first, second = bad("lint", "--format", "github").stdout.splitlines()
    assert first.startswith("::error file=migrations/state/s0002_everything.sql,line=1,title=unqualified::UPDATE has")
    assert "%0A" in first
    assert second.startswith("::warning file=")


def test_sarif_names_rules_and_places(bad: projects.Project) -> None:
    said = json.loads(bad("lint", "--format", "sarif").stdout)
    (run,) = said["runs"]
    assert said["version"] == "2.1.0"
    assert [result["ruleId"] for result in run["results"]] == ["unqualified", "data-change"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"unqualified", "data-change"}
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "migrations/state/s0002_everything.sql"
    assert place["region"] == {"startLine": 1}


def test_only_the_files_that_are_named_are_looked_at(bad: projects.Project) -> None:
    assert done(bad("lint", "migrations/state/s0003_some.sql")).endswith("0 errors, 1 warning in 1 script\n")
    assert bad("lint", "migrations/state").code == 2
    assert "no script of this project" in bad("lint", "stepwell.toml").stderr
    assert "no database 'stat'" in bad("lint", "--database", "stat").stderr


def test_alternatives_for_other_engines_are_looked_at_as_theirs(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        **{"0001_a.sqlite.sql": FIRST, "0001_a.mysql.sql": "ALTER TABLE t MODIFY a BIGINT;\n-- down\nSELECT 1;\n"},
    )
    assert "0001_a.mysql.sql:1: error: not-online" in made("lint").stdout


def test_a_python_script_without_a_way_back_is_told(tmp_path: Path) -> None:
    made = project(tmp_path, **{"0001_a.py": "def up(db):\n    db.execute('SELECT 1')\n"})
    assert "0001_a.py:1: warning: irreversible" in done(made("lint"))


CHANGELOG = """\
--liquibase formatted sql

--changeset ann:orders
CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT);
--rollback DROP TABLE orders;

--changeset ann:open
-- lint: allow unqualified because the table has two rows
UPDATE orders SET status = 'open';
--rollback SELECT 1;

--changeset ann:closed
UPDATE orders SET status = 'closed';
--rollback SELECT 1;
"""


def test_scripts_in_the_format_of_another_tool_are_looked_at_as_theirs(tmp_path: Path) -> None:
    ended = project(tmp_path, **{"0001_a": CHANGELOG})("lint")
    assert "0001_a.sql:13: error: unqualified" in ended.stdout
    assert ended.stdout.endswith("1 error, 0 warnings in 3 scripts\n")


# --- what a comment allows ------------------------------------------------------------------------------------

ALLOWED = "lint: allow unqualified because the table has two rows"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT 1;\n-- {ALLOWED}\n{EVERYTHING}",
        f"-- {ALLOWED}\n{EVERYTHING}",
        f"-- {ALLOWED}\n\nSELECT 1;\n{EVERYTHING}",
        EVERYTHING.replace(";\n", f"; -- {ALLOWED}\n", 1),
        EVERYTHING.replace(" SET", f"\n    /* {ALLOWED} */ SET"),
    ],
)
def test_a_comment_with_a_reason_allows_it(text: str, tmp_path: Path) -> None:
    assert done(project(tmp_path, s0001_a=text)("lint")) == "0 errors, 0 warnings in 1 script\n"


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("lint: allow unqualified", "gives no reason"),
        ("lint: allow unqualifed because it is small", "did you mean 'unqualified'?"),
        ("lint: ignore unqualified", "is not understood"),
    ],
)
def test_a_comment_without_reason_or_rule_is_an_error_itself(comment: str, said: str, tmp_path: Path) -> None:
    ended = project(tmp_path, s0001_a=f"SELECT 1;\n-- {comment}\n{EVERYTHING}")("lint")
    assert "s0001_a.sql:2: error: allow" in ended.stdout
    assert said in " ".join(ended.stdout.split())
    assert "2 errors" in ended.stdout


def test_a_comment_allows_in_its_own_statement_only(tmp_path: Path) -> None:
    ended = project(tmp_path, s0001_a=f"SELECT 1;\n-- {ALLOWED}\nSELECT 2;\n{EVERYTHING}")("lint")
    assert "s0001_a.sql:4: error: unqualified" in ended.stdout
    assert "s0001_a.sql:2: warning: allow\n  unqualified finds nothing here to allow." in ended.stdout


def test_a_script_with_such_a_comment_among_its_front_matter_is_applied(tmp_path: Path) -> None:
    assert "applied 1" in done(project(tmp_path, s0001_a=f"-- {ALLOWED}\nSELECT 1;\n")("up"))


# --- when a release is planned or applied ---------------------------------------------------------------------


@pytest.fixture
def used(bad: projects.Project) -> projects.Project:
    """The same, its first script applied: its database has a past."""
    done(bad("up", "--count", "1"))
    return bad


def test_up_says_in_one_line_that_there_is_something(used: projects.Project) -> None:
    ended = used("up")
    assert "applied 2" in done(ended)
    assert ended.stderr == "lint: 1 error, 1 warning in what is applied now, see `stepwell lint`\n"


def test_plan_says_it_under_the_script(used: projects.Project) -> None:
    assert "\n  lint, line 1: unqualified (error)\n" in done(used("plan"))


def test_up_stops_before_anything_where_the_project_says_so(used: projects.Project) -> None:
    configure(used, "stop")
    ended = used("up")
    assert ended.code == 2
    assert "migrations/state/s0002_everything.sql:1: unqualified" in ended.stderr
    assert "pending" in done(used("status"))
    path = used.folder / "migrations" / "state" / "s0002_everything.sql"
    path.write_text(f"-- {ALLOWED}\n\n{EVERYTHING}")
    assert "applied 2" in done(used("up"))


def test_up_says_nothing_where_it_is_switched_off(used: projects.Project) -> None:
    configure(used, "off")
    ended = used("up")
    assert (ended.code, ended.stderr) == (0, "")


def test_an_unknown_word_for_it_is_refused(used: projects.Project) -> None:
    configure(used, "stopp")
    assert "did you mean 'stop'?" in used("up").stderr


def test_on_a_new_database_there_is_nothing_to_harm(bad: projects.Project) -> None:
    configure(bad, "stop")
    ended = bad("up")
    assert (ended.code, ended.stderr) == (0, "")


def test_up_with_nothing_to_do_imports_nothing_of_the_linter(used: projects.Project) -> None:
    done(used("up"))
    program = (
        "import sys; from stepwell.cli import main; main(['up']);"
        "print([name for name in sys.modules if 'sqlglot' in name or 'stepwell.safety' in name])"
    )
    assert done(used.python(program)).endswith("applied 0, skipped 3\n[]\n")


def test_without_sqlglot_lint_says_how_to_get_it_and_up_goes_on(used: projects.Project) -> None:
    without = "import sys; from importlib.machinery import PathFinder as P; f = P.find_spec;"
    without += "P.find_spec = lambda name, *a: None if name == 'sqlglot' else f(name, *a);"
    without += "from stepwell.cli import main; sys.exit(main(sys.argv[1:]))"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = ENVIRONMENT | {"STATE_DB_URL": "sqlite:///state.db"}
        return subprocess.run(
            [sys.executable, "-c", without, *arguments],
            cwd=used.folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    lint = run("lint")
    assert lint.returncode == 2
    assert 'pip install "stepwell[lint]"' in lint.stderr
    assert (run("up").returncode, run("up").stderr) == (0, "")


# --- the manual -----------------------------------------------------------------------------------------------


def test_the_manual_is_what_the_rules_say() -> None:
    written = subprocess.run(
        [sys.executable, ROOT / "tools" / "lint-manual"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "lint.md").read_text() == written, "run: tools/lint-manual > docs/lint.md"
    assert all(f"\n### {rule.name}\n" in written for rule in RULES)
