"""The health of services between processes, in Redis."""

import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from encola.adapters.redis.links import RedisLinks
from encola.application.ports import HealthBoard
from encola.domain.health import ServiceHealth, ServiceStatus, Target

KEPT: Final = timedelta(minutes=10)
_MILLISECOND: Final = timedelta(milliseconds=1)
_VERSION: Final = 1


class RedisHealthBoard(HealthBoard):
    """Keeps the health of a service for ten minutes after its last probe, all in the first shard.

    Turns end by the clock of Redis, so the processes need not agree on the time.
    """

    def __init__(self, links: RedisLinks) -> None:
        self._link, self._keys = links.all()[0]

    async def read(self, target: Target) -> ServiceHealth | None:
        text = await self._link.call("GET", self._name("health", target))
        return None if text is None else _read(text)

    async def take_turn(self, target: Target, *, ttl: timedelta) -> bool:
        name = self._name("probe", target)
        return await self._link.call("SET", name, "", "NX", "PX", _milliseconds(ttl)) is not None

    async def note(self, target: Target, health: ServiceHealth, *, pause: timedelta) -> None:
        # The turn goes first: were it to end before it is renewed, a second process would probe.
        await self._link.call("SET", self._name("probe", target), "", "PX", _milliseconds(pause))
        await self._link.call("SET", self._name("health", target), _text(health), "PX", _milliseconds(KEPT))

    def _name(self, kind: str, target: Target) -> str:
        # A base URL is an address inside, which need not be readable in a list of keys.
        place = sha256(target.base_url.encode()).hexdigest()[:16]
        return self._keys.own(f"{kind}:{target.service}:{place}")


def _text(health: ServiceHealth) -> str:
    return json.dumps(
        {
            "v": _VERSION,
            "status": health.status,
            "since": _spelt(health.since),
            "checked_at": _spelt(health.checked_at),
            "failures": health.failures,
            "problem": health.problem,
        }
    )


def _read(text: bytes) -> ServiceHealth | None:
    """Return what is kept, or ``None`` when another version wrote it in its own way."""
    try:
        kept: Any = json.loads(text)
        if kept["v"] != _VERSION:
            return None
        return ServiceHealth(
            status=ServiceStatus(kept["status"]),
            since=_instant(kept["since"]),
            checked_at=_instant(kept["checked_at"]),
            failures=int(kept["failures"]),
            problem=kept["problem"],
        )
    except (KeyError, TypeError, ValueError):
        return None


def _spelt(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _milliseconds(duration: timedelta) -> int:
    return max(1, duration // _MILLISECOND)
