"""Contract scripts that nothing makes safe."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import EVERY, Level, Remark, Rule


def find(reading: Reading) -> Iterator[Remark]:
    if reading.front.phase != "contract":
        return
    required = {reference.partition("/")[0] for reference in reading.front.requires}
    line = reading.said_at("phase")
    if not required & {"job", "check", "signoff"}:
        what = (
            "A contract script takes away what the old release used, and waits for nothing: `stepwell up` applies it "
            "at once, whether the data has moved or not."
        )
        yield Remark(line, what, "Name what must be complete first: `-- requires: job/NAME, check/NAME`.")
    elif "check" not in required:
        what = "Nothing looks whether the data has moved as it must before this script takes the old place of it away."
        yield Remark(line, what, "Write a check that compares the old with the new, and require it: `check/NAME`.")
    elif not required & {"job", "signoff"}:
        what = "The check alone may hold too soon: before the data has moved, or while old servers still run."
        yield Remark(
            line,
            what,
            "Require the job that moves the data too, `job/NAME`; where none moves, a person's yes: `signoff/NAME`.",
        )


RULE = Rule(
    name="contract",
    level=Level.ERROR,
    engines=EVERY,
    about="""
`phase: contract` says that the script takes away what only the old release needed. It is safe once the job that moved
the data is complete **and** a check has found that nothing differs: the job says that it came to its end, the check
that the result is right. A script that requires neither is applied together with the expand scripts, an hour before
the job has begun. Where no data moves, as for a column that nobody uses, a person's sign-off stands for the job. See
[expand and contract](expand-contract.md).
""",
    bad="""
-- phase: contract

ALTER TABLE orders DROP COLUMN note;
""",
    good="""
-- phase: contract
-- requires: job/notes, check/notes

ALTER TABLE orders DROP COLUMN note;
""",
    find=find,
)
