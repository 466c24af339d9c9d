"""PostgreSQL's side of a copy: its columns, their values as text, and rows coming in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.postgres.names import quote
from stepwell.databases.transfer import Column, Kind, Pair, There, blame, require_text, row_differs
from stepwell.errors import Refused

__all__ = ["IN_TRANSACTION", "Landing", "columns", "prepare", "quote", "text"]

IN_TRANSACTION = True

STAGE = "pg_temp.stepwell_copy"

COLUMNS = """
SELECT
  attname,
  format_type(atttypid, atttypmod),
  base.typname,
  base.typcategory = 'A',
  NOT attnotnull AND NOT stated.typnotnull
FROM pg_attribute
JOIN pg_type AS stated ON stated.oid = atttypid
JOIN pg_type AS base ON base.oid = coalesce(nullif(stated.typbasetype, 0), stated.oid)
WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""

SETTINGS = """
SELECT
  set_config('DateStyle', 'ISO, YMD', true),
  set_config('IntervalStyle', 'postgres', true),
  set_config('extra_float_digits', '1', true)
"""
"""What the text of values depends on, set until the transaction ends."""

TEXTS = {
    "bool": "({}::int)::text",
    "numeric": "trim_scale({})::text",
    "float4": "({}::float8)::text",
    "bytea": "encode({}, 'hex')",
    "timestamptz": "({} AT TIME ZONE 'UTC')::text",
}
KINDS = {
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "numeric": Kind.FRACTION,
    "float4": Kind.FLOAT,
    "float8": Kind.FLOAT,
    "bytea": Kind.BYTES,
}


def columns(database: Database, table: str) -> list[Column]:
    """The columns of a table, spelled as in SQL."""
    return [
        Column(name, spelled, base, Kind.ARRAY if array else KINDS.get(base, Kind.PLAIN), nullable, base == "bytea")
        for name, spelled, base, array, nullable in database.query(COLUMNS, (table,))
    ]


def prepare(database: Database, into: str, pairs: Sequence[Pair], found: str, parameters: Sequence[Any]) -> None:
    """Make the open transaction spell values as copying reads them."""
    database.query(SETTINGS)


def text(column: Column, wire: Kind, value: str) -> str:
    """SQL for the text of a value of this column."""
    if column.kind is Kind.ARRAY:
        return f"array_to_json(({value})::text[])::text"
    if wire is Kind.INTEGER:
        return f"({value})::int8"
    if wire is Kind.FRACTION:
        return f"({value})::text"
    return TEXTS.get(column.family, "({})::text").format(value)


