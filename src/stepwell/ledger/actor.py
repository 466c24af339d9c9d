"""Who does what is recorded: the variable STEPWELL_ACTOR (a person behind a pipeline), else the system's user."""

from __future__ import annotations

import getpass
import os
import socket


def actor() -> str:
    """The name that history gives to whoever runs this process."""
    if named := os.environ.get("STEPWELL_ACTOR", "").strip():
        return named[:150]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id often has no name
        return "unknown"


def host() -> str:
    return socket.gethostname()
