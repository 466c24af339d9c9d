"""Whatever is in a table, and whoever writes to it meanwhile: a pass takes every row that stays exactly once.

Each example makes a table, walks through it batch by batch as a job's run does, and changes rows between the batches.
What is right is told by a list of rows in Python, which knows nothing of keys, ranges or collations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.jobs import sources
from stepwell.jobs.definition import Drain, Exclude, Groups, Keyset, Source

ENGINES = ("sqlite", "postgres", "mysql", "chdb")

# One row: mark (who is who, for the oracle), key (two numbers, a text), n (of the condition), tenant (of the exclusion).
TABLE = {
    "sqlite": """
        CREATE TABLE t (
          mark INTEGER NOT NULL, a BIGINT NOT NULL, b BIGINT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
          n INTEGER, tenant {tenant}, PRIMARY KEY (a, b, name)
        )
        """,
    "postgres": """
        CREATE TABLE t (
          mark INT NOT NULL, a BIGINT NOT NULL, b BIGINT NOT NULL, name TEXT NOT NULL COLLATE "en-x-icu",
          n INT, tenant {tenant}, PRIMARY KEY (a, b, name)
        )
        """,
    "mysql": """
        CREATE TABLE t (
          mark INT NOT NULL, a BIGINT NOT NULL, b BIGINT NOT NULL,
          name VARCHAR(50) NOT NULL COLLATE utf8mb4_general_ci,
          n INT, tenant {tenant}, PRIMARY KEY (a, b, name)
        )
        """,
    "chdb": """
        CREATE TABLE t (mark Int32, a Int64, b Int64, name String, n Nullable(Int32), tenant {tenant})
        ENGINE = MergeTree ORDER BY (a, b, name)
        """,
}
KINDS = {
    "sqlite": ("BIGINT", "TEXT"),
    "postgres": ("BIGINT", "TEXT"),
    "mysql": ("BIGINT", "VARCHAR(50)"),
    "chdb": ("Nullable(Int64)", "Nullable(String)"),
}
COLUMNS = ("mark", "a", "b", "name", "n", "tenant")
BIG = 2**53 + 1  # not to be told from its neighbours as a float

KEYS = (("a", "b", "name"), ("name", "a", "b"), ("b", "name", "a"))


@dataclass(frozen=True)
class Row:
    mark: int
    a: int
    b: int
    name: str
    n: int | None
    tenant: int | None


NUMBERS = st.sampled_from([-(2**63), -7, -1, 0, 1, 2, BIG, BIG + 1, 2**63 - 1])
NAMES = st.sampled_from(
    ["", "a", "A", "B", "b", "ä", "z", "Z", "é", "a b", "a-b", "ab", "o'x", "100%", "_", "?", "\\", "日本", "ß"]
)
ROWS = st.lists(
    st.tuples(
        NUMBERS,
        st.sampled_from([-1, 0, 1]),
        NAMES,
        st.sampled_from([None, 0, 0, 0, 1]),
        st.sampled_from([None, 1, 2, BIG]),
    ),
    max_size=25,
)


def rows_of(drawn: Sequence[tuple[int, int, str, int | None, int | None]], first: int = 0) -> list[Row]:
    """The rows that may stand together: one a key, whatever the collation."""
    found: dict[Any, Row] = {}
    for row in (Row(first + mark, *values) for mark, values in enumerate(drawn)):
        found.setdefault(fold(row), row)
    return list(found.values())


def fold(row: Row) -> tuple[int, int, str]:
    """What every one of the collations tells apart."""
    plain = row.name.casefold().translate(str.maketrans("äéß", "aes"))
    return (row.a, row.b, plain)


@dataclass
class Table:
    """The table of an engine, and what it must hold."""

    database: Database
    engine: str
    rows: dict[int, Row] = field(default_factory=dict)

    def make(self, tenant: str, rows: Sequence[Row]) -> None:
        self.database.query("DROP TABLE IF EXISTS t")
        self.database.query(TABLE[self.engine].format(tenant=tenant))
        self.textual = "Int" not in tenant and "INT" not in tenant
        self.rows.clear()
        self.add(rows)

    def add(self, rows: Sequence[Row]) -> None:
        taken = {fold(row) for row in self.rows.values()}
        fresh = [row for row in rows if fold(row) not in taken]
        values = [
            (row.mark, row.a, row.b, row.name, row.n,
             None if row.tenant is None else str(row.tenant) if self.textual else row.tenant)
            for row in fresh
        ]  # fmt: skip
        if values:
            self.database.insert("t", COLUMNS, values)
        self.rows.update({row.mark: row for row in fresh})

    def remove(self, marks: Sequence[int]) -> None:
        for mark in marks:
            self.database.query(f"DELETE FROM t WHERE mark = {mark}")
            del self.rows[mark]

    def migrate(self, batch: Sequence[int]) -> None:
        """What a drain's job does: its condition does not hold any more."""
        text = f"SET n = 1 WHERE mark IN ({', '.join(map(str, batch))})"
        if self.engine == "chdb":
            self.database.query(f"ALTER TABLE t UPDATE {text.removeprefix('SET ')} SETTINGS mutations_sync = 2")
        else:
            self.database.query(f"UPDATE t {text}")
        for mark in batch:
            self.rows[mark] = replace(self.rows[mark], n=1)

    def marks(self, source: Source, scope: sources.Scope) -> list[int]:
        """The rows of a scope as a batch reads them, after the scope was in the ledger."""
        found = sources.condition(source, sources.load(sources.dump(scope)))
        rows = self.database.query(f"SELECT mark FROM t WHERE {found.text}", found.parameters)
        return [int(mark) for (mark,) in rows]


