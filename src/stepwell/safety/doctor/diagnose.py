"""The whole look: all of it when a person asks, and what can be told in a moment before a release begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.config import Config
from stepwell.databases.database import Database
from stepwell.errors import (
    BadRequest,
    CannotConnect,
    LedgerMoved,
    LedgerOfAnother,
    Refused,
    ReleaseBlocked,
    StepwellError,
    did_you_mean,
)
from stepwell.safety.doctor import servers, workload
from stepwell.safety.doctor.backup import backup
from stepwell.safety.doctor.disk import space
from stepwell.safety.doctor.finding import ITEMS, Finding, Level
from stepwell.safety.doctor.subject import Subject, examine
from stepwell.safety.doctor.trial import trial
from stepwell.schema import events, history
from stepwell.schema.plan import Options, Target, refuse_unadopted
from stepwell.scripts.script import Script

if TYPE_CHECKING:
    from stepwell.jobs.definition import Definition

PATIENCE = 15.0
"""Seconds to count the rows of all jobs, when a person asks."""

BRIEFLY = 0.5
"""The same before a release begins."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is about to be done: the project's configuration, its jobs, and the values of its variables.

    `steps` reads what is known of the steps that are no scripts. Raises LedgerMoved, LedgerOfAnother.
    """

    config: Config
    jobs: Sequence[Definition]
    variables: Mapping[str, str]
    steps: Callable[[Sequence[Target]], object]


def known(names: Sequence[str]) -> list[str]:
    """The names of what is looked at, `doctor/` taken off. Raises BadRequest for one that is none."""
    names = [name.removeprefix("doctor/") for name in names]
    for name in names:
        if name not in ITEMS:
            raise BadRequest(f"the doctor looks at no {name!r}{did_you_mean(name, ITEMS)}", f"At {', '.join(ITEMS)}.")
    return names


def diagnose(
    release: Release, open: Callable[[str], Database], scripts: Callable[[str], Sequence[Script]], names: Sequence[str]
) -> list[Finding]:
    """Look at everything, or at what is named. Changes nothing but a table that it makes and drops.

    Raises BadRequest, and what reading the scripts raises.
    """
    wanted = known(names) or list(ITEMS)
    found: list[Finding] = []
    with ExitStack() as stack:
        targets = []
        for name in release.config.databases:
            database, its = open(name), scripts(name)
            try:
                database.connect()
                stack.callback(database.close)
                target = Target(database, its, history.read(database, its))
                refuse_unadopted([target], Options())
                targets.append(target)
            except StepwellError as error:
                found.append(_unusable(name, error))
                continue
            found.append(Finding("connection", Level.OK, name, "it can be reached"))
        if len(targets) == len(release.config.databases):
            try:
                release.steps(targets)
            except (LedgerMoved, LedgerOfAnother) as error:
                found.append(_unusable(release.config.ledger, error))
        if {"lock", "privileges"} & set(wanted):
            found += trial([target.database for target in targets])
        found += look(release, targets, PATIENCE)
    order = list(ITEMS)
    return sorted((one for one in found if one.item in wanted), key=lambda one: order.index(one.item))


def look(release: Release, targets: Sequence[Target], patience: float) -> Iterator[Finding]:
    """What connected databases tell at once, `patience` being the seconds to count the jobs' rows."""
    subjects: list[Subject] = []
    for target in targets:
        try:
            subjects.append(examine(target, release.variables))
        except Refused as error:
            yield _unusable(target.database.name, error)
    opened = {subject.name: subject.database for subject in subjects}
    jobs: list[workload.Ahead] = []
    try:
        jobs = workload.ahead(release.jobs, opened.get(release.config.ledger), opened.get, release.variables, patience)
        yield from workload.findings(jobs)
    except StepwellError as error:
        yield workload.trouble(error)
    for subject in subjects:
        for item in (
            servers.version,
            servers.writable,
            servers.hidden,
            servers.replication,
            servers.transactions,
            servers.mutations,
            servers.parts,
        ):
            yield from item(subject)
        yield from space(subject, jobs)
    yield from servers.clocks(subjects)
    yield from backup(release.config.doctor, release.config.folder)


def before_up(release: Release, targets: Sequence[Target], override: Sequence[str], tell: events.Listener) -> list[str]:
    """Look for a moment before the first step of a release, and tell what is worth a warning.

    Returns the blockers that `override` names, in words, for the history. Raises ReleaseBlocked, BadRequest.
    """
    names = known(override)
    found = list(look(release, targets, BRIEFLY))
    blockers = [one for one in found if one.level is Level.BLOCKER and one.item not in names]
    if blockers:
        raise ReleaseBlocked([(one.item, one.words, one.do) for one in blockers])
    # What is the same on every run, such as a right that is not granted, is for `stepwell doctor` to say.
    passing = [one for one in found if one.level is Level.WARNING and one.item in PASSING]
    if passing:
        tell(events.Examined(tuple(f"{one.item}: {one.words}" for one in passing)))
    return [f"doctor/{one.item}: {one.words}" for one in found if one.level is Level.BLOCKER]


PASSING = ("disk-space", "replication", "transactions", "mutations", "parts", "clock")
"""What may be otherwise in an hour."""


def _unusable(name: str, error: StepwellError) -> Finding:
    said = error.said.splitlines()
    what = said[0] if said and isinstance(error, CannotConnect) else ": ".join([error.what, *said[:1]])
    return Finding("connection", Level.BLOCKER, name, f"it can't be used: {what}", error.do)
