"""The UPDATE that gives rows values, in the SQL that every relational engine has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepwell.databases.database import Command


def updating(table: str, values: Mapping[str, Any], where: str, parameters: Sequence[Any]) -> Command:
    """The statement for `Database.put`."""
    assignments = ", ".join(f"{column} = ?" for column in values)
    return Command(text=f"UPDATE {table} SET {assignments} WHERE {where}", parameters=(*values.values(), *parameters))
