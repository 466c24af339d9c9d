"""`stepwell demo opik`: the whole upgrade in a folder, on SQLite and chDB, with data and with proof."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from stepwell import bundles
from stepwell.bundles.opik import Fact, generate, proof
from stepwell.config import FILE
from stepwell.project import Project
from stepwell.schema import events
from stepwell.schema.plan import Options

BEFORE = ("state/0002", "analytics/0002")
"""The last scripts of the 1.x schema, and of what the upgrade adds to it before any row moves."""


def run(folder: Path, scale: float, seed: int, tell: events.Listener, say: Callable[[str], None]) -> list[Fact]:
    """Make the project, fill it with 1.x data, upgrade it, and return what proves that all of it arrived.

    In a folder where a demo was begun, it goes on from where that one ended, however it ended.
    """
    if not (folder / FILE).exists():
        bundles.copy("opik", folder)
        say(f"made a project in {folder}: SQLite for state, chDB (ClickHouse in this process) for analytics")
    # The demo is about the embedded databases; variables of a real installation must not lead it there.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_DB_URL")}
    project = Project.load(folder, environment)

    say("\nOpik 1.x:")
    for reference in BEFORE:
        project.up(Options(to=reference), tell)
    started = time.monotonic()
    with project.targets() as targets:
        state, analytics = (target.database for target in targets)
        if not state.query("SELECT id FROM datasets LIMIT 1"):
            summary = generate(state, analytics, scale=scale, seed=seed)
            say(f"generated {summary} in {time.monotonic() - started:.1f} s")

    say("\nthe upgrade to dataset versioning (stepwell up):")
    result = project.up(Options(), tell)
    say(f"applied {len(result.applied)}, skipped {result.skipped}")

    say("\nonce more (stepwell up):")
    result = project.up(Options(), tell)
    say(f"applied {len(result.applied)}, skipped {result.skipped}")

    say("\nproof:")
    with project.targets() as targets:
        state, analytics = (target.database for target in targets)
        return proof(state, analytics)
