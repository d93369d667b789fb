"""The loops that keep jobs moving, in every process that holds the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

Wait = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """One thing to do again and again.

    ``work`` returns how much it did; after a full hand it is called again at once. A failure is
    logged and tried again after a growing pause: a keeper never ends by itself.
    """

    name: str
    work: Callable[[], Awaitable[int]]
    pause: float
    wait: Wait = field(default=asyncio.sleep)

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        while True:
            try:
                while await self.work():
                    failures = 0
                    await asyncio.sleep(0)
            except Exception as error:
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                logger.log(level, "keeper %s: %s: %s", self.name, type(error).__name__, error)
                await asyncio.sleep(min(5.0, self.pause * 2**failures))
            else:
                failures = 0
            await self.wait(self.pause)
