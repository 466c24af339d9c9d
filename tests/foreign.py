"""Files of other tools, for tests: a small project in each format, and any statements in the form of a tool."""

from __future__ import annotations

from collections.abc import Mapping

TWO = ("CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)")
BACK = ("DROP TABLE b", "DROP TABLE a")

PROJECTS: dict[str, Mapping[str, str]] = {
    "flyway": {
        "V1__a.sql": f"{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n",
        "U1__a.sql": f"{BACK[0]};\n{BACK[1]};\n",
        "V1.10__more.sql": "INSERT INTO b VALUES (${ten});",
        "U1.10__more.sql": "DELETE FROM b;",
    },
    "golang-migrate": {
        "1_a.up.sql": f"{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n",
        "1_a.down.sql": f"{BACK[0]};\n{BACK[1]};\n",
        "10_more.up.sql": "INSERT INTO b VALUES (10);",
        "10_more.down.sql": "DELETE FROM b;",
    },
    "dbmate": {
        "001_a.sql": f"-- migrate:up\n{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n-- migrate:down\n{BACK[0]};\n{BACK[1]};\n",
        "010_more.sql": "-- migrate:up transaction:false\nINSERT INTO b VALUES (10);\n-- migrate:down\nDELETE FROM b;\n",
    },
    "goose": {
        "001_a.sql": f"-- +goose Up\n{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n-- +goose Down\n{BACK[0]};\n{BACK[1]};\n",
        "010_more.sql": "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\nINSERT INTO b VALUES (10)\n"
        "-- +goose StatementEnd\n-- +goose Down\nDELETE FROM b;\n",
    },
    "prisma": {
        "001_a/migration.sql": f"{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n",
        "001_a/down.sql": f"{BACK[0]};\n{BACK[1]};\n",
        "010_more/migration.sql": "INSERT INTO b VALUES (10);",
        "010_more/down.sql": "DELETE FROM b;",
    },
    "liquibase": {
        "a.sql": "--liquibase formatted sql\n--property name:ten value:10\n\n--changeset ann:1\n"
        f"{TWO[0]};\nINSERT INTO a VALUES (1);\n{TWO[1]};\n--rollback {BACK[0]};\n--rollback {BACK[1]};\n\n"
        "--changeset ann:2 runInTransaction:false\nINSERT INTO b VALUES (${ten});\n--rollback DELETE FROM b;\n",
    },
}


# Each is one statement for the engine named, whatever is in its strings, names and comments.
SHARED = [
    "CREATE TABLE a (x INT)",
    "INSERT INTO a VALUES ('a;b', 'it''s')",
    "SELECT\n1,\n\n2",
    "SELECT 1 /* ; */ + 1",
    "SELECT 1 -- ; end\n+ 1",
    "SELECT '\n--ordinary;\n'",
    "SELECT '${not_a_variable}'",
]
OWN = {
    "postgres": ['SELECT "a;b"', "SELECT $$;$$", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$ SELECT 1; SELECT $$2$$; $f$", r"SELECT E'\';'", "SELECT 1 /* /* ; */ ; */ + 1"],
    "mysql": ["SELECT `a;b`", r"SELECT '\';'", "SELECT 1 # ;\n+ 1", "CREATE PROCEDURE p() BEGIN SELECT 1; IF 1 THEN SELECT 2; END IF; END"],
    "sqlite": ["SELECT [a;b]", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END"],
    "clickhouse": ["SELECT `a;b`", r"SELECT '\';'", "INSERT INTO a FORMAT JSONEachRow {\"x\": \"a;b\"}"],
}  # fmt: skip


def joined(statements: list[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


def rollback(statements: list[str]) -> str:
    return f"/* liquibase rollback\n{joined(statements)}*/\n" if "*/" not in joined(statements) else ""


def files(form: str, forth: list[str], back: list[str]) -> dict[str, str]:
    """One version in the form of a tool."""
    up, down = joined(forth), joined(back)
    match form:
        case "flyway":
            return {"V1__a.sql": up, "U1__a.sql": down, "V1__a.sql.conf": "placeholderReplacement=false"}
        case "golang-migrate":
            return {"1_a.up.sql": up, "1_a.down.sql": down}
        case "dbmate":
            return {"1_a.sql": f"-- migrate:up\n{up}\n-- migrate:down\n{down}"}
        case "goose":
            blocks = "".join(
                f"-- +goose StatementBegin\n{one}\n-- +goose StatementEnd\n" if i % 2 else f"{one};\n"
                for i, one in enumerate(forth)
            )
            return {"1_a.sql": f"-- +goose Up\n{blocks}-- +goose Down\n{down}"}
        case "prisma":
            return {"1_a/migration.sql": up, "1_a/down.sql": down}
        case "plain":
            return {"1_a.sql": up}
    return {"a.sql": f"--liquibase formatted sql\n--changeset a:1\n{up}{rollback(back)}"}
