"""How the next script of a folder is numbered: as those before it are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from stepwell.errors import BadRequest
from stepwell.scripts.script import Script


def following(scripts: Sequence[Script], count: int = 1) -> list[str]:
    """The numbers of the next scripts behind these. Raises BadRequest where those before are not numbered."""
    last = scripts[-1].version.partition("_")[0] if scripts else "0000"
    if re.fullmatch(r"\d{14}", last):
        now = datetime.now(UTC)
        return [f"{now + timedelta(seconds=second):%Y%m%d%H%M%S}" for second in range(count)]
    if not last.isdigit():
        raise BadRequest(f"can't count on from {scripts[-1].path.name!r}", "Name the file yourself.")
    return [f"{int(last) + number:0{len(last)}}" for number in range(1, count + 1)]
