"""Each three-point change is lived through by an old and a new server that write all the while.

The old server knows the old column alone, the new one the new columns alone. Each writes rows of its own and rows of
the other; neither may meet an error, and after each point both must read what was written last, by whomever.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import dumping
import projects
import writing
from projects import Project, done
from stepwell.project import Project as Loaded

FIRST = {
    "postgres": "CREATE TABLE users (id bigint PRIMARY KEY, {column}, n integer DEFAULT 0);\n",
    "mysql": "CREATE TABLE users (id BIGINT PRIMARY KEY, {column}, n INTEGER DEFAULT 0) DEFAULT CHARSET utf8mb4;\n",
    "sqlite": "CREATE TABLE users (id INTEGER PRIMARY KEY, {column}, n INTEGER DEFAULT 0);\n",
}
TEXTS = ["Ann Lee", "ann lee", "Ben", "", "A  b ", "né Ö", "o'Hara x y"]


@dataclass(frozen=True)
class Case:
    """A change: the column it begins with, the sentence, and how each server writes and reads one value."""

    engines: tuple[str, ...]
    column: str
    sentence: str
    old: str
    new: tuple[str, ...]
    values: tuple[Any, ...]
    forth: Callable[[Any], tuple[Any, ...]]
    stem: str


def words(value: Any) -> tuple[Any, ...]:
    if value is None:
        return None, None
    first, mark, rest = value.partition(" ")
    return first, rest if mark else None


CASES = {
    "rename": Case(
        ("postgres", "mysql", "sqlite"), "name varchar(50)", "rename users.name to users.full_name",
        "name", ("full_name",), (*TEXTS, None), lambda value: (value,), "users_full_name",
    ),
    "rename-required": Case(
        ("postgres", "mysql"), "name varchar(50) NOT NULL", "rename users.name to users.full_name",
        "name", ("full_name",), tuple(TEXTS), lambda value: (value,), "users_full_name",
    ),
    "rename-default": Case(
        ("postgres", "mysql", "sqlite"), "name varchar(50) DEFAULT 'x'", "rename users.name to users.full_name",
        "name", ("full_name",), (*TEXTS, "x", None), lambda value: (value,), "users_full_name",
    ),
    "change": Case(
        ("postgres", "mysql", "sqlite"), "amount integer", "change users.amount to numeric(20,4)",
        "amount", ("amount_numeric",), (0, 1, -7, 2147483647, None), lambda value: (value,), "users_amount_numeric",
    ),
    "split": Case(
        ("postgres", "mysql", "sqlite"), "name varchar(50)",
        "split users.name into users.first_name, users.last_name by ' '",
        "name", ("first_name", "last_name"), (*TEXTS, None), words, "users_first_name_last_name",
    ),
}  # fmt: skip


@dataclass
class Server:
    """A release that runs: it writes `columns` until it is stopped, and remembers what it wrote last in its own rows.

    It writes into the rows 1 to `shared`, too, which the other release writes as well.
    """

    url: str
    columns: tuple[str, ...]
    values: list[tuple[Any, ...]]
    first: int
    shared: int
    stop: threading.Event = field(default_factory=threading.Event)
    said: list[BaseException] = field(default_factory=list)
    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def run(self) -> None:
        chance, key = random.Random(self.first), self.first
        mark = "?" if self.url.startswith("sqlite") else "%s"
        insert = (
            f"INSERT INTO users (id, {', '.join(self.columns)}) VALUES ({', '.join([mark] * (1 + len(self.columns)))})"
        )
        update = f"UPDATE users SET {', '.join(f'{c} = {mark}' for c in self.columns)} WHERE id = {mark}"
        with closing(writing.connect(self.url)) as connection:
            cursor = connection.cursor()
            try:
                while not self.stop.is_set():
                    value = chance.choice(self.values)
                    if not self.rows or chance.random() < 0.5:
                        cursor.execute(insert, (key, *value))
                        self.rows[key] = value
                        key += 2
                    else:
                        chosen = chance.choice(list(self.rows))
                        cursor.execute(update, (*value, chosen))
                        self.rows[chosen] = value
                    if self.shared:
                        cursor.execute(update, (*chance.choice(self.values), chance.randint(1, self.shared)))
                    cursor.execute(f"UPDATE users SET n = n + 1 WHERE id = {chance.choice(list(self.rows))}")
                    time.sleep(0.003)
            except Exception as error:  # whatever the driver raises is what the server would have met
                self.said.append(error)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
        while thread.is_alive() and len(server.rows) <= 10:  # the machine may be busy with something else
            time.sleep(0.01)
    finally:
        server.stop.set()
        thread.join()
        assert not server.said, server.said


def read(url: str, *columns: str) -> dict[int, tuple[Any, ...]]:
    with closing(writing.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT id, {', '.join(columns)} FROM users ORDER BY id")
        return {key: tuple(values) for key, *values in cursor.fetchall()}


def make(folder: Path, url: str, engine: str, column: str) -> Project:
    made = projects.make(folder / "project", {"state": url}, {"state/0001_users": FIRST[engine].format(column=column)})
    done(made("up"))
    return made


ORDINARY = {("rename-required", "postgres"), ("rename-default", "mysql"), ("split", "sqlite")}
"""One of each engine in every run of the tests; all of them in the long campaigns."""

EACH = [
    pytest.param(name, engine, id=f"{name}-{engine}", marks=() if (name, engine) in ORDINARY else (pytest.mark.soak,))
    for name, case in CASES.items()
    for engine in case.engines
]


@pytest.mark.parametrize(("name", "engine"), EACH)
def test_an_old_and_a_new_server_live_through_it(
    name: str, engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case, url = CASES[name], str(request.getfixturevalue(f"{engine}_url"))
    made = make(tmp_path, url, engine, case.column)
    values = [(value,) for value in case.values]
    with closing(writing.connect(url)) as connection:
        mark = "?" if engine == "sqlite" else "%s"
        for key, (value,) in enumerate(values * 3, start=1):
            connection.cursor().execute(f"INSERT INTO users (id, {case.old}) VALUES ({key}, {mark})", (value,))
    done(made("new", "--three-point", case.sentence))
    assert "0 errors" in done(made("lint"))

    shared = len(values) * 3
    news = [case.forth(value) for value in case.values]
    with running(Server(url, (case.old,), values, 1001, shared)) as old:
        done(made("up"))
        with running(Server(url, case.new, news, 1002, shared)) as new:
            done(made("up", "--wait"))
            assert "0 do not" in done(made("check"))
    # Each side says what either server wrote last.
    one, other = read(url, case.old), read(url, *case.new)
    assert other == {key: case.forth(value) for key, (value,) in one.items()}
    assert len(one) == shared + len(old.rows) + len(new.rows)
    assert {key: one[key] for key in old.rows} == old.rows
    assert {key: other[key] for key in new.rows} == new.rows
    assert len(old.rows) > 10 and len(new.rows) > 10

    with running(Server(url, case.new, news, 90001, 0)) as new:
        done(made("runbook", "sign", f"signoff/users-{case.old}-unused"))
        assert "applied 1" in done(made("up"))
    assert read(url, *case.new) == other | new.rows
    for folder in ("jobs", "checks"):  # their work is done
        (made.folder / folder / f"{case.stem}.sql").unlink()
    assert "applied 0" in done(made("up"))
    with pytest.raises(Exception, match=case.old):
        read(url, case.old)


@pytest.mark.parametrize(
    "engine",
    ["postgres", pytest.param("mysql", marks=pytest.mark.soak), pytest.param("sqlite", marks=pytest.mark.soak)],
)
def test_an_old_and_a_new_server_live_through_an_added_and_a_dropped_column(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    made = make(tmp_path, url, engine, "legacy varchar(50)")
    done(made("new", "--three-point", "add users.age integer default 0"))
    with running(Server(url, ("legacy",), [("a",), (None,)], 1001, 0)) as old:
        assert "applied 1" in done(made("up"))
        with running(Server(url, ("legacy", "age"), [("b", 7), (None, None)], 1002, 0)) as both:
            done(made("new", "--three-point", "drop users.legacy"))
    assert read(url, "legacy", "age") == {key: (*value, 0) for key, value in old.rows.items()} | both.rows
    with running(Server(url, ("legacy", "age"), [("c", 1)], 2001, 0)), running(Server(url, ("age",), [(2,)], 2002, 0)):
        assert "waits for" in done(made("up"))
    kept = read(url, "age")
    with running(Server(url, ("age",), [(3,)], 3001, 0)) as new:
        done(made("runbook", "sign", "signoff/users-legacy-unused"))
        assert "applied 1" in done(made("up"))
    assert read(url, "age") == kept | new.rows
    assert old.rows and both.rows and new.rows
    with pytest.raises(Exception, match="legacy"):
        read(url, "legacy")


@pytest.mark.parametrize(
    "engine",
    [pytest.param("postgres", marks=pytest.mark.soak), pytest.param("mysql", marks=pytest.mark.soak), "sqlite"],
)
def test_before_the_contract_the_way_back_loses_nothing(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case, url = CASES["rename"], str(request.getfixturevalue(f"{engine}_url"))
    made = make(tmp_path, url, engine, case.column)
    definitions = {name: text for name, text in dumping.dump(url).items() if name != "rows of schema_migrations"}
    done(made("new", "--three-point", case.sentence))
    done(made("up", "--wait"))
    dumping.query(url, "INSERT INTO users (id, full_name) VALUES (1, 'Ann')")
    assert "undone 1" in done(made("down", "--database", "state"))
    assert read(url, "name") == {1: ("Ann",)}
    dumping.query(url, "DELETE FROM users")
    after = {name: text for name, text in dumping.dump(url).items() if "stepwell" not in name}
    assert {n: t for n, t in after.items() if n in definitions and "users" in n} == {
        n: t for n, t in definitions.items() if "users" in n
    }
    dumping.query(url, "INSERT INTO users (id, name) VALUES (2, 'Ben')")
    assert "waits for" in done(made("up", "--wait"))
    assert dumping.versions(url) == ["0001_users", "0002_users_full_name"]
    # The way back has let the job look again, and the same `up` has filled the row.
    done(made("runbook", "sign", "signoff/users-name-unused"))
    assert "applied 1" in done(made("up"))
    assert read(url, "full_name") == {2: ("Ben",)}


@pytest.mark.parametrize("name", ["rename-default", "change", "split"])
def test_what_an_old_server_writes_between_two_statements_of_the_expand_script_is_not_lost(
    name: str, mysql_url: str, tmp_path: Path
) -> None:
    case = CASES[name]
    made = make(tmp_path, mysql_url, "mysql", case.column)
    done(made("new", "--three-point", case.sentence))
    expand = Loaded.load(made.folder, {"STATE_DB_URL": mysql_url}).script(f"state/0002_{case.stem}")
    expected: dict[int, tuple[Any, ...]] = {}
    with closing(writing.connect(mysql_url)) as connection:
        cursor = connection.cursor()
        for number, statement in enumerate(expand.statements("up", {})):
            for key, value in enumerate(case.values, start=100 * number):
                cursor.execute(f"INSERT INTO users (id, {case.old}) VALUES (%s, %s)", (key, value))
            if number:  # and each row of the round before gets its neighbour's value
                for key, value in enumerate(case.values[::-1], start=100 * (number - 1)):
                    cursor.execute(f"UPDATE users SET {case.old} = %s WHERE id = %s", (value, key))
                    expected[key] = (value,)
            expected |= {key: (value,) for key, value in enumerate(case.values, start=100 * number)}
            cursor.execute(statement.text)
    done(made("baseline", expand.reference))
    done(made("up", "--wait"))
    assert "0 do not" in done(made("check"))
    assert read(mysql_url, case.old) == expected
    assert read(mysql_url, *case.new) == {key: case.forth(value) for key, (value,) in expected.items()}
