"""Contract scripts that nothing makes safe."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.phase != "contract":
        return
    required = {reference.partition("/")[0] for reference in reading.front.requires}
    if not required & {"job", "check"}:
        yield Remark(
            reading.said_at("phase"),
            "A contract script takes away what the old release used, and waits for nothing: `stepwell up` applies it "
            "at once, whether the data has moved or not.",
            "Name what must be complete first: `-- requires: job/NAME, check/NAME`.",
        )


RULE = Rule(
    name="contract",
    level=Level.ERROR,
    engines=EVERY,
    about="""
`phase: contract` says that the script takes away what only the old release needed. It is safe once the job that moved
the data is complete, and a check has found nothing left; a script that requires neither is applied together with the
expand scripts, an hour before the job has begun. With `requires`, `stepwell up` says what it waits for instead.
""",
    bad="""
-- phase: contract

ALTER TABLE orders DROP COLUMN note;
""",
    good="""
-- phase: contract
-- requires: job/notes

ALTER TABLE orders DROP COLUMN note;
""",
    find=find,
)
