"""Some tenants with agents, and the runs of their agents."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from random import Random

from stepwell.databases.database import Database

_AGENTS = {
    "acme": ("support-bot", "refund-agent", "release-notes"),
    "umi-labs": ("paper-reader", "データ整理"),
    "north-wind": ("night-watch",),
}
_TASKS = (
    "Refund order 7 of Mr. O'Neill",
    "Почему упал деплой?",
    '{"tool": "search", "query": "50% off \\"today\\""}',
    "two\nlines 🤖",
    "",
)
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)


def generate(app: Database, analytics: Database, *, runs: int, seed: int) -> None:
    """Fill the tables that app/0002 and analytics/0001 leave. The same seed gives the same rows. Raises Refused."""
    random = Random(seed)
    tenants = {slug: _uuid(random) for slug in _AGENTS}
    agents = [(slug, agent) for slug, names in _AGENTS.items() for agent in names]
    app.insert("tenant", ["id", "slug", "name"], [(key, slug, slug.title()) for slug, key in tenants.items()])
    app.insert(
        "agent",
        ["id", "tenant_id", "slug"],
        [(_uuid(random), tenants[tenant], agent) for tenant, agent in agents],
    )
    run_rows, span_rows = [], []
    for _ in range(runs):
        tenant, agent = random.choice(agents)
        key, started = _uuid(random), _FIRST_DAY + timedelta(seconds=random.randrange(120 * 86_400))
        length = timedelta(milliseconds=random.randrange(100, 90_000))
        status = random.choices(("ok", "error", "cancelled"), weights=(90, 8, 2))[0]
        tokens = random.randrange(50, 40_000)
        run_rows.append(
            (key, f"{tenant}/{agent}", status, _text(started), _text(started + length), random.choice(_TASKS),
             random.choice(_TASKS), tokens, f"{tokens * 3e-6:.6f}")
        )  # fmt: skip
        for number in range(random.randrange(4)):
            kind, name = random.choice((("model", "chat"), ("tool", "search"), ("retrieval", "documents")))
            moment, duration = started + length * number / 4, int(length / timedelta(microseconds=4))
            attributes = {"model": "small", "note": random.choice(_TASKS)} if kind == "model" else {}
            span_rows.append((_uuid(random), key, kind, name, _text(moment), duration, attributes))
    analytics.insert(
        "run",
        ["id", "agent", "status", "started_at", "ended_at", "input", "output", "tokens", "cost"],
        run_rows,
    )
    analytics.insert("span", ["id", "run_id", "kind", "name", "started_at", "duration", "attributes"], span_rows)


def _uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
