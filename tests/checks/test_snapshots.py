"""Snapshots: what was kept is what later rows are compared with, and no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import checking
import dumping
from projects import Project, done

TABLE = "CREATE TABLE t (id INTEGER NOT NULL, n NUMERIC(20, 4), s VARCHAR(50), b {bytes})"
KEPT = """
    -- expect: unchanged since before
    -- database: state
    SELECT id, n, s, b FROM t
"""
BYTES = {"postgresql": "bytea", "mysql": "BLOB", "sqlite": "BLOB"}
DATA = {"postgresql": "'\\xff00'::bytea", "mysql": "x'ff00'", "sqlite": "x'ff00'"}


@pytest.fixture
def kept(tmp_path: Path, relational_url: str) -> Project:
    kind = dumping.scheme(relational_url)
    dumping.query(relational_url, TABLE.format(bytes=BYTES[kind]))
    dumping.query(
        relational_url,
        f"INSERT INTO t VALUES (1, 1.5, 'ä\n\t', {DATA[kind]}), (2, NULL, '', NULL), (2, NULL, '', NULL)",
    )
    return checking.make(
        tmp_path, {"state": relational_url}, {"t_kept": KEPT}, {"state/0001_a": "CREATE TABLE a (i INT)"}
    )


def test_rows_that_stayed_hold_and_any_change_is_told(kept: Project) -> None:
    assert "3 rows kept" in done(kept("snapshot", "take", "before"))
    assert done(kept("check"))
    dumping.query(kept.urls["state"], "DELETE FROM t WHERE id = 1")
    end = kept("check")
    assert end.code == 7
    assert "1 of 3 rows differs" in end.stdout
    assert "there            missing" in end.stdout


def test_a_row_twice_is_not_the_same_as_once(kept: Project) -> None:
    done(kept("snapshot", "take", "before"))
    dumping.query(kept.urls["state"], "INSERT INTO t VALUES (2, NULL, '', NULL)")
    assert kept("check").code == 7


def test_applying_the_release_in_between_is_what_it_is_for(kept: Project) -> None:
    done(kept("snapshot", "take", "before"))
    done(kept("up"))
    assert done(kept("check"))
    assert "0 of 1 scripts" in done(kept("snapshot", "show", "before"))


def test_a_missing_snapshot_is_trouble_and_no_pass(kept: Project) -> None:
    end = kept("check")
    assert end.code == 2
    assert "there is none" in end.stdout
    assert "stepwell snapshot take before" in end.stdout
    assert checking.results(kept.urls["state"]) == []


def test_one_of_another_release_is_trouble_and_no_pass(kept: Project) -> None:
    done(kept("snapshot", "take", "before"))
    kept.write({"state/0002_b": "CREATE TABLE b (i INT)"})
    end = kept("check")
    assert end.code == 2
    assert "of another release or project" in end.stdout


def test_one_of_another_statement_is_trouble_and_no_pass(kept: Project) -> None:
    done(kept("snapshot", "take", "before"))
    checking.write(kept, {"t_kept": KEPT.replace("FROM t", "FROM t WHERE id = 2")})
    end = kept("check")
    assert end.code == 2
    assert "the check's statement was edited since" in end.stdout


def test_taking_one_again_needs_to_be_said(kept: Project) -> None:
    done(kept("snapshot", "take", "before"))
    dumping.query(kept.urls["state"], "DELETE FROM t WHERE id = 1")
    assert kept("snapshot", "take", "before").code == 2
    assert kept("check").code == 7
    done(kept("snapshot", "take", "before", "--replace"))
    assert done(kept("check"))
    acts = done(kept("history", "--step", "snapshot/before"))
    assert [line.split()[4] for line in acts.splitlines()[::2]] == ["replaced", "taken"]


def test_a_snapshot_is_kept_as_a_whole_or_not_at_all(kept: Project) -> None:
    checking.write(kept, {"z_broken": "-- expect: unchanged since before\n-- database: state\nSELECT x FROM nowhere"})
    assert kept("snapshot", "take", "before").code == 1
    assert dumping.query(kept.urls["state"], "SELECT count(*) FROM stepwell_snapshot") == ["0"]


def test_a_name_that_no_check_compares_with_is_told(kept: Project) -> None:
    end = kept("snapshot", "take", "befor")
    assert end.code == 2
    assert "did you mean 'before'?" in end.stderr


def test_clickhouse_alone_keeps_no_snapshots(tmp_path: Path, clickhouse_url: str) -> None:
    text = "-- expect: unchanged since x\n-- database: state\nSELECT 1 AS one"
    made = checking.make(tmp_path, {"state": clickhouse_url}, {"one": text})
    end = made("snapshot", "take", "x")
    assert end.code == 2
    assert "which is ClickHouse" in end.stderr
    assert made("check").code == 2


def test_who_took_it_is_named(kept: Project) -> None:
    os.environ["STEPWELL_ACTOR"] = "ada"
    try:
        from stepwell.project import Project as Opened

        opened = Opened.load(kept.folder, {"STATE_DB_URL": kept.urls["state"]})
        opened.take_snapshot("before")
        assert [one.who for one in opened.snapshots()] == ["ada"]
    finally:
        del os.environ["STEPWELL_ACTOR"]
