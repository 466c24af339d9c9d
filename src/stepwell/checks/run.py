"""Running one check: its statements side by side, each on a connection of its own, then what their rows must be."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from stepwell.checks.compare import SHOWN, Comparison, Duplicate, Untellable, difference_of, paired, sorted_by, whole
from stepwell.checks.definition import Check, Side
from stepwell.checks.sorting import Entry, Row, in_order
from stepwell.databases.database import Database
from stepwell.databases.stream import Field, Stream
from stepwell.databases.values import Canonical, canonical, most_telling, reader, show
from stepwell.errors import CheckBroken, Refused, StatementTimeout, StepwellError, shorten

LOOK = 1000
"""Rows between two looks at the clock."""

Open = Callable[[str], Database]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """How a check came out: whether it holds, that in words, and the first rows for which it does not.

    `sides` name the columns of `rows`: each row has what every side has of it, None where a side lacks it. `columns`
    are the columns of the statements, `changed` for each row those that differ. `seconds` is how long it took.
    """

    check: str
    holds: bool
    summary: str
    compared: int = 0
    differing: int = 0
    seconds: float = 0.0
    sides: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    rows: tuple[tuple[Row | None, ...], ...] = ()
    changed: tuple[tuple[str, ...], ...] = ()

    @property
    def verdict(self) -> str:
        return "holds" if self.holds else "fails"

    def as_json(self) -> dict[str, Any]:
        """For a program; values as a person reads them."""
        rows = [
            {
                "changed": list(changed),
                **{
                    side: None if row is None else dict(zip(self.columns, map(_plain, row), strict=True))
                    for side, row in zip(self.sides, each, strict=True)
                },
            }
            for each, changed in zip(self.rows, self.changed, strict=True)
        ]
        return {
            "check": self.check,
            "verdict": self.verdict,
            "summary": self.summary,
            "compared": self.compared,
            "differing": self.differing,
            "seconds": round(self.seconds, 3),
            "rows": rows,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of a snapshot, as one side of a comparison. `at` says when they were taken."""

    fields: tuple[Field, ...]
    rows: Callable[[], Iterator[Row]]
    at: str


@dataclass(slots=True)
class Source:
    """One side of a comparison while it is read."""

    name: str
    where: str
    stream: Stream
    places: tuple[int, ...] = field(default=())


def run(check: Check, open: Open, kept: Kept | None = None) -> Result:
    """Run a check to its end. Raises CheckBroken, CannotConnect."""
    started = time.monotonic()
    if check.function is not None:
        return _python(check, open, started)
    with reading(check, open) as sources:
        try:
            return _judged(check, sources, kept, started)
        except Refused as error:
            raise broken(check, error) from error


class reading:  # noqa: N801  # a context manager, named as the verb it is used by
    """The statements of a check, begun at the same time; their rows come in the block. Raises CheckBroken."""

    def __init__(self, check: Check, open: Open) -> None:
        self._check, self._open, self._stack = check, open, ExitStack()

    def __enter__(self) -> list[Source]:
        check = self._check
        deadline = time.monotonic() + check.timeout
        begun = _side_by_side([partial(self._begin, side, deadline) for side in check.sides])
        for one in begun:
            if one.exception() is None:
                self._stack.push(one.result()[0])
        for side, one in zip(check.sides, begun, strict=True):
            if error := one.exception():
                self._stack.close()
                if isinstance(error, Refused):
                    raise broken(check, error, side) from error
                raise error
        return [one.result()[1] for one in begun]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and not issubclass(kind, Exception):
            return  # the process ends, and with it the threads that may still use the connections
        with suppress(StepwellError):  # what a connection says when it is left is not what the check found
            self._stack.close()

    def _begin(self, side: Side, deadline: float) -> tuple[ExitStack, Source]:
        with ExitStack() as stack:
            database = self._open(side.database)
            stack.callback(database.close)
            database.connect()
            stream = stack.enter_context(database.stream(side.text, self._check.timeout))
            source = Source(side.database, self._check.where(side), _timed(stream, self._check, side, deadline))
            return stack.pop_all(), source


def _side_by_side(tasks: Sequence[Callable[[], T]]) -> list[Future[T]]:
    """All tasks' ends. Their threads end with the process, so that Ctrl-C need not wait for a statement."""
    futures: list[Future[T]] = [Future() for _ in tasks]

    def run(task: Callable[[], T], future: Future[T]) -> None:
        try:
            future.set_result(task())
        except BaseException as error:  # it is raised where the result is asked for
            future.set_exception(error)

    for task, future in zip(tasks, futures, strict=True):
        threading.Thread(target=run, args=(task, future), daemon=True).start()
    wait(futures)
    return futures


