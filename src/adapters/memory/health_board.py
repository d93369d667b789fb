"""The health of services within one process."""

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta

from encola.application.ports import Clock, HealthBoard
from encola.domain.health import ServiceHealth, Target


class InMemoryHealthBoard(HealthBoard):
    """Keeps the health of up to ``entries`` services; the one noted longest ago goes first."""

    def __init__(self, clock: Clock, entries: int = 1_000) -> None:
        self._clock = clock
        self._bound = entries
        self._noted: OrderedDict[Target, ServiceHealth] = OrderedDict()
        self._taken_until: OrderedDict[Target, datetime] = OrderedDict()

    async def read(self, target: Target) -> ServiceHealth | None:
        await asyncio.sleep(0)
        return self._noted.get(target)

    async def take_turn(self, target: Target, *, ttl: timedelta) -> bool:
        await asyncio.sleep(0)
        now = self._clock.now()
        if self._taken_until.get(target, now) > now:
            return False
        self._hold(target, now + ttl)
        return True

    async def note(self, target: Target, health: ServiceHealth, *, pause: timedelta) -> None:
        await asyncio.sleep(0)
        self._noted[target] = health
        self._noted.move_to_end(target)
        while len(self._noted) > self._bound:
            self._noted.popitem(last=False)
        self._hold(target, self._clock.now() + pause)

    def _hold(self, target: Target, until: datetime) -> None:
        self._taken_until[target] = until
        self._taken_until.move_to_end(target)
        while len(self._taken_until) > self._bound:
            self._taken_until.popitem(last=False)
