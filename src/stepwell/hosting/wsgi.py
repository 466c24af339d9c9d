"""A WSGI application that migrates when its server starts, and answers the probes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from stepwell.hosting.startup import Startup

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wsgi(application: Application, startup: Startup) -> Application:
    """`application`, after `startup` has begun, with `/healthz` and `/readyz` before its own paths.

    WSGI knows no lifespan: the start is here, where the server loads its application, and again in each process that it
    forks later. Raises what `Startup.begin` raises, so that the server does not come up.
    """
    probes = {"/healthz": startup.health, "/readyz": startup.readiness}
    startup.begin()

    def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        startup.begin_here()
        if probe := probes.get(environ.get("PATH_INFO", "")):
            status, says = probe()
            body = json.dumps(says).encode()
            kind = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start_response(f"{status} {HTTPStatus(status).phrase}", kind)
            return [body]
        return application(environ, start_response)

    return served
