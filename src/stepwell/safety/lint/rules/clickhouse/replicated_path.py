"""Replicated tables with a path written out."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_ENGINE = r"ENGINE (?:= )?(?P<engine>REPLICATED\S*MERGETREE) \( (?P<path>'…')(?: , (?P<replica>'…'))?"


def find(reading: Reading) -> Iterator[Remark]:
    for change in reading.changes:
        if not (found := change.search(_ENGINE)):
            continue
        path = change.written(found, "path")
        replica = change.written(found, "replica") if found["replica"] else "'{replica}'"
        if "{" not in replica or not any(macro in path for macro in ("{shard}", "{uuid}", "{database}")):
            yield remark(
                change,
                f"Its place in Keeper is written out: {path}, {replica}. The second server to make the table finds "
                "the place taken, and a table of this name made again finds what the old one left.",
                f"Leave the arguments away: {change.written(found, 'engine')} then takes "
                "'/clickhouse/tables/{uuid}/{shard}' and '{replica}', filled in from the server's macros.",
                change.place(found, "path"),
            )


RULE = Rule(
    name="replicated-path",
    level=Level.ERROR,
    engines=("clickhouse",),
    about="""
Each replica has a place of its own in Keeper. With macros (`{shard}`, `{replica}`, `{uuid}`) one statement makes all
of them; a path written out is right on one server only. Without any arguments the server fills in its default path,
which is built of the macros.
""",
    bad="""
CREATE TABLE visits (id UInt64)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/visits', 'replica-1')
ORDER BY id;
""",
    good="""
CREATE TABLE visits (id UInt64)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY id;
""",
    find=find,
)
