"""The driver's errors in Stepwell's words."""

from __future__ import annotations

import re
from typing import Any

from stepwell.errors import ConnectionLost, Denied, DiskFull, LockTimeout, MemoryLimit, Refused, StatementTimeout

_KINDS = {
    159: StatementTimeout,  # TIMEOUT_EXCEEDED
    160: StatementTimeout,  # TOO_SLOW: it would be exceeded, by the server's estimate
    164: Denied,  # READONLY
    241: MemoryLimit,  # MEMORY_LIMIT_EXCEEDED
    243: DiskFull,  # NOT_ENOUGH_SPACE
    473: LockTimeout,  # DEADLOCK_AVOIDED: the lock_acquire_timeout is over
    497: Denied,  # ACCESS_DENIED
}
_CODE = re.compile(r"Code: (\d+)")
_POSITION = re.compile(r"failed at position (\d+)")
_VERSION = re.compile(r"\s*\(version [^)]*\)+.*", re.DOTALL)


def said(error: BaseException) -> str:
    """What an error says, without the server's version and address."""
    return _first_line(str(error)) or type(error).__name__


def refused(error: Exception, sent: str = "") -> Refused:
    """An error of the driver as one of ours, about the statement `sent`. A broken connection bears no server's code."""
    if isinstance(error, Refused):
        return error
    code: Any = getattr(error, "code", None)
    if code is None and (found := _CODE.search(str(error))):
        code = int(found[1])
    if code is None and {"OperationalError", "OSError", "HTTPError"} & {kind.__name__ for kind in type(error).__mro__}:
        cause = error.__cause__
        return ConnectionLost(f"{said(error)}{f' ({type(cause).__name__})' if cause else ''}")
    return by_code(code or 0, str(error), sent)


def by_code(code: int, text: str, sent: str = "") -> Refused:
    """What the server said under an error code, about the statement `sent`."""
    kind = _KINDS.get(code, Refused)
    if "No space left on device" in text:
        kind = DiskFull
    place = _POSITION.search(text)
    # The server counts bytes, from 1.
    position = len(sent.encode()[: int(place[1]) - 1].decode(errors="ignore")) if place and sent else None
    return kind(_first_line(text), code=str(code), position=position)


def _first_line(text: str) -> str:
    text = text[max(0, text.find("Code: ")) :]
    return _VERSION.sub("", text).strip().split("\n")[0][:1000]
