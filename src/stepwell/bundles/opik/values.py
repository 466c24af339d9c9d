"""Values made up from a seed: moments, ids, audit columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

AUDIT = ("created_at", "created_by", "last_updated_at", "last_updated_by")
AUTHORS = ("admin", "maria@acme.example", "søren", "李雷", "ci-bot")
FIRST_DAY = datetime(2024, 3, 1, tzinfo=UTC)


def audit(created: datetime, author: str) -> tuple[str, str, str, str]:
    moment = created.strftime("%Y-%m-%d %H:%M:%S.%f")
    return moment, author, moment, author


def moment(random: Random) -> datetime:
    """Some millisecond of the installation's first 600 days."""
    return FIRST_DAY + timedelta(milliseconds=random.randrange(600 * 86_400_000))


def milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def uuid7(moment: datetime, random: Random) -> str:
    time, tail = f"{milliseconds(moment):012x}", f"{random.getrandbits(60):015x}"
    variant = random.choice("89ab")
    return f"{time[:8]}-{time[8:]}-7{tail[:3]}-{variant}{tail[3:6]}-{tail[6:]}{random.getrandbits(12):03x}"


def sql_uuid7(milliseconds: str, *seeds: str) -> str:
    """SQL for the UUIDv7 text of a moment, random by `seeds`."""
    time, tail = f"lower(hex({milliseconds}))", f"lower(hex(sipHash128({', '.join(seeds)})))"
    return (
        f"concat(substring({time}, 1, 8), '-', substring({time}, 9, 4), '-7', substring({tail}, 1, 3), '-', "
        f"substring('89ab', 1 + sipHash64({', '.join(seeds)}) % 4, 1), substring({tail}, 4, 3), '-', "
        f"substring({tail}, 7, 12))"
    )