class Watched:
    """A database where OFFSET finds no more than a batch's last row: a pass would count rows that others move."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        assert "OFFSET" not in text.upper().replace("LIMIT 1 OFFSET", "") and "OFFSET 1000" not in text
        return self._database.query(text, parameters)


@pytest.fixture(params=ENGINES, scope="module")
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    engine = request.param
    folder = tmp_path_factory.mktemp(engine)
    url = {"sqlite": "sqlite:///t.db", "chdb": "chdb:///t?database=main"}.get(engine)
    if url is None:
        url = request.getfixturevalue({"mysql": "mariadb"}.get(engine, engine)).new_database()
    database = open_database("data", url, Path(folder))
    database.connect()
    watched: Any = Watched(database)
    yield Table(watched, engine)
    database.close()


def eligible(row: Row, where: str, excluded: Sequence[int]) -> bool:
    return (not where or row.n == 0) and row.tenant not in excluded


def excluding(source: Source, values: Sequence[int]) -> Source:
    listed = ", ".join(map(str, values)) + " ,"
    return replace(source, excluded=Exclude("tenant", "IDS").read({"IDS": listed}))


CHANGES = st.lists(st.tuples(st.integers(0, 30), ROWS.map(lambda rows: rows[:3])), max_size=8)
"""Between two batches: which row to delete, and rows to add."""

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def between(table: Table, changes: list[Any], protected: set[int], next_mark: int) -> int:
    """Somebody else's writes; returns the next mark."""
    if not changes:
        return next_mark
    number, added = changes.pop()
    if number in table.rows:
        table.remove([number])
        protected.discard(number)
    table.add(rows_of(added, next_mark))
    return next_mark + 100


def walk(table: Table, source: Source, size: int, changes: list[Any], drains: bool) -> tuple[set[int], list[list[int]]]:
    """A pass: the rows that were there throughout, and the rows of each batch."""
    stayed, batches, next_mark = set(table.rows), [], 1000
    behind: sources.Key | None = None
    while (found := sources.next_scope(table.database, source, behind, size)) is not None:
        scope, last = found
        assert sources.load_key(sources.dump_key(last)) == last
        assert behind is None or last != behind
        batch = table.marks(source, scope)
        batches.append(batch)
        behind = None if drains else last
        if drains:
            table.migrate(batch)
        next_mark = between(table, changes, stayed, next_mark)
        assert len(batches) < 500
    return stayed, batches


@SLOW
@given(
    drawn=ROWS, key=st.sampled_from(KEYS), where=st.sampled_from(["", "n = 0", "n = 0 OR 1 = 0"]), size=st.sampled_from([1, 2, 7, 100]),
    changes=CHANGES, excluded=st.sampled_from([[], [1], [2, BIG], [BIG + 1]]), textual=st.booleans(),
)  # fmt: skip
def test_a_pass_takes_every_row_that_stays_exactly_once_and_none_that_is_not_meant(
    table: Table,
    drawn: Any,
    key: tuple[str, ...],
    where: str,
    size: int,
    changes: Any,
    excluded: list[int],
    textual: bool,
) -> None:
    columns = ", ".join(key)
    for drains in (False, True):
        plain = Drain("data", "t", columns, "n = 0") if drains else Keyset("data", "t", columns, where)
        source = excluding(plain, excluded)
        table.make(KINDS[table.engine][textual], rows_of(drawn))
        meant = {mark for mark, row in table.rows.items() if eligible(row, str(source.where), excluded)}
        assert sources.count_left(table.database, source, None, ()) == len(meant)
        stayed, batches = walk(table, source, size, list(changes), drains)
        taken = Counter(mark for batch in batches for mark in batch)
        assert {mark: taken[mark] for mark in meant & stayed} == dict.fromkeys(meant & stayed, 1)
        assert all(count == 1 for count in taken.values())
        assert not {mark for mark in set(taken) & set(range(1000)) if mark not in meant}
        if not changes:
            assert all(len(batch) <= size for batch in batches)
            assert sum(map(len, batches)) == len(meant)
        if drains:
            assert sources.count_left(table.database, source, None, ()) == 0


