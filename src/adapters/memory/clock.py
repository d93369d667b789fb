"""A clock that is moved by hand."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

from encola.application.ports import Clock

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class ManualClock(Clock):
    """Stands still until it is moved; a test that waits on it takes no time."""

    def __init__(self, now: datetime = _NOON) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        return self._now

    async def sleep(self, duration: timedelta) -> None:
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + duration, next(self._numbers), awake))
        await awake

    async def advance(self, duration: timedelta) -> None:
        """Let ``duration`` pass, waking sleepers in the order of their time.

        Each of them sees its own instant, and may sleep again within what passes.
        """
        end = self._now + duration
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            instant, _, awake = heapq.heappop(self._sleepers)
            if not awake.done():
                self._now = max(self._now, instant)
                awake.set_result(None)
                await _let_others_run()
        self._now = end


async def _let_others_run() -> None:
    # A woken task may need a few rounds of the loop until it sleeps on this clock again.
    for _ in range(10):
        await asyncio.sleep(0)
