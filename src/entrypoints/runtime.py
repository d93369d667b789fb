"""One process at work: stores opened, keepers and worker running, and all of it put away again."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from encola.entrypoints.keepers import Keeper
from encola.entrypoints.use_cases import Machinery
from encola.entrypoints.worker import Worker

logger = logging.getLogger(__name__)


class Runtime:
    """Opens and closes what :class:`Machinery` holds; both may be asked for twice."""

    def __init__(self, machinery: Machinery, *, concurrency: int, drain_seconds: float) -> None:
        self._machinery = machinery
        self._concurrency = concurrency
        self._drain_seconds = drain_seconds
        self._changing = asyncio.Lock()
        self._opened = False
        self._worker: Worker | None = None
        self._loops: list[asyncio.Task[None]] = []
        self.stopping = asyncio.Event()

    async def open(self) -> None:
        """Open the stores, without running any job."""
        async with self._changing:
            await self._open()

    async def start(self) -> None:
        """Open the stores, and run jobs until :meth:`stop`."""
        async with self._changing:
            await self._open()
            if self._worker is not None:
                return
            machinery = self._machinery
            self.stopping.clear()
            if machinery.owns_everything:
                await machinery.board.reset(machinery.clock.now())
            self._worker = Worker(machinery.deliveries, machinery.run_job, self._concurrency)
            works = [keeper.run for keeper in self._keepers()] + [self._worker.run]
            self._loops = [asyncio.create_task(work()) for work in works]

    async def stop(self) -> None:
        """Stop taking jobs, let the running ones end for a while, and close everything."""
        async with self._changing:
            self.stopping.set()
            worker, self._worker = self._worker, None
            await self._stop_loops(self._loops[:1] + self._loops[-1:])
            if worker is not None:
                await worker.drain(self._drain_seconds)
            await self._stop_loops(self._loops)
            self._loops = []
            if self._opened:
                self._opened = False
                for close in self._machinery.closers:
                    await _finish(close)

    async def _open(self) -> None:
        if not self._opened:
            for step in self._machinery.openers:
                await _finish(step)
            self._opened = True

    async def _stop_loops(self, loops: list[asyncio.Task[None]]) -> None:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def _keepers(self) -> list[Keeper]:
        """Return the loops, the dispatcher first: it stops before the others."""
        machinery = self._machinery
        lease = machinery.lease.total_seconds()
        return [
            Keeper(name="dispatch", work=machinery.dispatch_jobs, pause=0.2, wait=machinery.nudge.wait),
            Keeper(name="recover", work=machinery.recover_jobs, pause=min(1.0, lease / 4)),
            Keeper(name="renew", work=_once(machinery.renew_leases), pause=lease / 3),
            *(Keeper(name=relay.consumer, work=relay, pause=0.2) for relay in machinery.relays),
            Keeper(name="forget", work=machinery.forget_jobs, pause=60.0),
        ]


def _once(work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
    """Take from ``work`` the habit of being called again at once when it had something to do."""

    async def run() -> int:
        await work()
        return 0

    return run


async def _finish(step: Callable[[], object]) -> None:
    outcome = step()
    if inspect.isawaitable(outcome):
        await outcome
