"""The way back: giving rows the values that they had before a job changed them, unless others changed them since.

Each row's changes are taken back newest first, and all columns of a row together. A row that holds anything else than
what the job left there belongs to whoever wrote that: it is left alone and listed. What is taken back and the record
of it commit together; where the ledger is in another database the rows commit first, and a repeated undo
finds them as they were and only records it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from stepwell.databases import recording
from stepwell.databases.database import Command, Database
from stepwell.errors import BadRequest, ConnectionLost, KeyUnderWay, LockTimeout, Refused, UndoRefused
from stepwell.jobs.batch import Connections, outlived, tag_of
from stepwell.jobs.changes import MOST_KEYS, read_keys, settle
from stepwell.jobs.definition import Definition
from stepwell.jobs.encoding import load_value
from stepwell.jobs.lease import Lease
from stepwell.jobs.preflight import require_same_rows
from stepwell.jobs.respelled import Respelled, respelled
from stepwell.jobs.rows import Place, take_back, values_of
from stepwell.jobs.runner import Site
from stepwell.jobs.sources import among, load_key
from stepwell.jobs.work import passes
from stepwell.ledger import changes, ensured, events, packs
from stepwell.ledger.changes import Change
from stepwell.ledger.jobs import HELD, Ledger

DEFAULT = "default"
"""What the reason of a row begins with that a job could not judge by evidence."""

Values = Mapping[str, str]
"""JSON texts by column."""


@dataclass(frozen=True, slots=True)
class UndoReport:
    """How far the way back went, of `total` rows. `restored` are as they were, -1 where the job has an undo of its own;
    `left` are the keys of those that do not hold any more what the job left there. `dropped` are recorded columns that
    the table does not have any more: what they held is not given back."""

    job: str
    total: int = 0
    restored: int = 0
    left: tuple[str, ...] = ()
    complete: bool = False
    dropped: tuple[str, ...] = ()


Listener = Callable[[UndoReport], None]


def _silent(report: UndoReport) -> None:
    pass


def undo(
    definition: Definition, site: Site, *, tell: Listener = _silent, stop: threading.Event | None = None
) -> UndoReport:
    """Take back all that a job changed; after it the job is 'undone' and begins anew when it is run again.

    Stopped or killed, it is repeated to go on. Raises LeaseHeld while the job runs, KeyUnderWay while a lazy key does
    not end, BadRequest for a job without a way back.
    """
    check(definition)
    return _way_back(definition, site, "undone", "", tell, stop or threading.Event())


def reassess(
    definition: Definition, site: Site, *, tell: Listener = _silent, stop: threading.Event | None = None
) -> UndoReport:
    """Take back the rows whose reason begins with 'default', so that the job's next run judges them again.

    Raises LeaseHeld while the job runs, BadRequest for one whose changes are not recorded, or without a `where`.
    """
    check(definition)
    if definition.undo:
        raise BadRequest(f"{definition.reference} has an undo of its own, which takes back all rows or none")
    if not definition.source.where:
        raise BadRequest(
            f"{definition.reference} visits every row once, so its next run could not tell which to judge again",
            "Give its batches a `where` that finds the rows that still have to be migrated.",
        )
    return _way_back(definition, site, "pending", DEFAULT, tell, stop or threading.Event())


def preview(
    definition: Definition, site: Site, *, tell: Listener = _silent, stop: threading.Event | None = None
) -> UndoReport:
    """What `undo` would give back and leave now. Changes nothing; a job that runs goes on. Raises BadRequest."""
    check(definition)
    if definition.undo:
        return UndoReport(definition.name, 0, -1, (), True)
    connections = Connections(site.open)
    with ExitStack() as stack:
        stack.callback(connections.close)
        back = _Back(definition, connections, site.ledger)
        require_same_rows(definition, Ledger(back.ledger), back.source)
        back.find_table()
        back.try_to_put()
        packs.unpack(back.ledger, definition.name)
        return back.by_the_record("", tell, stop or threading.Event())


def check(definition: Definition) -> None:
    if definition.undo:
        return
    if not definition.records:
        raise BadRequest(
            f"{definition.reference} has no way back: it does not record what it changes",
            "Name the columns it changes (records), or write an undo of its own.",
        )


def _way_back(
    definition: Definition, site: Site, state: str, reason: str, tell: Listener, stop: threading.Event
) -> UndoReport:
    connections = Connections(site.open)
    with Lease(lambda: site.open(site.ledger), definition.name) as lease, ExitStack() as stack:
        stack.callback(connections.close)
        back = _Back(definition, connections, site.ledger, lease)
        require_same_rows(definition, Ledger(back.ledger), back.source)
        if not definition.undo:
            back.find_table()
            back.try_to_put()
        back.wait_for_the_dead()
        if reason:
            back.gather()
            if not changes.count_changed(back.ledger, definition.name, reason):
                return UndoReport(definition.name, complete=True)  # a job with nothing to judge again stays complete
        if not definition.undo:
            back.rehearse(reason)
        # First, so that nothing runs the job again between two halves of its undo.
        back.begin(state, lease.token)
        back.gather()
        report = back.by_the_job() if definition.undo else back.by_the_record(reason, tell, stop)
        counted = f"{report.restored} rows restored, {len(report.left)} changed since and left"
        if report.dropped:
            counted += f", without {', '.join(report.dropped)}, dropped since"
        note = "by its own undo" if definition.undo else counted
        events.add(back.ledger, definition.reference, "undone" if state == "undone" else "reassessed", note)
        tell(report)
        return report


@dataclass(frozen=True, slots=True)
class _Back:
    """An undo under way; without a lease it only looks."""

    definition: Definition
    connections: Connections
    ledger_name: str
    lease: Lease | None = None

    @property
    def ledger(self) -> Database:
        return self.connections.get(self.ledger_name)

    @property
    def source(self) -> Database:
        return self.connections.get(self.definition.source.database)

    def find_table(self) -> None:
        """Look whether the rows' table is there, with the columns of their key. Raises BadRequest."""
        table, keys = self.definition.source.table, self.definition.row_keys
        what = ""
        if not self.source.columns(table):
            what = f"there is no table {table} any more"
        elif gone := self.source.key_facts(table, keys).missing:
            what = f"{table} has no column {' or '.join(gone)} any more, by which its rows are known"
        if what:
            do = "Take back first what was done to it since, by `stepwell down` or by hand."
            raise BadRequest(f"{self.definition.reference} can't be undone: {what}", do)

    def try_to_put(self) -> None:
        """Whether the rows' table takes values back, tried on no row. Raises BadRequest."""
        table, columns = self.definition.source.table, self.definition.records
        gone = self.source.key_facts(table, columns).missing
        there = [column for column in columns if column not in gone]
        try:
            for column in there[:1]:
                self.source.put(table, {column: None}, "1 = 0")
        except ConnectionLost:
            raise
        except Refused as error:
            raise BadRequest(
                f"{self.definition.reference} has no way back: {error.said}",
                "Write an undo of its own.",
            ) from None

    def rehearse(self, reason: str) -> None:
        """Take back the first rows and roll that back: nothing is begun that can't be done.

        Where there are no transactions, only whether any recorded column is there is looked at. Raises BadRequest,
        UndoRefused.
        """
        name, table = self.definition.name, self.definition.source.table
        packs.unpack(self.ledger, name)
        keys = changes.changed_keys(self.ledger, name, "", MOST_KEYS, reason)
        made = [change for change in changes.of_keys(self.ledger, name, keys) if not Place.parse(change.key)]
        columns = sorted({column for change in made for column in change.old})
        if columns and len(gone := self.source.key_facts(table, columns).missing) == len(columns):
            raise BadRequest(
                f"{self.definition.reference} can't be undone: {table} has no column {' or '.join(gone)} any more",
                "Take back first what was done to it since, by `stepwell down` or by hand; then undo it.",
            )
        if made and self.source.transactional:
            with self.refusals(None):
                self.rows(list(dict.fromkeys(change.key for change in made)), reason, rehearsed=True)

    @contextmanager
    def refusals(self, restored: int | None) -> Iterator[None]:
        """What the rows' database refuses to take back, told as such. Raises UndoRefused."""
        try:
            yield
        except Refused as error:
            if passes(error):
                raise
            raise UndoRefused(self.definition.reference, self.definition.place, error.said, restored) from error

    def begin(self, state: str, token: int) -> None:
        """Let the job's next run begin anew. Of one that is to stand still, lazy keys under way are waited for.

        Raises KeyUnderWay.
        """
        Ledger(self.ledger).start_over(self.definition.name, token, state)
        if state in HELD:
            try:
                ensured.close(self.ledger, self.definition.name)
            except LockTimeout as error:
                raise KeyUnderWay(self.definition.reference, ensured.PATIENCE, error.said) from None
        ensured.forget(self.ledger, self.definition.name)

    def note_taken_back(self) -> None:
        """In the transaction: nobody else has the job by now, or gets it before the commit. Raises Fenced."""
        if self.lease:
            Ledger(self.ledger).take_back(self.definition.name, self.lease.token)

    def gather(self) -> None:
        """Have all that was changed so far recorded, a row for each change."""
        settle(self.definition, self.source, self.ledger)
        packs.unpack(self.ledger, self.definition.name)

    def wait_for_the_dead(self) -> None:
        """What a batch of a worker that died still has running on its server is part of what is taken back."""
        for batch in Ledger(self.ledger).open_batches(self.definition.name):
            if not self.source.transactional:
                outlived(self.source, tag_of(self.source, self.definition.name, batch.number))

    def by_the_job(self) -> UndoReport:
        """The undo that the job's author wrote."""
        undo = self.definition.undo
        if callable(undo):
            undo(self.connections)
        else:
            source = self.source
            with ExitStack() as stack:
                if source.transactional:
                    stack.enter_context(source.transaction())
                for statement in undo:
                    source.run(Command(text=statement))
        with self.ledger.transaction():
            changes.mark_all_undone(self.ledger, self.definition.name)
            self.note_taken_back()
        return UndoReport(self.definition.name, 0, -1, (), True)

    def by_the_record(self, reason: str, tell: Listener, stop: threading.Event) -> UndoReport:
        name, behind, restored = self.definition.name, "", 0
        left: list[str] = []
        dropped: set[str] = set()
        total = changes.count_changed(self.ledger, name, reason)

        def report(complete: bool = False) -> UndoReport:
            return UndoReport(name, total, restored, tuple(left), complete, tuple(sorted(dropped)))

        while not stop.is_set():
            keys = changes.changed_keys(self.ledger, name, behind, MOST_KEYS, reason)
            if not keys:
                return report(complete=True)
            with self.refusals(restored):
                some = self.rows(keys, reason)
            restored += some.restored
            left += some.left
            dropped |= some.dropped
            behind = keys[-1]
            tell(report())
        return report()

    def rows(self, keys: Sequence[str], reason: str, rehearsed: bool = False) -> _Some:
        """Take back the changes of these rows, also where columns have other types by now."""
        some = self.chunk(keys, reason, {}, rehearsed)
        if not some.left:
            return some
        recorded: dict[str, set[str]] = defaultdict(set)
        for change in changes.of_keys(self.ledger, self.definition.name, some.left):
            if not Place.parse(change.key):
                for column, text in (*change.old.items(), *change.new.items()):
                    recorded[column].add(text)
        there = {column: texts for column, texts in recorded.items() if column not in some.dropped}
        spelled = respelled(self.source, self.definition.source.table, there)
        if not spelled:
            return some
        more = self.chunk(some.left, reason, spelled, rehearsed)
        return replace(more, restored=some.restored + more.restored)

    def chunk(self, keys: Sequence[str], reason: str, spelled: Respelled, rehearsed: bool) -> _Some:
        """Take back the changes of these rows in one transaction; `spelled` is how values are spelled by now."""
        with suppress(_RolledBack), ExitStack() as stack:
            stack.enter_context(self.ledger.transaction())
            if self.source is not self.ledger and self.source.transactional:
                stack.enter_context(self.source.transaction())  # left first: it commits before the ledger
            made = changes.of_keys(self.ledger, self.definition.name, keys)
            left = self.other_rows([change for change in made if Place.parse(change.key)], reason)
            made = [change for change in made if not Place.parse(change.key)]
            keys = list(dict.fromkeys(change.key for change in made))
            columns = {column for change in made for column in change.old}
            dropped = set(self.source.key_facts(self.definition.source.table, sorted(columns)).missing)
            current = self.current(keys, sorted(columns - dropped))
            taken: dict[int, list[str]] = defaultdict(list)
            restored: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
            for key, its in groupby(made, key=lambda change: change.key):
                its_changes = [_as_now(change, dropped, spelled) for change in its]
                there = all(change.old for change in its_changes)  # else all its columns were dropped
                back = unwind(current.get(key) if there else None, its_changes, reason)
                for batch in back.batches:
                    taken[batch].append(key)
                if back.values:
                    restored[tuple(sorted(back.values.items()))].append(key)
                if back.left:
                    left.append(key)
            if self.lease:
                for values, those in restored.items():
                    self.put(values, those)
                for batch, those in taken.items():
                    changes.mark_undone(self.ledger, self.definition.name, batch, those)
                self.note_taken_back()
            if rehearsed:
                raise _RolledBack
        return _Some(len({key for those in taken.values() for key in those} - set(left)), tuple(left), dropped)

    def other_rows(self, made: Sequence[Change], reason: str) -> list[str]:
        """Take back the rows that the job added to other tables or removed there; returns the keys of those left."""
        left = []
        for change in made:
            place = Place.parse(change.key)
            if place is None or not change.reason.startswith(reason):
                continue
            database = self.connections.get(change.place.split(".", 1)[0])
            if self.lease is None:
                ours = values_of(database, place) in (change.old, change.new)
            else:
                known = (self.ledger, self.source)  # in a transaction already
                alone = database.transactional and not any(database is one for one in known)
                with database.transaction() if alone else nullcontext():
                    ours = take_back(database, place, change)
                if ours:
                    changes.mark_undone(self.ledger, self.definition.name, change.batch, [change.key])
            if not ours:
                left.append(change.key)
        return left

    def current(self, keys: Sequence[str], columns: Sequence[str]) -> dict[str, Values]:
        """What the rows hold now, locked until the end of the transaction."""
        table, row_keys = self.definition.source.table, self.definition.row_keys
        encoding = recording.encoding(self.source, table, (*row_keys, *columns))
        rows = read_keys(self.source, table, row_keys, columns, encoding, [load_key(key) for key in keys])
        # By way of JSON, as what is recorded comes from the ledger.
        return {
            key: changes.load_values(changes.dump_values(dict(zip(columns, row.values, strict=True))))
            for key, row in rows.items()
        }

    def put(self, values: Iterable[tuple[str, str]], keys: Sequence[str]) -> None:
        """Give rows these values: most jobs found the same one, such as NULL, in all of them."""
        rows = among(self.definition.row_keys, [load_key(key) for key in keys])
        held = {column: load_value(text) for column, text in values}
        self.source.put(self.definition.source.table, held, rows.text, rows.parameters)


