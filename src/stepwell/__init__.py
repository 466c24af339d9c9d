"""Takes a relational database and ClickHouse to their next version together, while the application keeps running."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepwell.embedded import aworker, worker
    from stepwell.hosting.asgi import asgi
    from stepwell.hosting.startup import Startup
    from stepwell.hosting.wsgi import wsgi
    from stepwell.jobs.definition import Drain, Flag, Groups, Job, Keyset
    from stepwell.jobs.lazy import Lazy, LazyMiddleware
    from stepwell.project import Project
    from stepwell.window import Window

__version__ = "0.1.0"

__all__ = [
    "Drain", "Flag", "Groups", "Job", "Keyset", "Lazy", "LazyMiddleware", "Project", "Startup", "Window", "asgi",
    "aworker", "worker", "wsgi",
]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("Drain", "Flag", "Groups", "Job", "Keyset"), "stepwell.jobs.definition"),
    **dict.fromkeys(("Lazy", "LazyMiddleware"), "stepwell.jobs.lazy"),
    **dict.fromkeys(("aworker", "worker"), "stepwell.embedded"),
    "Project": "stepwell.project",
    "Window": "stepwell.window",
    "Startup": "stepwell.hosting.startup",
    "asgi": "stepwell.hosting.asgi",
    "wsgi": "stepwell.hosting.wsgi",
}


def __getattr__(name: str) -> Any:
    """What a name needs is imported when the name is used first: `stepwell up` uses none of these."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
