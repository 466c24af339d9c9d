"""A whole project of other tools' files: Prisma on PostgreSQL beside golang-migrate on ClickHouse, taken over whenever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import dumping
import projects
from projects import done
from servers.clickhouse_front import ClickhouseFront
from servers.postgres import PostgresServer
from stepwell.databases import open_database
from stepwell.project import Project

PRISMA = """
CREATE TABLE _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL,
  logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0)
"""
GOLANG_MIGRATE = """
CREATE TABLE schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = MergeTree ORDER BY sequence
"""


def state(number: int) -> list[str]:
    """The statements of one migration of the application's database: a table, a column of it, an index, some rows."""
    table = f'"Model{(number - 1) // 4}"'
    match number % 4:
        case 1:
            return [f'CREATE TABLE {table} ("id" SERIAL NOT NULL, "name" TEXT, PRIMARY KEY ("id"))', f"COMMENT ON TABLE {table} IS 'a;b'"]  # fmt: skip
        case 2:
            return [f'ALTER TABLE {table} ADD COLUMN "size" INTEGER NOT NULL DEFAULT 0']
        case 3:
            return [f'CREATE INDEX "i{number}" ON {table} ("name")']
        case _:
            return [
                f"INSERT INTO {table} (\"name\") VALUES ('it''s'), ('${{plain}}')",
                f'UPDATE {table} SET "size" = 1',
            ]


def analytics(number: int) -> tuple[list[str], list[str]]:
    """The statements of one migration of the analytics, there and back."""
    table = f"events{(number - 1) // 2}"
    if number % 2:
        return [f"CREATE TABLE {table} (id UInt64, at DateTime) ENGINE = MergeTree ORDER BY id"], [
            f"DROP TABLE {table}"
        ]
    return [f"ALTER TABLE {table} ADD COLUMN kind LowCardinality(String)"], [f"ALTER TABLE {table} DROP COLUMN kind"]


@dataclass(frozen=True, slots=True)
class Whole:
    """How many migrations each database has, and where the other tools stand when the project is taken over."""

    state: int
    analytics: int
    points: tuple[tuple[int, int], ...]

    def files(self) -> Mapping[str, str]:
        def joined(statements: list[str]) -> str:
            return "".join(f"{statement};\n" for statement in statements)

        pairs = {n: analytics(n) for n in range(1, self.analytics + 1)}
        return {
            **{f"state/{n:014}_step/migration.sql": "-- Step\n" + joined(state(n)) for n in range(1, self.state + 1)},
            **{f"analytics/{n:06}_step.up.sql": joined(up) for n, (up, _) in pairs.items()},
            **{f"analytics/{n:06}_step.down.sql": joined(down) for n, (_, down) in pairs.items()},
        }

    @property
    def all(self) -> int:
        return self.state + self.analytics


SMALL = Whole(40, 8, ((13, 3), (40, 0)))
FULL = Whole(400, 46, ((1, 0), (137, 46), (250, 11), (399, 45)))


@pytest.fixture(params=[SMALL, pytest.param(FULL, marks=pytest.mark.soak)], ids=["small", "full"])
def whole(request: pytest.FixtureRequest) -> Whole:
    found: Whole = request.param
    return found


@dataclass(frozen=True, slots=True)
class Servers:
    """Makes the same project on new databases."""

    folder: Path
    files: Mapping[str, str]
    postgres: PostgresServer
    clickhouse: ClickhouseFront

    def project(self) -> projects.Project:
        urls = {"state": self.postgres.new_database(), "analytics": self.clickhouse.new_database()}
        return projects.make(self.folder / "project", urls, self.files)


@pytest.fixture
def servers(tmp_path: Path, whole: Whole, postgres: PostgresServer, clickhouse_front: ClickhouseFront) -> Servers:
    return Servers(tmp_path, whole.files(), postgres, clickhouse_front)


def opened(made: projects.Project) -> Project:
    return Project.load(made.folder, {projects.variable(name): url for name, url in made.urls.items()})


def made_of(made: projects.Project) -> Iterator[str]:
    """All definitions and rows, but for what tools remember."""
    for name, dump in sorted(made.dump().items()):
        for kind, rows in sorted(dump.items()):
            if "_migrations" not in kind:
                yield f"{name}: {kind}: " + "\n".join(line for line in rows.splitlines() if "_migrations" not in line)


def counted(made: projects.Project, whole: Whole) -> None:
    """What must be there, counted by hand."""
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'Model%'"
    assert dumping.query(made.urls["state"], tables) == [str((whole.state + 3) // 4)]
    assert dumping.query(made.urls["state"], 'SELECT "name", "size" FROM "Model0" ORDER BY 1') == [
        "${plain}\t1",
        "it's\t1",
    ]
    columns = "SELECT count() FROM system.columns WHERE database = currentDatabase() AND name = 'kind'"
    assert dumping.query(made.urls["analytics"], columns) == [str(whole.analytics // 2)]


@pytest.mark.timeout(1200)
def test_from_empty_to_head_and_from_any_point_in_between_and_after_kill_9(whole: Whole, servers: Servers) -> None:
    made = servers.project()
    assert len(opened(made).up().applied) == whole.all
    result = opened(made).up()
    assert (result.applied, result.skipped) == ([], whole.all)
    counted(made, whole)
    head = list(made_of(made))

    for point in whole.points:
        made = servers.project()
        by_the_other_tools(made, servers.files, *point)
        taken = [len(opened(made).adopt(name).applied) for name in ("state", "analytics")]
        assert taken == list(point)
        assert len(opened(made).up().applied) == whole.all - sum(point)
        assert opened(made).up().skipped == whole.all
        assert list(made_of(made)) == head

    made = servers.project()
    sent = whole.state  # somewhere in the middle: each script is its statement, and its record with the commit
    assert made.killed("before", str(sent), "up", timeout=600).code == -9
    before = len(dumping.versions(made.urls["state"]))
    assert 0 < before < whole.state
    assert done(made("up", timeout=600)).splitlines()[-1] == f"applied {whole.all - before}, skipped {before}"
    assert done(made("up")).splitlines()[-1] == f"applied 0, skipped {whole.all}"
    assert list(made_of(made)) == head


def by_the_other_tools(made: projects.Project, files: Mapping[str, str], prisma: int, golang_migrate: int) -> None:
    """Apply so many migrations as the other tools do, and leave the tables that they leave."""
    with psycopg.connect(made.urls["state"], autocommit=True) as connection:
        connection.execute(PRISMA)
        for number in range(1, prisma + 1):
            name = f"{number:014}_step"
            text = files[f"state/{name}/migration.sql"]
            connection.execute(text.encode())
            checksum = hashlib.sha256(text.encode()).hexdigest()
            connection.execute(
                "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name) VALUES (%s, %s, now(), %s)",
                (str(number), checksum, name),
            )
    database = open_database("analytics", made.urls["analytics"], made.folder)
    database.connect()
    try:
        database.query(GOLANG_MIGRATE)
        for number in range(1, golang_migrate + 1):
            for statement in analytics(number)[0]:
                database.query(statement)
        database.query(f"INSERT INTO schema_migrations VALUES ({golang_migrate or -1}, 0, 1)")
    finally:
        database.close()
