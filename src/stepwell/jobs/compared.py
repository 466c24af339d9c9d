"""Recording a batch's changes within the server, from which no value travels.

PostgreSQL and MySQL keep the batch's rows as they were in a temporary table, compare them with what `migrate` made of
them, and write what differs into the ledger as JSON text, many rows to one.

Both do it in one snapshot (REPEATABLE READ), so that no row comes to fit the batch's condition behind what was read.
PostgreSQL locks no row for it, which would write each once more: where somebody changes one meanwhile it refuses the
batch (40001), and the next try locks the rows as it reads them, as MySQL, which has no such refusal, does always.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stepwell.databases.database import Database
from stepwell.errors import Refused
from stepwell.jobs.batch import Batch
from stepwell.jobs.definition import Definition
from stepwell.jobs.encoding import Encoding, Kind, encoding_of
from stepwell.ledger import packs
from stepwell.ledger.jobs import CLOCK, LONGEST_KEY, this_process

# Made once a connection and emptied by each commit in PostgreSQL, whose catalog every table made would bloat.
EMPTY = {
    "postgres": ("CREATE TEMPORARY TABLE IF NOT EXISTS {table} ON COMMIT DELETE ROWS AS {select}",),
    "mysql": ("DROP TEMPORARY TABLE IF EXISTS {table}", "CREATE TEMPORARY TABLE {table} AS {select}"),
}

# Not its key in PostgreSQL, or a writer that refers to such a row by a foreign key would wait.
LOCKING = {"postgres": "FOR NO KEY UPDATE", "mysql": "FOR UPDATE"}

REASONS = "stepwell_reason"
EMPTY_REASONS = {
    "postgres": (
        f"""
        CREATE TEMPORARY TABLE IF NOT EXISTS {REASONS} (
          row_key VARCHAR(500) PRIMARY KEY,
          reason TEXT NOT NULL
        )
        ON COMMIT DELETE ROWS
        """,
    ),
    "mysql": (
        f"DROP TEMPORARY TABLE IF EXISTS {REASONS}",
        f"""
        CREATE TEMPORARY TABLE {REASONS} (
          row_key VARCHAR(500) PRIMARY KEY,
          reason LONGTEXT NOT NULL
        )
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        """,
    ),
}

TYPES = {
    "postgres": """
        SELECT format_type(atttypid, atttypmod)
        FROM pg_attribute
        WHERE attrelid = to_regclass(?) AND attnum > 0
        ORDER BY attnum
        """,
}
"""For a table that a connection keeps."""

TO_PACK = {
    # Its older compression takes longer than the rest of the statement; a server may be built without lz4.
    "postgres": """
        SELECT set_config(name, 'lz4', true)
        FROM pg_settings
        WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
        """,
    "mysql": "SET @stepwell_concat_max_len = @@group_concat_max_len, SESSION group_concat_max_len = 4294967295",
}

PACKED = {
    "postgres": """
        INSERT INTO stepwell_change_pack ({made})
        SELECT ?, ?, 0, ?, ?, '[' || string_agg({line}, E',\n') || ']', ?, ?, {now}, count(*)
        FROM {rows}
        HAVING count(*) > 0
        """,
    # In parts, for a text ends at the server's max_allowed_packet: what would be cut off is refused, by the one
    # error that no sql_mode makes a warning.
    "mysql": """
        INSERT INTO stepwell_change_pack ({made})
        SELECT
          ?, ?, part, ?, ?,
          IF(LENGTH(changes) = whole, changes, (SELECT 'too long' UNION ALL SELECT 'for a packet')),
          ?, ?, {now}, row_count
        FROM (
          SELECT
            part,
            COUNT(*) AS row_count,
            CONCAT('[', GROUP_CONCAT(line SEPARATOR ',\n'), ']') AS changes,
            SUM(LENGTH(line)) + 2 * COUNT(*) AS whole
          FROM (SELECT (row_number() OVER () - 1) DIV {most} AS part, {line} AS line FROM {rows}) AS changed
          GROUP BY part
        ) AS packed
        """,
}

TOO_LONG = "1242"
"""What MySQL calls a subquery of two rows, where it may have one."""

MOST_ROWS = 500
"""Rows of a part in MySQL: 32 kB each, old and new values together, with the smallest max_allowed_packet in use."""


@contextmanager
def compared(batch: Batch, definition: Definition, number: int) -> Iterator[int]:
    """Record what the block changes in the batch's rows; gives how many there are."""
    database, keys, columns = batch.database, definition.row_keys, definition.records
    encoding = encoding_of(database, batch.table, (*keys, *columns))
    # By the job and its columns: another job may use the same connection. By their types: a script may change them.
    types = database.query(TYPES[database.engine], (batch.table,)) if database.engine in TYPES else []
    before = f"stepwell_old_{zlib.crc32(repr((definition.name, keys, columns, types)).encode()):08x}"
    selected = ", ".join(
        [
            *(f"{key} AS key_{index}" for index, key in enumerate(keys)),
            *(f"{encoding.kept(column)} AS held_{index}" for index, column in enumerate(columns)),
        ]
    )
    for statement in EMPTY[database.engine]:
        database.query(statement.format(table=before, select=f"SELECT {selected} FROM {batch.table} WHERE 1 = 0"))
    locking = LOCKING[database.engine] if batch.locks_rows or database.engine == "mysql" else ""
    database.query(
        f"INSERT INTO {before} SELECT {selected} FROM {batch.table} WHERE {batch.condition} {locking}",
        batch.parameters,
    )
    _refuse_unfit_keys(database, definition, encoding, before)
    yield int(database.query(f"SELECT count(*) FROM {before}")[0][0])
    _pack(batch, definition, number, encoding, before, selected)