class _RolledBack(Exception):
    """What was rehearsed is not to be committed."""


@dataclass(frozen=True, slots=True)
class _Some:
    """What became of some rows: how many were restored, the keys of those left, columns that are not there any more."""

    restored: int
    left: tuple[str, ...]
    dropped: set[str]


def _as_now(change: Change, dropped: Collection[str], spelled: Respelled) -> Change:
    """A change as it would be recorded by now; as it was, where a column can't hold the old value any more."""
    fits = all(spelled.get(value, "") is not None for value in change.old.items())

    def now(values: Values) -> Values:
        there = {column: text for column, text in values.items() if column not in dropped}
        return {column: (fits and spelled.get((column, text))) or text for column, text in there.items()}

    return replace(change, old=now(change.old), new=now(change.new))


@dataclass(frozen=True, slots=True)
class Unwound:
    """What to do with a row: the values to put, the batches whose changes are taken back, whether some are left."""

    values: Values
    batches: tuple[int, ...]
    left: bool


def unwind(current: Values | None, made: Sequence[Change], reason: str = "") -> Unwound:
    """Take back a row's changes, newest first, for as long as the row holds what each of them left there.

    `current` is what the row holds, None where it is gone. Only changes whose reason begins with `reason` are meant;
    an older one behind another is not reached. A row that is back already is as an undo left it whose record was lost.
    """
    if current is None:
        return Unwound({}, (), True)
    made = list(takewhile(lambda change: change.reason.startswith(reason), chained(current, made)))
    first: dict[str, str] = {}
    for change in made:
        first |= change.old
    if all(current[column] == value for column, value in first.items()):
        return Unwound({}, tuple(change.batch for change in made), False)
    holds = dict(current)
    batches: list[int] = []
    for change in made:
        if _left(change, holds):
            holds |= change.old
        elif any(holds[column] != value for column, value in change.old.items()):
            return Unwound(_differing(current, holds), tuple(batches), True)
        batches.append(change.batch)
    return Unwound(_differing(current, holds), tuple(batches), False)


def chained(current: Values, made: Sequence[Change]) -> Sequence[Change]:
    """A row's changes so that each left what the next newer one found, and the newest what the row holds.

    As they are where that can't be: somebody wrote in between, or has written since. What the numbers of a run's
    batches tell of the order stands; only a lazy key is moved.
    """
    left, holds, chain = list(made), dict(current), list[Change]()
    while left:
        newest_of_runs = next((change for change in left if change.batch > 0), None)
        fitting = (change for change in left if change.batch < 0 or change is newest_of_runs)
        following = next((change for change in fitting if _left(change, holds)), None)
        if following is None:
            return made
        left.remove(following)
        chain.append(following)
        holds |= following.old
    return chain


def _left(change: Change, holds: Values) -> bool:
    """Whether a row holds what a change left there."""
    return all(holds[column] == value for column, value in change.new.items())


def _differing(before: Values, after: Values) -> Values:
    return {column: value for column, value in after.items() if value != before[column]}
