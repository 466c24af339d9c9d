"""Users that may only read, and servers that only read: whoever looks is answered, whoever would write is told."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

import copying
import dumping
from jobbing import add_job, fill, make, run
from projects import Project, done

READERS = ("sqlite", "postgres", "postgres standby", "mysql")
LOOKS = (
    ("status",),
    ("plan",),
    ("guard",),
    ("history",),
    ("job", "list"),
    ("job", "show", "add"),
    ("job", "watch", "add"),
    ("job", "why", "add", "7"),
    ("job", "set", "add"),
    ("snapshot", "list"),
    ("runbook", "show"),
)
WRITES = (
    ("job", "pause", "add"),
    ("job", "resume", "add"),
    ("job", "cancel", "add"),
    ("job", "retry", "add"),
    ("job", "set", "add", "size=5"),
    ("job", "run", "add"),
    ("job", "undo", "add", "--yes"),
    ("runbook", "sign", "go-live"),
)
RUNBOOK = 'title = "A release"\n[[phases]]\nname = "It"\nitems = ["job/add", "signoff/go-live"]\n'


@pytest.fixture(params=READERS)
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    """A project with a table of rows and a job, as a user who may do everything and as one who may only read."""
    engine, *standby = request.param.split()
    url = copying.empty(request, engine, tmp_path)
    fill(url, 20)
    project = make(tmp_path, {"state": url}, {"add": add_job("records: n", where="by_writer = 0 AND seen = 0")})
    (project.folder / "runbooks").mkdir()
    (project.folder / "runbooks" / "release.toml").write_text(RUNBOOK)
    if engine == "sqlite":
        yield project, project.with_urls({"state": f"{url}?mode=ro"})
        return
    parts = urllib.parse.urlsplit(url)
    name = parts.path.removeprefix("/")
    reader = parts._replace(netloc=f"reader:well-kept@{parts.netloc.rpartition('@')[2]}").geturl()
    if engine == "mysql":
        server = request.getfixturevalue("mariadb")
        server.execute("DROP USER IF EXISTS reader@'%'")  # killed since, it may have forgotten that it was
        server.execute("CREATE USER reader@'%' IDENTIFIED BY 'well-kept'")
        server.execute(f"GRANT SELECT ON {name}.* TO reader@'%'")
        yield project, project.with_urls({"state": reader})
        server.execute("DROP USER reader@'%'")
        return
    dumping.query(url, "CREATE ROLE reader LOGIN PASSWORD 'well-kept'")
    rights = "ALL" if standby else "SELECT"
    dumping.query(url, f"ALTER DEFAULT PRIVILEGES GRANT {rights} ON TABLES TO reader")
    dumping.query(url, f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO reader")
    if standby:
        dumping.query(url, "GRANT CREATE ON SCHEMA public TO reader")
        dumping.query(url, "ALTER ROLE reader SET default_transaction_read_only = on")
    yield project, project.with_urls({"state": reader})
    dumping.query(url, "DROP OWNED BY reader")
    dumping.query(url, "DROP ROLE reader")


def test_whoever_looks_needs_to_read_alone_before_there_is_a_ledger_and_after(sides: tuple[Project, Project]) -> None:
    owner, reader = sides
    empty = dumping.dump(owner.urls["state"])
    for command in LOOKS:
        if "watch" not in command:  # it waits for the job's end
            done(reader(*command))
    [job] = json.loads(done(reader("job", "list", "--json")))["jobs"]
    assert (job["state"], job["done"]) == ("pending", 0) and "nobody runs it" in job["reason"]
    assert "not begun" in done(reader("runbook", "show"))
    assert dumping.dump(owner.urls["state"]) == empty  # nor does a user who might write anything

    run(owner, "add")
    kept = dumping.dump(owner.urls["state"])
    for command in LOOKS:
        done(reader(*command))
    [job] = json.loads(done(reader("job", "list", "--json")))["jobs"]
    assert (job["state"], job["done"]) == ("complete", 20)
    assert "1000007" in done(reader("job", "why", "add", "7"))
    assert dumping.dump(owner.urls["state"]) == kept


@pytest.mark.parametrize("begun", [False, True])
def test_whoever_would_write_is_told_who_may_not_and_where_and_that_nothing_was_changed(
    sides: tuple[Project, Project], begun: bool
) -> None:
    owner, reader = sides
    if begun:
        done(owner("job", "set", "add", "size=7"))
        failure = "INSERT INTO stepwell_failure (job, row_key, error) VALUES ('add', '[3]', 'no')"  # to be retried
        dumping.query(owner.urls["state"], failure)
    kept = dumping.dump(owner.urls["state"])
    for command in WRITES:
        end = reader(*command)
        assert end.code == 6, (command, end.text)
        assert "may not write to the ledger in database 'state'" in end.stderr
        assert "now  nothing was changed" in end.stderr and "well-kept" not in end.stderr
        if not reader.urls["state"].startswith("sqlite"):
            assert "reader" in end.stderr
    assert dumping.dump(owner.urls["state"]) == kept
