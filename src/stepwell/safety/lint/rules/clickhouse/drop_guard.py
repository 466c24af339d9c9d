"""Drops that the server's size guard refuses."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.safety.lint.phrase import key
from stepwell.safety.lint.reading import Reading
from stepwell.safety.lint.rule import Level, Remark, Rule, remark

_WHOLE = r"(?P<verb>DROP|TRUNCATE) TABLE (?:IF EXISTS )?(?P<name>\S+)"
_PARTITION = r"DROP (?:PARTITION|PART) "


def find(reading: Reading) -> Iterator[Remark]:
    made = {change.table for change in reading.changes if change.creates_table}
    for change in reading.changes:
        if change.search(r"\bMAX_(?:TABLE|PARTITION)_SIZE_TO_DROP\b"):
            continue
        if (found := change.match(_WHOLE)) and key(found["name"]) not in made:
            text = f"{change.written(found)} SETTINGS max_table_size_to_drop = 0;"
            yield remark(change, f"{found['verb']} of a table {_WHY}", _DO.format(text))
        elif any(part.match(_PARTITION) for part in change.alters) and not change.fresh:
            text = "… SETTINGS max_partition_size_to_drop = 0;"
            yield remark(change, f"DROP of a partition {_WHY}", _DO.format(text))


_WHY = "over 50 GB is refused by the server's guard, in production alone."
_DO = "Say in the statement that it is meant: {}"

RULE = Rule(
    name="drop-guard",
    level=Level.WARNING,
    engines=("clickhouse",),
    about="""
A server refuses to drop a table or partition over `max_table_size_to_drop`, 50 GB by default. So the script that
passed every test stops in production, halfway. As a setting of the statement it says that the drop is meant, and that
somebody has thought about it. Tables that the script made are left alone; of a table that is surely small it is a
false alarm.
""",
    bad="""
DROP TABLE orders;
""",
    good="""
DROP TABLE orders SETTINGS max_table_size_to_drop = 0;
""",
    find=find,
)
