"""Jobs as the ledger remembers them: state, lease, place, batches and failed rows.

A worker that coordinates a job holds its lease: a holder's name, a time by the database's clock, and a token that grows
with every change of hands. Everything that counts is written under the token. Who takes a lease over puts its own token
on the batches that are under way; a worker that was stopped, and wakes up after that, finds a batch that is not
its own any more, and its transaction is rolled back.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from stepwell.databases.database import Database
from stepwell.errors import Fenced, LeaseHeld, Refused

COLUMNS = (
    "job, state, token, holder, lease_until, place, next_batch, quiet_passes, rows_done, rows_left, "
    "limits, held_by, started, worked, finished, walk, built_on"
)


HELD = ("paused", "cancelled", "undone")
"""The states of a job that a person wants to stand still."""

LONGEST_KEY = 500
"""Characters of a row's key that an index of the ledger holds."""


def this_process() -> str:
    """Who we are, for those who read the ledger."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class JobState:
    """A job's row; one that has none yet is as these defaults say.

    Times are seconds since 1970 by the ledger's clock, 0 for never; `rows_left` is -1 when unknown.
    `worked` is when a batch was begun last, or a pass ended; `walk` tells by which key the job went then,
    and `built_on` what it required when it was begun from the start.
    """

    job: str
    state: str = "pending"
    token: int = 0
    holder: str = ""
    lease_until: float = 0.0
    place: str = ""
    next_batch: int = 1
    quiet_passes: int = 0
    rows_done: int = 0
    rows_left: int = -1
    limits: str = ""
    held_by: str = ""
    started: float = 0.0
    worked: float = 0.0
    finished: float = 0.0
    walk: str = ""
    built_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that was begun and is not done."""

    number: int
    scope: str
    tries: int


