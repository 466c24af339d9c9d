"""The side of MySQL and MariaDB in a copy: their columns, values as text, and rows coming in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.databases.database import Database
from stepwell.databases.lexing import Reader
from stepwell.databases.mysql.names import quoted as quote
from stepwell.databases.transfer import Column, Kind, Pair, There, blame, require_text, row_differs
from stepwell.errors import Refused

__all__ = ["IN_TRANSACTION", "Landing", "columns", "prepare", "quote", "text"]

IN_TRANSACTION = False

STAGE = "stepwell_copy"

COLUMNS = """
SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE = 'YES', CHARACTER_SET_NAME, COLLATION_NAME
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?
ORDER BY ORDINAL_POSITION
"""

STRICT = """
SET
  SESSION time_zone = '+00:00',
  SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO')
"""

UTF8 = "CHARACTER SET utf8mb4"
FLOATS = frozenset({"float", "double"})
BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "bit", "year"})
FRACTIONS = frozenset({"decimal", "datetime", "time", "timestamp"})
KINDS = {
    **dict.fromkeys(INTEGERS, Kind.INTEGER),
    **dict.fromkeys(FRACTIONS, Kind.FRACTION),
    **dict.fromkeys(FLOATS, Kind.FLOAT),
    **dict.fromkeys(BINARY, Kind.BYTES),
}


def columns(database: Database, table: str) -> list[Column]:
    """The columns of a table, spelled as in SQL."""
    *schema, name = Reader(table, "mysql").name()
    found = database.query(COLUMNS, (schema[0] if schema else None, name))
    return [_column(name, spelled, family.lower(), *rest) for name, spelled, family, *rest in found]


def _column(
    name: str, spelled: str, family: str, nullable: int, characters: str | None, collation: str | None
) -> Column:
    if characters:
        spelled += f" CHARACTER SET {characters} COLLATE {collation}"
    return Column(name, spelled, family, KINDS.get(family, Kind.PLAIN), bool(nullable), family in BINARY)


def prepare(database: Database, into: str, pairs: Sequence[Pair], found: str, parameters: Sequence[Any]) -> None:
    """Nothing: what is read does not depend on the session."""


def text(column: Column, wire: Kind, value: str) -> str:
    """SQL for the text of a value of this column, whatever the session's time zone and mode.

    By CONCAT and not by CAST, which takes half as long again.
    """
    if wire is Kind.INTEGER:
        return f"{value} + 0"  # not its zeros to the left
    if column.kind is Kind.FRACTION:
        return _untrimmed(column, value) if wire is Kind.FRACTION else _trimmed(_untrimmed(column, value))
    match column.family:
        case family if family in BINARY:
            return f"LOWER(HEX({value}))"
        case family if family in INTEGERS:
            return f"CONCAT({value} + 0)"
        case "float" | "double":
            return f"CAST({value} + 0e0 AS CHAR)"  # FLOAT would be written with six digits
        case "date":
            return f"CONCAT({value})"
        case "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" if UTF8 in column.type:
            return value
    return f"CONVERT({value} USING utf8mb4)"


def _untrimmed(column: Column, value: str) -> str:
    """SQL for the text of a decimal or a time, with the zeros at its end: to take them off costs more than to read."""
    match column.family:
        case "decimal":
            return f"CONCAT({value} + 0)"
        case "timestamp":
            moment = f"TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP({value}) SECOND"
            return f"IF(UNIX_TIMESTAMP({value}) = 0, '0000-00-00 00:00:00', CONCAT({moment}))"
    return f"CONCAT({value})"


def _trimmed(number: str) -> str:
    """Without the zeros, and the point, that end a fraction."""
    cut = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {number}))"
    return f"IF(LOCATE('.', {number}), {cut}, {number})"


class Landing:
    """Rows on their way into a table, within the open transaction.

    A temporary table holds each value twice: as the text that came, and in a column of the target's type.
    """

    def __init__(self, database: Database, table: str, pairs: Sequence[Pair], key: Sequence[str], there: There) -> None:
        self._database, self._table, self._pairs, self._key, self._there = database, table, pairs, key, there
        self._texts = [f"c{place}" for place in range(len(pairs))]
        self._mode: Sequence[Any] = ()

    def __enter__(self) -> Landing:
        database = self._database
        self._mode = database.query("SELECT @@SESSION.time_zone, @@SESSION.sql_mode")[0]
        database.query(STRICT)
        fields = [f"{name} LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" for name in self._texts]
        fields += [f"v{place} {pair.target.type} NULL" for place, pair in enumerate(self._pairs)]
        database.query(f"DROP TEMPORARY TABLE IF EXISTS {STAGE}")
        database.query(f"CREATE TEMPORARY TABLE {STAGE} ({', '.join(fields)}) ENGINE = InnoDB")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            self._database.query(f"DROP TEMPORARY TABLE IF EXISTS {STAGE}")
            self._database.query("SET SESSION time_zone = ?, SESSION sql_mode = ?", self._mode)
        except Refused:
            if kind is None:  # else the connection is gone, and all this with it
                raise

    def fetch(self, source: Database, select: str, found: str, parameters: Sequence[Any]) -> int | None:
        return None

    def land(self, lines: bytes) -> None:
        """Add those rows of whole lines that are not there yet. Raises NotExact and RowDiffers."""
        require_text(self._table, self._pairs, lines)
        database, places = self._database, range(len(self._pairs))
        database.load(STAGE, self._texts, lines)
        refused: Refused | None = None
        try:
            database.query(f"UPDATE {STAGE} SET {', '.join(map(self._set, places))}")
            if not database.query(f"SELECT 1 FROM {STAGE} WHERE {' OR '.join(map(self._bad, places))} LIMIT 1"):
                database.query(self._insert())
                if self._there is not There.LEFT and database.query("SELECT ROW_COUNT()")[0][0] < lines.count(b"\n"):
                    self._look_at_those_there()
                database.query(f"DELETE FROM {STAGE}")
                return
        except Refused as error:
            if type(error) is not Refused:
                raise
            refused = error
        raise blame(self._table, self._pairs, self._unfit, refused)

    def _unfit(self, place: int) -> list[tuple[Any, ...]]:
        self._database.query(f"UPDATE {STAGE} SET {self._set(place)}")
        return self._database.query(f"SELECT c{place} FROM {STAGE} WHERE {self._bad(place)} LIMIT 1")

    def _set(self, place: int) -> str:
        match self._pairs[place].target.family:
            case family if family in BINARY:
                return f"v{place} = UNHEX(c{place})"
            case "bit":
                return f"v{place} = CAST(c{place} AS UNSIGNED)"
        return f"v{place} = c{place}"

    def _bad(self, place: int) -> str:
        """SQL that is true where the typed column does not give back the text that came."""
        pair, came, value = self._pairs[place], f"c{place}", f"v{place}"
        if pair.wire is Kind.FLOAT:
            same = f"{value} + 0e0 <=> {came} + 0e0"
        elif pair.target.family == "json":
            same = f"({value} IS NULL) = ({came} IS NULL)"  # its spelling may change, its meaning does not
        else:
            again = text(pair.target, Kind.PLAIN if pair.target.kind is Kind.FRACTION else pair.wire, value)
            if pair.target.kind is Kind.FRACTION:
                came = _trimmed(came)
            same = f"CAST(CONVERT({again} USING utf8mb4) AS BINARY) <=> CAST({came} AS BINARY)"
        return f"NOT ({same})" if pair.target.nullable else f"({came} IS NULL OR NOT ({same}))"

    def _look_at_those_there(self) -> None:
        """Make the same those rows that were there before, or raise RowDiffers."""
        own = [f"t.{quote(pair.target.name)}" for pair in self._pairs]
        differ = [
            f"NOT ({self._bytes(place, mine)} <=> {self._bytes(place, f's.v{place}')})"
            for place, mine in enumerate(own)
        ]
        found = f"{self._same_key()} AND ({' OR '.join(differ)})"
        if self._there is There.REPLACED:
            changes = ", ".join(f"{mine} = s.v{place}" for place, mine in enumerate(own))
            self._database.query(f"UPDATE {self._table} AS t, {STAGE} AS s SET {changes} WHERE {found}")
            return
        shown = ", ".join([*(f"t.{quote(name)}" for name in self._key), *differ])
        # As INSERT … SELECT does, this has to see rows that came since the transaction's first look.
        look = f"SELECT {shown} FROM {self._table} AS t, {STAGE} AS s WHERE {found} LIMIT 1 FOR UPDATE"
        for row in self._database.query(look):
            raise row_differs(self._table, self._pairs, self._key, row)

    def _bytes(self, place: int, value: str) -> str:
        """SQL for a value of the target as bytes: no collation takes two that differ for the same."""
        return f"CAST({text(self._pairs[place].target, Kind.PLAIN, value)} AS BINARY)"

    def _insert(self) -> str:
        names = ", ".join(quote(pair.target.name) for pair in self._pairs)
        values = ", ".join(f"s.v{place}" for place in range(len(self._pairs)))
        text = f"INSERT INTO {self._table} ({names}) SELECT {values} FROM {STAGE} AS s"
        if not self._key:
            return text
        return f"{text} WHERE NOT EXISTS (SELECT 1 FROM {self._table} AS t WHERE {self._same_key()})"

    def _same_key(self) -> str:
        place_of = {pair.target.name: place for place, pair in enumerate(self._pairs)}
        return " AND ".join(f"t.{quote(name)} = s.v{place_of[name]}" for name in self._key)
