"""How a statement behaves, told from its text.

PostgreSQL puts nearly everything into a transaction, so this is a list of exceptions, by the first word.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stepwell.databases.database import Conduct
from stepwell.databases.lexing import Kind, Reader, Unterminated, tokens
from stepwell.databases.postgres import names
from stepwell.databases.postgres.catalog import AlterSubscription, CatalogEntry, DetachPartition
from stepwell.databases.postgres.indexes import CreateIndex, DropIndex, Reindex
from stepwell.databases.postgres.visible import Query, Visible

SESSION = frozenset({"DEALLOCATE", "DISCARD", "LISTEN", "LOAD", "PREPARE", "RESET", "SET", "SHOW", "UNLISTEN"})
TRANSACTION_CONTROL = frozenset({"ABORT", "BEGIN", "COMMIT", "END", "ROLLBACK", "START"})
_TRACES = re.compile("CONCURRENTLY|DATABASE|SUBSCRIPTION|TABLESPACE", re.IGNORECASE)
"""A statement without any of these words is not one that leaves traces."""

PARTITIONED = "SELECT relkind IN ('p', 'I') FROM pg_class WHERE oid = to_regclass(?)"


def conduct(text: str, query: Query) -> Conduct:
    """How the statement behaves. `query` is asked whether what REINDEX or CLUSTER names is partitioned."""
    word = first_word(text)
    if word in TRANSACTION_CONTROL:
        return Conduct.TRANSACTIONAL if _to_savepoint(text) else Conduct.OPAQUE
    if word == "VACUUM":
        return Conduct.REPEATABLE
    if word in SESSION or word == "SELECT":
        return _settings(text)
    if visible(text):
        return Conduct.VISIBLE
    if word in ("ALTER", "CLUSTER", "REINDEX"):
        return _maintenance(text, query)
    return Conduct.TRANSACTIONAL


@lru_cache(maxsize=8)
def first_word(text: str) -> str:
    """The first word of a statement in capitals, without reading the rest of it."""
    try:
        first = next((token for token in tokens(text, "postgres") if not token.silent), None)
    except Unterminated:
        return ""
    return first.text.upper() if first and first.kind is Kind.WORD else ""


@lru_cache(maxsize=8)
def visible(text: str) -> Visible | None:
    """The statement as one that leaves traces, None when it is none."""
    if first_word(text) not in ("ALTER", "CREATE", "DROP", "REINDEX") or not _TRACES.search(text):
        return None
    if not (reader := _reader(text)):
        return None
    if reader.take("ALTER"):
        return _alter(reader)
    if reader.take("CREATE"):
        return _create(reader)
    if reader.take("DROP"):
        return _drop(reader)
    reader.take("REINDEX")
    concurrently = "CONCURRENTLY" in _options(reader)
    kind = reader.next()
    if reader.take("CONCURRENTLY") or concurrently:
        return Reindex(kind, names.spelled(reader))
    return None


@lru_cache(maxsize=8)
def creates(text: str) -> str | None:
    """The table that the statement creates, as SQL spells it."""
    if first_word(text) != "CREATE" or not (reader := _reader(text)):
        return None
    reader.take("CREATE")
    while reader.take_any("FOREIGN", "GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED"):
        pass
    if not reader.take("TABLE"):
        return None
    reader.take("IF", "NOT", "EXISTS")
    return names.spelled(reader) or None


def renames(text: str) -> list[str]:
    """The table that the statement gives another name, as SQL spells it."""
    if first_word(text) != "ALTER" or not (reader := _reader(text)):
        return []
    if not reader.take("ALTER", "TABLE"):
        return []
    table = _altered(reader)
    return [table] if reader.take("RENAME", "TO") else []


def _reader(text: str) -> Reader | None:
    try:
        return Reader(text, "postgres")
    except Unterminated:
        return None  # the server will refuse it


def _options(reader: Reader) -> set[str]:
    """Step over a list such as `(VERBOSE, CONCURRENTLY)` if one comes next, and return its words."""
    words: set[str] = set()
    if reader.take("("):
        while not reader.done and not reader.take(")"):
            words.add(reader.next())
    return words


def _altered(reader: Reader) -> str:
    reader.take("IF", "EXISTS")
    reader.take("ONLY")
    table = names.spelled(reader)
    reader.take("*")
    return table


def _create(reader: Reader) -> Visible | None:
    if kind := reader.take_any("DATABASE", "SUBSCRIPTION", "TABLESPACE"):
        return CatalogEntry(kind, names.bare(reader), created=True)
    reader.take("UNIQUE")
    if not reader.take("INDEX", "CONCURRENTLY"):
        return None
    reader.take("IF", "NOT", "EXISTS")
    index = "" if reader.peek() == "ON" else names.bare(reader)
    reader.take("ON")
    reader.take("ONLY")
    return CreateIndex(index, names.spelled(reader))


def _drop(reader: Reader) -> Visible | None:
    if kind := reader.take_any("DATABASE", "SUBSCRIPTION", "TABLESPACE"):
        reader.take("IF", "EXISTS")
        return CatalogEntry(kind, names.bare(reader), created=False)
    if not reader.take("INDEX", "CONCURRENTLY"):
        return None
    reader.take("IF", "EXISTS")
    return DropIndex(names.spelled(reader))


def _alter(reader: Reader) -> Visible | None:
    if reader.take("SUBSCRIPTION"):
        subscription = names.bare(reader)
        publications = reader.take_any("ADD", "DROP", "SET") and reader.take("PUBLICATION")
        return AlterSubscription(subscription) if publications or reader.take("REFRESH") else None
    if not reader.take("TABLE"):
        return None
    parent = _altered(reader)
    if not reader.take("DETACH", "PARTITION"):
        return None
    partition = names.spelled(reader)
    return DetachPartition(parent, partition) if reader.take("CONCURRENTLY") else None


def _to_savepoint(text: str) -> bool:
    reader = _reader(text)
    if not reader or not reader.take("ROLLBACK"):
        return False
    reader.take_any("TRANSACTION", "WORK")
    return reader.take("TO")


def _settings(text: str) -> Conduct:
    reader = _reader(text)
    if not reader:
        return Conduct.TRANSACTIONAL
    if reader.take("SELECT"):
        # Dumps open with set_config('search_path', '', false): false is for longer than the transaction.
        reader.take("PG_CATALOG", ".")
        lasting = reader.take("SET_CONFIG", "(") and reader.skip_to(")") and reader.peek(-1) == "FALSE"
        return Conduct.SESSION if lasting else Conduct.TRANSACTIONAL
    if reader.take("PREPARE", "TRANSACTION"):
        return Conduct.OPAQUE
    if reader.take("SET") and reader.peek() in ("CONSTRAINTS", "LOCAL", "TRANSACTION"):
        return Conduct.TRANSACTIONAL
    return Conduct.SESSION


def _maintenance(text: str, query: Query) -> Conduct:
    reader = _reader(text)
    if not reader:
        return Conduct.TRANSACTIONAL
    if reader.take("ALTER"):
        if reader.take("DATABASE"):
            reader.name()
            return Conduct.REPEATABLE if reader.take("SET", "TABLESPACE") else Conduct.TRANSACTIONAL
        return Conduct.REPEATABLE if reader.take("SYSTEM") else Conduct.TRANSACTIONAL
    word = reader.next()
    _options(reader)
    if word == "REINDEX" and reader.next() not in ("INDEX", "TABLE"):
        return Conduct.REPEATABLE
    reader.take("VERBOSE")
    table = names.spelled(reader)
    if not table:
        return Conduct.REPEATABLE
    # Of a partitioned table every partition is done in a transaction of its own.
    return Conduct.REPEATABLE if query(PARTITIONED, (table,)) == [(True,)] else Conduct.TRANSACTIONAL
