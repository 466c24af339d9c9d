"""Reading a script file: its text, and the checksum that tells whether it was edited."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stepwell.errors import BadScript

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read(path: Path) -> tuple[str, str]:
    """The text of a file and the SHA-256 of it in hex, both without byte order mark and with `\\n` for `\\r\\n`.

    So a checkout on Windows is the same script, and does the same. Raises BadScript.
    """
    try:
        with path.open("rb") as file:
            content = file.read()
    except OSError as error:
        raise BadScript(path, 0, f"can't read the file: {error.strerror}", "Make it readable.") from None
    if content.startswith(_UTF16_MARKS) or b"\0" in content:
        raise BadScript(path, 0, "the file holds UTF-16, or zero bytes", "Save it as UTF-8.")
    start = len(_UTF8_MARK) if content.startswith(_UTF8_MARK) else 0
    body = content[start:].replace(b"\r\n", b"\n")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        # Found anew in what the file really holds, so that the offset is one that an editor shows.
        offset = _first_bad_byte(content)
        raise BadScript(
            path,
            content.count(b"\n", 0, offset) + 1,
            f"byte {offset} of the file is 0x{content[offset]:02x}, which is not UTF-8",
            "Save the file as UTF-8.",
        ) from None
    return text, hashlib.sha256(body).hexdigest()


def _first_bad_byte(content: bytes) -> int:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise AssertionError("only called for content that is not UTF-8")
