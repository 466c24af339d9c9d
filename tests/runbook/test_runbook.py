"""Runbooks: what ticks an item and what takes the tick away, who may sign, the way back, and what is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import checking
import dumping
import jobbing
import projects
from projects import Project, done
from stepwell import project
from stepwell.errors import BadRequest, BadRunbook, NotASigner, RollbackStopped
from stepwell.ledger.jobs import Ledger
from stepwell.runbook.evidence import Mark, Status
from stepwell.schema.events import WaitingForJob
from stepwell.schema.plan import Options

SCRIPTS = {
    "state/0001_t": "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT);\n-- down\nDROP TABLE t;",
    "state/0002_rows": "INSERT INTO t (id) VALUES (1), (2);\n-- down\nDELETE FROM t;",
    "state/0003_gated": "-- requires: signoff/go-live\nCREATE TABLE gated (id INT);\n-- down\nDROP TABLE gated;",
}
CHECKS = {
    "filled": "-- expect: no rows\n-- database: state\nSELECT id FROM t WHERE n IS NULL",
    "same": "-- expect: unchanged since before\n-- database: state\nSELECT id FROM t",
}
JOB = "-- batches: keyset state.t by id\n-- where: n IS NULL\n-- records: n\nUPDATE t SET n = 7 WHERE ${batch};"
BOOK = """
title = "A release"

[[phases]]
name = "Before"
items = [
  "doctor/version",
  { do = "manual/backup", about = "It was restored once." },
  "state/0001",
  "state/0002_rows",
  "snapshot/before",
  { do = "signoff/go-live", by = ["anna", "ben"] },
]

[[phases]]
name = "After"
items = [
  { text = "Take your time." },
  "job/fill",
  "state/0003_gated",
  "check/filled",
]

[rollback]
items = [
  { undo = "job/fill" },
  { undo = "state/0003_gated" },
  "check/same",
]
"""


def write(made: Project, text: str, name: str = "release") -> None:
    path = made.folder / "runbooks" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def release(folder: Path, url: str, text: str = BOOK) -> Project:
    made = checking.make(folder, {"state": url}, CHECKS, SCRIPTS)
    jobbing.write_jobs(made, {"fill.sql": JOB})
    write(made, text)
    return made


def loaded(made: Project) -> project.Project:
    return checking.loaded(made)


def statuses(made: Project) -> dict[str, Status]:
    progress = loaded(made).runbook()
    return {status.item.label: status for _, found in progress.sections for status in found}


def mark(made: Project, label: str) -> Mark:
    return statuses(made)[label].mark


@pytest.fixture
def made(tmp_path: Path, sqlite_url: str) -> Project:
    return release(tmp_path, sqlite_url)


@pytest.fixture
def signer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_ACTOR", "anna")


@pytest.mark.usefixtures("signer")
def test_a_rehearsal_is_evidence_for_the_files_that_it_tried(tmp_path: Path, sqlite_url: str) -> None:
    scripts = {name: SCRIPTS[name] for name in ("state/0001_t", "state/0002_rows")}
    made = checking.make(tmp_path, {"state": sqlite_url}, {"filled": CHECKS["filled"]}, scripts)
    jobbing.write_jobs(made, {"fill.sql": JOB})
    write(made, '[[phases]]\nname = "Before"\nitems = ["rehearsal/release"]\n')
    found = statuses(made)["rehearsal/release"]
    assert (found.mark, found.command) == (Mark.OPEN, "stepwell rehearse")
    assert loaded(made).rehearse({}).exit_code == 0
    assert mark(made, "rehearsal/release") is Mark.DONE
    checking.write(made, {"filled": CHECKS["filled"].replace("n IS NULL", "n = 7")})
    found = statuses(made)["rehearsal/release"]
    assert (found.mark, "edited since" in found.words) == (Mark.OPEN, True)
    assert loaded(made).rehearse({}).exit_code
    assert mark(made, "rehearsal/release") is Mark.FAILS


# --- ticks ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("signer")
def test_items_tick_themselves_on_every_relational_database_as_the_release_goes_on(
    tmp_path: Path, relational_url: str
) -> None:
    made = release(tmp_path, relational_url)
    here = loaded(made)
    order = [label for label in statuses(made) if label][:9]
    assert [label for label, status in statuses(made).items() if status.mark is Mark.DONE][:1] == ["doctor/version"]
    steps: dict[str, Callable[[], object]] = {
        "manual/backup": lambda: here.sign("backup"),
        "state/0001_t": here.up,
        "state/0002_rows": lambda: None,
        "snapshot/before": lambda: here.take_snapshot("before"),
        "signoff/go-live": lambda: here.sign("signoff/go-live", "go"),
        "job/fill": lambda: here.run_job("fill"),
        "state/0003_gated": here.up,
        "check/filled": lambda: here.check("filled"),
    }
    assert order == ["doctor/version", *steps]
    for label, act in steps.items():
        act()
        assert mark(made, label) is Mark.DONE, statuses(made)[label]
    progress = here.runbook()
    assert (progress.done, progress.next) == (9, None)


def test_evidence_says_when_and_by_whom(made: Project, signer: None) -> None:
    here = loaded(made)
    here.up()
    here.sign("go-live", "all is well")
    here.take_snapshot("before")
    found = statuses(made)
    assert found["signoff/go-live"].words.endswith(": all is well")
    assert found["signoff/go-live"].who.startswith("anna@")
    assert "UTC by anna@" in found["state/0001_t"].words
    assert found["snapshot/before"].words.startswith("2 rows of 1 check kept ")


@pytest.mark.usefixtures("signer")
def test_a_check_is_no_evidence_for_what_was_changed_after_it(made: Project) -> None:
    here = loaded(made)
    here.up()
    here.run_job("fill")
    here.check("filled")
    assert mark(made, "check/filled") is Mark.DONE
    here.sign("go-live")
    here.up()
    stale = statuses(made)["check/filled"]
    assert stale.mark is Mark.OPEN
    assert "before the last change (state/0003_gated, " in stale.words
    here.check("filled")
    assert mark(made, "check/filled") is Mark.DONE
    dumping.query(made.urls["state"], "UPDATE schema_migrations SET duration = 3600")  # what took long is over, too
    assert mark(made, "check/filled") is Mark.DONE
    here.undo_job("fill")
    assert "before the last change (job/fill, " in statuses(made)["check/filled"].words


def test_a_check_is_no_evidence_for_what_was_changed_while_it_ran(made: Project) -> None:
    here = loaded(made)
    here.up()
    (made.folder / "checks/filled.sql").unlink()
    environment = {projects.variable(name): url for name, url in made.urls.items()}
    text = f"""
