"""Gates: a step that requires a check or a sign-off starts when it holds, and not before."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import checking
import dumping
import jobbing
from projects import ENVIRONMENT, Project, done, variable
from stepwell.project import Project as StepwellProject

SCRIPTS = {
    "state/0001_t": "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT NOT NULL)",
    "state/0002_rows": "INSERT INTO t VALUES (1, 10), (2, 20), (3, -30)",
    "state/0003_gated": "-- requires: check/no-debts\nCREATE TABLE gated (id INT)\n;\n-- down\nDROP TABLE gated",
    "state/0004_after": "CREATE TABLE after_it (id INT)",
}
DEBTS = "-- expect: no rows\n-- database: state\nSELECT id FROM t WHERE n < 0"
SIGN = """
from stepwell.ledger import signoffs
from stepwell.project import Project
with Project.load(".").ledger() as ledger:
    signoffs.{verb}(ledger, "go-live", "{note}")
"""


@pytest.fixture
def gated(tmp_path: Path, relational_url: str) -> Project:
    return checking.make(tmp_path, {"state": relational_url}, {"no_debts": DEBTS}, SCRIPTS)


def test_a_script_waits_while_its_check_does_not_hold_and_says_so(gated: Project) -> None:
    out = done(gated("up"))
    assert "state/0003_gated waits for check/no-debts: 1 row that should not be" in out
    assert dumping.versions(gated.urls["state"]) == ["0001_t", "0002_rows"]
    dumping.query(gated.urls["state"], "UPDATE t SET n = 30 WHERE id = 3")
    assert "applied 2, skipped 2" in done(gated("up"))
    assert dumping.versions(gated.urls["state"]) == ["0001_t", "0002_rows", "0003_gated", "0004_after"]
    verdicts = ["no-debts\tstate/0003_gated\tfails", "no-debts\tstate/0003_gated\tholds"]
    assert checking.results(gated.urls["state"]) == verdicts


def test_the_check_is_run_when_all_else_is_there_in_the_same_run(gated: Project) -> None:
    gated.write({"state/0002_rows": "INSERT INTO t VALUES (1, 10)"})
    assert "applied 4" in done(gated("up"))


def test_a_check_that_can_not_be_run_is_no_pass(gated: Project) -> None:
    checking.write(gated, {"no_debts": DEBTS.replace("FROM t", "FROM nowhere")})
    assert "state/0003_gated waits for check/no-debts: could not be run:" in done(gated("up"))
    assert dumping.versions(gated.urls["state"]) == ["0001_t", "0002_rows"]
    assert checking.results(gated.urls["state"]) == []


def test_plan_and_status_run_no_check(gated: Project) -> None:
    for command in ("plan", "status"):
        assert "waits for check/no-debts" in done(gated(command))
    assert checking.results(gated.urls["state"]) == []


def test_what_a_check_requires_is_waited_for_before_it_is_run(gated: Project) -> None:
    checking.write(gated, {"no_debts": "-- requires: signoff/go-live\n" + DEBTS})
    assert "state/0003_gated waits for signoff/go-live, check/no-debts" in done(gated("up"))
    assert checking.results(gated.urls["state"]) == []


def test_a_check_that_is_not_there_is_told_before_anything_is_done(gated: Project) -> None:
    (gated.folder / "checks" / "no_debts.sql").unlink()
    end = gated("up")
    assert end.code == 2
    assert "the project has no such check" in end.stderr
    assert dumping.dump(gated.urls["state"]).keys() == dumping.dump(gated.urls["state"]).keys()
    with pytest.raises(Exception, match="schema_migrations"):
        dumping.versions(gated.urls["state"])


def test_a_check_of_an_applied_script_may_be_taken_away(gated: Project) -> None:
    gated.write({"state/0002_rows": "INSERT INTO t VALUES (1, 10)"})
    done(gated("up"))
    (gated.folder / "checks" / "no_debts.sql").unlink()
    assert "applied 0, skipped 4" in done(gated("up"))


def test_a_script_that_has_begun_is_past_its_gates(tmp_path: Path, mysql_url: str) -> None:
    script = """-- requires: check/empty
