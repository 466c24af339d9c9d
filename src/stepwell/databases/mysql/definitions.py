"""What the server says of the objects a statement names, before it runs and again when it is in doubt."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from stepwell.databases.mysql.connection import Connection
from stepwell.databases.mysql.statement import Act, Object, Statement
from stepwell.errors import ConnectionLost, Refused

ABSENT = {
    1049,  # database
    1133,  # user
    1141,  # grants of a user
    1146,  # table or view
    1305,  # procedure or function
    1347,  # a table, where a view is looked for
    1360,  # trigger
    1539,  # event
    4089,  # a table, where a sequence is looked for
    4091,  # sequence
}
# The counter moves with every row; a statement that sets it is harmless when it runs again.
_COUNTER = re.compile(r"^(\) .*?ENGINE=\w+) AUTO_INCREMENT=\d+", re.MULTILINE)
_ENGINE = re.compile(r"^\).*?ENGINE=(\w+)", re.MULTILINE)
# The server renames these together with their table.
_OWN_CONSTRAINT = re.compile(r"CONSTRAINT `[^`]*_(?:ibfk|chk)_\d+` ")

TRANSACTIONAL_ENGINES = {"innodb", "rocksdb", "ndbcluster", "tokudb"}

# Each rebuild of an InnoDB table (or partition) gives it a new number; renaming and swapping keep it.
# Names stand there as file names do, partitions behind a `#`.
TABLE_IDS = """
SELECT CONCAT(table_id, ':', space)
FROM information_schema.{catalog}
WHERE SUBSTRING_INDEX(name, '#', 1) = CONCAT(
  CONVERT(CAST(CONVERT({database} USING filename) AS BINARY) USING utf8mb4), '/',
  CONVERT(CAST(CONVERT(? USING filename) AS BINARY) USING utf8mb4))
ORDER BY table_id
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one object. `ids` number a table's storage; empty: not InnoDB, or not ours to read."""

    definition: str | None
    ids: tuple[str, ...] = ()
    rows: bool | None = None

    @property
    def present(self) -> bool:
        return self.definition is not None


Looks = dict[str, Look]


def look(connection: Connection, statement: Statement) -> Looks:
    """Look at every object of the statement. Raises Denied where its definition may not be read."""
    return {str(named): _look(connection, statement.act, named) for named in statement.objects}


def to_json(looks: Looks) -> dict[str, Any]:
    """Plain values for the journal, without those that were not looked at."""
    return {label: _known(seen) for label, seen in looks.items()}


def from_json(evidence: dict[str, Any]) -> Looks:
    return {
        label: Look(seen["definition"], tuple(seen.get("ids", ())), seen.get("rows"))
        for label, seen in evidence.items()
    }


def _known(seen: Look) -> dict[str, Any]:
    known: dict[str, Any] = {"definition": seen.definition}
    if seen.ids:
        known["ids"] = list(seen.ids)
    if seen.rows is not None:
        known["rows"] = seen.rows
    return known


def storage(connection: Connection, table: str) -> str:
    """Where a table's rows are: 'temporary', 'absent', 'transactional' or 'other' (also for a view)."""
    row = _show(connection, Object("TABLE", table))
    if row is None:
        return "absent"
    text = str(row[1])
    if text.startswith("CREATE TEMPORARY"):
        return "temporary"
    engine = _ENGINE.search(text)
    return "transactional" if engine and engine.group(1).lower() in TRANSACTIONAL_ENGINES else "other"


def _look(connection: Connection, act: Act | None, named: Object) -> Look:
    row = _show(connection, named)
    if row is None:
        return Look(None)
    text = _COUNTER.sub(r"\1", "\n".join(map(str, row[1:])))
    if act is Act.RENAME and named.kind == "USER":
        text = ""  # each grant repeats the name; only presence can be compared
    elif act is Act.RENAME:
        text = _OWN_CONSTRAINT.sub("", text.replace(f"`{row[0]}`", "", 1))
    ids: tuple[str, ...] = ()
    rows = None
    if named.kind == "TABLE" and act in (Act.REPLACE, Act.RENAME, Act.EMPTY, Act.EXCHANGE):
        ids = _ids(connection, named.name)
    if act is Act.EMPTY:
        rows = bool(connection.query(f"SELECT EXISTS (SELECT 1 FROM {named.name})")[0][0])
    return Look(hashlib.sha256(text.encode()).hexdigest()[:16], ids, rows)


def _show(connection: Connection, named: Object) -> tuple[Any, ...] | None:
    """The row of SHOW CREATE, None if there is no such object. A user's definition is its grants."""
    try:
        if named.kind == "USER":
            return ("", *connection.query(f"SHOW GRANTS FOR {named.name}"))
        return connection.query(f"SHOW CREATE {named.kind} {named.name}")[0]
    except Refused as error:
        if error.code.isdigit() and int(error.code) in ABSENT:
            return None
        raise


def _ids(connection: Connection, table: str) -> tuple[str, ...]:
    *schema, name = [part.replace("``", "`") for part in re.findall(r"`((?:[^`]|``)*)`", table)]
    catalog = "innodb_sys_tables" if connection.mariadb else "innodb_tables"
    text = TABLE_IDS.format(catalog=catalog, database="?" if schema else "DATABASE()")
    try:
        return tuple(str(number) for (number,) in connection.query(text, (*schema, name)))
    except ConnectionLost:
        raise
    except Refused:  # needs the PROCESS privilege
        return ()
