"""Where Stepwell's own tables are: in one schema for ever, whatever comes to stand before it on the search path.

`CREATE TABLE IF NOT EXISTS` looks into the first schema of the path alone, a SELECT into all. A schema that appears at
its head, such as one named like our user, would get tables of its own, empty ones, and all would be done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.databases.database import HISTORY
from stepwell.errors import HomeMissing, HomeOffPath, TwoHomes

if TYPE_CHECKING:
    from stepwell.databases.postgres.session import Session

# `key`: one that tells which schema it is; another tool's table of such a name lacks the column.
OURS = """
SELECT
  quote_ident(nspname),
  relname,
  EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = pg_class.oid
      AND (relname, attname) IN (
        ('schema_migrations', 'layout'), ('stepwell_migrations', 'layout'), ('stepwell_job', 'lease_until')
      )
  ) AS key,
  nspname = ANY (current_schemas(false)) AS visible,
  pg_get_userbyid(relowner) = current_user AS own
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE (relname IN ('schema_migrations', 'schema_migrations_journal') OR relname LIKE 'stepwell\\_%')
  AND relkind IN ('r', 'p')
ORDER BY nspname, relname
"""
NEW = """
SELECT
  coalesce(quote_ident(current_schema()), ''),
  current_setting('search_path'),
  (SELECT source FROM pg_settings WHERE name = 'search_path') = 'client'
"""


def find(session: Session, name: str) -> str:
    """The schema, quoted, that Stepwell's tables are in; '' where there are none yet. Raises TwoHomes, HomeOffPath.

    What lies off the path is another project's, unless our own user made it and the URL says no path.
    """
    on_path: dict[str, list[str]] = {}
    homes, hidden = set[str](), set[str]()
    for schema, table, key, visible, own in session.query(OURS):
        if visible:
            on_path.setdefault(schema, []).append(table)
        if key and (visible or own):
            (homes if visible else hidden).add(schema)
    if homes:
        home = min(homes)
        # Another tool may have a `schema_migrations`; any other table of ours twice, and one of both is hidden.
        rivals = {
            schema: tables
            for schema, tables in on_path.items()
            if schema in homes or set(tables) & set(on_path[home]) - {HISTORY}
        }
        if len(rivals) > 1:
            raise TwoHomes(name, rivals)
        return home
    if hidden:
        _, path, chosen = session.query(NEW)[0]
        if not chosen:
            raise HomeOffPath(name, sorted(hidden), path)
    return ""


def first(session: Session, name: str) -> str:
    """The schema, quoted, to make them in: the first of the path. Raises HomeMissing where there is none."""
    schema, path, _ = session.query(NEW)[0]
    if not schema:
        raise HomeMissing(name, path)
    return str(schema)
