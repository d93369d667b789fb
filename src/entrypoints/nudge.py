"""Waking the dispatcher as soon as there is something to do."""

import asyncio


class Nudge:
    """A bell: rung by those who made work, waited for by the one who hands it out."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def __call__(self) -> None:
        """Ring."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when rung since the last wait, or after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()
