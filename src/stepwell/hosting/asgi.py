"""An ASGI application that migrates when its server starts, and answers the probes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from stepwell.errors import StepwellError
from stepwell.hosting.startup import Startup

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def asgi(application: Application, startup: Startup) -> Application:
    """`application` with `startup` in its lifespan, and `/healthz` and `/readyz` before its own paths.

    Follows the ASGI specification 3.0, lifespan 2.0; an application without a lifespan gets this one.
    """
    probes = {"/healthz": startup.health, "/readyz": startup.readiness}

    async def served(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(application, startup, scope, receive, send)
        elif scope["type"] == "http" and (probe := probes.get(scope["path"])):
            status, says = probe()
            kind = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": status, "headers": kind})
            await send({"type": "http.response.body", "body": json.dumps(says).encode()})
        else:
            await application(scope, receive, send)

    return served


async def _live(application: Application, startup: Startup, scope: Message, receive: Receive, send: Send) -> None:
    begun = await receive()
    try:
        await asyncio.to_thread(startup.begin)
    except StepwellError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    ahead, answered = [begun], False

    async def receive_on() -> Message:
        return ahead.pop() if ahead else await receive()

    async def send_on(message: Message) -> None:
        nonlocal answered
        answered = True
        if message["type"].startswith("lifespan.shutdown."):
            await asyncio.to_thread(startup.end)
        await send(message)

    try:
        await application(scope, receive_on, send_on)
    except Exception:
        if answered:
            raise
        # It has no lifespan of its own, which the specification lets it say by raising.
        await send_on({"type": "lifespan.startup.complete"})
        await receive()
        await send_on({"type": "lifespan.shutdown.complete"})
