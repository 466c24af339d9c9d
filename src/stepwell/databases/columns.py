"""A table's columns as its engine's catalog tells them: enough to write another column beside one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.databases.lexing import unquote

if TYPE_CHECKING:
    from stepwell.databases.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, its name and type as SQL spells them; `type` has what belongs to it, such as a collation.

    `default` is an expression, '' for none. `compare` is how a value is written so that `=` tells it from every other,
    with {} for the value. `used_by` is what is made of the column and would have to be made anew of another one, in
    words: 'the primary key', 'view active_users'; `indexes` are the indexes that are not unique.
    """

    name: str
    type: str
    nullable: bool = True
    default: str = ""
    compare: str = "{}"
    used_by: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its name as SQL spells it: its columns, by their plain names, and its primary key's columns.

    `triggers` are those that somebody made, `dated` the columns that the server dates anew by every UPDATE. `unfit`
    says why nothing can be written beside its columns; '' if it can.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    triggers: tuple[str, ...] = ()
    unfit: str = ""
    dated: tuple[str, ...] = ()


TABLES = {
    "postgres": "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "clickhouse": "SELECT name FROM system.tables WHERE database = ?",
}


def tables(database: Database) -> list[str]:
    """The names of the tables that need no schema before them."""
    place = (unquote(database.home()),) if database.engine == "clickhouse" else ()
    return [str(name) for (name,) in database.query(TABLES[database.engine], place)]


def read(database: Database, table: str) -> Table | None:
    """What the catalog tells of a table; None where there is no such one. Reads no rows."""
    # Imported here, so that a project pays for the engines it uses only.
    match database.engine:
        case "postgres":
            from stepwell.databases.postgres import columns as postgres

            return postgres.read(database, table)
        case "mysql":
            from stepwell.databases.mysql import columns as mysql

            return mysql.read(database, table)
        case "sqlite":
            from stepwell.databases.sqlite import columns as sqlite

            return sqlite.read(database, table)
        case _:
            from stepwell.databases.clickhouse import columns as clickhouse

            return clickhouse.read(database, table)
