"""What a person says about a history: `resolve` settles a statement in doubt, `baseline` records what is there."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.errors import BadRequest
from stepwell.schema import events
from stepwell.schema.plan import Options, Target
from stepwell.schema.running import locked


def resolve(
    targets: Sequence[Target],
    options: Options,
    database: str,
    version: str,
    position: int,
    done: bool,
    tell: events.Listener,
) -> None:
    """Record a person's answer for one statement in doubt. Raises BadRequest where there is no doubt."""
    with locked(targets, options, tell) as (fresh, runner_of):
        target = next(target for target in fresh if target.database.name == database)
        doubts = {
            position: entry
            for direction in ("up", "down")
            for position, entry in target.history.attempt(version, direction).doubts.items()
        }
        entry = doubts.get(position)
        if entry is None:
            known = ", ".join(f"{database}/{version}:{number}" for number in sorted(doubts))
            raise BadRequest(
                f"{database}/{version}:{position} is not in doubt",
                f"In doubt: {known}." if known else "Nothing of it is; `stepwell status` shows what is.",
            )
        runner_of(database).journal.write(
            "done" if done else "undone",
            version,
            entry.direction,
            position,
            checksum=entry.checksum,
            tag=entry.tag,
            evidence=entry.evidence,
            note="resolved by a person",
        )


def baseline(targets: Sequence[Target], options: Options, version: str | None, tell: events.Listener) -> list[str]:
    """Record every script up to `version` as applied without running it; without one, make the tables only.

    Returns the references recorded. Raises BadRequest where a script among them is applied in part.
    """
    with locked(targets, options, tell) as (fresh, runner_of):
        target = next(target for target in fresh if target.database.name == options.database)
        journal = runner_of(target.database.name).journal
        if version is None:
            return []
        last = [script.version for script in target.scripts].index(version)
        chosen = [s for s in target.scripts[: last + 1] if s.version not in target.history.applied]
        for script in chosen:
            if target.history.attempt(script.version, "up"):
                raise BadRequest(
                    f"{script.reference} is applied in part, so it can't be recorded as there",
                    "Finish it with `stepwell up`, or settle its statements with `stepwell resolve`.",
                )
        for script in chosen:
            journal.record(script)
            journal.write("applied", script.version, "up", checksum=script.checksum, note="baseline")
        return [script.reference for script in chosen]
