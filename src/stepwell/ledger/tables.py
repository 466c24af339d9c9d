"""The ledger's tables, in SQL that every relational engine here accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from stepwell.databases import open_database
from stepwell.databases.database import Database
from stepwell.errors import Denied, LedgerDenied, LedgerNotRelational, LedgerTooOld, Refused

# {text} has no limit but the engine's own, where MySQL's TEXT ends at 64 kB. Its names and keys compare by their bytes.
TEXT = {"postgres": "TEXT", "mysql": "LONGTEXT", "sqlite": "TEXT"}
EXACT = {"postgres": "", "mysql": " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "sqlite": ""}

# Times are seconds since 1970 by the database's own clock, so that no two hosts' clocks are ever compared.
# Keys and values of rows are JSON texts: a ledger row may speak of a row in any database.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_job (
      job VARCHAR(150) NOT NULL PRIMARY KEY,
      state VARCHAR(20) NOT NULL DEFAULT 'pending',
      token BIGINT NOT NULL DEFAULT 0,
      holder VARCHAR(150) NOT NULL DEFAULT '',
      lease_until DOUBLE PRECISION NOT NULL DEFAULT 0,
      place VARCHAR(2000) NOT NULL DEFAULT '',
      next_batch BIGINT NOT NULL DEFAULT 1,
      quiet_passes INT NOT NULL DEFAULT 0,
      rows_done BIGINT NOT NULL DEFAULT 0,
      rows_left BIGINT NOT NULL DEFAULT -1,
      limits VARCHAR(2000) NOT NULL DEFAULT '',
      held_by VARCHAR(500) NOT NULL DEFAULT '',
      started DOUBLE PRECISION NOT NULL DEFAULT 0,
      worked DOUBLE PRECISION NOT NULL DEFAULT 0,
      finished DOUBLE PRECISION NOT NULL DEFAULT 0,
      walk VARCHAR(2000) NOT NULL DEFAULT '',
      built_on {text},
      epoch BIGINT NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_batch (
      job VARCHAR(150) NOT NULL,
      number BIGINT NOT NULL,
      token BIGINT NOT NULL,
      state VARCHAR(20) NOT NULL,
      scope {text} NOT NULL,
      tries INT NOT NULL DEFAULT 0,
      row_count BIGINT NOT NULL DEFAULT 0,
      seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
      PRIMARY KEY (job, number)
    )
    """,
    # A key that is too long for an index is known by its hash, and stands in `long_key`.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_failure (
      job VARCHAR(150) NOT NULL,
      row_key VARCHAR(500) NOT NULL,
      error TEXT NOT NULL,
      tries INT NOT NULL DEFAULT 1,
      at DOUBLE PRECISION NOT NULL DEFAULT 0,
      long_key {text},
      PRIMARY KEY (job, row_key)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_ensured (
      job VARCHAR(150) NOT NULL,
      row_key VARCHAR(500) NOT NULL,
      at DOUBLE PRECISION NOT NULL DEFAULT 0,
      PRIMARY KEY (job, row_key)
    )
    """,
    # Held by each lazy key while it is migrated, so that an undo can wait for those that began before it.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_gate (
      job VARCHAR(150) NOT NULL PRIMARY KEY,
      closed BIGINT NOT NULL DEFAULT 0
    )
    """,
    # The key's order is that of `why` and of `undo`, which takes each row's changes newest first.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_change (
      job VARCHAR(150) NOT NULL,
      row_key VARCHAR(500) NOT NULL,
      batch BIGINT NOT NULL,
      place VARCHAR(300) NOT NULL,
      old_values {text} NOT NULL,
      new_values {text} NOT NULL,
      reason {text} NOT NULL,
      made_by VARCHAR(150) NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      undone DOUBLE PRECISION NOT NULL DEFAULT 0,
      PRIMARY KEY (job, row_key, batch)
    )
    """,
    # Changes as a batch records them: many to a row, which takes a quarter of the time of a row for each.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_change_pack (
      job VARCHAR(150) NOT NULL,
      batch BIGINT NOT NULL,
      number BIGINT NOT NULL,
      place VARCHAR(300) NOT NULL,
      column_names {text} NOT NULL,
      changes {text} NOT NULL,
      reason {text} NOT NULL,
      made_by VARCHAR(150) NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      row_count BIGINT NOT NULL,
      PRIMARY KEY (job, batch, number)
    )
    """,
    # What a batch found in another database than the ledger's, kept until the batch is done.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_before (
      job VARCHAR(150) NOT NULL,
      number BIGINT NOT NULL,
      found {text} NOT NULL,
      PRIMARY KEY (job, number)
    )
    """,
    # The project's databases, each with the run that began its history.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_database (
      name VARCHAR(150) NOT NULL PRIMARY KEY,
      began VARCHAR(40) NOT NULL
    )
    """,
    # What follows is only ever added to; of a snapshot, `--replace` takes the rows away, and an event says so.
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_event (
      id VARCHAR(40) NOT NULL PRIMARY KEY,
      at DOUBLE PRECISION NOT NULL,
      who VARCHAR(150) NOT NULL,
      host VARCHAR(255) NOT NULL,
      tool VARCHAR(64) NOT NULL,
      step VARCHAR(300) NOT NULL,
      act VARCHAR(32) NOT NULL,
      note {text} NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_check (
      id VARCHAR(40) NOT NULL PRIMARY KEY,
      check_name VARCHAR(150) NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      who VARCHAR(150) NOT NULL,
      host VARCHAR(255) NOT NULL,
      for_step VARCHAR(300) NOT NULL,
      verdict VARCHAR(20) NOT NULL,
      statement VARCHAR(64) NOT NULL,
      summary {text} NOT NULL,
      row_count BIGINT NOT NULL,
      seconds DOUBLE PRECISION NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_signoff (
      name VARCHAR(150) NOT NULL,
      number INT NOT NULL,
      answer VARCHAR(8) NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      who VARCHAR(150) NOT NULL,
      host VARCHAR(255) NOT NULL,
      note {text} NOT NULL,
      PRIMARY KEY (name, number)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_snapshot (
      name VARCHAR(150) NOT NULL,
      check_name VARCHAR(150) NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      who VARCHAR(150) NOT NULL,
      host VARCHAR(255) NOT NULL,
      release_hash VARCHAR(64) NOT NULL,
      applied VARCHAR(100) NOT NULL,
      statement VARCHAR(64) NOT NULL,
      fields {text} NOT NULL,
      row_count BIGINT NOT NULL,
      PRIMARY KEY (name, check_name)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {home}.stepwell_snapshot_part (
      name VARCHAR(150) NOT NULL,
      check_name VARCHAR(150) NOT NULL,
      number BIGINT NOT NULL,
      content {text} NOT NULL,
      PRIMARY KEY (name, check_name, number)
    )
    """,
)


_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS {home}\.(\w+)")
_COLUMN = re.compile(r"^      ([a-z_]+) (.+?),?$", re.MULTILINE)
_WANTED = {_TABLE.findall(statement)[0]: dict(_COLUMN.findall(statement)) for statement in TABLES}


@contextmanager
def to_write(database: Database) -> Iterator[Database]:
    """The ledger, its tables made. Raises LedgerNotRelational, LedgerTooOld, LedgerDenied."""
    try:
        create(database)
        yield database
    except Denied as error:
        raise denied(database, "write to", error) from None


@contextmanager
def to_read(database: Database) -> Iterator[Database]:
    """The ledger as it is, or an empty one in memory where there is none yet. To look writes nothing.

    Only what an older Stepwell's ledger lacks is added. Raises LedgerNotRelational, LedgerTooOld, LedgerDenied.
    """
    _refuse_clickhouse(database)
    try:
        whole = _are_whole(database)
    except Denied as error:
        raise denied(database, "read", error) from None
    if whole:
        yield database
    elif database.columns("stepwell_job"):
        with to_write(database):
            yield database
    else:
        empty = open_database(database.name, "sqlite:///:memory:", Path())
        empty.connect()
        try:
            create(empty)
            yield empty
        finally:
            empty.close()


def denied(database: Database, act: Literal["read", "write to"], error: Denied) -> LedgerDenied:
    """What to raise where our user may not do so with a ledger."""
    user = ""
    if database.engine != "sqlite":
        with suppress(Refused):
            [(user,)] = database.query("SELECT current_user")
    return LedgerDenied(database.name, str(user), act, error.said)


def create(database: Database) -> None:
    """Make the tables where they are missing, and add the columns that tables of an older Stepwell lack.

    One look, where nothing is missing. Raises LedgerNotRelational for ClickHouse, which has no transactions, and
    LedgerTooOld.
    """
    _refuse_clickhouse(database)
    if _are_whole(database):
        return
    engine, home = database.engine, database.home()
    for template in TABLES:
        statement = template.format(home=home, text=TEXT[engine]) + EXACT[engine]
        try:
            database.query(statement)
        except Refused:  # PostgreSQL refuses one of two at once, IF NOT EXISTS or not; the other has made it by now
            database.query(statement)
    upgrade(database)


def _refuse_clickhouse(database: Database) -> None:
    if database.engine == "clickhouse":
        raise LedgerNotRelational(database.name)


def _are_whole(database: Database) -> bool:
    """Whether all tables are there, with all columns: one statement, for each command asks. Raises Denied."""
    home = database.home()  # which says so where others of these names stand before them
    looks = [
        f"EXISTS (SELECT {', '.join(columns)} FROM {home}.{table} WHERE 1 = 0)" for table, columns in _WANTED.items()
    ]
    try:
        database.query(f"SELECT {', '.join(looks)}")
    except Denied:
        raise
    except Refused:
        return False
    return True


def upgrade(database: Database) -> None:
    """Add the columns that tables of an older Stepwell lack. Raises LedgerTooOld where that is refused."""
    for table, columns in _WANTED.items():
        _add_missing(database, table, columns)


def _add_missing(database: Database, table: str, columns: dict[str, str]) -> None:
    known = database.columns(table)
    for column, declared in columns.items():
        if not known or column in known:
            continue
        statement = f"ALTER TABLE {table} ADD COLUMN {column} {_for_rows(declared, database.engine)}"
        try:
            database.query(statement)
        except Refused as error:
            if column not in database.columns(table):  # by another, at the same time
                raise LedgerTooOld(database.name, table, column, error.said, statement) from None


def _for_rows(declared: str, engine: str) -> str:
    """How a column is declared that rows are there without. MySQL gives them an empty value or 0 by itself."""
    declared = declared.format(text=TEXT[engine])
    if engine == "mysql" or "NOT NULL" not in declared or "DEFAULT" in declared:
        return declared
    return f"{declared} DEFAULT {'0' if re.match('(BIG)?INT|DOUBLE', declared) else repr('')}"