class Landing:
    """Rows on their way into a table, within the open transaction: a temporary table holds their texts."""

    def __init__(self, database: Database, table: str, pairs: Sequence[Pair], key: Sequence[str], there: There) -> None:
        self._database, self._table, self._pairs, self._key, self._there = database, table, pairs, key, there
        self._texts = [f"c{place}" for place in range(len(pairs))]
        self._values = [_value(pair, f"s.c{place}") for place, pair in enumerate(pairs)]

    def __enter__(self) -> Landing:
        self._database.query(SETTINGS)
        self._database.query(f"DROP TABLE IF EXISTS {STAGE}")
        fields = ", ".join(f"{name} text" for name in self._texts)
        self._database.query(f"CREATE TEMPORARY TABLE stepwell_copy ({fields})")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:  # a transaction that failed takes it back
            self._database.query(f"DROP TABLE {STAGE}")

    def fetch(self, source: Database, select: str, found: str, parameters: Sequence[Any]) -> int | None:
        return None

    def land(self, lines: bytes) -> None:
        """Add those rows of whole lines that are not there yet. Raises NotExact and RowDiffers."""
        database = self._database
        try:
            database.load(STAGE, self._texts, lines)
        except Refused:
            require_text(self._table, self._pairs, lines, nul=False)
            raise
        database.query("SAVEPOINT stepwell_copy")
        refused: Refused | None = None
        try:
            bad = " OR ".join(map(self._bad, range(len(self._pairs))))
            if not database.query(f"SELECT 1 FROM {STAGE} AS s WHERE {bad} LIMIT 1"):
                [(added,)] = database.query(f"WITH added AS ({self._insert()} RETURNING 1) SELECT count(*) FROM added")
                if added < lines.count(b"\n") and self._there is not There.LEFT:
                    self._look_at_those_there()
                database.query(f"TRUNCATE {STAGE}")
                database.query("RELEASE SAVEPOINT stepwell_copy")
                return
        except Refused as error:
            if type(error) is not Refused:
                raise
            refused = error
        raise blame(self._table, self._pairs, self._unfit, refused)

    def _unfit(self, place: int) -> list[tuple[Any, ...]]:
        self._database.query("ROLLBACK TO SAVEPOINT stepwell_copy")
        return self._database.query(f"SELECT s.c{place} FROM {STAGE} AS s WHERE {self._bad(place)} LIMIT 1")

    def _bad(self, place: int) -> str:
        """SQL that is true where the target would not give back the text that came."""
        return self._differs(place, self._values[place])

    def _look_at_those_there(self) -> None:
        """Make the same those rows that were there before, or raise RowDiffers."""
        differ = [self._differs(place, f"t.{quote(pair.target.name)}") for place, pair in enumerate(self._pairs)]
        found = f"{self._same_key()} AND ({' OR '.join(differ)})"
        if self._there is There.REPLACED:
            values = zip(self._pairs, self._values, strict=True)
            changes = ", ".join(f"{quote(pair.target.name)} = {value}" for pair, value in values)
            self._database.query(f"UPDATE {self._table} AS t SET {changes} FROM {STAGE} AS s WHERE {found}")
            return
        shown = ", ".join([*(f"t.{quote(name)}::text" for name in self._key), *differ])
        for row in self._database.query(f"SELECT {shown} FROM {self._table} AS t, {STAGE} AS s WHERE {found} LIMIT 1"):
            raise row_differs(self._table, self._pairs, self._key, row)

    def _differs(self, place: int, value: str) -> str:
        """SQL that is true where a value of the target does not give back the text that came."""
        pair, came = self._pairs[place], f"s.c{place}"
        again = text(pair.target, pair.wire, value)
        if pair.wire is Kind.FLOAT:
            differs = f"({value})::float8 IS DISTINCT FROM {came}::float8"
        elif pair.wire is Kind.INTEGER:
            differs = f"({value})::text IS DISTINCT FROM {came}"
        elif pair.target.family == "numeric":
            differs = f"{value} IS DISTINCT FROM {came}::numeric"
        elif pair.target.kind is Kind.ARRAY:
            differs = f"({again})::jsonb IS DISTINCT FROM {came}::jsonb"
        elif pair.target.family == "jsonb":
            differs = f"({value}) IS DISTINCT FROM {came}::jsonb"  # its spelling may change, its meaning does not
        else:
            differs = f'({again}) COLLATE "C" IS DISTINCT FROM {came}'
        return f"({differs})" if pair.target.nullable else f"({came} IS NULL OR {differs})"

    def _insert(self) -> str:
        names = [quote(pair.target.name) for pair in self._pairs]
        text = f"""
            INSERT INTO {self._table} ({", ".join(names)})
            OVERRIDING SYSTEM VALUE
            SELECT {", ".join(self._values)}
            FROM {STAGE} AS s
        """
        if not self._key:
            return text
        return f"{text} WHERE NOT EXISTS (SELECT FROM {self._table} AS t WHERE {self._same_key()})"

    def _same_key(self) -> str:
        value_of = {pair.target.name: value for pair, value in zip(self._pairs, self._values, strict=True)}
        return " AND ".join(f"t.{quote(name)} = {value_of[name]}" for name in self._key)


def _value(pair: Pair, came: str) -> str:
    """SQL for the target's value of a text that came."""
    target = pair.target
    if target.kind is Kind.BYTES:
        return f"decode({came}, 'hex')"
    if target.family == "bool":
        return f"CASE {came} WHEN '0' THEN false WHEN '1' THEN true END"
    if target.family == "timestamptz":
        return f"CAST({came}::timestamp AT TIME ZONE 'UTC' AS {target.type})"
    if target.kind is Kind.ARRAY:
        elements = f"SELECT e FROM json_array_elements_text({came}::json) WITH ORDINALITY AS x(e, n) ORDER BY n"
        return f"CAST(CASE WHEN {came} IS NOT NULL THEN ARRAY({elements}) END AS {target.type})"
    return f"CAST({came} AS {target.type})"
