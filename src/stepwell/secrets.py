"""What must never be shown: passwords of URLs, and values of variables whose names say that they are secret.

Known to the whole process once a project has named them, because messages are made far from where a secret came in:
a server quotes the statement that it refuses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

_NAMES = re.compile(
    r"PASSW|PASSPHRASE|PWD\b|SECRET|TOKEN(?!I[SZ])|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY", re.IGNORECASE
)
"""What secrets are called; a tokenizer's settings are none."""

_FOLDERS = ("PWD", "OLDPWD")
"""Where a shell is and was: every environment has them."""

_WORDS = ("true", "false", "none", "null")
_SHORTEST = 4
"""Characters: less is found in every other word, and hides nothing."""

_known: set[str] = set()


def know(variables: Mapping[str, str], passwords: Iterable[str]) -> None:
    """Let `hide` hide these passwords, and the values of those variables that are named as secrets are."""
    named = {value for name, value in variables.items() if _NAMES.search(name) and name not in _FOLDERS}
    # The file that holds a secret is not one, nor is a switch: hidden, they would be missing from every other message.
    found = {value for value in named if value.lower() not in _WORDS and not _is_place(value)}
    _known.update(value for value in found.union(passwords) if len(value) >= _SHORTEST)


def _is_place(value: str) -> bool:
    return value.startswith("/") and os.path.exists(value)  # noqa: PTH110  # Path's own raises for a long key


def hide(text: str) -> str:
    """The text with `***` in place of all that is known to be secret."""
    for secret in sorted(_known, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "***")
    return text