def _timed(stream: Stream, check: Check, side: Side, deadline: float) -> Stream:
    """The same rows, until the check's time is over; trouble in the middle knows which statement it was."""

    def rows() -> Iterator[tuple[Any, ...]]:
        try:
            while block := list(islice(stream.rows, LOOK)):
                if time.monotonic() > deadline:
                    raise StatementTimeout(f"its rows were still coming after {check.timeout:g} s")
                yield from block
        except Refused as error:
            raise broken(check, error, side) from error

    return Stream(stream.fields, rows())


def broken(check: Check, error: Refused, side: Side | None = None) -> CheckBroken:
    """A check that a database refused."""
    offset = error.position or 0
    where = check.where(side)
    if side:
        where = f"{check.path}:{side.line + side.text.count(chr(10), 0, offset)}, database {side.database}"
    do = "Correct the statement, then check again."
    if isinstance(error, StatementTimeout):
        do = "Raise the check's time (`-- timeout: 10 min`), or check less at once."
    return CheckBroken(check.reference, where, error.said, do)


def _judged(check: Check, sources: list[Source], kept: Kept | None, started: float) -> Result:
    if check.expect == "no rows":
        return _no_rows(check, sources[0], started)
    if check.expect == "zero":
        return _zero(check, sources[0], started)
    if kept is not None:
        before = Stream(kept.fields, iter(kept.rows()))
        sources = [Source(f"snapshot {check.snapshot}", check.where(), before), *sources]
    fields = _aligned(check, sources)
    columns = tuple(one.name for one in fields)
    places = [_place(columns, name) for name in check.key] or list(range(len(columns)))
    kinds = [most_telling(s.stream.fields[s.places[at]].kind for s in sources) for at in range(len(columns))]
    readers = [reader(kind) for kind in kinds]
    sorting = _side_by_side([partial(_sorted, source, readers=readers, key=places) for source in sources])
    sides = [one.result() for one in sorting]
    try:
        same = difference_of(check.tolerance)
        found = paired(sides, same) if check.key else whole(sides, same, check.tolerance is not None)
    except Duplicate as twice:
        key = ", ".join(f"{columns[at]} {show(twice.row[at])}" for at in places)
        raise CheckBroken(
            check.reference,
            sources[twice.side].where,
            f"two rows of {sources[twice.side].name} have the key {key}",
            "Name columns in `match on` that are unique in every section, or GROUP BY them.",
        ) from None
    except Untellable:
        said = "there are several rows, and a tolerance needs to know which are to be compared"
        do = "Write `-- expect: match on KEY`, or take the tolerance away."
        raise CheckBroken(check.reference, check.where(), said, do) from None
    return _compared(check, found, tuple(source.name for source in sources), columns, started)


def _compared(
    check: Check, found: Comparison, sides: tuple[str, ...], columns: tuple[str, ...], started: float
) -> Result:
    empty = found.compared == 0 and not check.accepts_empty
    if empty:
        summary = f"nothing was compared: {' and '.join(sides)} have no rows"
    elif found.differing:
        summary = f"{found.differing:,} of {found.compared:,} {_rows(found.compared)} {_differ(found.differing)}"
    else:
        summary = f"{found.compared:,} {_rows(found.compared)} {'is' if found.compared == 1 else 'are'} the same"
    return Result(
        check.name,
        not empty and not found.differing,
        summary,
        compared=found.compared,
        differing=found.differing,
        seconds=time.monotonic() - started,
        sides=sides,
        columns=columns,
        key=check.key,
        rows=tuple(difference.rows for difference in found.first),
        changed=tuple(tuple(columns[at] for at in difference.columns) for difference in found.first),
    )


def _sorted(source: Source, readers: Sequence[Callable[[Any], Canonical]], key: Sequence[int]) -> Iterator[Entry]:
    """A side's rows in their canonical form, in the order of the first side's columns, sorted by the key."""
    steps = list(zip(readers, source.places, strict=True))
    return in_order(sorted_by(tuple(read(row[at]) for read, at in steps), key) for row in source.stream.rows)


def _aligned(check: Check, sources: Sequence[Source]) -> tuple[Field, ...]:
    """The first side's columns; each side learns where it has them. Raises CheckBroken where they are not the same."""
    first = sources[0]
    names = [one.name for one in first.stream.fields]
    for source in sources:
        theirs = [one.name for one in source.stream.fields]
        twice = next((name for name in theirs if theirs.count(name) > 1), None)
        if twice is not None:
            do = "Give each column a name of its own, with AS."
            raise CheckBroken(check.reference, source.where, f"two columns are named {twice!r}", do)
        for one, other, there in ((names, theirs, source), (theirs, names, first)):
            if lacking := [name for name in one if name not in other]:
                beside = first if there is source else source
                said = f"{beside.name} has a column {lacking[0]!r}, which {there.name} lacks"
                do = "Let all sections give columns of the same names, with AS."
                raise CheckBroken(check.reference, there.where, said, do)
        source.places = tuple(theirs.index(name) for name in names)
    for name in check.key:
        if name not in names:
            said = f"the key {name!r} is none of the columns {', '.join(names)}"
            raise CheckBroken(check.reference, first.where, said, "Name a column that every section gives.")
    return first.stream.fields


