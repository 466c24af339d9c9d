"""Databases, tablespaces, subscriptions and partitions: the catalog tells whether the statement was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stepwell.databases.database import Evidence, Finding, Outcome
from stepwell.databases.postgres.visible import Query, Repair

ENTRY = {
    "DATABASE": "SELECT oid::bigint FROM pg_database WHERE datname = ?",
    "SUBSCRIPTION": "SELECT oid::bigint FROM pg_subscription WHERE subname = ?",
    "TABLESPACE": "SELECT oid::bigint FROM pg_tablespace WHERE spcname = ?",
}
PUBLICATIONS = "SELECT subpublications FROM pg_subscription WHERE subname = ?"
ATTACHED = """
SELECT inhparent::bigint, inhrelid::bigint
FROM pg_inherits
WHERE inhparent = to_regclass(?) AND inhrelid = to_regclass(?)
"""
DETACHING = """
SELECT inhdetachpending, inhparent::regclass::text, inhrelid::regclass::text
FROM pg_inherits
WHERE inhparent = ?::bigint AND inhrelid = ?::bigint
"""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """CREATE or DROP of a DATABASE, SUBSCRIPTION or TABLESPACE. `name` is as the catalog holds it."""

    patient: ClassVar[bool] = False
    kind: str
    name: str
    created: bool

    def evidence(self, query: Query) -> Evidence:
        """Its entry in the catalog, if there is one."""
        return {"entry": self._entry(query)}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Has the entry come, or gone?"""
        before, now = evidence["entry"], self._entry(query)
        what = f"{self.kind.lower()} {self.name}"
        if self.created and now is not None and before is None:
            return Finding(Outcome.DONE, f"{what} is there")
        if not self.created and before is not None and now != before:
            return Finding(Outcome.DONE, f"{what} is gone")
        there = "there is no" if now is None else "there was already a" if self.created else "there still is"
        return Finding(Outcome.NOT_DONE, f"{there} {what}")

    def _entry(self, query: Query) -> int | None:
        rows = query(ENTRY[self.kind], (self.name,))
        return rows[0][0] if rows else None


@dataclass(frozen=True, slots=True)
class AlterSubscription:
    """ALTER SUBSCRIPTION that changes or refreshes its publications. A refresh may be repeated."""

    patient: ClassVar[bool] = False
    name: str

    def evidence(self, query: Query) -> Evidence:
        """Its publications."""
        return {"publications": self._publications(query)}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Are they others now? List and refresh change in one transaction."""
        if self._publications(query) != evidence["publications"]:
            return Finding(Outcome.DONE, f"the publications of subscription {self.name} have changed")
        return Finding(Outcome.NOT_DONE, f"the publications of subscription {self.name} are as before")

    def _publications(self, query: Query) -> list[str] | None:
        rows = query(PUBLICATIONS, (self.name,))
        return rows[0][0] if rows else None


@dataclass(frozen=True, slots=True)
class DetachPartition:
    """ALTER TABLE … DETACH PARTITION … CONCURRENTLY. Both names are spelled as in SQL."""

    patient: ClassVar[bool] = False  # in the end it needs the partition for itself
    parent: str
    partition: str

    def evidence(self, query: Query) -> Evidence:
        """The two tables, if one is a partition of the other."""
        rows = query(ATTACHED, (self.parent, self.partition))
        return {"attached": list(rows[0]) if rows else None}

    def settle(self, query: Query, repair: Repair, evidence: Evidence) -> Finding:
        """Is it a partition no more? A detachment that stopped half-way can only go on, so it is finished."""
        if evidence["attached"] is None:
            return Finding(Outcome.NOT_DONE, f"{self.partition} was no partition of {self.parent}")
        rows = query(DETACHING, evidence["attached"])
        if not rows:
            return Finding(Outcome.DONE, f"{self.partition} is no partition of {self.parent} any more")
        half_way, parent, partition = rows[0]
        if half_way:
            repair(f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE")
            return Finding(Outcome.DONE, f"{self.partition} was half detached; the detachment was finished")
        return Finding(Outcome.NOT_DONE, f"{self.partition} is still a partition of {self.parent}")