def not_told_apart(keys: Sequence[str]) -> Refused:
    """Why rows can't be recorded by these columns."""
    return Refused(f"rows can't be told apart by {', '.join(keys)}: NULL, or not unique")


def too_long() -> Refused:
    """Why values can't be recorded: MySQL has no text for them."""
    return Refused("values to be recorded are longer than the server's max_allowed_packet")


def _refuse_unfit_keys(database: Database, definition: Definition, encoding: Encoding, before: str) -> None:
    """Refuse rows that the ledger could not tell apart, before they are changed."""
    keys = _named("b.key", definition.row_keys)
    if definition.row_key:
        null = " OR ".join(f"{key} IS NULL" for key in keys)
        text = f"SELECT 1 FROM {before} AS b GROUP BY {', '.join(keys)} HAVING count(*) > 1 OR {null} LIMIT 1"
        if database.query(text):
            raise not_told_apart(definition.row_keys)
    if any(encoding.kinds[key] is not Kind.PLAIN for key in definition.row_keys):
        key = encoding.key(definition.row_keys, keys)
        if database.query(f"SELECT 1 FROM {before} AS b WHERE char_length({key}) > {LONGEST_KEY} LIMIT 1"):
            raise Refused(f"a row's key is longer than the {LONGEST_KEY} characters that the ledger has for it")


def _pack(batch: Batch, definition: Definition, number: int, encoding: Encoding, before: str, selected: str) -> None:
    database, keys, columns = batch.database, definition.row_keys, definition.records
    key = encoding.list(map(encoding.expression, keys, _named("b.key", keys)))
    old, new = (encoding.list(map(encoding.of_kept, columns, _named(held, columns))) for held in ("b.held", "t.held"))
    line, its_reason = [*key, "', '", *old, "', '", *new], ""
    if batch.notes.reasons:
        _load_reasons(batch, before, keys, encoding.joined(key))
        line += ["', '", encoding.text("r.reason")]
        its_reason = f"LEFT JOIN {REASONS} AS r ON r.row_key = {encoding.joined(key)}"
    # By the batch's keys as well, or PostgreSQL may read all rows before them for a merge join.
    whole = "" if definition.row_key else f"WHERE {batch.whole.text}"
    same_row = " AND ".join(f"t.key_{index} = b.key_{index}" for index in range(len(keys)))
    differs = " OR ".join(
        encoding.differs(column, f"b.held_{index}", f"t.held_{index}") for index, column in enumerate(columns)
    )
    rows = f"""
        {before} AS b
        JOIN (SELECT {selected} FROM {batch.table} {whole}) AS t ON {same_row}
        {its_reason}
        WHERE {differs}
        """
    database.query(TO_PACK[database.engine])
    text = PACKED[database.engine].format(
        made=packs.COLUMNS,
        line=encoding.joined(["'['", *line, "']'"]),
        rows=rows,
        now=CLOCK[database.engine],
        most=MOST_ROWS,
    )
    made = (definition.name, number, definition.place)
    told = (json.dumps(columns, ensure_ascii=False), batch.notes.reason, this_process())
    try:
        database.query(text, (*made, *told, *(batch.whole.parameters if whole else ())))
    except Refused as error:
        if database.engine == "mysql" and error.code == TOO_LONG:
            raise too_long() from error
        raise
    if database.engine == "mysql":
        database.query("SET SESSION group_concat_max_len = @stepwell_concat_max_len")


def _load_reasons(batch: Batch, before: str, keys: Sequence[str], key: str) -> None:
    database = batch.database
    for statement in EMPTY_REASONS[database.engine]:
        database.query(statement)
    names = ", ".join(_named("b.key", keys))
    spelled = {tuple(values): text for *values, text in database.query(f"SELECT {names}, {key} FROM {before} AS b")}
    rows = [(spelled[values], text) for values, text in batch.notes.reasons.items() if values in spelled]
    database.insert(REASONS, ["row_key", "reason"], rows)


def _named(beginning: str, columns: Sequence[str]) -> list[str]:
    return [f"{beginning}_{index}" for index in range(len(columns))]
