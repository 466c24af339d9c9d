"""PostgreSQL: nearly everything commits with the record of it; the few statements that can't are settled.

Read `database.py` first: the verbs. `session.py` speaks to the server, `conduct.py` tells from a statement's
text how it behaves, `indexes.py` and `catalog.py` know what each statement leaves that no transaction covers.
"""

from stepwell.databases.postgres.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