from stepwell.project import Project
def check(on):
    found = on("state").query("SELECT id FROM t WHERE n > 0")
    Project.load({str(made.folder)!r}, {environment!r}).run_job("fill")
    return found
"""
    checking.write(made, {"filled.py": text})
    assert here.check("filled")[0].holds
    seen = statuses(made)["check/filled"]
    assert seen.mark is Mark.OPEN
    assert "before the last change (job/fill, " in seen.words


def test_a_check_that_fails_now_or_could_not_be_run_takes_its_tick_away(made: Project) -> None:
    here = loaded(made)
    here.up()
    here.run_job("fill")
    here.check("filled")
    dumping.query(made.urls["state"], "UPDATE t SET n = NULL WHERE id = 1")
    assert here.check("filled")[0].holds is False
    assert mark(made, "check/filled") is Mark.FAILS
    dumping.query(made.urls["state"], "UPDATE t SET n = 1 WHERE id = 1")
    here.check("filled")
    assert mark(made, "check/filled") is Mark.DONE
    dumping.query(made.urls["state"], "ALTER TABLE t RENAME TO elsewhere")
    here.check("filled")
    broken = statuses(made)["check/filled"]
    assert broken.mark is Mark.FAILS
    assert "could not be run: " in broken.words


def test_a_check_that_was_edited_since_it_held_is_open(made: Project) -> None:
    here = loaded(made)
    here.up()
    here.run_job("fill")
    here.check("filled")
    checking.write(made, {"filled": CHECKS["filled"].replace("n IS NULL", "n < 5")})
    edited = statuses(made)["check/filled"]
    assert edited.mark is Mark.OPEN
    assert "it was edited since it held" in edited.words


def test_a_snapshot_of_another_release_is_not_accepted(made: Project) -> None:
    here = loaded(made)
    here.up()
    here.take_snapshot("before")
    assert mark(made, "snapshot/before") is Mark.DONE
    made.write({"state/0004_later": "CREATE TABLE later (id INT)"})
    other = statuses(made)["snapshot/before"]
    assert other.mark is Mark.FAILS
    assert "of another release" in other.words
    assert other.command == "stepwell snapshot take before --replace"


def test_a_script_that_was_undone_or_edited_is_no_longer_done(made: Project) -> None:
    here = loaded(made)
    here.up()
    assert mark(made, "state/0002_rows") is Mark.DONE
    done(made("down"))
    assert mark(made, "state/0002_rows") is Mark.OPEN
    here.up()
    made.write({"state/0002_rows": "INSERT INTO t (id) VALUES (1), (2), (3);"})
    assert "edited" in statuses(made)["state/0002_rows"].words
    assert mark(made, "state/0002_rows") is Mark.FAILS


def test_a_job_that_rows_failed_in_is_not_done(made: Project) -> None:
    here = loaded(made)
    here.up()
    jobbing.write_jobs(made, {"fill.sql": JOB.replace("n = 7", "n = CASE id WHEN 2 THEN json('bad') ELSE 7 END")})
    assert here.run_job("fill").failed == 1
    failed = statuses(made)["job/fill"]
    assert failed.mark is Mark.FAILS
    assert "1 rows failed by themselves" in failed.words


def test_a_change_in_clickhouse_counts_by_its_own_clock(tmp_path: Path, mysql_url: str, clickhouse_url: str) -> None:
    scripts = {
        "state/0001_t": "CREATE TABLE t (id INT)",
        "analytics/0001_t": "CREATE TABLE t (id Int32) ENGINE = MergeTree ORDER BY id",
    }
    check = "-- expect: equal\n-- empty: accept\n-- database: state\nSELECT id FROM t\n;\n-- database: analytics\nSELECT id FROM t"  # fmt: skip
    made = checking.make(tmp_path, {"state": mysql_url, "analytics": clickhouse_url}, {"same": check}, scripts)
    write(made, '[[phases]]\nname = "all"\nitems = ["state/0001", "analytics/0001", "check/same"]')
    here = loaded(made)
    here.up()
    here.check()
    assert here.runbook().next is None
    made.write({"analytics/0002_more": "ALTER TABLE t ADD COLUMN more Int32"})
    here.up()
    following = here.runbook().next
    assert following is not None
    assert "before the last change (analytics/0002_more, " in following.words


# --- signing --------------------------------------------------------------------------------------------------


def test_who_may_sign_is_who_the_runbook_names(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    here = loaded(made)
    monkeypatch.setenv("STEPWELL_ACTOR", "mallory")
    with pytest.raises(NotASigner, match="mallory may not answer for signoff/go-live") as refused:
        here.sign("go-live")
    assert refused.value.where.endswith("release.toml:12")
    with here.ledger() as ledger:
        assert ledger.query("SELECT count(*) FROM stepwell_signoff") == [(0,)]
    monkeypatch.setenv("STEPWELL_ACTOR", "ben")
    assert here.sign("go-live") == "signoff/go-live"
    assert mark(made, "signoff/go-live") is Mark.DONE
    here.sign("go-live", "not yet", yes=False)
    assert mark(made, "signoff/go-live") is Mark.FAILS
    write(made, BOOK.replace('"anna", "ben"', '"anna"'))
    monkeypatch.setenv("STEPWELL_ACTOR", "ben")
    with pytest.raises(NotASigner):
        here.sign("go-live")


def test_a_yes_of_somebody_who_may_not_sign_any_more_is_no_tick(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_ACTOR", "ben")
    loaded(made).sign("go-live")
    write(made, BOOK.replace('"anna", "ben"', '"anna"'))
    found = statuses(made)["signoff/go-live"]
    assert found.mark is Mark.FAILS
    assert found.words.endswith("but it is for anna")


def test_a_yes_of_somebody_who_may_not_sign_lets_no_step_go(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (made.folder / "runbooks/release.toml").unlink()
    monkeypatch.setenv("STEPWELL_ACTOR", "mallory")
    loaded(made).sign("go-live")
    write(made, BOOK)
    assert "waits for signoff/go-live (signed by mallory, but it is for anna, ben)" in done(made("up"))
    monkeypatch.setenv("STEPWELL_ACTOR", "anna")
    loaded(made).sign("go-live")
    assert "applied 1" in done(made("up"))


def test_a_sign_off_lets_the_steps_go_that_require_it(made: Project) -> None:
    write(made, BOOK.replace(', by = ["anna", "ben"]', ""))
    assert "state/0003_gated waits for signoff/go-live" in done(made("up"))
    out = done(made("runbook", "sign", "signoff/go-live", "--note", "go"))
    assert out == "signoff/go-live is signed\n"
    assert "applied 1" in done(made("up"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("go-life", "'go-life' is in no runbook (did you mean 'go-live'?); looked in "),
        ("state/0001_t", "state/0001_t ("),
        ("job/fill", "ticks itself, so nobody can sign it"),
    ],
)
def test_what_nobody_is_asked_for_can_not_be_signed(made: Project, item: str, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        loaded(made).sign(item)
    assert message in refused.value.what
    assert "release.toml" in refused.value.what


# --- what is wrong in a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"chek/filled"', "there is no step 'chek/filled'"),
        ('"check/filed"', "there is no check 'filed' (did you mean 'filled'?)"),
        ('"job/none"', "there is no job 'none'"),
        ('"snapshot/after"', "there is no snapshot 'after'"),
        ('"doctor/disk"', "there is no doctor 'disk'"),
        ('"state/0009"', "there is no step 'state/0009'"),
        ('"go"', "'go' is no reference"),
        ('"signoff/Go Live"', "no name to sign under"),
        ('{ undo = "job/fill" }', "stands outside of the way back"),
        ('{ do = "job/fill", by = ["anna"] }', "ticks itself, so nobody can sign it"),
        ('{ do = "job/fill", who = "anna" }', "unknown key 'who'"),
        ('{ do = "manual/look" }', "does not say what is to be done"),
        ('{ about = "what?" }', "one of `do`, `undo` and `text`"),
        ('"job/fill" "check/filled"', "it is not valid TOML"),
    ],
)
def test_a_file_that_is_not_right_is_told_with_its_line(made: Project, line: str, message: str) -> None:
    write(made, f'title = "x"\n\n[[phases]]\nname = "one"\nitems = [\n  "state/0001_t",\n  {line},\n]\n')
    with pytest.raises(BadRunbook) as wrong:
        loaded(made).runbook()
    assert message in wrong.value.what
    assert wrong.value.where.endswith("release.toml:7")


def test_what_is_asked_for_twice_is_told_with_both_lines(made: Project) -> None:
    write(made, '[[phases]]\nname = "one"\nitems = [\n  "signoff/a",\n  "job/fill",\n  "signoff/a",\n]\n')
    with pytest.raises(BadRunbook, match="signoff/a is asked for on line 4 already") as wrong:
        loaded(made).runbook()
    assert wrong.value.where.endswith(":6")


# --- the way back ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("signer")
def test_the_way_back_is_shown_asked_for_and_gone_and_goes_on_where_it_stopped(made: Project) -> None:
    here, url = loaded(made), made.urls["state"]
    here.up(Options(to="state/0002"))
    here.take_snapshot("before")
    here.sign("go-live")
    here.run_job("fill")
    here.up()
    end = made("runbook", "rollback")
    assert end.code == 2
    assert "take back what job/fill changed" in end.stdout
    assert "undo state/0003_gated and what came after it in state" in end.stdout
    assert "Say --yes" in end.stderr
    assert dumping.query(url, "SELECT count(*) FROM t WHERE n = 7") == ["2"]
    dumping.query(url, "INSERT INTO t VALUES (3, 3)")
    end = made("runbook", "rollback", "--yes")
    assert end.code == 7
    assert "the way back stopped at check/same" in end.stderr
    assert "release.toml:" in end.stderr
    assert dumping.versions(url) == ["0001_t", "0002_rows"]
    dumping.query(url, "DELETE FROM t WHERE id = 3")
    out = done(made("runbook", "rollback", "--yes"))
    assert [line.split("  ")[0] for line in out.splitlines()[:-1]] == [
        "undo job/fill",
        "undo state/0003_gated",
        "check/same",
    ]
    assert out.count("was done already") == 2
    assert dumping.query(url, "SELECT count(*) FROM t WHERE n IS NULL") == ["2"]
    acts = [act.act for act in here.history("runbook/release")]
    assert acts == ["rolled back", "rollback begun", "rollback begun"]


OWN_UNDO = JOB.replace("-- records: n\n", "") + "\n\n-- undo\nUPDATE t SET n = NULL;\n"
BACK = """
title = "Back"

