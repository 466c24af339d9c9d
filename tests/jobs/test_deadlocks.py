"""Writers that lock a job's rows in the opposite order: somebody must lose, and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

import copying
import dumping
from jobbing import fill, make, rows
from stepwell.jobs.runner import Progress
from stepwell.project import Project
from writing import connect

COUNT = 40

UPWARDS = """
import time
from stepwell.jobs import Job, Keyset

class Upwards(Job):
    '''Locks its rows one by one, the smallest key first.'''
    batches = Keyset("state", "item", key="id", where="seen = 0", size=20)

    def migrate(self, batch):
        for (key,) in batch.keys():
            batch.database.query("UPDATE item SET n = n + 1000000, seen = seen + 1 WHERE id = ?", (key,))
            time.sleep(0.02)
"""

# Whom the server lets live: PostgreSQL ends who looks for a deadlock first, MariaDB who has written less.
STRONGER = {"postgres": "SET LOCAL deadlock_timeout = '20s'", "mysql": "UPDATE ballast SET n = n + 1"}
DEADLOCKS = {
    "postgres": "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    "mysql": "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_deadlocks'",
}


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_job_that_deadlocks_with_a_writer_ends_complete_with_right_rows(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    url = copying.empty(request, engine, tmp_path)
    fill(url, COUNT)
    dumping.query(url, "CREATE TABLE ballast (n INT NOT NULL)")
    dumping.query(url, f"INSERT INTO ballast VALUES {', '.join(['(0)'] * 500)}")
    loaded = Project.load(make(tmp_path, {"state": url}, {"upwards.py": UPWARDS}).folder, {"STATE_DB_URL": url})
    before = rows(url, DEADLOCKS[engine])[0][0]
    heard: list[Progress] = []
    stop = threading.Event()
    writes: list[int] = []
    writer = threading.Thread(target=lambda: writes.append(write_downwards(url, engine, stop)))
    writer.start()
    try:
        outcome = loaded.run_job("upwards", heard.append)
    finally:
        stop.set()
        writer.join()
    assert (outcome.state, outcome.failed, outcome.rows_done) == ("complete", 0, COUNT)
    assert rows(url, DEADLOCKS[engine])[0][0] > before
    assert any("is tried again" in progress.held_by for progress in heard), "the job never was the one to lose"
    assert heard[-1].held_by == ""
    assert rows(url, "SELECT id FROM item WHERE n <> id + 1000000 OR seen <> 1") == []
    assert rows(url, "SELECT sum(by_writer) FROM item") == [(COUNT // 2 * writes[0],)]


def write_downwards(url: str, engine: str, stop: threading.Event) -> int:
    """Add to every second row, the largest key first, in one transaction, again and again; how often it committed."""
    committed = 0
    connection: Any = connect(url)
    try:
        cursor = connection.cursor()
        while not stop.is_set():
            try:
                cursor.execute("BEGIN")
                cursor.execute(STRONGER[engine])
                for key in range(COUNT, 0, -2):
                    cursor.execute(f"UPDATE item SET by_writer = by_writer + 1 WHERE id = {key}")
                    stop.wait(0.005)
                cursor.execute("COMMIT")
                committed += 1
            except (psycopg.Error, pymysql.Error):
                cursor.execute("ROLLBACK")
            stop.wait(0.3)
    finally:
        connection.close()
    return committed
