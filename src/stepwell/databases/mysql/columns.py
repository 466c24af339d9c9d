"""A table's columns in MySQL and MariaDB."""

from __future__ import annotations

from stepwell.databases.columns import Column, Table
from stepwell.databases.database import Database
from stepwell.databases.lexing import Reader

TABLE = """
SELECT table_schema, table_name, table_type, engine, table_collation
FROM information_schema.tables
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?
"""
COLUMNS = """
SELECT column_name, column_type, is_nullable = 'YES', column_default, extra,
       data_type, character_set_name, collation_name
FROM information_schema.columns
WHERE table_schema = ? AND table_name = ?
ORDER BY ordinal_position
"""
INDEXES = """
SELECT column_name, index_name, non_unique = 0
FROM information_schema.statistics
WHERE table_schema = ? AND table_name = ?
ORDER BY index_name, seq_in_index
"""
FOREIGN_KEYS = """
SELECT column_name, constraint_name
FROM information_schema.key_column_usage
WHERE table_schema = ? AND table_name = ? AND referenced_table_name IS NOT NULL
UNION
SELECT referenced_column_name, constraint_name
FROM information_schema.key_column_usage
WHERE referenced_table_schema = ? AND referenced_table_name = ?
"""
VIEWS = "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = ?"
TRIGGERS = """
SELECT trigger_name
FROM information_schema.triggers
WHERE event_object_schema = ? AND event_object_table = ?
ORDER BY trigger_name
"""
CREATE = "SHOW CREATE TABLE {}"

_TEXT = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")


def read(database: Database, table: str) -> Table | None:
    """What information_schema tells of a table."""
    *schema, name = Reader(table, "mysql").name() or (table,)
    found = database.query(TABLE, (schema[-1] if schema else None, name))
    if not found:
        return None
    place, (kind, engine, collation) = found[0][:2], found[0][2:]
    uses = _uses(database, place)
    checks = _checks(str(database.query(CREATE.format(table))[0][1]))
    rows = database.query(COLUMNS, place)
    dated = tuple(quoted(str(row[0])) for row in rows if "on update" in str(row[4]).lower())
    columns, key = {}, tuple(str(c) for c, index, _ in database.query(INDEXES, place) if index == "PRIMARY")
    for column, type_, nullable, default, extra, data_type, charset, collated in rows:
        used_by, indexes = uses.get(str(column).lower(), ([], []))
        made = [] if extra.lower() in ("", "default_generated") else [f"its own definition: {extra}"]
        written = "" if default is None or default == "NULL" else str(default)
        if written and "MariaDB" not in _version(database) and not _is_expression(written, extra, data_type):
            written = "'" + written.replace("'", "''") + "'"  # MySQL tells the value, MariaDB the expression
        differs = collated and collated != collation
        columns[str(column)] = Column(
            name=quoted(str(column)),
            type=f"{type_} CHARACTER SET {charset} COLLATE {collated}" if differs else str(type_),
            nullable=bool(nullable),
            default=written,
            compare=comparing(str(data_type)),
            used_by=(*made, *used_by, *(["a CHECK constraint"] if f"`{column}`" in checks else [])),
            indexes=tuple(indexes),
        )
    triggers = tuple(str(name) for (name,) in database.query(TRIGGERS, place))
    unfit = "it is no table" if kind != "BASE TABLE" else "" if engine == "InnoDB" else f"its engine is {engine}"
    return Table(table, columns, tuple(map(quoted, key)), triggers, unfit, dated)


def quoted(name: str) -> str:
    """A name as SQL spells it: quoted unless it is plain."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() and name == name.lower()
    return name if plain else "`" + name.replace("`", "``") + "`"


def comparing(data_type: str) -> str:
    """How a value is written so that `<=>` tells it from every other: text compares by its bytes."""
    return "CAST({} AS BINARY)" if data_type in _TEXT else "{}"


def _uses(database: Database, place: tuple[str, str]) -> dict[str, tuple[list[str], list[str]]]:
    found: dict[str, tuple[list[str], list[str]]] = {}

    def of(column: object) -> tuple[list[str], list[str]]:
        return found.setdefault(str(column).lower(), ([], []))

    for column, index, unique in database.query(INDEXES, place):
        if index == "PRIMARY":
            of(column)[0].append("the primary key")
        elif unique:
            of(column)[0].append(f"unique index {index}")
        else:
            of(column)[1].append(f"index {index}")
    for column, constraint in database.query(FOREIGN_KEYS, (*place, *place)):
        of(column)[0].append(f"foreign key {constraint}")
    schema, table = place
    for view, text in database.query(VIEWS, (schema,)):
        for column, *_ in database.query(COLUMNS, place) if f"`{table}`" in str(text) else ():
            if f"`{column}`" in str(text):
                of(column)[0].append(f"view {view}")
    return found


def _checks(create: str) -> str:
    """The CHECK constraints in the text of a table."""
    return "\n".join(line[line.upper().index("CHECK (") :] for line in create.split("\n") if "CHECK (" in line.upper())


def _version(database: Database) -> str:
    return str(database.query("SELECT VERSION()")[0][0])


def _is_expression(default: str, extra: str, data_type: str) -> bool:
    return (
        "DEFAULT_GENERATED" in extra
        or default.upper().startswith("CURRENT_TIMESTAMP")
        or not (data_type in _TEXT or data_type in ("date", "datetime", "timestamp", "time", "binary", "varbinary"))
    )
