"""A worker that needs a thread of its own, beside the loop on which its jobs run."""

import asyncio
import logging
import threading
from typing import Final, Protocol

logger = logging.getLogger(__name__)

HAND_BACK_SECONDS: Final = 15.0
"""How long it may take, when the time for draining is over, to hand back what still runs."""


class BlockingWorker(Protocol):
    """Works until it is told to stop; draining is its own affair."""

    def run(self) -> None:
        """Work; blocks."""
        ...

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        ...

    def abandon(self) -> None:
        """Leave at once; from any thread."""
        ...


class ThreadedWorker:
    """Runs a blocking worker in a daemon thread, so that it cannot hold up the interpreter's end."""

    def __init__(self, worker: BlockingWorker) -> None:
        self._worker = worker
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, or until the worker ends by itself."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, args=(loop,), name="encola-worker", daemon=True).start()
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            self._worker.stop()
            raise

    async def drain(self, seconds: float) -> None:
        """Return when the worker has ended; leave it to itself if it takes far longer than it may."""
        try:
            async with asyncio.timeout(seconds + HAND_BACK_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self._worker.abandon()
            logger.warning("the worker did not end in time; leases that it holds will end")

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._worker.run()
        except BaseException:
            logger.exception("the worker ended")
        finally:
            loop.call_soon_threadsafe(self._ended.set)
