"""A PostgreSQL server that dies behind a batch: what it forgets of the rows it forgets of the record, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobbing import add_job, fill, make, rows, run, wrong_rows
from projects import done
from servers.postgres import PostgresServer
from stepwell.jobs import sources
from stepwell.jobs.batch import Connections
from stepwell.jobs.work import Task, Verdict, do
from stepwell.ledger.jobs import Ledger
from stepwell.project import Project

KEPT = """
SELECT
  (SELECT count(*) FROM item WHERE seen = 1),
  (SELECT coalesce(sum(row_count), 0) FROM stepwell_batch WHERE state = 'done'),
  (SELECT coalesce(sum(row_count), 0) FROM stepwell_change_pack)
"""


def do_one_batch(project: Project, connections: Connections) -> None:
    """The first ten rows, as a coordinator does them that says nothing more."""
    job, ledger = project.job("add"), Ledger(connections.get("state"))
    token = ledger.acquire("add", 0.0).token
    found = sources.next_scope(ledger.database, job.source, None, 10)
    assert found is not None
    scope, last = sources.dump(found[0]), sources.dump_key(found[1])
    ledger.begin("add", token, 1, [scope], last)
    assert do(Task("add", 1, token, scope), job, "state", connections).verdict is Verdict.DONE


@pytest.mark.parametrize("remembered", [False, True], ids=["seen by nobody", "remembered by a server"])
def test_a_batch_that_a_dying_server_forgets_is_forgotten_with_its_record_unless_somebody_remembers_it(
    forgetful: PostgresServer, tmp_path: Path, remembered: bool
) -> None:
    url = forgetful.new_database()
    fill(url, 100)
    project = make(tmp_path, {"state": url}, {"add": add_job("records: n, seen")})
    done(project("job", "resume", "add"))  # makes its row in the ledger
    loaded = Project.load(project.folder, {"STATE_DB_URL": url})
    connections = Connections(loaded.open)
    do_one_batch(loaded, connections)
    if remembered:
        lazy = loaded.lazy("add")
        lazy.ensure(3)
        lazy.close()
    assert rows(url, KEPT) == [(10, 10, 10)]
    forgetful.kill()
    connections.close()
    forgetful.restart()
    assert rows(url, KEPT) == [(10, 10, 10) if remembered else (0, 0, 0)]
    assert run(project, "add")["rows_done"] == 100
    assert wrong_rows(url) == []
    done(project("job", "undo", "add", "--yes"))
    assert rows(url, "SELECT count(*) FROM item WHERE n <> id OR seen <> 0") == [(0,)]
