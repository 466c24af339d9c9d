"""DDL that reaches one server of a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_DDL = r"(?:CREATE|ALTER|DROP|RENAME|TRUNCATE|EXCHANGE|DETACH|ATTACH) (?!TEMPORARY\b|.* ON CLUSTER\b)"
_CLUSTER = r" ON CLUSTER (?P<name>\S+)"


def find(reading: Reading) -> Iterator[Remark]:
    if reading.cluster:
        return  # Stepwell adds it
    named = next((found for change in reading.changes if (found := change.search(_CLUSTER))), None)
    for change in reading.changes if named else ():
        if change.match(_DDL):
            yield remark(
                change,
                "Other statements of the script say ON CLUSTER, this one does not: it changes the one server that "
                "Stepwell is connected to, and the replicas differ from now on.",
                'Add ON CLUSTER, or say it once for all: cluster = "NAME" below the database in stepwell.toml.',
            )


RULE = Rule(
    name="on-cluster",
    level=Level.ERROR,
    engines=("clickhouse",),
    about="""
Without `ON CLUSTER` a schema change reaches one server. With `cluster` in stepwell.toml Stepwell adds it to every
statement and waits for the replicas, so nothing is said. Without, a script that says it here and forgets it there is
told.
""",
    bad="""
CREATE TABLE visits ON CLUSTER main (id UInt64) ENGINE = MergeTree ORDER BY id;
ALTER TABLE visits ADD COLUMN page String;
""",
    good="""
CREATE TABLE visits ON CLUSTER main (id UInt64) ENGINE = MergeTree ORDER BY id;
ALTER TABLE visits ON CLUSTER main ADD COLUMN page String;
""",
    find=find,
)