class Ledger:
    """The ledger's verbs for jobs, on one connection."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = database.clock

    # --- reading ----------------------------------------------------------------------------------------------

    def read(self, job: str) -> JobState | None:
        rows = self.database.query(f"SELECT {COLUMNS} FROM stepwell_job WHERE job = ?", (job,))
        return _state(rows[0]) if rows else None

    def read_all(self) -> dict[str, JobState]:
        rows = self.database.query(f"SELECT {COLUMNS} FROM stepwell_job ORDER BY job")
        return {str(row[0]): _state(row) for row in rows}

    def clock(self) -> float:
        """Seconds since 1970 by the database's clock."""
        return float(self.database.query(f"SELECT {self.now}")[0][0])

    def open_batches(self, job: str) -> list[OpenBatch]:
        rows = self.database.query(
            "SELECT number, scope, tries FROM stepwell_batch WHERE job = ? AND state = 'begun' ORDER BY number", (job,)
        )
        return [OpenBatch(int(number), str(scope), int(tries)) for number, scope, tries in rows]

    def failures(self, job: str) -> list[tuple[str, str, int]]:
        """The rows that failed by themselves: key, error, tries."""
        rows = self.database.query(
            """
            SELECT coalesce(long_key, row_key), error, tries
            FROM stepwell_failure
            WHERE job = ? AND tries > 0
            ORDER BY row_key
            """,
            (job,),
        )
        return [(str(key), str(error), int(tries)) for key, error, tries in rows]

    def begun(self) -> set[str]:
        """The jobs of which a batch was begun, since they were last undone."""
        rows = self.database.query(
            """
            SELECT job FROM stepwell_job WHERE rows_done > 0 OR place <> ''
            UNION
            SELECT job FROM stepwell_batch
            """
        )
        return {str(job) for (job,) in rows}

    def names_rows(self, job: str) -> bool:
        """Whether anything is kept of a job that names rows by its key."""
        rows = self.database.query(
            """
            SELECT 1 FROM stepwell_job WHERE job = ? AND place <> ''
            UNION SELECT 1 FROM stepwell_batch WHERE job = ? AND state = 'begun'
            UNION SELECT 1 FROM stepwell_failure WHERE job = ?
            UNION SELECT 1 FROM stepwell_ensured WHERE job = ?
            UNION SELECT 1 FROM stepwell_change WHERE job = ? AND undone = 0
            UNION SELECT 1 FROM stepwell_change_pack WHERE job = ?
            """,
            (job,) * 6,
        )
        return bool(rows)

    def to_retry(self, job: str) -> list[str]:
        """The keys of failed rows that a person wants tried again."""
        rows = self.database.query(
            "SELECT coalesce(long_key, row_key) FROM stepwell_failure WHERE job = ? AND tries = 0", (job,)
        )
        return [str(key) for (key,) in rows]

    # --- the lease --------------------------------------------------------------------------------------------

    def register(self, jobs: Iterable[str]) -> None:
        """Give a row to every job that has none."""
        known = set(self.read_all())
        for job in jobs:
            if job not in known:
                try:
                    self.database.query("INSERT INTO stepwell_job (job) VALUES (?)", (job,))
                except Refused:
                    if self.read(job) is None:  # else another worker was quicker
                        raise

    def acquire(self, job: str, lease: float) -> JobState:
        """Take the lease for `lease` seconds, with a new token. Raises LeaseHeld."""
        holder = f"{this_process()} {uuid.uuid4().hex[:8]}"
        with self.database.transaction():
            self.database.query(
                f"""
                UPDATE stepwell_job
                SET token = token + 1, holder = ?, lease_until = {self.now} + ?
                WHERE job = ? AND (holder = '' OR lease_until < {self.now})
                """,
                (holder, lease, job),
            )
            state = self.read(job)
            assert state is not None, f"job {job} is not registered"
            if state.holder == holder:
                self.database.query(
                    "UPDATE stepwell_batch SET token = ? WHERE job = ? AND state = 'begun'", (state.token, job)
                )
        if state.holder != holder:
            raise LeaseHeld(f"job/{job}", state.holder)
        return state

    def renew(self, job: str, token: int, lease: float) -> JobState:
        """Keep the lease for another `lease` seconds; returns what others may have changed. Raises Fenced."""
        self.database.query(
            f"UPDATE stepwell_job SET lease_until = {self.now} + ? WHERE job = ? AND token = ?", (lease, job, token)
        )
        state = self.read(job)
        if state is None or state.token != token:
            raise Fenced(f"job/{job}")
        return state

    def release(self, job: str, token: int) -> None:
        self.database.query(
            "UPDATE stepwell_job SET holder = '', lease_until = 0 WHERE job = ? AND token = ?", (job, token)
        )

    def update(self, job: str, token: int | None, **values: object) -> None:
        """Set columns of a job's row: under a token as its holder, without one as a person does."""
        assignments = ", ".join(f"{column} = ?" for column in values)
        fence = "" if token is None else " AND token = ?"
        parameters = (*values.values(), job, *(() if token is None else (token,)))
        self.database.query(f"UPDATE stepwell_job SET {assignments} WHERE job = ?{fence}", parameters)

    def start_over(self, job: str, token: int, state: str) -> None:
        """Forget how far a job is, and which rows failed, so that its next run begins anew, in another epoch."""
        with self.database.transaction():
            self.begin_epoch(job)
            self.update(
                job, token, state=state, place="", quiet_passes=0, rows_done=0, rows_left=-1, finished=0.0, held_by="",
                built_on=None,
            )  # fmt: skip
            for table in ("stepwell_batch", "stepwell_failure"):
                self.database.query(f"DELETE FROM {table} WHERE job = ?", (job,))

    def begin_epoch(self, job: str) -> None:
        """Let what any process remembers of single keys count no longer."""
        self.database.query("UPDATE stepwell_job SET epoch = epoch + 1 WHERE job = ?", (job,))

    def take_back(self, job: str, token: int) -> None:
        """Note that rows were taken back, in the transaction that does it. Raises Fenced.

        Until its commit nobody else gets the job.
        """
        self.database.query(
            f"UPDATE stepwell_job SET worked = {self.now}, epoch = epoch + 1 WHERE job = ? AND token = ?", (job, token)
        )
        state = self.read(job)
        if state is None or state.token != token:
            raise Fenced(f"job/{job}")

    def reopen(self, job: str) -> bool:
        """Let a complete job look for rows again; False for one that a person has steered elsewhere meanwhile."""
        self.database.query(
            "UPDATE stepwell_job SET state = 'pending', quiet_passes = 0 WHERE job = ? AND state = 'complete'", (job,)
        )
        state = self.read(job)
        return state is not None and state.state == "pending"

    def set_state(self, job: str, token: int, state: str, held_by: str = "") -> None:
        """Say how the job stands, as its holder; what a person has paused or cancelled stays so."""
        self.database.query(
            """
            UPDATE stepwell_job
            SET state = CASE WHEN state IN ('paused', 'cancelled') THEN state ELSE ? END, held_by = ?
            WHERE job = ? AND token = ?
            """,
            (state, held_by, job, token),
        )

    # --- batches ----------------------------------------------------------------------------------------------

    def begin(
        self,
        job: str,
        token: int,
        number: int,
        scopes: Sequence[str],
        place: str,
        replaces: int = 0,
        retried: Sequence[str] = (),
    ) -> None:
        """Record batches as begun, from `number` on, in place of the one that they split, or of failures.

        Raises Fenced.
        """
        with self.database.transaction():
            self.database.query(
                f"UPDATE stepwell_job SET next_batch = ?, place = ?, worked = {self.now} WHERE job = ? AND token = ?",
                (number + len(scopes), place, job, token),
            )
            state = self.read(job)
            if state is None or state.token != token:
                raise Fenced(f"job/{job}")
            if replaces:
                self.database.query("DELETE FROM stepwell_batch WHERE job = ? AND number = ?", (job, replaces))
            for key in retried:
                self._forget_failure(job, key)
            for offset, scope in enumerate(scopes):
                self.database.query(
                    "INSERT INTO stepwell_batch (job, number, token, state, scope) VALUES (?, ?, ?, 'begun', ?)",
                    (job, number + offset, token, scope),
                )

    def finish(self, job: str, token: int, number: int, rows: int, seconds: float) -> None:
        """Record a batch as done, in the caller's transaction. Raises Fenced where it is not ours, or done already."""
        found = self.database.query(
            f"SELECT token, state FROM stepwell_batch WHERE job = ? AND number = ? {self.database.for_update}",
            (job, number),
        )
        if not found or (int(found[0][0]), str(found[0][1])) != (token, "begun"):
            raise Fenced(f"job/{job}")
        self.database.add(
            "UPDATE stepwell_batch SET state = 'done', row_count = ?, seconds = ? WHERE job = ? AND number = ?",
            (rows, seconds, job, number),
        )

    def rows_done(self, job: str, token: int, number: int) -> int | None:
        """The rows of a batch that is recorded as done under this token; None for any other."""
        found = self.database.query(
            "SELECT row_count FROM stepwell_batch WHERE job = ? AND number = ? AND token = ? AND state = 'done'",
            (job, number, token),
        )
        return int(found[0][0]) if found else None

    def fail_row(self, job: str, token: int, number: int, key: str, error: str) -> None:
        """Record the one row of a batch as failed by itself, and the batch as done. Raises Fenced."""
        with self.database.transaction():
            self.finish(job, token, number, 0, 0.0)
            self._forget_failure(job, key)
            self.database.query(
                f"INSERT INTO stepwell_failure (job, row_key, long_key, error, at) VALUES (?, ?, ?, ?, {self.now})",
                (job, _indexed(key), key if len(key) > LONGEST_KEY else None, error[:4000]),
            )

    def _forget_failure(self, job: str, key: str) -> None:
        self.database.query("DELETE FROM stepwell_failure WHERE job = ? AND row_key = ?", (job, _indexed(key)))

    def count_try(self, job: str, number: int) -> None:
        self.database.query("UPDATE stepwell_batch SET tries = tries + 1 WHERE job = ? AND number = ?", (job, number))

    def retry_failures(self, job: str) -> None:
        """Let the next pass try the failed rows again."""
        self.database.query("UPDATE stepwell_failure SET tries = 0 WHERE job = ?", (job,))

    def count_done(self, job: str) -> int:
        """The rows of the batches that are done and not folded into the job's own row yet."""
        found = self.database.query(
            "SELECT coalesce(sum(row_count), 0) FROM stepwell_batch WHERE job = ? AND state = 'done'", (job,)
        )
        return int(found[0][0])

    def end_pass(self, job: str, token: int, place: str, rows_left: int, quiet_passes: int) -> int:
        """Fold the batches that are done into the job's row, and note where the pass ended.

        Returns all rows done so far. Raises Fenced.
        """
        with self.database.transaction():
            self.database.query(
                f"""
                UPDATE stepwell_job
                SET rows_done = rows_done + ?, place = ?, rows_left = ?, quiet_passes = ?, worked = {self.now}
                WHERE job = ? AND token = ?
                """,
                (self.count_done(job), place, rows_left, quiet_passes, job, token),
            )
            state = self.read(job)
            if state is None or state.token != token:
                raise Fenced(f"job/{job}")
            self.database.query("DELETE FROM stepwell_batch WHERE job = ? AND state = 'done'", (job,))
        return state.rows_done


def _indexed(key: str) -> str:
    """A key as the index holds it; none is a hash by itself, for keys are JSON lists."""
    return key if len(key) <= LONGEST_KEY else f"sha256:{sha256(key.encode()).hexdigest()}"


def _state(row: Sequence[object]) -> JobState:
    job, state, token, holder, until, place, number, quiet, done, left, limits, held_by, *times, walk, built_on = row
    started, worked, finished = times
    return JobState(
        str(job),
        str(state),
        int(str(token)),
        str(holder),
        float(str(until)),
        str(place),
        int(str(number)),
        int(str(quiet)),
        int(str(done)),
        int(str(left)),
        str(limits),
        str(held_by),
        float(str(started)),
        float(str(worked)),
        float(str(finished)),
        str(walk),
        tuple(json.loads(str(built_on or "[]"))),
    )