CREATE TABLE one (id INT);
INSERT INTO one VALUES (1);
INSERT INTO nowhere VALUES (1)"""
    check = "-- expect: zero\n-- database: state\nSELECT count(*) AS n FROM information_schema.tables WHERE table_name = 'one' AND table_schema = database()"
    made = checking.make(tmp_path, {"state": mysql_url}, {"empty": check}, {"state/0001_a": script})
    assert made("up").code == 1
    made.write({"state/0001_a": script.replace("nowhere", "one")})
    assert "applied 1" in done(made("up"))
    assert dumping.query(mysql_url, "SELECT count(*) FROM one") == ["2"]


def test_nothing_to_do_reads_no_check(gated: Project) -> None:
    gated.write({"state/0002_rows": "INSERT INTO t VALUES (1, 10)"})
    done(gated("up"))
    code = "import sys\nfrom stepwell.cli import main\nmain(['up'])\nprint([n for n in sys.modules if n.startswith(('stepwell.checks', 'stepwell.ledger'))])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gated.folder,
        env=ENVIRONMENT | {variable("state"): gated.urls["state"]},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert out.splitlines() == ["applied 0, skipped 4", "[]"]


def test_clickhouse_alone_has_gates_too(tmp_path: Path, clickhouse_url: str) -> None:
    scripts = {
        "state/0001_t": "CREATE TABLE t (id Int32, n Int32) ENGINE = MergeTree ORDER BY id;\nINSERT INTO t VALUES (1, -1)",
        "state/0002_gated": "-- requires: check/no-debts\nCREATE TABLE gated (id Int32) ENGINE = MergeTree ORDER BY id",
    }
    made = checking.make(tmp_path, {"state": clickhouse_url}, {"no_debts": DEBTS}, scripts)
    assert "waits for check/no-debts: 1 row" in done(made("up"))
    dumping.query(clickhouse_url, "TRUNCATE TABLE t")
    assert "applied 1" in done(made("up"))
    acts = done(made("history"))
    assert "state/0002_gated  held" in acts
    assert "state/0002_gated  admitted" in acts


# --- sign-offs ------------------------------------------------------------------------------------------------


def test_a_script_waits_for_a_yes_and_a_later_no_takes_it_back(gated: Project) -> None:
    gated.write(
        {
            "state/0002_rows": "INSERT INTO t VALUES (1, 10)",
            "state/0003_gated": "-- requires: signoff/go-live\nCREATE TABLE gated (id INT)",
        }
    )
    assert "state/0003_gated waits for signoff/go-live" in done(gated("up"))
    done(gated.python(SIGN.format(verb="sign", note="fine")))
    done(gated.python(SIGN.format(verb="refuse", note="not today")))
    assert "state/0003_gated waits for signoff/go-live (refused by " in done(gated("up"))
    done(gated.python(SIGN.format(verb="sign", note="now")))
    assert "applied 2" in done(gated("up"))
    answers = dumping.query(gated.urls["state"], "SELECT answer, note FROM stepwell_signoff ORDER BY number")
    assert answers == ["yes\tfine", "no\tnot today", "yes\tnow"]


def test_who_answers_at_the_same_moment_is_heard_all_the_same(gated: Project) -> None:
    gated.write({"state/0003_gated": "-- requires: signoff/go-live\nCREATE TABLE gated (id INT)"})
    project = StepwellProject.load(gated.folder, {variable("state"): gated.urls["state"]})
    with ThreadPoolExecutor(6) as people:
        answers = [people.submit(project.sign, "signoff/go-live", yes=bool(number % 2)) for number in range(18)]
    assert [answer.result() for answer in answers] == ["signoff/go-live"] * 18
    numbers = dumping.query(gated.urls["state"], "SELECT number FROM stepwell_signoff ORDER BY number")
    assert numbers == [str(number) for number in range(1, 19)]


# --- jobs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(tmp_path: Path, postgres_url: str) -> Project:
    jobbing.fill(postgres_url, 10)
    made = jobbing.make(tmp_path, {"state": postgres_url}, {})
    checking.write(made, {"allowed": "-- expect: no rows\n-- database: state\nSELECT id FROM item WHERE by_writer > 0"})
    dumping.query(postgres_url, "UPDATE item SET by_writer = 1 WHERE id = 3")
    return made


def test_a_job_starts_when_its_check_holds(jobs: Project) -> None:
    jobbing.write_jobs(jobs, {"add": jobbing.add_job("requires: check/allowed")})
    end = jobs("job", "run", "add")
    assert end.code == 5
    assert "check/allowed: 1 row that should not be" in end.stderr
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 0")
    done(jobs("job", "run", "add"))
    assert jobbing.wrong_rows(jobs.urls["state"]) == []


def test_a_job_is_complete_only_when_its_checks_hold(jobs: Project) -> None:
    jobbing.write_jobs(jobs, {"add": jobbing.add_job("checks: allowed")})
    assert jobs("job", "run", "add").code == 1
    assert jobbing.wrong_rows(jobs.urls["state"]) == []
    assert "check/allowed: 1 row that should not be" in jobs("job", "list").stdout
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 0")
    assert jobbing.run(jobs, "add")["state"] == "complete"


def test_who_requires_the_job_requires_its_checks_again(jobs: Project) -> None:
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 0")
    jobbing.write_jobs(jobs, {"add": jobbing.add_job("checks: allowed")})
    jobs.write({"state/0001_last": "-- requires: job/add\nCREATE TABLE last_one (id INT)"})
    jobbing.run(jobs, "add")
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 1 WHERE id = 1")
    assert "state/0001_last waits for check/allowed: 1 row that should not be" in done(jobs("up"))
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 0")
    assert "applied 1" in done(jobs("up"))


def test_a_job_under_way_is_past_its_gates(jobs: Project) -> None:
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 0")
    jobbing.write_jobs(jobs, {"add": jobbing.add_job("requires: check/allowed")})
    jobbing.run(jobs, "add")
    dumping.query(jobs.urls["state"], "UPDATE item SET by_writer = 1, seen = 0, n = id WHERE id = 4")
    assert jobbing.run(jobs, "add")["state"] == "complete"
    assert jobbing.wrong_rows(jobs.urls["state"]) == []


def test_a_job_with_an_unknown_check_is_told(jobs: Project) -> None:
    jobbing.write_jobs(jobs, {"add": jobbing.add_job("checks: alowed")})
    end = jobs("up")
    assert end.code == 2
    assert "check/alowed" in end.stderr
