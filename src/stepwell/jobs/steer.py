"""What a person says to a job, wherever it runs: pause, resume, cancel, retry, and limits. Heard within seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from stepwell.databases.database import Database
from stepwell.jobs.lease import LEASE
from stepwell.jobs.limits import Limits
from stepwell.ledger import ensured, events
from stepwell.ledger.jobs import HELD, JobState, Ledger

Word = Literal["pause", "resume", "cancel", "retry"]

ACTS = {"pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried"}
"""What history calls it."""


def steer(ledger: Database, job: str, word: Word) -> bool:
    """Do as the word says; False where there is nothing to do."""
    done = {"pause": pause, "resume": resume, "cancel": cancel, "retry": retry}[word](ledger, job)
    if done:
        events.add(ledger, f"job/{job}", ACTS[word])
    return done


def pause(ledger: Database, job: str) -> bool:
    """Begin no further batch until `resume`. False for a job that is complete, cancelled or undone, and stays so."""
    return _halt(ledger, job, "paused", "'pending', 'running', 'stalled', 'paused'")


def cancel(ledger: Database, job: str) -> bool:
    """Begin no further batch for good; what is done stays. False for a job that is complete or undone."""
    return _halt(ledger, job, "cancelled", "'pending', 'running', 'stalled', 'paused', 'cancelled'")


def _halt(ledger: Database, job: str, state: str, states: str) -> bool:
    """Give a job in one of these states another, which nothing but a person's word takes away."""
    ledger.query(f"UPDATE stepwell_job SET state = ? WHERE job = ? AND state IN ({states})", (state, job))
    found = Ledger(ledger).read(job)
    return found is not None and found.state == state


def resume(ledger: Database, job: str) -> bool:
    """Let a job go on that was paused, cancelled, undone, or stalled. False for any other, which is left as it is."""
    before = Ledger(ledger).read(job)
    _go_on(ledger, job, "'paused', 'cancelled', 'undone', 'stalled'")
    return before is not None and before.state in ("paused", "cancelled", "undone", "stalled")


def retry(ledger: Database, job: str) -> bool:
    """Have the failed rows tried again by the next pass, and a stalled job go on. Paused or cancelled, it stays so.

    False where no row has failed; a complete job stays complete then.
    """
    with ledger.transaction():
        before = Ledger(ledger).read(job)
        if not Ledger(ledger).failures(job) and before and before.state != "stalled":
            return False
        Ledger(ledger).retry_failures(job)
        _go_on(ledger, job, "'stalled', 'complete', 'pending', 'running'")
    return True


def take_away(ledger: Database, state: JobState, requires: Sequence[str]) -> None:
    """Before a script that a job is built on is undone: it is complete no more, and its next run looks what is left.

    How far it is stays, for the undoing may never begin; `build_anew` forgets that. Raises LeaseHeld where a worker is
    at it.
    """
    lease = Ledger(ledger).acquire(state.job, LEASE)
    try:
        if not state.built_on:  # begun by an older Stepwell, or by lazy keys alone
            Ledger(ledger).update(state.job, lease.token, built_on=json.dumps(requires))
        Ledger(ledger).begin_epoch(state.job)
        _go_on(ledger, state.job, "'complete'")
    finally:
        Ledger(ledger).release(state.job, lease.token)


def build_anew(ledger: Database, state: JobState, base: str, from_the_start: bool) -> None:
    """Before the script `base`, that a job was built on, is applied anew: look for its rows again.

    `from_the_start` where no condition finds those whose work was taken away: how far it is, and its lazy keys, are
    forgotten. What a person has said of it stays. Raises LeaseHeld where a worker is at it.
    """
    job = state.job
    Ledger(ledger).begin_epoch(job)
    if from_the_start:
        ensured.forget(ledger, job)
    if not _has_begun(state):
        return
    lease = Ledger(ledger).acquire(job, LEASE)
    try:
        if from_the_start:
            Ledger(ledger).start_over(job, lease.token, state.state if state.state in HELD else "pending")
        _go_on(ledger, job, "'complete'")
        events.add(ledger, f"job/{job}", "reopened", f"{base} is applied anew")
    finally:
        Ledger(ledger).release(job, lease.token)


def _has_begun(state: JobState) -> bool:
    return bool(state.state == "complete" or state.place or state.rows_done)


def _go_on(ledger: Database, job: str, states: str) -> None:
    """Let a job in one of these states look for rows again."""
    ledger.query(
        f"""
        UPDATE stepwell_job
        SET state = 'pending', quiet_passes = 0, held_by = ''
        WHERE job = ? AND state IN ({states})
        """,
        (job,),
    )


def limits(ledger: Database, job: str) -> Limits:
    """The limits that hold now."""
    state = Ledger(ledger).read(job)
    return Limits.load(state.limits if state else "")


def limit(ledger: Database, job: str, assignments: Sequence[str]) -> Limits:
    """Set limits such as `size=500`, `target=30ms`; returns all that hold now. Raises BadRequest."""
    with ledger.transaction():
        rows = ledger.query(f"SELECT limits FROM stepwell_job WHERE job = ? {ledger.for_update}", (job,))
        limits = Limits.load(str(rows[0][0])).change(assignments)
        Ledger(ledger).update(job, None, limits=limits.dump())
    return limits
