"""Indexes built, dropped and rebuilt CONCURRENTLY: what is left when one of these ends in the middle.

PostgreSQL builds such an index in several transactions. Until the last of them the index is *invalid*: it is
there, slows every write down, and no query uses it. What died in the middle leaves it like that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stepwell.databases.database import Evidence, Finding, Outcome
from stepwell.databases.postgres.visible import Query, Repair
from stepwell.errors import Refused

INDEXES = """
SELECT c.oid::bigint,
       c.relname,
       format('%I.%I', n.nspname, c.relname),
       i.indisvalid,
       pg_get_indexdef(c.oid),
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
"""
# An index of this name on another table of the schema is in the way, too.
OF_TABLE = f"""{INDEXES}
WHERE i.indrelid = ?::bigint
   OR c.relname = ? AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = ?::bigint)
ORDER BY c.oid
"""
# A rebuild works on a twin, index_ccnew, and swaps it with the old one: index_ccold until it is dropped.
TWINS = f"""{INDEXES}
WHERE NOT i.indisvalid
  AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND (
    ?::bigint IS NULL
    OR i.indrelid = ?::bigint
    OR i.indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = ?::bigint)
    OR i.indrelid IN (SELECT relid FROM pg_partition_tree(?::bigint::regclass))
  )
ORDER BY c.oid
"""
OID = "SELECT to_regclass(?)::oid::bigint"
TABLE_OF_INDEX = "SELECT indrelid::bigint FROM pg_index WHERE indexrelid = to_regclass(?)"
EXISTS = "SELECT 1 FROM pg_class WHERE oid = ?::bigint"


@dataclass(frozen=True, slots=True)
class Index:
    """An index as the catalog has it. `building` is whether some session is at work on it now."""

    oid: int
    name: str
    spelled: str
    valid: bool
    definition: str
    building: bool

    @property
    def removal(self) -> str:
        return f"DROP INDEX CONCURRENTLY {self.spelled}"


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """CREATE INDEX CONCURRENTLY. `name` is '' where PostgreSQL chooses it; `table` is spelled as in SQL."""

    patient: ClassVar[bool] = True
    name: str
    table: str

    def evidence(self, query: Query) -> Evidence:
        """The table's indexes. Raises Refused where an invalid one bears the name already."""
        table = query(OID, (self.table,))[0][0]
        indexes = self._indexes(query, table)
        for index in indexes:
            if index.name == self.name and not index.valid:
                raise Refused(_invalid_before(index))
        return {"table": table, "indexes": {str(i.oid): [i.name, i.valid, i.definition] for i in indexes}}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Is the index there, and whole? A half-built one is dropped."""
        table = evidence["table"] or query(OID, (self.table,))[0][0]
        indexes = self._indexes(query, table)
        new = [index for index in indexes if str(index.oid) not in evidence["indexes"] and self._may_be(index)]
        for index in new:
            if index.building:
                return Finding(Outcome.UNKNOWN, f"index {index.spelled} is still being built")
        if len(new) > 1:
            several = ", ".join(index.spelled for index in new)
            return Finding(Outcome.UNKNOWN, f"several indexes are new, any of which may be it: {several}")
        if new and new[0].valid:
            return Finding(Outcome.DONE, f"index {new[0].spelled} is there and valid")
        if new:
            repair(new[0].removal)
            return Finding(Outcome.NOT_DONE, f"index {new[0].spelled} was left half built; it was dropped")
        for index in indexes:
            if index.name == self.name and not index.valid:
                return Finding(Outcome.UNKNOWN, _invalid_before(index))
            if index.name == self.name:
                return Finding(Outcome.NOT_DONE, f"index {index.spelled} was there before, and is valid")
        return Finding(Outcome.NOT_DONE, f"there is no such index on {self.table}")

    def _indexes(self, query: Query, table: int | None) -> list[Index]:
        return [Index(*row) for row in query(OF_TABLE, (table, self.name, table))]

    def _may_be(self, index: Index) -> bool:
        return index.name == self.name if self.name else not index.name.endswith(("_ccnew", "_ccold"))


@dataclass(frozen=True, slots=True)
class DropIndex:
    """DROP INDEX CONCURRENTLY. `index` is spelled as in SQL."""

    patient: ClassVar[bool] = True
    index: str

    def evidence(self, query: Query) -> Evidence:
        """Which index that is."""
        return {"index": query(OID, (self.index,))[0][0]}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Is it gone? One that is left, even invalid, can be dropped again."""
        if evidence["index"] is None:
            return Finding(Outcome.NOT_DONE, f"there was no index {self.index}")
        if query(EXISTS, (evidence["index"],)):
            return Finding(Outcome.NOT_DONE, f"index {self.index} is still there")
        return Finding(Outcome.DONE, f"index {self.index} is gone")


@dataclass(frozen=True, slots=True)
class Reindex:
    """REINDEX … CONCURRENTLY of an INDEX, a TABLE, or a whole SCHEMA or DATABASE. Always safe to repeat."""

    patient: ClassVar[bool] = True
    kind: str
    name: str

    def evidence(self, query: Query) -> Evidence:
        """The table, and the half-built twins that were there before."""
        table = None
        if self.kind in ("INDEX", "TABLE"):
            found = query(OID if self.kind == "TABLE" else TABLE_OF_INDEX, (self.name,))
            table = (found[0][0] if found else None) or 0  # of no table there are none
        return {"table": table, "twins": [index.oid for index in _twins(query, table)]}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Drop the twins it left."""
        left = [index for index in _twins(query, evidence["table"]) if index.oid not in evidence["twins"]]
        for index in left:
            if index.building:
                return Finding(Outcome.UNKNOWN, f"index {index.spelled} is still being built")
        for index in left:
            repair(index.removal)
        dropped = f"; dropped what it left: {', '.join(index.spelled for index in left)}" if left else ""
        return Finding(Outcome.NOT_DONE, f"an index may be rebuilt any number of times{dropped}")


def _twins(query: Query, table: int | None) -> list[Index]:
    return [Index(*row) for row in query(TWINS, (table,) * 4)]


def _invalid_before(index: Index) -> str:
    if index.building:
        return f"index {index.spelled} is being built by another session; run again when that has ended"
    return (
        f"index {index.spelled} is there from an earlier attempt, but invalid: no query uses it,\n"
        f"and IF NOT EXISTS would pass over it. Drop it first: {index.removal};"
    )
