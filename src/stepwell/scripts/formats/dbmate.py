"""dbmate: `20240131120000_title.sql` with a block `-- migrate:up`, and one `-- migrate:down` behind it.

Files come in the order of their names; a late one is applied all the same. There are no variables. dbmate says for
each block whether it is a transaction; where one of the two is none, Stepwell journals both, which is safer still.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from stepwell.errors import BadScript, did_you_mean
from stepwell.scripts.formats import files
from stepwell.scripts.formats.blank import comments, first_statement
from stepwell.scripts.formats.cutting import Part, statements
from stepwell.scripts.front import FrontMatter
from stepwell.scripts.origin import Origin
from stepwell.scripts.script import Script, Sections

NAME = re.compile(r"([0-9]+).*\.sql")
MARK = re.compile(r"^--[ \t]*migrate[ \t]*:[ \t]*([\w-]*)[ \t]*(.*)$", re.MULTILINE)


class Block(NamedTuple):
    """`-- migrate:direction` with its options, where it stands, and the text below it."""

    direction: str
    transaction: bool | None
    line: int
    part: Part


def load(origin: Origin) -> list[Script]:
    """The scripts in the order of their names. Raises BadScript, DuplicateVersion."""
    found = []
    for path in files.names(origin):
        if path.suffix.lower() != ".sql":
            continue
        name = NAME.fullmatch(path.name)
        if name is None:
            what = f"{path.name} is not named as dbmate names migrations"
            raise BadScript(path, 0, what, "Name it like 20240131120000_create_items.sql.")
        found.append((name.group(1), path))
    files.refuse_twins(found)
    return [_script(origin, path) for _, path in found]


def _script(origin: Origin, path: Path) -> Script:
    def front(text: str) -> FrontMatter:
        said = [block.transaction for block in _blocks(text, path) if block.transaction is not None]
        return FrontMatter(transaction=False if False in said else None)

    return files.script(origin, path, path.stem, _cut, front, late=True)


def _cut(script: Script) -> Sections:
    up, *down = _blocks(script.text, script.path)
    first = MARK.search(script.text)
    return Sections(
        statements([up.part], script.path, script.engine),
        statements([down[0].part], script.path, script.engine) if down else None,
        comments(script.text[: first.start() if first else 0]),
    )


def _blocks(text: str, path: Path) -> list[Block]:
    """The block `up` and, if there is one, the block `down` behind it."""
    marks = list(MARK.finditer(text))
    stray = first_statement(text[: marks[0].start()] if marks else text)
    if not marks or stray is not None:
        line = text.count("\n", 0, stray or 0) + 1
        do = "Begin the file with a line `-- migrate:up`; dbmate takes nothing but comments before it."
        raise BadScript(path, line, "statements that belong to no block" if marks else "no `-- migrate:up`", do)
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    blocks = []
    for mark, end in zip(marks, ends, strict=True):
        line = text.count("\n", 0, mark.start()) + 1
        direction, options = mark.groups()
        if direction not in ("up", "down"):
            what = f"unknown block `migrate:{direction}`{did_you_mean(direction, ('up', 'down'))}"
            raise BadScript(path, line, what, "dbmate has `-- migrate:up` and `-- migrate:down`.")
        part = Part(text[mark.end() : end], line)
        blocks.append(Block(direction, _transaction(options, path, line), line, part))
    for index, block in enumerate(blocks):
        if (index, block.direction) not in ((0, "up"), (1, "down")):
            what = f"a block `migrate:{block.direction}` in the wrong place"
            raise BadScript(path, block.line, what, "Write one `-- migrate:up`, then at most one `-- migrate:down`.")
    return blocks


def _transaction(options: str, path: Path, line: int) -> bool | None:
    said = None
    for option in options.split():
        key, _, value = option.partition(":")
        if key != "transaction":
            what = f"unknown option {key!r}{did_you_mean(key, ('transaction',))}"
            raise BadScript(path, line, what, "dbmate's blocks have one option: `transaction:false`.")
        if value not in ("true", "false"):
            what = f"`transaction` can't be {value!r}{did_you_mean(value, ('true', 'false'))}"
            raise BadScript(path, line, what, "Write true or false.")
        said = value == "true"
    return said
