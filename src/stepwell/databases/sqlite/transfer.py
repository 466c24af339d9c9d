"""SQLite's side of a copy. It keeps what it is given, whatever the column says, so values are checked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.databases import lines as tsv
from stepwell.databases.database import Database
from stepwell.databases.lexing import Reader
from stepwell.databases.transfer import Column, Kind, Pair, There, not_exact, require_text, row_differs, unfit

IN_TRANSACTION = False

STAGE = "temp.stepwell_copy"

COLUMNS = """
SELECT name, type, "notnull" = 0 AND pk = 0
FROM pragma_table_xinfo(?)
WHERE hidden <> 1
"""


def columns(database: Database, table: str) -> list[Column]:
    """The columns of a table, spelled as in SQL."""
    name = Reader(table, "sqlite").name()[-1]
    return [_column(*row) for row in database.query(COLUMNS, (name,))]


def _column(name: str, spelled: str, nullable: int) -> Column:
    word = spelled.upper()
    if not word or "BLOB" in word:
        return Column(name, spelled, "blob", Kind.BYTES, bool(nullable), raw=True)
    real = any(part in word for part in ("REAL", "FLOA", "DOUB")) and "INT" not in word
    return Column(name, spelled, "real" if real else "", Kind.FLOAT if real else Kind.PLAIN, bool(nullable))


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(column: Column, wire: Kind, value: str) -> str:
    """SQL for a value; it leaves SQLite as it is, for its own text of a number is not exact."""
    return value


def prepare(database: Database, into: str, pairs: Sequence[Pair], found: str, parameters: Sequence[Any]) -> None:
    """Raises NotExact where a column holds bytes among texts, or texts among bytes."""
    kinds = [f"typeof({quote(pair.source.name)})" for pair in pairs]
    strays = [
        f"{kind} NOT IN ('blob', 'null')" if pair.wire is Kind.BYTES else f"{kind} = 'blob'"
        for kind, pair in zip(kinds, pairs, strict=True)
    ]
    stray = f"SELECT {', '.join(kinds)}, {', '.join(strays)} {found} AND ({' OR '.join(strays)}) LIMIT 1"
    for row in database.query(stray, parameters):
        place = row.index(1, len(pairs)) - len(pairs)
        name = pairs[place].source.name
        raise not_exact(into, pairs[place], f"column {name} has a value of type {row[place]}")


class Landing:
    """Rows on their way into a table, within the open transaction.

    A temporary table with columns like the target's turns values into others just as the target would.
    """

    def __init__(self, database: Database, table: str, pairs: Sequence[Pair], key: Sequence[str], there: There) -> None:
        self._database, self._table, self._pairs, self._key, self._there = database, table, pairs, key, there
        self._values = [f"v{place}" for place in range(len(pairs))]

    def __enter__(self) -> Landing:
        fields = ", ".join(f"v{place} {pair.target.type}" for place, pair in enumerate(self._pairs))
        self._database.query(f"DROP TABLE IF EXISTS {STAGE}")
        self._database.query(f"CREATE TABLE {STAGE} ({fields})")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:  # a transaction that failed takes it back
            self._database.query(f"DROP TABLE {STAGE}")

    def fetch(self, source: Database, select: str, found: str, parameters: Sequence[Any]) -> int | None:
        return None

    def land(self, lines: bytes) -> None:
        """Add those rows of whole lines that are not there yet. Raises NotExact and RowDiffers."""
        require_text(self._table, self._pairs, lines)
        database, came = self._database, tsv.decode(lines)
        database.insert(STAGE, self._values, [list(map(self._value, self._pairs, row)) for row in came])
        kept = database.query(f"SELECT {', '.join(self._values)} FROM {STAGE} ORDER BY rowid")
        for row, again in zip(came, kept, strict=True):
            for pair, field, value in zip(self._pairs, row, again, strict=True):
                if not _same(pair, field, value):
                    raise unfit(self._table, pair, field)
        database.query(self._insert())
        if self._there is not There.LEFT and database.query("SELECT changes()")[0][0] < len(came):
            self._look_at_those_there()
        database.query(f"DELETE FROM {STAGE}")

    def _look_at_those_there(self) -> None:
        """Make the same those rows that were there before, or raise RowDiffers."""
        own = [quote(pair.target.name) for pair in self._pairs]
        differ = [f"{value} IS NOT t.{mine}" for value, mine in zip(self._values, own, strict=True)]
        found = f"{self._same_key()} AND ({' OR '.join(differ)})"
        if self._there is There.REPLACED:
            changes = ", ".join(f"{mine} = {value}" for value, mine in zip(self._values, own, strict=True))
            self._database.query(f"UPDATE {self._table} AS t SET {changes} FROM {STAGE} AS s WHERE {found}")
            return
        shown = ", ".join([*(f"t.{quote(name)}" for name in self._key), *differ])
        for row in self._database.query(f"SELECT {shown} FROM {self._table} AS t, {STAGE} AS s WHERE {found} LIMIT 1"):
            raise row_differs(self._table, self._pairs, self._key, row)

    def _value(self, pair: Pair, field: str | None) -> Any:
        if field is None:
            return None
        if pair.wire is Kind.BYTES:
            return bytes.fromhex(field)
        return float(field) if pair.wire is Kind.FLOAT else field

    def _insert(self) -> str:
        names = ", ".join(quote(pair.target.name) for pair in self._pairs)
        text = f"INSERT INTO {self._table} ({names}) SELECT {', '.join(self._values)} FROM {STAGE} AS s"
        if not self._key:
            return text
        return f"{text} WHERE NOT EXISTS (SELECT 1 FROM {self._table} AS t WHERE {self._same_key()})"

    def _same_key(self) -> str:
        place_of = {pair.target.name: place for place, pair in enumerate(self._pairs)}
        return " AND ".join(f"t.{quote(name)} = s.v{place_of[name]}" for name in self._key)


def _same(pair: Pair, came: str | None, kept: Any) -> bool:
    if came is None:
        return kept is None and pair.target.nullable
    if pair.wire is Kind.FLOAT:
        return isinstance(kept, float) and kept == float(came)
    return kept is not None and tsv.spelled(kept) == came