def _place(columns: Sequence[str], name: str) -> int:
    return columns.index(name)


def _no_rows(check: Check, source: Source, started: float) -> Result:
    readers = [reader(one.kind) for one in source.stream.fields]
    first: list[Row] = []
    count = 0
    for row in source.stream.rows:
        count += 1
        if len(first) < SHOWN:
            first.append(tuple(read(value) for read, value in zip(readers, row, strict=True)))
    return _offending(check, source.name, [one.name for one in source.stream.fields], first, count, started)


def _offending(
    check: Check, side: str, columns: Sequence[str], first: Sequence[Row], count: int, started: float
) -> Result:
    summary = f"{count:,} {_rows(count)} that should not be" if count else "no rows"
    return Result(
        check.name,
        not count,
        summary,
        compared=count,
        differing=count,
        seconds=time.monotonic() - started,
        sides=(side,),
        columns=tuple(columns),
        rows=tuple((row,) for row in first),
        changed=((),) * len(first),
    )


def _zero(check: Check, source: Source, started: float) -> Result:
    rows = list(islice(source.stream.rows, 2))
    if len(rows) != 1:
        said = "there is no row" if not rows else "there is more than one row"
        do = (
            "`zero` takes one row of numbers, such as SELECT count(*) …; for rows that should not be, expect `no rows`."
        )
        raise CheckBroken(check.reference, source.where, said, do)
    columns = tuple(one.name for one in source.stream.fields)
    row = tuple(reader("number")(value) for value in rows[0])
    wrong = tuple(name for name, value in zip(columns, row, strict=True) if value != 0 or isinstance(value, bytes))
    shown = ", ".join(f"{name} is {show(row[_place(columns, name)])}" for name in wrong)
    summary = f"{shown}, not zero" if wrong else "zero"
    return Result(
        check.name,
        not wrong,
        summary,
        compared=1,
        differing=1 if wrong else 0,
        seconds=time.monotonic() - started,
        sides=(source.name,),
        columns=columns,
        rows=((row,),) if wrong else (),
        changed=(wrong,) if wrong else (),
    )


def _python(check: Check, open: Open, started: float) -> Result:
    assert check.function is not None
    opened: dict[str, Database] = {}

    def on(name: str) -> Database:
        if name not in opened:
            opened[name] = open(name)
            opened[name].connect()
        return opened[name]

    columns: tuple[str, ...] = ()
    first: list[Row] = []
    count = 0
    try:
        for row in _given(check, check.function(on)):
            count += 1
            named: Mapping[str, Any] = row if isinstance(row, Mapping) else _named(row)
            columns = columns or tuple(map(str, named))
            if len(first) < SHOWN:
                first.append(tuple(canonical(named.get(column)) for column in columns))
            _in_time(check, started)
        _in_time(check, started)
    except Refused as error:
        raise broken(check, error) from error
    except StepwellError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(check.path)]
        where = f"{check.path}:{frames[-1].lineno}" if frames else check.where()
        do = "Correct the check."
        raise CheckBroken(check.reference, where, f"{type(error).__name__}: {error}", do) from error
    finally:
        for database in opened.values():
            database.close()
    return _offending(check, check.path.name, columns, first, count, started)


def _given(check: Check, rows: object) -> Iterable[Any]:
    """What a Python check gave, if that is rows: None is a `return` that was forgotten, a bool would be no row."""
    if isinstance(rows, Iterable):
        return rows
    do = "Give the rows that should not be, by `yield` or as a list, which is empty where all is well."
    raise CheckBroken(check.reference, check.where(), f"it gave {shorten(repr(rows))}, and that is no rows", do)


def _in_time(check: Check, started: float) -> None:
    if time.monotonic() - started > check.timeout:
        raise StatementTimeout(f"it was still at work after {check.timeout:g} s")


def _named(row: Any) -> Mapping[str, Any]:
    values = row if isinstance(row, (tuple, list)) else (row,)
    return {str(number): value for number, value in enumerate(values, start=1)}


def _plain(value: Canonical) -> str | None:
    return None if value is None else show(value)


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"
