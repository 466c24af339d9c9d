"""Each rule finds its bad example and leaves its good one alone; ordinary scripts are left alone by all of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ordinary
import projects
from stepwell.databases.lexing import Kind, tokens
from stepwell.project import Project
from stepwell.safety.lint.finding import Finding
from stepwell.safety.lint.rule import Rule
from stepwell.safety.lint.rules import RULES

URLS = {
    "postgres": "postgresql://localhost/app",
    "mysql": "mysql://localhost/app",
    "sqlite": "sqlite:///app.db",
    "clickhouse": "clickhouse://localhost/app",
}
EACH = [pytest.param(rule, engine, id=f"{rule.name}-{engine}") for rule in RULES for engine in rule.engines]


def found(engine: str, *scripts: str, cluster: str = "") -> list[Finding]:
    """What is found in the last of some scripts."""
    with tempfile.TemporaryDirectory() as temporary:
        files = {f"{number:04}_script.sql": text for number, text in enumerate(scripts, start=1)}
        last = f"{len(scripts):04}_script.sql"
        return [finding for finding in all_found(Path(temporary), engine, files, cluster) if finding.path.name == last]


def all_found(folder: Path, engine: str, files: dict[str, str], cluster: str = "") -> list[Finding]:
    scripts = folder / "migrations" / "main"
    scripts.mkdir(parents=True)
    for name, text in files.items():
        (scripts / name).write_text(text)
    extra = f'cluster = "{cluster}"\n' if cluster else ""
    (folder / "stepwell.toml").write_text(f'[databases.main]\nurl = "{URLS[engine]}"\n{extra}')
    return Project.load(folder).lint().findings


def names(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings if not finding.rule.startswith("squawk/")} - {"irreversible"}


@pytest.mark.parametrize(("rule", "engine"), EACH)
def test_a_rule_finds_its_bad_example(rule: Rule, engine: str) -> None:
    findings = [finding for finding in found(engine, rule.bad.lstrip("\n")) if finding.rule == rule.name]
    assert findings
    assert {finding.level for finding in findings} == {rule.level}
    assert all(finding.what.endswith(".") and finding.do for finding in findings)


@pytest.mark.parametrize(("rule", "engine"), EACH)
def test_no_rule_finds_anything_in_a_good_example(rule: Rule, engine: str) -> None:
    assert names(found(engine, rule.good.lstrip("\n"))) == set()


@pytest.mark.parametrize("engine", ordinary.SHAPES)
def test_a_hundred_ordinary_migrations_are_left_alone(engine: str, tmp_path: Path) -> None:
    assert all_found(tmp_path, engine, ordinary.migrations(engine)) == []


@pytest.mark.parametrize("bundle", ["opik", "agent_runs"])
def test_the_bundled_scripts_are_left_alone(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DB_URL", URLS["mysql"])
    monkeypatch.setenv("APP_DB_URL", URLS["postgres"])
    monkeypatch.setenv("ANALYTICS_DB_URL", URLS["clickhouse"])
    folder = Path(__file__).parents[2] / "src" / "stepwell" / "bundles" / bundle
    report = Project.load(folder).lint()
    assert (report.findings, report.scripts > 5) == ([], True)


# --- no layout deceives a rule --------------------------------------------------------------------------------

SPACE = st.sampled_from([" ", "\n", "\t", "  ", " /* DROP */ ", "\n-- RENAME TO x\n"])


WITHOUT_FRONT_MATTER = [
    (rule, engine)
    for rule in RULES
    for engine in rule.engines
    if not rule.bad.startswith("\n--") and rule.name != "irreversible"
]


@given(st.sampled_from(WITHOUT_FRONT_MATTER), st.booleans(), st.data())
def test_a_finding_depends_on_no_layout_case_or_comment(
    chosen: tuple[Rule, str], lower: bool, data: st.DataObject
) -> None:
    rule, engine = chosen
    text = ""
    for token in tokens(rule.bad.strip("\n"), engine):
        if token.kind is Kind.SPACE:
            text += data.draw(SPACE)
        else:
            text += token.text.lower() if lower and token.kind is Kind.WORD else token.text
    assert rule.name in names(found(engine, text))


# --- what the files before tell -------------------------------------------------------------------------------

MADE = "CREATE TABLE orders (id bigint PRIMARY KEY, note varchar(100), total numeric(10, 2), day date);"


@pytest.mark.parametrize(
    ("new", "rewrites"),
    [
        ("note TYPE varchar(200)", False),
        ("note TYPE text", False),
        ("note SET DATA TYPE varchar", False),
        ("note TYPE varchar(50)", True),
        ("total TYPE numeric(12, 2)", False),
        ("total TYPE numeric(12, 4)", True),
        ("total TYPE text", True),
        ("day TYPE timestamptz", True),
    ],
)
def test_a_type_that_an_earlier_script_gave_tells_whether_the_table_is_rewritten(new: str, rewrites: bool) -> None:
    assert ("rewriting-type" in names(found("postgres", MADE, f"ALTER TABLE orders ALTER COLUMN {new};"))) is rewrites


def test_a_check_that_an_earlier_script_validated_proves_not_null() -> None:
    add = "ALTER TABLE orders ADD CONSTRAINT day_set CHECK (day IS NOT NULL) NOT VALID;"
    validate = "ALTER TABLE orders VALIDATE CONSTRAINT day_set;"
    last = "ALTER TABLE orders ALTER COLUMN day SET NOT NULL;"
    assert names(found("postgres", MADE, add, validate, last)) == set()
    assert names(found("postgres", MADE, add, last)) == {"not-null"}


def test_validating_in_the_transaction_that_added_the_constraint_is_found() -> None:
    text = "ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT c;"
    assert names(found("postgres", text)) == {"validated-constraint"}
    assert names(found("postgres", f"-- transaction: false\n\n{text}")) == set()


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (
            "postgres",
            "CREATE TABLE t (a int);\nCREATE INDEX i ON t (a);\nALTER TABLE t ADD UNIQUE (a);\nUPDATE t SET a = 1;",
        ),
        (
            "mysql",
            "CREATE TABLE t (a INT);\nALTER TABLE t MODIFY a BIGINT;\nALTER TABLE `t` ADD FOREIGN KEY (a) REFERENCES u (a);",
        ),
        (
            "clickhouse",
            "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a;\nALTER TABLE t UPDATE a = 1 WHERE 1;\nDROP TABLE t;",
        ),
    ],
)
def test_a_table_of_the_same_script_is_left_alone(engine: str, text: str) -> None:
    assert names(found(engine, text)) == set()


# --- single promises ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM orders WHERE TRUE;",
        "UPDATE orders SET total = 1 WHERE 1 = 1;",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;",
        "DELETE FROM ONLY orders USING customers;",
        "UPDATE orders SET note = (SELECT name FROM customers WHERE id = 1);",
    ],
)
def test_a_change_without_a_real_condition_is_found(text: str) -> None:
    assert "unqualified" in names(found("postgres", text))


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("postgres", "CREATE ROLE r LOGIN PASSWORD 'hunter2';"),
        ("postgres", "ALTER USER r WITH ENCRYPTED PASSWORD 'hunter2';"),
        ("postgres", "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p;"),
        ("postgres", "CREATE USER MAPPING FOR r SERVER s OPTIONS (user 'r', password 'hunter2');"),
        ("mysql", "CREATE USER r IDENTIFIED BY 'hunter2';"),
        ("mysql", "SET PASSWORD FOR r = PASSWORD('hunter2');"),
        ("clickhouse", "CREATE USER r IDENTIFIED WITH sha256_password BY 'hunter2';"),
        ("clickhouse", "INSERT INTO t SELECT * FROM mysql('h:3306', 'd', 't', 'u', 'hunter2') WHERE id = 1;"),
        ("clickhouse", "INSERT INTO t SELECT * FROM s3('https://b/x.csv', 'AKIAXX', 'hunter2', 'CSV') WHERE id = 1;"),
        ("sqlite", "SELECT 1;\n-- down\nINSERT INTO t VALUES ('ghp_0123456789abcdefghijABCDEFGHIJ012345', 'hunter2');"),
    ],
)
def test_a_secret_is_found_and_never_shown(engine: str, text: str) -> None:
    findings = [finding for finding in found(engine, text) if finding.rule == "secret"]
    assert findings
    assert "hunter2" not in str(findings)


def test_a_secret_by_a_variable_is_none() -> None:
    assert names(found("mysql", "CREATE USER r IDENTIFIED BY '${READER_PASSWORD}';")) == set()
    assert names(found("clickhouse", "SELECT * FROM url('https://u:${SECRET}@h/x') WHERE 1 = 1;")) == set()


def test_with_a_cluster_in_the_project_nobody_needs_on_cluster() -> None:
    rule = next(rule for rule in RULES if rule.name == "on-cluster")
    assert names(found("clickhouse", rule.bad.lstrip("\n"), cluster="main")) == set()


def test_what_the_parser_can_not_read_is_read_as_tokens() -> None:
    text = "UPDATE orders SET (a, b) = ROW(1, 2)::pair, c[1:2]::x = !!! 3 @@@@ 4;"
    assert "unqualified" in names(found("postgres", text))
    assert "unqualified" not in names(found("postgres", text.replace(";", " WHERE id = 1;")))


def test_a_finding_stands_at_the_line_of_its_clause() -> None:
    text = "-- A comment.\n\nALTER TABLE orders\n    ADD COLUMN a text,\n    -- why\n    RENAME COLUMN b TO c;"
    assert [(f.rule, f.line) for f in found("postgres", text) if f.rule == "rename"] == [("rename", 6)]


def test_a_script_that_stepwell_would_refuse_is_a_finding() -> None:
    assert [(f.rule, f.line) for f in found("postgres", "SELECT 1;\nSELECT 'open;")] == [("unreadable", 2)]


def test_squawk_adds_what_it_knows() -> None:
    findings = found("postgres", "SELECT 1;\n\nALTER TABLE orders DROP COLUMN note;\n-- down\nDROP TABLE x;")
    assert [(f.rule, f.line) for f in findings] == [("squawk/ban-drop-column", 3)]


# --- the safe way really is one: each good example runs -------------------------------------------------------

FRESH = {
    "postgres": (
        "CREATE TABLE customers (id bigint PRIMARY KEY, email text, name text);\n"
        "CREATE TABLE orders (id bigint PRIMARY KEY, day date, customer_id bigint, total integer, note varchar(100), status text);"
    ),
    "mysql": (
        "CREATE TABLE customers (id BIGINT PRIMARY KEY, email VARCHAR(100), name VARCHAR(100));\n"
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, day DATE, customer_id BIGINT, total INT, note VARCHAR(100), status VARCHAR(9));"
    ),
    "sqlite": (
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, name TEXT);\n"
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT, total INTEGER, note TEXT, status TEXT);"
    ),
    "chdb": (
        "CREATE TABLE customers (id UInt64, email String, name String) ENGINE = MergeTree ORDER BY id;\n"
        "CREATE TABLE orders (id UInt64, day Date, total Int32, note String, status String)\n"
        "ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id;"
    ),
}
ELSEWHERE = {"contract", "on-cluster", "replicated-path"}
"""Rules whose good examples need a job, or a cluster."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.soak) if kind != "sqlite" else kind for kind in FRESH]
)
def test_every_good_example_runs(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engine = "clickhouse" if kind == "chdb" else kind
    for rule in RULES:
        if engine not in rule.engines or rule.name in ELSEWHERE:
            continue
        scripts = {"main/0001_fresh": FRESH[kind], "main/0002_good": rule.good.lstrip("\n")}
        project = projects.make(tmp_path / rule.name, {"main": _new_database(kind, request)}, scripts)
        assert "applied 2" in projects.done(project("up")), rule.name


def _new_database(kind: str, request: pytest.FixtureRequest) -> str:
    match kind:
        case "postgres" | "mysql":
            server = request.getfixturevalue({"postgres": "postgres", "mysql": "mariadb"}[kind])
            return str(server.new_database())
        case "sqlite":
            return "sqlite:///main.db"
        case _:
            return "chdb:///data?database=main"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("concurrently-in-transaction", "postgres"),
        ("row-size", "mysql"),
        ("sorting-key", "chdb"),
        ("nullable-key", "chdb"),
    ],
)
def test_what_a_rule_says_the_server_refuses_it_does_refuse(
    name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bad = next(rule for rule in RULES if rule.name == name).bad.lstrip("\n")
    scripts = {"main/0001_fresh": FRESH[kind], "main/0002_bad": bad}
    ended = projects.make(tmp_path, {"main": _new_database(kind, request)}, scripts)("up")
    assert ended.code == 1
    assert "main/0002_bad, statement 1 of 1 failed" in ended.stderr


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("KEY pages_url (url)", "KEY `pages_url` (`url`(768))"),
        ("UNIQUE KEY pages_url (url)", "UNIQUE KEY `pages_url` (`url`) USING HASH"),
        ("PRIMARY KEY (url)", ""),
    ],
)
def test_mariadb_makes_another_key_of_one_that_is_too_long(key: str, made: str, mysql_url: str, tmp_path: Path) -> None:
    text = f"CREATE TABLE pages (url VARCHAR(1000), {key}) DEFAULT CHARACTER SET utf8mb4;"
    assert "key-length" in names(found("mysql", text))
    project = projects.make(tmp_path, {"main": mysql_url}, {"main/0001_pages": text})
    ended = project("up")
    assert ended.code == (0 if made else 1)
    if made:
        program = "from stepwell.project import Project; d = Project.load('.').open('main'); d.connect()\n"
        assert made in projects.done(project.python(program + "print(d.query('SHOW CREATE TABLE pages')[0][1])"))
