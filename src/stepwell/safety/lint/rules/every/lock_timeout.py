"""Scripts that turn the lock timeout off."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

LONGEST = 60.0
"""Seconds. Whoever waits longer for a lock makes everybody behind it wait as long."""

_OFF = {
    "postgres": (
        r"SET (?:SESSION |LOCAL )?LOCK_TIMEOUT (?:=|TO) (?:0|DEFAULT)$|RESET (?:LOCK_TIMEOUT|ALL)$|DISCARD ALL$",
        r"SET (?:SESSION |LOCAL )?LOCK_TIMEOUT (?:=|TO) (?P<text>'…')$",
        r"SELECT (?:PG_CATALOG\.)?SET_CONFIG \( '…' , (?P<text>'…') ,",
    ),
    "mysql": (
        r"SET (?:SESSION |@@|@@SESSION\.|LOCAL )?(?:LOCK_WAIT_TIMEOUT|INNODB_LOCK_WAIT_TIMEOUT) = (?:DEFAULT|\d{3,})$",
    ),
}
_ZERO = ("'0'", "'0s'", "'0ms'", "'0min'")


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.lock_timeout is not None and reading.front.lock_timeout > LONGEST:
        line = reading.said_at("lock-timeout")
        yield Remark(line, f"`lock-timeout` is {reading.front.lock_timeout:.0f} s. {_WHY}", _DO)
    for change in reading.changes:
        for pattern in _OFF[reading.engine]:
            if not (found := change.match(pattern)):
                continue
            texts = change.strings(found)
            off = not texts or texts[-1].text in _ZERO
            named = len(texts) < 2 or texts[0].text.lower() == "'lock_timeout'"
            if off and named:
                yield remark(change, f"{change.written(found)} takes the lock timeout away. {_WHY}", _DO)


_WHY = "Whatever comes to the table later queues behind a statement that waits for its lock, even plain SELECTs."
_DO = "Take it out: Stepwell waits 5 s, gives way, and tries again. `-- lock-timeout: 20s` at the top allows more."

RULE = Rule(
    name="lock-timeout",
    level=Level.ERROR,
    engines=("postgres", "mysql"),
    about="""
DDL that waits for a lock stands at the head of a queue: every later query waits behind it. So Stepwell waits 5
seconds, gives way, and tries again ten times. A script that sets `lock_timeout` to 0 (PostgreSQL),
`lock_wait_timeout` to its default of a day (MariaDB) or a year (MySQL), or asks for more than a minute in its front
matter, stops the application for as long as the longest transaction runs.
""",
    bad="""
-- lock-timeout: 10min

ALTER TABLE orders ADD COLUMN currency varchar(3);
""",
    good="""
-- lock-timeout: 20s

ALTER TABLE orders ADD COLUMN currency varchar(3);
""",
    find=find,
)