[[phases]]
name = "There"
items = ["job/fill"]

[rollback]
items = [{ undo = "job/fill" }]
"""


def test_what_keys_asked_for_one_by_one_changed_is_taken_back_by_the_jobs_own_undo(made: Project) -> None:
    jobbing.write_jobs(made, {"fill.sql": OWN_UNDO})
    write(made, BACK)
    here, url = loaded(made), made.urls["state"]
    here.up(Options(to="state/0002"))
    for _ in range(2):  # once more after it was undone and resumed
        lazy = here.lazy("fill")
        lazy.ensure(1)
        lazy.close()
        assert dumping.query(url, "SELECT id FROM t WHERE n = 7") == ["1"]
        assert mark(made, "undo job/fill") is Mark.OPEN
        done(made("runbook", "rollback", "--yes"))
        assert dumping.query(url, "SELECT id FROM t WHERE n = 7") == []
        assert mark(made, "undo job/fill") is Mark.DONE
        here.steer_job("fill", "resume")


def test_a_job_that_was_never_begun_is_passed_over_whatever_its_own_undo_would_do(made: Project) -> None:
    jobbing.write_jobs(made, {"fill.sql": OWN_UNDO})
    write(made, BACK)
    here, url = loaded(made), made.urls["state"]
    here.up(Options(to="state/0002"))
    dumping.query(url, "UPDATE t SET n = 1")
    assert "was done already" in done(made("runbook", "rollback", "--yes"))
    assert dumping.query(url, "SELECT n FROM t") == ["1", "1"]


def test_a_step_without_a_way_back_is_told_before_the_first_is_gone(made: Project) -> None:
    here = loaded(made)
    here.up()
    here.run_job("fill")
    jobbing.write_jobs(made, {"fill.sql": JOB.replace("-- records: n\n", "")})
    assert "job/fill has no way back" in made("runbook", "rollback", "--yes").stderr
    assert here.history("runbook/release") == []


@pytest.mark.usefixtures("signer")
def test_the_way_back_waits_for_the_lease_of_a_worker_that_died(made: Project) -> None:
    here, url = loaded(made), made.urls["state"]
    here.up(Options(to="state/0002"))
    here.take_snapshot("before")
    here.run_job("fill")
    with here.ledger() as ledger:
        Ledger(ledger).acquire("fill", 2.5)
    told: list[object] = []
    here.roll_back("release", tell=told.append)
    assert [event.reference for event in told if isinstance(event, WaitingForJob)] == ["job/fill"]
    assert dumping.query(url, "SELECT count(*) FROM t WHERE n IS NULL") == ["2"]


def test_the_way_back_waits_for_its_sign_off(made: Project) -> None:
    write(made, BOOK.replace("[rollback]\nitems = [", '[rollback]\nitems = [\n  { do = "signoff/back" },'))
    with pytest.raises(RollbackStopped, match="the way back stopped at signoff/back") as stopped:
        loaded(made).roll_back("release")
    assert "stepwell runbook sign signoff/back" in stopped.value.do


# --- shown and written down -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("signer")
def test_what_is_shown_fits_the_terminal_and_names_what_is_next(made: Project) -> None:
    loaded(made).sign("backup", "restored in 12 min <b>| really |</b>")
    out = done(made("runbook", "show"))
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("A release: 2 of 9 done\n")
    assert out.endswith("next: state/0001_t\n  stepwell up --to state/0001_t\n")
    answer = json.loads(done(made("runbook", "show", "release", "--json")))
    assert (answer["done"], answer["of"], answer["next"]) == (2, 9, "state/0001_t")
    page = made.folder / "release.html"
    assert "wrote " in done(made("runbook", "export", str(page)))
    text = page.read_text()
    assert "restored in 12 min &lt;b&gt;| really |&lt;/b&gt;" in text
    assert '<span class="done">done</span>' in text
    assert "anna@" in text
    assert not any(word in text for word in ("<script", "http://", "https://", "url(", "@import", "src="))
    lines = done(made("runbook", "export", "--format", "markdown")).splitlines()
    (row,) = [line for line in lines if line.startswith("| done | manual/backup")]
    assert row.count("|") - row.count("\\|") == 4


def test_of_several_runbooks_one_must_be_named(made: Project) -> None:
    write(made, BOOK, "other")
    assert "other" in done(made("runbook", "show"))
    assert made("runbook", "export").code == 2
    assert "A release: " in done(made("runbook", "show", "other"))


def test_a_project_without_runbooks_says_so(tmp_path: Path, sqlite_url: str) -> None:
    bare = projects.make(tmp_path / "bare", {"state": sqlite_url}, SCRIPTS)
    end = bare("runbook", "show")
    assert end.code == 2
    assert "this project has no runbook" in end.stderr
