"""Copying rows from one database into another, exactly.

Between two engines a value travels as text, spelled by the server that has it: `1.5`, `2024-01-01 00:00:00.25` in
UTC, bytes as hexadecimal digits, an array as a JSON array of strings. The target makes a value of it, spells that
in its turn, and the two texts must be the same; an integer that stays one is compared as a number. So what a target
can't hold is found before it is written, whatever the reason: an overflow, a rounding, a zero date, padding, a
character its encoding lacks. Then NotExact is raised, naming column and value.

    copy.py         the way of the rows, to be read from top to bottom
    column.py       what is known of columns, and who is to blame when a value does not fit
    reach.py        ClickHouse fetching rows from the other server by itself
    postgres.py, mysql.py, sqlite.py, clickhouse.py
                    an engine's columns, its SQL for a value's text, and its rows coming in
"""

from stepwell.jobs.copying.copy import copy_into, copy_rows

__all__ = ["copy_into", "copy_rows"]
