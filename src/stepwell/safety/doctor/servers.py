"""What a server says of itself, held against what a release needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stepwell.safety.doctor.finding import Finding, Level, span
from stepwell.safety.doctor.subject import Subject

LAG = 30.0
"""Seconds that a replica may lag behind before it is worth a warning."""

LONG = 60.0
"""Seconds after which an open transaction is worth a warning: DDL behind it gives up after about three minutes."""

SKEW = 5.0
"""Seconds that clocks may differ: a newer row is told from an older one by them."""

CROWDED = 0.8
"""The share of the parts at which ClickHouse slows inserts down."""


def version(subject: Subject) -> Iterator[Finding]:
    health = subject.health
    if health.needs:
        do = "Try the release on a copy of this server first, or upgrade the server."
        what = f"{health.version}; Stepwell supports {health.needs}"
        yield Finding("version", Level.WARNING, subject.name, what, do)
    else:
        yield Finding("version", Level.OK, subject.name, health.version)


def writable(subject: Subject) -> Iterator[Finding]:
    why = subject.health.read_only
    if why:
        do = "Give the URL of the primary, or of a user that may write."
        yield Finding("writable", Level.BLOCKER, subject.name, f"it takes no writes: {why}", do)
    else:
        yield Finding("writable", Level.OK, subject.name, "it takes writes")


def hidden(subject: Subject) -> Iterator[Finding]:
    """What our user may not see: the other findings are silent about it."""
    for each in subject.health.hidden:
        thing, _, grant = each.partition(": ")
        yield Finding("privileges", Level.WARNING, subject.name, f"our user may not see {thing}", f"{grant};")


def replication(subject: Subject) -> Iterator[Finding]:
    if subject.health.replication is None:
        return
    for trouble in subject.health.replication:
        do = "Mend it, or drop the replica, before the release writes more than the log can keep."
        yield Finding("replication", Level.WARNING, subject.name, trouble, do)
    lag = subject.signals.get("replica lag")
    if lag is not None and lag > LAG:
        do = "Wait until it has caught up: readers there see old rows, and jobs are held back by it."
        yield Finding("replication", Level.WARNING, subject.name, f"a replica is {span(lag)} behind", do)
    elif not subject.health.replication:
        what = "no replica is known" if lag is None else f"replicas are {lag:.1f} s behind at most"
        yield Finding("replication", Level.OK, subject.name, what)


def transactions(subject: Subject) -> Iterator[Finding]:
    if subject.health.transactions is None:
        return
    long = [one for one in subject.health.transactions if one.seconds > LONG]
    for one in long:
        waiting = f", and {one.blocks} wait{'s' * (one.blocks == 1)} for it" if one.blocks else ""
        what = f"{one.who} has had a transaction open for {span(one.seconds)}{waiting}"
        do = "End it, or wait for it: scripts that need its tables give way to it, and give up after three minutes."
        yield Finding("transactions", Level.WARNING, subject.name, what, do)
    waits = int(subject.signals.get("lock waits", 0))
    if not long:
        what = f"none is open for more than {LONG:.0f} s" + (f"; {waits} wait for locks" if waits else "")
        yield Finding("transactions", Level.OK, subject.name, what)


def mutations(subject: Subject) -> Iterator[Finding]:
    if subject.health.mutations is None:
        return
    for one in subject.health.mutations:
        if one.failure:
            what = f"a mutation of {one.table} fails since {span(one.seconds)}: {one.command}: {one.failure[:200]}"
            touched = any(re.search(rf"\b{re.escape(one.table)}\b", text) for text in subject.texts)
            do = f"Later changes of {one.table} wait behind it. End it; what it has done stays: {one.kill}"
            yield Finding("mutations", Level.BLOCKER if touched else Level.WARNING, subject.name, what, do)
        else:
            what = f"a mutation of {one.table} is at work for {span(one.seconds)}, {one.parts} parts left"
            do = "Wait for it: later changes of the table come behind it."
            yield Finding("mutations", Level.WARNING, subject.name, what, do)
    if not subject.health.mutations:
        yield Finding("mutations", Level.OK, subject.name, "none is unfinished")


def parts(subject: Subject) -> Iterator[Finding]:
    share, merges = subject.signals.get("parts per partition"), subject.signals.get("merges", 0.0)
    if share is None:
        return
    if share >= CROWDED:
        what = f"a partition has {share:.0%} of the parts at which inserts are slowed down"
        do = "Let merges catch up, and insert fewer, larger blocks; `SELECT * FROM system.merges` shows them."
        yield Finding("parts", Level.WARNING, subject.name, what, do)
    else:
        yield Finding("parts", Level.OK, subject.name, f"{share:.0%} of the most for a partition, {merges:.0%} merging")


def clocks(subjects: Sequence[Subject]) -> Iterator[Finding]:
    """The clocks, against this machine's and each other's, and the time zones."""
    before = len(subjects)
    for subject in subjects:
        if abs(subject.skew) - subject.vague > SKEW:
            way = "ahead of" if subject.skew > 0 else "behind"
            what = f"its clock is {span(abs(subject.skew))} {way} this machine's"
            do = "Set both by NTP: rows, leases and history are dated by the servers' clocks."
            yield Finding("clock", Level.WARNING, subject.name, what, do)
            before -= 1
    if len({subject.health.offset for subject in subjects}) > 1:
        told = ((one.name, one.health.zone, one.health.offset / 3600) for one in subjects)
        zones = ", ".join(f"{name} is in {zone} (UTC{hours:+g} h)" for name, zone, hours in told)
        do = "Write times with their zone in scripts and jobs: what has none is read otherwise in each of them."
        yield Finding("clock", Level.WARNING, "", f"the time zones differ: {zones}", do)
    elif subjects and before == len(subjects):
        most = max(abs(subject.skew) for subject in subjects)
        zone = subjects[0].health.zone
        yield Finding("clock", Level.OK, "", f"clocks are {most:.1f} s apart at most, all in {zone}")
