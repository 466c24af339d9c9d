"""Names as people write them, and as they stand in a statement."""

from __future__ import annotations

import re
from functools import lru_cache

from stepwell.databases.lexing import Reader

ENGINE = "mysql"
_BARE = re.compile(r"[\w$.]+")


def quoted(*parts: str) -> str:
    """A name as SQL, each part in backquotes."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


@lru_cache(maxsize=256)
def as_sql(name: str) -> str:
    """A table's name ready to stand in a statement, from the way people write it: items, app.items, `a b`."""
    reader = Reader(name, ENGINE)
    parts = reader.name()
    return quoted(*parts) if parts and reader.done else quoted(name)


def as_written(name: str) -> str:
    """The other way round: without the quotes, where they are not needed."""
    bare = name.replace("`", "")
    return bare if as_sql(bare) == name and _BARE.fullmatch(bare) else name


def table_name(reader: Reader) -> tuple[str, ...]:
    parts = reader.name()
    return (quoted(*parts),) if parts else ()
