"""Stop signals within one process."""

import asyncio
from collections import deque

from encola.application.ports import Lease, StopSignals

KEPT = 10_000


class InProcessStopSignals(StopSignals):
    """Holds the latest signals until somebody heeds them; the oldest are lost first."""

    def __init__(self) -> None:
        self._signals: deque[Lease] = deque(maxlen=KEPT)
        self._arrived = asyncio.Event()

    async def send(self, lease: Lease) -> None:
        self._signals.append(lease)
        self._arrived.set()

    async def receive(self) -> Lease:
        while not self._signals:
            self._arrived.clear()
            await self._arrived.wait()
        return self._signals.popleft()
