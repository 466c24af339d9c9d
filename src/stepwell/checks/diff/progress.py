"""The file that an interrupted comparison goes on from: what it found, and how far it was.

One JSON object a line, written as things happen: first what is compared, then each difference, and after each segment
that it is finished. What stands behind the last of these, whole or in part, belongs to a segment that was under way
when the process died. It is cut off and found again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from stepwell.checks.diff.rows import Change, Difference, Finished, Found
from stepwell.errors import BadRequest


class Progress:
    """An open file of progress. Raises BadRequest where it can't be used, or is that of another comparison."""

    def __init__(self, path: Path, heading: dict[str, Any]) -> None:
        self._path = path
        try:
            self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise BadRequest(f"can't write {path}: {error.strerror}", "Name a file that can be written.") from None
        self._cut(heading)

    def _cut(self, heading: dict[str, Any]) -> None:
        """Keep the lines up to the last that says a segment is finished."""
        end = 0
        for number, line in enumerate(self._lines()):
            if number == 0 and line != heading:
                self._file.close()
                raise BadRequest(
                    f"{self._path} is not the progress of this comparison",
                    "Repeat the call that began it, or name another file (or remove this one) to begin anew.",
                )
            if number == 0 or "finished" in line:
                end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()
        if end == 0:
            self._write(heading)

    def found(self) -> Iterator[Found]:
        """What was found before, in its order."""
        for line in self._lines():
            match line:
                case {"finished": {"upto": upto, "left": left, "right": right}}:
                    yield Finished(upto, left, right)
                case {"difference": found}:
                    changes = tuple(Change(**change) for change in found["changes"])
                    yield Difference(found["kind"], tuple(found["key"]), changes, found["left"], found["right"])
        self._file.seek(0, 2)

    def add(self, found: Found) -> None:
        """Keep a finding. What is finished is out of this process's hands at once."""
        finished = isinstance(found, Finished)
        self._write({"finished" if finished else "difference": asdict(found)}, flush=finished)

    def close(self, done: bool) -> None:
        """Close the file; one that is done with is removed."""
        self._file.close()
        if done:
            with suppress(FileNotFoundError):
                self._path.unlink()

    def _write(self, line: dict[str, Any], flush: bool = True) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        if flush:
            self._file.flush()

    def _lines(self) -> Iterator[Any]:
        """The whole lines, from the beginning."""
        self._file.seek(0)
        while (line := self._file.readline()).endswith(b"\n"):
            try:
                yield json.loads(line)
            except ValueError:
                yield None