@SLOW
@given(
    drawn=ROWS, columns=st.sampled_from(["a", "name", "a, b", "name, a"]), where=st.sampled_from(["", "n = 0"]), size=st.sampled_from([1, 3, 100]),
    changes=CHANGES, excluded=st.sampled_from([[], [1], [2, BIG]]),
)  # fmt: skip
def test_groups_are_taken_whole_and_every_one_once(
    table: Table, drawn: Any, columns: str, where: str, size: int, changes: Any, excluded: list[int]
) -> None:
    source = excluding(Groups("data", "t", columns, where), excluded)
    table.make(KINDS[table.engine][False], rows_of(drawn))
    meant = {mark for mark, row in table.rows.items() if eligible(row, where, excluded)}
    assert sources.count_left(table.database, source, None, ()) == len(meant)
    stayed, batches = walk(table, source, size, list(changes), drains=False)
    taken = Counter(mark for batch in batches for mark in batch)
    assert {mark: taken[mark] for mark in meant & stayed} == dict.fromkeys(meant & stayed, 1)
    assert not {mark for mark in set(taken) & set(range(1000)) if mark not in meant}
    if not changes and "name" not in columns:  # a name is of one group with others, by rules of each engine

        def group(mark: int) -> tuple[int, ...]:
            row = table.rows[mark]
            return (row.a, row.b) if "b" in columns else (row.a,)

        for batch in batches:
            groups = {group(mark) for mark in batch}
            assert len(groups) == 1 or len(batch) <= size
            assert not {mark for mark in meant - set(batch) if group(mark) in groups}


@SLOW
@given(drawn=ROWS, key=st.sampled_from(KEYS), size=st.sampled_from([2, 5, 100]), failing=st.sets(st.integers(0, 24)))
def test_halves_of_a_batch_hold_its_rows_once_and_rows_that_failed_are_left_out(
    table: Table, drawn: Any, key: tuple[str, ...], size: int, failing: set[int]
) -> None:
    columns = ", ".join(key)
    table.make(KINDS[table.engine][False], rows_of(drawn))
    failed = tuple(tuple(getattr(row, column) for column in key) for mark, row in table.rows.items() if mark in failing)
    for source in (Keyset("data", "t", columns), Drain("data", "t", columns, "n = 0")):
        meant = {mark for mark, row in table.rows.items() if mark not in failing and eligible(row, source.where, ())}
        assert sources.count_left(table.database, source, None, failed) == len(meant)
        found = sources.next_scope(table.database, source, None, size, failed)
        if found is None:
            assert not meant
            continue
        pieces, single = [found[0]], []
        whole = set(table.marks(source, found[0]))
        assert whole <= meant and len(whole) == min(size, len(meant))
        while pieces:
            piece = pieces.pop()
            keys = sources.keys_in(table.database, source, piece)
            assert len(keys) == len(table.marks(source, piece))
            if len(keys) > 1:
                both = sources.halves(piece, keys)
                assert all(0 < len(sources.keys_in(table.database, source, half)) < len(keys) for half in both)
                pieces += both
            else:
                single += table.marks(source, piece)
        assert sorted(single) == sorted(whole)


def test_an_empty_table_has_no_batch_and_nothing_left(table: Table) -> None:
    table.make(KINDS[table.engine][False], [])
    for source in (
        Keyset("data", "t", "a, b, name"),
        Drain("data", "t", "a, b, name", "n = 0"),
        Groups("data", "t", "a"),
    ):
        assert sources.next_scope(table.database, source, None, 1) is None
        assert sources.count_left(table.database, source, None, ()) == 0


@pytest.mark.parametrize("listed", ["x' OR '1' = '1", "1) OR (1 = 1", "?", "${batch}", "\\", "%s", "{x:String}"])
def test_values_to_leave_out_are_data_and_never_sql(table: Table, listed: str) -> None:
    table.make(KINDS[table.engine][True], rows_of([(1, 0, "a", 0, 1), (2, 0, "b", 0, None)]))
    table.database.insert("t", COLUMNS, [(9, 3, 0, "c", 0, listed)])
    source = replace(
        Keyset("data", "t", "a, b, name"), excluded=Exclude("tenant", "IDS").read({"IDS": f" {listed} ,,"})
    )
    assert sources.count_left(table.database, source, None, ()) == 2
    assert sources.next_scope(table.database, source, None, 10) is not None
    assert sorted(table.marks(source, sources.Range(None, None))) == [0, 1]


@pytest.mark.parametrize("table", ["postgres", "mysql", "chdb"], indirect=True)  # SQLite has no type for it
def test_a_uuid_is_left_out_however_its_letters_are_written(table: Table) -> None:
    table.make(KINDS[table.engine][False], [])
    table.database.query("DROP TABLE t")
    table.database.query(TABLE[table.engine].format(tenant="UUID"))
    one, two = "0190babc-62a0-71d2-832a-0feffa4676eb", "0190babc-62a0-71d2-832a-0feffa4676ec"
    for mark, value in ((1, one), (2, two)):
        table.database.query(f"INSERT INTO t VALUES ({mark}, {mark}, 0, 'a', 0, '{value}')")
    source = replace(Keyset("data", "t", "a"), excluded=Exclude("tenant", "IDS").read({"IDS": one.upper()}))
    assert table.marks(source, sources.Range(None, None)) == [2]
